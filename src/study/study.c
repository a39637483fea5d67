/* An experiment file as a whole: its keys, groups, seeds, extension and key=value words. */
#include "study/study.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/number.h"
#include "study/study_parts.h"

const ib_yaml_key IB_STUDY_KEYS[] = {
    {"name", IB_YAML_TEXT, 1, "names the study and its folder: letters, digits and hyphens"},
    {"title", IB_YAML_TEXT, 0, "heading of the report"},
    {"description", IB_YAML_TEXT, 0, "what is studied, in a few sentences"},
    {"base", IB_YAML_MAP, 0,
     "options of isobit train for all cells; used where they mean something"},
    {"grid", IB_YAML_MAP, 0, "lists of option values, crossed"},
    {"rows", IB_YAML_LIST, 0, "explicit configurations, crossed with the grid"},
    {"needs", IB_YAML_LIST, 0, "what the cells need beyond a CPU"},
    {"cells", IB_YAML_LIST, 0,
     "groups of cells, each with base, grid, rows; instead of grid and rows"},
    {"seeds", IB_YAML_TEXT | IB_YAML_LIST, 0,
     "the seeds of each cell, or how many: 3 is [1, 2, 3]"},
    {"select", IB_YAML_TEXT, 0,
     "the metric on validation images that chooses the best configuration"},
    {"published", IB_YAML_LIST, 0, "values that others published, to stand beside ours"},
    {"tables", IB_YAML_LIST, 0, "tables of the report"},
    {"figures", IB_YAML_LIST, 0, "figures of the report"},
    {NULL, 0, 0, NULL},
};
const ib_yaml_key IB_EXTENSION_KEYS[] = {
    {"extends", IB_YAML_TEXT, 1, "the experiment file that this one changes, relative to it"},
    {"name", IB_YAML_TEXT, 1, "names the study and its folder: letters, digits and hyphens"},
    {"title", IB_YAML_TEXT, 0, "heading of the report"},
    {"description", IB_YAML_TEXT, 0, "what is different, in a few sentences"},
    {"seeds", IB_YAML_TEXT | IB_YAML_LIST, 0, "the seeds of each cell, or how many"},
    {"override", IB_YAML_LIST, 0, "option values that replace those of the extended file"},
    {NULL, 0, 0, NULL},
};
const ib_yaml_key IB_GROUP_KEYS[] = {
    {"name", IB_YAML_TEXT, 1, "names the group: letters, digits and hyphens"},
    {"title", IB_YAML_TEXT, 0, "for people"},
    {"base", IB_YAML_MAP, 0, "options of all cells of the group"},
    {"grid", IB_YAML_MAP, 0, "lists of option values, crossed"},
    {"rows", IB_YAML_LIST, 0, "explicit configurations, crossed with the grid"},
    {"needs", IB_YAML_LIST, 0, "what the cells need beyond a CPU"},
    {"seeds", IB_YAML_TEXT | IB_YAML_LIST, 0, "instead of the study's"},
    {NULL, 0, 0, NULL},
};
const ib_yaml_key IB_ROW_KEYS[] = {
    {"label", IB_YAML_TEXT, 0, "what tables call it"},
    {"needs", IB_YAML_LIST, 0, "what it needs beyond a CPU"},
    {NULL, 0, 0, NULL},
};
const ib_yaml_key IB_OVERRIDE_KEYS[] = {
    {"cells", IB_YAML_LIST, 0, "the groups that are changed (all without it)"},
    {"set", IB_YAML_MAP, 1, "options and their new values"},
    {NULL, 0, 0, NULL},
};

/* ---- names, texts and seeds ---------------------------------------------------------------------
 */

static ib_status check_name(const ib_yaml *yaml, const ib_yaml_node *node, ib_error *err) {
    size_t length = strlen(node->text);
    size_t good = strspn(node->text, "abcdefghijklmnopqrstuvwxyz0123456789-");
    if (length == 0 || length > IB_STUDY_MAX_NAME || good != length || node->text[0] == '-')
        return ib_yaml_fail(yaml, node->line, "name", err,
                            "'%s' is not valid: give up to %d lower-case letters, digits and "
                            "hyphens",
                            node->text, IB_STUDY_MAX_NAME);
    return IB_OK;
}

