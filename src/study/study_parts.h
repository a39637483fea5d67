/* What the files study*.c share. */
#ifndef IB_STUDY_STUDY_PARTS_H
#define IB_STUDY_STUDY_PARTS_H

#include "study/study.h"

/* The keys of each mapping of the format; the printed schema is made of the same tables. */
extern const ib_yaml_key IB_STUDY_KEYS[], IB_EXTENSION_KEYS[], IB_GROUP_KEYS[], IB_ROW_KEYS[],
    IB_OVERRIDE_KEYS[], IB_PUBLISHED_KEYS[], IB_ITEM_KEYS[];

/* One option's value, checked against its row; line: where it stands. */
ib_status ib_study_check_option(const ib_yaml *yaml, const ib_option *option, const char *text,
                                size_t line, ib_error *err);
/* The option that a key names; an unknown one, or one that files cannot set, is refused. */
ib_status ib_study_option(const ib_yaml *yaml, const ib_yaml_node *key, const ib_option **option,
                          ib_error *err);

/* A list of seeds as texts: [1, 2, 3], or 3 for these. */
ib_status ib_study_seeds(ib_study *study, const ib_yaml *yaml, const ib_yaml_node *node,
                         ib_text_list *seeds, ib_error *err);
/* Keeps a text until the study is closed; NULL when out of memory, or text is. */
const char *ib_study_keep(ib_study *study, char *text);

/* Appends the cells of one group: rows x grid x seeds over top_base and the group's own base. */
ib_status ib_study_expand(ib_study *study, const ib_yaml *yaml, const ib_yaml_node *group,
                          size_t group_index, const ib_yaml_node *top_base,
                          const ib_text_list *seeds, ib_error *err);
/* Fills the cell's arguments from its texts, with every check of the command line. */
ib_status ib_study_resolve(const ib_yaml *yaml, ib_study_cell *cell,
                           char *(*environment)(const char *name), ib_error *err);

/* published:, tables: and figures: of the document. Cells are resolved. */
ib_status ib_study_read_report(ib_study *study, const ib_yaml *yaml, ib_error *err);
void ib_study_free_report(ib_study *study);
/* The groups that a key cells: names, or all. *groups is fresh memory. */
ib_status ib_study_groups(const ib_study *study, const ib_yaml *yaml, const ib_yaml_node *list,
                          size_t **groups, size_t *count, ib_error *err);

/* Which cells something belongs to. Zero-initialise; the caller frees config. */
typedef struct ib_criterion {
    ib_config config;
    const ib_option *options[IB_MAX_OPTIONS];
    size_t option_count;
    const char *label, *group;
} ib_criterion;

/* Takes key: value into the criterion when it is an option, label or cells; *taken says so. */
ib_status ib_study_add_criterion(const ib_yaml *yaml, const char *key, const ib_yaml_node *value,
                                 ib_criterion *wanted, int *taken, ib_error *err);
/* The cells of these groups that match: fresh memory. */
ib_status ib_study_match(const ib_study *study, const ib_criterion *wanted, const size_t *groups,
                         size_t group_count, size_t **cells, size_t *count, ib_error *err);
/* One entry of published:. *matched counts the cells that values stand beside. */
ib_status ib_study_read_published(ib_study *study, const ib_yaml *yaml, const ib_yaml_node *node,
                                  size_t *matched, ib_error *err);

#endif