const char *ib_study_keep(ib_study *study, char *text) {
    if (text == NULL)
        return NULL;
    char **owned = realloc(study->owned, (study->owned_count + 1) * sizeof *owned);
    if (owned == NULL) {
        free(text);
        return NULL;
    }
    study->owned = owned;
    owned[study->owned_count++] = text;
    return text;
}

static const char *text_at(const ib_yaml *yaml, const char *key) {
    const ib_yaml_node *node = ib_yaml_get(yaml->root, key);
    return node != NULL ? node->text : NULL;
}

static ib_status count_seeds(ib_study *study, const ib_yaml *yaml, const ib_yaml_node *node,
                             ib_text_list *seeds, ib_error *err) {
    int64_t count = 0;
    if (ib_parse_i64(node->text, &count) != 0 || count < 1 || count > IB_STUDY_MAX_SEEDS)
        return ib_yaml_fail(yaml, node->line, "seeds", err,
                            "'%s' is not valid: give a list, as [1, 2, 3], or how many, from 1 to "
                            "%d",
                            node->text, IB_STUDY_MAX_SEEDS);
    seeds->items = calloc((size_t)count, sizeof *seeds->items);
    for (int64_t i = 0; seeds->items != NULL && i < count; ++i) {
        seeds->items[i] = ib_study_keep(study, ib_format("%lld", (long long)i + 1));
        if (seeds->items[i] == NULL)
            return ib_fail_memory(err);
    }
    seeds->count = (size_t)count;
    return seeds->items == NULL ? ib_fail_memory(err) : IB_OK;
}

ib_status ib_study_seeds(ib_study *study, const ib_yaml *yaml, const ib_yaml_node *node,
                         ib_text_list *seeds, ib_error *err) {
    if (node->kind == IB_YAML_TEXT)
        return count_seeds(study, yaml, node, seeds, err);
    if (node->count == 0 || node->count > IB_STUDY_MAX_SEEDS)
        return ib_yaml_fail(yaml, node->line, "seeds", err, "give from 1 to %d seeds",
                            IB_STUDY_MAX_SEEDS);
    seeds->items = calloc(node->count, sizeof *seeds->items);
    if (seeds->items == NULL)
        return ib_fail_memory(err);
    for (size_t i = 0; i < node->count; ++i) {
        const ib_yaml_node *item = node->items[i];
        if (item->kind != IB_YAML_TEXT)
            return ib_yaml_fail(yaml, item->line, "seeds", err, "give numbers, as [1, 2, 3]");
        IB_TRY(ib_study_check_option(yaml, ib_option_find("seed", 4), item->text, item->line, err));
        for (size_t j = 0; j < i; ++j)
            if (strcmp(seeds->items[j], item->text) == 0)
                return ib_yaml_fail(yaml, item->line, "seeds", err, "%s is listed twice",
                                    item->text);
        seeds->items[seeds->count++] = item->text;
    }
    return IB_OK;
}

/* ---- groups -------------------------------------------------------------------------------------
 */

static ib_status read_group(ib_study *study, const ib_yaml *yaml, const ib_yaml_node *node,
                            const ib_text_list *all_seeds, int seeds_replaced, ib_error *err) {
    ib_study_group *group = &study->groups[study->group_count];
    const ib_yaml_node *name = ib_yaml_get(node, "name"), *title = ib_yaml_get(node, "title");
    int whole = node == yaml->root;
    *group = (ib_study_group){.name = whole ? "all" : name->text,
                              .title = title != NULL ? title->text : NULL,
                              .line = node->line,
                              .first_cell = study->cell_count};
    for (size_t g = 0; g < study->group_count; ++g)
        if (strcmp(study->groups[g].name, group->name) == 0)
            return ib_yaml_fail(yaml, name->line, "name", err,
                                "'%s' is taken by the group in line %zu", group->name,
                                study->groups[g].line);
    ib_text_list own = {0};
    const ib_yaml_node *seeds = ib_yaml_get(node, "seeds");
    ib_status status = IB_OK;
    if (seeds != NULL && !whole)
        status = ib_study_seeds(study, yaml, seeds, &own, err);
    if (status == IB_OK)
        status =
            ib_study_expand(study, yaml, node, study->group_count, ib_yaml_get(yaml->root, "base"),
                            own.count > 0 && !seeds_replaced ? &own : all_seeds, err);
    free(own.items);
    group->cell_count = study->cell_count - group->first_cell;
    ++study->group_count;
    return status;
}

static ib_status read_groups(ib_study *study, const ib_yaml *yaml, const ib_text_list *seeds,
                             int seeds_replaced, ib_error *err) {
    const ib_yaml_node *cells = ib_yaml_get(yaml->root, "cells");
    static const char *const WHOLE[] = {"grid", "rows", "needs"};
    for (size_t i = 0; cells != NULL && i < sizeof WHOLE / sizeof WHOLE[0]; ++i) {
        const ib_yaml_node *other = ib_yaml_get(yaml->root, WHOLE[i]);
        if (other != NULL)
            return ib_yaml_fail(yaml, other->line, WHOLE[i], err,
                                "cells: (line %zu) has its own: move it into a group there",
                                cells->line);
    }
    size_t count = cells != NULL ? cells->count : 1;
    if (count == 0)
        return ib_yaml_fail(yaml, cells->line, "cells", err, "no group of cells");
    study->groups = calloc(count, sizeof *study->groups);
    if (study->groups == NULL)
        return ib_fail_memory(err);
    for (size_t i = 0; i < count; ++i) {
        const ib_yaml_node *node = cells != NULL ? cells->items[i] : yaml->root;
        if (cells != NULL) {
            IB_TRY(ib_yaml_check(yaml, node, "a group of cells", IB_GROUP_KEYS, NULL, err));
            IB_TRY(check_name(yaml, ib_yaml_get(node, "name"), err));
        }
        IB_TRY(read_group(study, yaml, node, seeds, seeds_replaced, err));
    }
    return IB_OK;
}

/* A base option that no cell takes would be ignored: refused. Nodes are told apart by address. */
static ib_status check_base_used(const ib_study *study, const ib_yaml *yaml,
                                 const ib_yaml_node *base, ib_error *err) {
    for (size_t k = 0; base != NULL && k < base->count; ++k) {
        const ib_option *option = ib_option_find(base->keys[k]->text, strlen(base->keys[k]->text));
        size_t index = ib_option_index(option);
        int used = 0;
        for (size_t c = 0; c < study->cell_count && !used; ++c)
            used = study->cells[c].texts[index] == base->items[k]->text &&
                   ib_option_applies(option, &study->cells[c].arguments.config.experiment);
        if (!used)
            return ib_yaml_fail(yaml, base->keys[k]->line, option->name, err,
                                "has no effect in any cell: leave it out");
    }
    return IB_OK;
}

static ib_status check_bases_used(const ib_study *study, const ib_yaml *yaml, ib_error *err) {
    const ib_yaml_node *cells = ib_yaml_get(yaml->root, "cells");
    IB_TRY(check_base_used(study, yaml, ib_yaml_get(yaml->root, "base"), err));
    for (size_t i = 0; cells != NULL && i < cells->count; ++i)
        IB_TRY(check_base_used(study, yaml, ib_yaml_get(cells->items[i], "base"), err));
    return IB_OK;
}

/* ---- selection ----------------------------------------------------------------------------------
 */

static int has_validation(const ib_experiment *experiment) {
    return experiment->split != IB_CHOOSE_OFFICIAL || experiment->validation_size > 0;
}

static ib_status read_select(ib_study *study, const ib_yaml *yaml, ib_error *err) {
    const ib_yaml_node *select = ib_yaml_get(yaml->root, "select");
    if (select == NULL)
        return IB_OK;
    if (strncmp(select->text, "test_", 5) == 0)
        return ib_yaml_fail(yaml, select->line, "select", err,
                            "the test set never chooses a configuration: give validation_accuracy "
                            "or validation_loss");
    if (strcmp(select->text, "validation_accuracy") != 0 &&
        strcmp(select->text, "validation_loss") != 0)
        return ib_yaml_fail(yaml, select->line, "select", err,
                            "'%s' is not valid: give validation_accuracy or validation_loss",
                            select->text);
    for (size_t c = 0; c < study->cell_count; ++c)
        if (!has_validation(&study->cells[c].arguments.config.experiment))
            return ib_yaml_fail(yaml, select->line, "select", err,
                                "the cell of line %zu has no validation images: give it split: "
                                "70-10-20 or a validation-size",
                                study->cells[c].line);
    study->select = select->text;
    return IB_OK;
}

/* ---- overrides ----------------------------------------------------------------------------------
 */

/* Puts a value over every cell of the groups where the option means something. */
static ib_status override_cells(ib_study *study, const ib_yaml *yaml, const size_t *groups,
                                size_t group_count, const ib_option *option, const char *text,
                                ib_study_origin origin, int *used, ib_error *err) {
    size_t index = ib_option_index(option);
    *used = 0;
    for (size_t g = 0; g < group_count; ++g) {
        const ib_study_group *group = &study->groups[groups[g]];
        for (size_t c = group->first_cell; c < group->first_cell + group->cell_count; ++c) {
            ib_study_cell *cell = &study->cells[c];
            int decides = ib_option_decides(option);
            if (!decides && !ib_option_applies(option, &cell->arguments.config.experiment))
                continue;
            *used = 1;
            cell->texts[index] = text;
            cell->origins[index] = (unsigned char)origin;
            cell->changed |= ib_option_is_hashed(option);
            if (decides) /* which options mean something may be others now */
                IB_TRY(ib_study_resolve(yaml, cell, NULL, err));
        }
    }
    return IB_OK;
}

static ib_status resolve_all(ib_study *study, const ib_yaml *yaml,
                             char *(*environment)(const char *name), ib_error *err) {
    for (size_t c = 0; c < study->cell_count; ++c)
        IB_TRY(ib_study_resolve(yaml, &study->cells[c], environment, err));
    return IB_OK;
}

static ib_status take_override(ib_study *study, const ib_yaml *yaml, const ib_yaml_node *entry,
                               ib_error *err) {
    IB_TRY(ib_yaml_check(yaml, entry, "an override", IB_OVERRIDE_KEYS, NULL, err));
    size_t *groups = NULL, group_count = 0;
    ib_status status =
        ib_study_groups(study, yaml, ib_yaml_get(entry, "cells"), &groups, &group_count, err);
    const ib_yaml_node *set = ib_yaml_get(entry, "set");
    for (size_t i = 0; status == IB_OK && i < set->count; ++i) {
        const ib_yaml_node *key = set->keys[i], *value = set->items[i];
        const ib_option *option;
        int used = 0;
        status = ib_study_option(yaml, key, &option, err);
        if (status == IB_OK && value->kind != IB_YAML_TEXT)
            status = ib_yaml_fail(yaml, value->line, key->text, err, "give one value");
        if (status == IB_OK)
            status = ib_study_check_option(yaml, option, value->text, value->line, err);
        if (status == IB_OK)
            status = override_cells(study, yaml, groups, group_count, option, value->text,
                                    IB_FROM_BASE, &used, err);
        if (status == IB_OK && !used)
            status = ib_yaml_fail(yaml, key->line, key->text, err,
                                  "has no effect in any of these cells: leave it out");
    }
    free(groups);
    return status;
}

/* One key=value word of the command line. */
static ib_status take_word(ib_study *study, const ib_yaml *yaml, const char *word, size_t number,
                           const size_t *all, ib_error *err) {
    const char *equals = strchr(word, '=');
    char *key = equals != NULL ? strndup(word, (size_t)(equals - word)) : strdup(word);
    if (key == NULL)
        return ib_fail_memory(err);
    char name[] = "command line";
    ib_yaml command_line = {.name = name};
    ib_yaml_node node = {.kind = IB_YAML_TEXT, .line = number, .text = key};
    const ib_option *option = NULL;
    int used = 0;
    ib_status status = IB_OK;
    if (equals == NULL)
        status =
            ib_fail(err, IB_ERROR_USAGE,
                    "unexpected argument '%s': changes to the file are written key=value", word);
    else
        status = ib_study_option(&command_line, &node, &option, err);
    ib_config scratch = {0};
    if (status == IB_OK)
        status = ib_option_set(option, equals + 1, key, &scratch, err);
    ib_config_free(&scratch);
    if (status == IB_OK)
        status = override_cells(study, yaml, all, study->group_count, option, equals + 1,
                                IB_FROM_COMMAND, &used, err);
    if (status == IB_OK && !used)
        status = ib_fail(err, IB_ERROR_USAGE, "%s has no effect in any cell: leave it out", word);
    free(key);
    return status;
}

static int is_seeds(const char *word) {
    return strncmp(word, "seeds=", 6) == 0;
}

/* seeds=3 or seeds=1,2,3, through the same reader as the file's. */
static ib_status word_seeds(ib_study *study, const char *word, ib_text_list *seeds, ib_error *err) {
    char name[] = "command line";
    ib_yaml command_line = {.name = name};
    size_t count = 1;
    for (const char *c = word; *c != '\0'; ++c)
        count += *c == ',';
    char *copy = strdup(word + strlen("seeds="));
    ib_yaml_node *nodes = calloc(count, sizeof *nodes);
    ib_yaml_node **items = calloc(count, sizeof *items);
    ib_yaml_node list = {.kind = IB_YAML_LIST, .line = 1, .items = items};
    ib_status status = copy == NULL || nodes == NULL || items == NULL ? ib_fail_memory(err) : IB_OK;
    char *rest = copy, *part;
    while (status == IB_OK && (part = strsep(&rest, ",")) != NULL) {
        char *kept = strdup(part);
        if (ib_study_keep(study, kept) == NULL) {
            status = ib_fail_memory(err);
            break;
        }
        nodes[list.count] = (ib_yaml_node){.kind = IB_YAML_TEXT, .line = 1, .text = kept};
        items[list.count] = &nodes[list.count];
        ++list.count;
    }
    if (status == IB_OK) {
        const ib_yaml_node *given = list.count == 1 ? &nodes[0] : &list;
        status = ib_study_seeds(study, &command_line, given, seeds, err);
        if (status == IB_ERROR_USAGE)
            ib_fail(err, IB_ERROR_USAGE, "%s: give seeds=N or seeds=A,B,C", word);
    }
    free(copy);
    free(nodes);
    free(items);
    return status;
}

static ib_status apply_overrides(ib_study *study, const ib_yaml *yaml, const ib_yaml *extension,
                                 const char *const *words, size_t word_count, ib_error *err) {
    const ib_yaml_node *list = extension != NULL ? ib_yaml_get(extension->root, "override") : NULL;
    for (size_t i = 0; list != NULL && i < list->count; ++i)
        IB_TRY(take_override(study, extension, list->items[i], err));
    size_t *all = NULL, count = 0;
    ib_status status = ib_study_groups(study, yaml, NULL, &all, &count, err);
    for (size_t i = 0; status == IB_OK && i < word_count; ++i)
        if (!is_seeds(words[i]))
            status = take_word(study, yaml, words[i], i + 1, all, err);
    free(all);
    return status;
}

/* ---- the file -----------------------------------------------------------------------------------
 */

/* The seeds of all groups: of the command line, else the extending file's, else the file's. */
static ib_status choose_seeds(ib_study *study, const ib_yaml *yaml, const ib_yaml *extension,
                              const char *const *words, size_t word_count, ib_text_list *seeds,
                              int *replaced, ib_error *err) {
    char text[] = "1";
    const ib_yaml_node one = {.kind = IB_YAML_TEXT, .line = 1, .text = text};
    *replaced = 1;
    for (size_t i = word_count; i-- > 0;)
        if (is_seeds(words[i]))
            return word_seeds(study, words[i], seeds, err);
    const ib_yaml_node *own = extension != NULL ? ib_yaml_get(extension->root, "seeds") : NULL;
    if (own != NULL)
        return ib_study_seeds(study, extension, own, seeds, err);
    *replaced = 0;
    own = ib_yaml_get(yaml->root, "seeds");
    return ib_study_seeds(study, yaml, own != NULL ? own : &one, seeds, err);
}

static ib_status build(ib_study *study, const ib_yaml *yaml, const ib_yaml *extension,
                       const char *const *words, size_t word_count,
                       char *(*environment)(const char *name), ib_error *err) {
    IB_TRY(ib_yaml_check(yaml, yaml->root, "an experiment file", IB_STUDY_KEYS, NULL, err));
    IB_TRY(check_name(yaml, ib_yaml_get(yaml->root, "name"), err));
    const ib_yaml *top = extension != NULL ? extension : yaml;
    study->name = text_at(top, "name");
    study->title = text_at(top, "title") != NULL ? text_at(top, "title") : text_at(yaml, "title");
    study->description = text_at(top, "description") != NULL ? text_at(top, "description")
                                                             : text_at(yaml, "description");
    study->overrides = words;
    study->override_count = word_count;
    ib_text_list seeds = {0};
    int replaced = 0;
    ib_status status =
        choose_seeds(study, yaml, extension, words, word_count, &seeds, &replaced, err);
    if (status == IB_OK)
        status = read_groups(study, yaml, &seeds, replaced, err);
    free(seeds.items);
    IB_TRY(status);
    IB_TRY(resolve_all(study, yaml, NULL, err));
    IB_TRY(check_bases_used(study, yaml, err));
    IB_TRY(read_select(study, yaml, err));
    /* Published values belong to the configurations of the file, before anything replaces them. */
    IB_TRY(ib_study_read_report(study, yaml, err));
    IB_TRY(apply_overrides(study, yaml, extension, words, word_count, err));
    IB_TRY(resolve_all(study, top, environment, err));
    return study->select == NULL ? IB_OK : read_select(study, yaml, err);
}

/* The hash is of the bytes that were parsed, whatever becomes of the file. */
static ib_status add_source(ib_study *study, const char *path, const ib_yaml **yaml,
                            ib_error *err) {
    ib_study_source *source = &study->sources[study->source_count];
    ib_yaml *document = &study->documents[study->source_count++];
    char *bytes = NULL;
    size_t size = 0;
    source->path = strdup(path);
    if (source->path == NULL)
        return ib_fail_memory(err);
    if (ib_path_is_missing(path))
        return ib_fail(err, IB_ERROR_USAGE, "there is no experiment file %s", path);
    /* One byte more than is allowed, so that the message is ib_yaml_parse's. */
    IB_TRY(ib_read_file(path, (size_t)IB_YAML_MAX_BYTES + 1, &bytes, &size, err));
    ib_status status = ib_yaml_parse(path, bytes, size, document, err);
    if (status == IB_OK)
        ib_sha256_bytes(bytes, size, source->sha256);
    free(bytes);
    *yaml = document;
    return status;
}

/* The path of the extended file: beside the file that names it. */
static char *beside(const char *path, const char *name) {
    const char *slash = strrchr(path, '/');
    if (slash == NULL || name[0] == '/')
        return strdup(name);
    return ib_format("%.*s%s", (int)(slash - path + 1), path, name);
}

static ib_status read_extended(ib_study *study, const ib_yaml *extension, const ib_yaml **yaml,
                               ib_error *err) {
    IB_TRY(ib_yaml_check(extension, extension->root, "an experiment file that extends another",
                         IB_EXTENSION_KEYS, NULL, err));
    IB_TRY(check_name(extension, ib_yaml_get(extension->root, "name"), err));
    const ib_yaml_node *extends = ib_yaml_get(extension->root, "extends");
    char *path = beside(extension->name, extends->text);
    if (path == NULL)
        return ib_fail_memory(err);
    ib_status status = ib_path_exists(path) ? add_source(study, path, yaml, err)
                                            : ib_yaml_fail(extension, extends->line, "extends", err,
                                                           "there is no file %s", path);
    free(path);
    if (status == IB_OK && ib_yaml_get((*yaml)->root, "extends") != NULL)
        status = ib_yaml_fail(extension, extends->line, "extends", err,
                              "%s extends another file itself: extend that one", (*yaml)->name);
    return status;
}

ib_status ib_study_read(const char *path, const char *const *overrides, size_t override_count,
                        char *(*environment)(const char *name), ib_study *study, ib_error *err) {
    *study = (ib_study){0};
    const ib_yaml *yaml = NULL, *extension = NULL;
    IB_TRY(add_source(study, path, &yaml, err));
    if (ib_yaml_get(yaml->root, "extends") != NULL) {
        extension = yaml;
        IB_TRY(read_extended(study, extension, &yaml, err));
    }
    return build(study, yaml, extension, overrides, override_count, environment, err);
}

ib_status ib_study_parse(const char *name, const char *bytes, size_t size,
                         const char *const *overrides, size_t override_count, ib_study *study,
                         ib_error *err) {
    *study = (ib_study){0};
    IB_TRY(ib_yaml_parse(name, bytes, size, &study->documents[0], err));
    return build(study, &study->documents[0], NULL, overrides, override_count, NULL, err);
}

void ib_study_close(ib_study *study) {
    ib_study_free_report(study);
    for (size_t c = 0; c < study->cell_count; ++c)
        ib_arguments_free(&study->cells[c].arguments);
    for (size_t i = 0; i < study->owned_count; ++i)
        free(study->owned[i]);
    for (size_t i = 0; i < 2; ++i) {
        free(study->sources[i].path);
        ib_yaml_close(&study->documents[i]);
    }
    free(study->owned);
    free(study->groups);
    free(study->cells);
    *study = (ib_study){0};
}
