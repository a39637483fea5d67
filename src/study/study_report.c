/* The tables and figures that the report of a study holds. */
#include <stdlib.h>
#include <string.h>

#include "study/study_parts.h"

const ib_yaml_key IB_ITEM_KEYS[] = {
    {"name", IB_YAML_TEXT, 1, "names its files: letters, digits and hyphens"},
    {"kind", IB_YAML_TEXT, 1, "what it looks like"},
    {"title", IB_YAML_TEXT, 1, "heading"},
    {"note", IB_YAML_TEXT, 0, "a sentence below it"},
    {"cells", IB_YAML_LIST, 0, "the groups it shows (all without it)"},
    {"rows", IB_YAML_LIST, 0, "dimensions down the table, or along the axis"},
    {"columns", IB_YAML_LIST, 0, "dimensions across the table, or of the series"},
    {"panels", IB_YAML_LIST, 0, "dimensions that get a panel each"},
    {"values", IB_YAML_LIST, 0, "metrics"},
    {"scale", IB_YAML_TEXT, 0, "linear or log"},
    {"relative-to", IB_YAML_MAP, 0, "what differs in the cell that speedup is relative to"},
    {NULL, 0, 0, NULL},
};

enum { ROWS = 1, COLUMNS = 2, PANELS = 4, VALUES = 8, SCALE = 16, RELATIVE = 32 };

static const struct {
    const char *key;
    unsigned bit;
} PARTS[] = {{"rows", ROWS},     {"columns", COLUMNS}, {"panels", PANELS},
             {"values", VALUES}, {"scale", SCALE},     {"relative-to", RELATIVE}};

static const struct {
    const char *name;
    ib_report_kind kind;
    int is_figure, by_epoch;
    unsigned required, optional;
} KINDS[] = {
    {"grid", IB_TABLE_GRID, 0, 0, ROWS | VALUES, COLUMNS | RELATIVE},
    {"epochs", IB_TABLE_EPOCHS, 0, 1, COLUMNS | VALUES, 0},
    {"best", IB_TABLE_BEST, 0, 0, ROWS | VALUES, 0},
    {"configuration", IB_TABLE_CONFIGURATION, 0, 0, 0, 0},
    {"resources", IB_TABLE_RESOURCES, 0, 0, ROWS, 0},
    {"curves", IB_FIGURE_CURVES, 1, 1, COLUMNS | VALUES, PANELS},
    {"bars", IB_FIGURE_BARS, 1, 0, ROWS | VALUES, COLUMNS | PANELS | SCALE | RELATIVE},
    {"heatmap", IB_FIGURE_HEATMAP, 1, 0, ROWS | COLUMNS | VALUES, PANELS},
    {"scatter", IB_FIGURE_SCATTER, 1, 0, ROWS | COLUMNS | VALUES, PANELS},
    {"confusion", IB_FIGURE_CONFUSION, 1, 0, 0, SCALE | PANELS},
    {"misclassified", IB_FIGURE_MISCLASSIFIED, 1, 0, 0, PANELS},
    {"cost", IB_FIGURE_COST, 1, 0, ROWS, COLUMNS | PANELS | SCALE},
    {"usage", IB_FIGURE_USAGE, 1, 0, COLUMNS, 0},
};
enum { KIND_COUNT = sizeof KINDS / sizeof KINDS[0] };

const char *ib_report_kind_name(ib_report_kind kind) {
    for (size_t i = 0; i < KIND_COUNT; ++i)
        if (KINDS[i].kind == kind)
            return KINDS[i].name;
    return NULL;
}

static int is_dimension(const char *name) {
    static const char *const OWN[] = {"cells", "label", "seed", "epoch"};
    for (size_t i = 0; i < sizeof OWN / sizeof OWN[0]; ++i)
        if (strcmp(OWN[i], name) == 0)
            return 1;
    const ib_option *option = ib_option_find(name, strlen(name));
    return option != NULL && strcmp(option->name, name) == 0 && ib_option_in_grid(option);
}

/* An option must mean something for one of the item's cells. */
static int has_option(const ib_study *study, const ib_report_item *item, const ib_option *option) {
    for (size_t g = 0; g < item->group_count; ++g) {
        const ib_study_group *group = &study->groups[item->groups[g]];
        for (size_t c = group->first_cell; c < group->first_cell + group->cell_count; ++c)
            if (ib_option_applies(option, &study->cells[c].arguments.config.experiment))
                return 1;
    }
    return 0;
}

static ib_status read_list(const ib_study *study, const ib_yaml *yaml, const ib_yaml_node *item,
                           const char *key, const ib_report_item *report, ib_text_list *list,
                           ib_error *err) {
    const ib_yaml_node *node = ib_yaml_get(item, key);
    int metrics = strcmp(key, "values") == 0;
    if (node == NULL)
        return IB_OK;
    list->items = calloc(node->count > 0 ? node->count : 1, sizeof *list->items);
    if (list->items == NULL)
        return ib_fail_memory(err);
    if (node->count == 0)
        return ib_yaml_fail(yaml, node->line, key, err, "the list is empty");
    for (size_t i = 0; i < node->count; ++i) {
        const ib_yaml_node *entry = node->items[i];
        const char *text = entry->kind == IB_YAML_TEXT ? entry->text : "...";
        const ib_option *option = ib_option_find(text, strlen(text));
        if (metrics ? ib_metric_find(text) == NULL : !is_dimension(text))
            return ib_yaml_fail(yaml, entry->line, key, err, "'%s' is not %s", text,
                                metrics ? "a metric"
                                        : "a dimension: give options, cells, label, seed or epoch");
        if (!metrics && option != NULL && strcmp(text, "seed") != 0 &&
            !has_option(study, report, option))
            return ib_yaml_fail(yaml, entry->line, key, err, "none of these cells has a %s", text);
        list->items[list->count++] = text;
    }
    return IB_OK;
}

static ib_status check_relative(const ib_study *study, const ib_yaml *yaml, const ib_yaml_node *map,
                                const ib_report_item *item, ib_error *err) {
    int needed = 0;
    for (size_t i = 0; i < item->values.count; ++i)
        needed |= strcmp(item->values.items[i], "speedup") == 0 ||
                  strcmp(item->values.items[i], "improvement") == 0;
    if (needed != (map != NULL))
        return ib_yaml_fail(yaml, map != NULL ? map->line : item->line, "relative-to", err,
                            needed ? "is needed: speedup and improvement are relative to a cell"
                                   : "only speedup and improvement are relative: leave it out");
    if (map == NULL)
        return IB_OK;
    ib_criterion *wanted = calloc(1, sizeof *wanted);
    if (wanted == NULL)
        return ib_fail_memory(err);
    ib_status status = IB_OK;
    size_t *cells = NULL, count = 0;
    for (size_t i = 0; status == IB_OK && i < map->count; ++i) {
        int taken = 0;
        if (map->items[i]->kind == IB_YAML_TEXT && wanted->option_count < IB_MAX_OPTIONS)
            status = ib_study_add_criterion(yaml, map->keys[i]->text, map->items[i], wanted, &taken,
                                            err);
        if (status == IB_OK && !taken)
            status = ib_yaml_fail(yaml, map->keys[i]->line, map->keys[i]->text, err,
                                  "give options, cells or label with one value each");
    }
    if (status == IB_OK)
        status =
            ib_study_match(study, wanted, item->groups, item->group_count, &cells, &count, err);
    if (status == IB_OK && count == 0)
        status = ib_yaml_fail(yaml, map->line, "relative-to", err, "none of these cells is that");
    free(cells);
    ib_config_free(&wanted->config);
    free(wanted);
    return status;
}

static ib_status check_parts(const ib_yaml *yaml, const ib_yaml_node *node, size_t kind,
                             ib_error *err) {
    for (size_t i = 0; i < sizeof PARTS / sizeof PARTS[0]; ++i) {
        const ib_yaml_node *part = ib_yaml_get(node, PARTS[i].key);
        if (part == NULL && (KINDS[kind].required & PARTS[i].bit) != 0)
            return ib_yaml_fail(yaml, node->line, NULL, err, "%s needs the key %s",
                                KINDS[kind].name, PARTS[i].key);
        if (part != NULL && ((KINDS[kind].required | KINDS[kind].optional) & PARTS[i].bit) == 0)
            return ib_yaml_fail(yaml, part->line, PARTS[i].key, err,
                                "means nothing for %s: leave it out", KINDS[kind].name);
    }
    return IB_OK;
}

static ib_status find_kind(const ib_yaml *yaml, const ib_yaml_node *node, int is_figure,
                           size_t *kind, ib_error *err) {
    for (*kind = 0; *kind < KIND_COUNT; ++*kind)
        if (KINDS[*kind].is_figure == is_figure && strcmp(KINDS[*kind].name, node->text) == 0)
            return IB_OK;
    return ib_yaml_fail(yaml, node->line, "kind", err, "'%s' is not valid: give one of %s",
                        node->text,
                        is_figure ? "curves, bars, heatmap, scatter, confusion, misclassified, "
                                    "cost, usage"
                                  : "grid, epochs, best, configuration, resources");
}

static ib_status fill_item(ib_study *study, const ib_yaml *yaml, const ib_yaml_node *node,
                           size_t kind, ib_report_item *item, ib_error *err) {
    const ib_yaml_node *scale = ib_yaml_get(node, "scale"), *note = ib_yaml_get(node, "note");
    item->title = ib_yaml_get(node, "title")->text;
    item->note = note != NULL ? note->text : NULL;
    item->scale = scale != NULL ? scale->text : "linear";
    item->relative_to = ib_yaml_get(node, "relative-to");
    if (strcmp(item->scale, "linear") != 0 && strcmp(item->scale, "log") != 0)
        return ib_yaml_fail(yaml, scale->line, "scale", err,
                            "'%s' is not valid: give linear or log", item->scale);
    IB_TRY(ib_study_groups(study, yaml, ib_yaml_get(node, "cells"), &item->groups,
                           &item->group_count, err));
    IB_TRY(read_list(study, yaml, node, "rows", item, &item->rows, err));
    IB_TRY(read_list(study, yaml, node, "columns", item, &item->columns, err));
    IB_TRY(read_list(study, yaml, node, "panels", item, &item->panels, err));
    IB_TRY(read_list(study, yaml, node, "values", item, &item->values, err));
    for (size_t i = 0; KINDS[kind].by_epoch && i < item->values.count; ++i)
        if (!ib_metric_find(item->values.items[i])->by_epoch)
            return ib_yaml_fail(yaml, ib_yaml_get(node, "values")->line, "values", err,
                                "%s has no value after each epoch", item->values.items[i]);
    if (item->kind == IB_TABLE_BEST && study->select == NULL)
        return ib_yaml_fail(yaml, item->line, "kind", err,
                            "best needs select: which metric on validation images chooses");
    return check_relative(study, yaml, item->relative_to, item, err);
}

static ib_status read_item(ib_study *study, const ib_yaml *yaml, const ib_yaml_node *node,
                           int is_figure, ib_error *err) {
    size_t kind = 0;
    IB_TRY(ib_yaml_check(yaml, node, is_figure ? "a figure" : "a table", IB_ITEM_KEYS, NULL, err));
    IB_TRY(find_kind(yaml, ib_yaml_get(node, "kind"), is_figure, &kind, err));
    IB_TRY(check_parts(yaml, node, kind, err));
    const ib_yaml_node *name = ib_yaml_get(node, "name");
    size_t good = strspn(name->text, "abcdefghijklmnopqrstuvwxyz0123456789-");
    if (good == 0 || good > IB_STUDY_MAX_NAME || name->text[good] != '\0')
        return ib_yaml_fail(yaml, name->line, "name", err,
                            "'%s' is not valid: give up to %d lower-case letters, digits and "
                            "hyphens",
                            name->text, IB_STUDY_MAX_NAME);
    for (size_t i = 0; i < study->item_count; ++i)
        if (strcmp(study->items[i].name, name->text) == 0)
            return ib_yaml_fail(yaml, name->line, "name", err, "'%s' is taken in line %zu",
                                name->text, study->items[i].line);
    ib_report_item *items = realloc(study->items, (study->item_count + 1) * sizeof *items);
    if (items == NULL)
        return ib_fail_memory(err);
    study->items = items;
    ib_report_item *item = &items[study->item_count++];
    *item = (ib_report_item){
        .kind = KINDS[kind].kind, .is_figure = is_figure, .name = name->text, .line = node->line};
    return fill_item(study, yaml, node, kind, item, err);
}

ib_status ib_study_read_report(ib_study *study, const ib_yaml *yaml, ib_error *err) {
    const ib_yaml_node *published = ib_yaml_get(yaml->root, "published");
    size_t matched = 0;
    for (size_t i = 0; published != NULL && i < published->count; ++i)
        IB_TRY(ib_study_read_published(study, yaml, published->items[i], &matched, err));
    for (int is_figure = 0; is_figure < 2; ++is_figure) {
        const ib_yaml_node *list = ib_yaml_get(yaml->root, is_figure ? "figures" : "tables");
        for (size_t i = 0; list != NULL && i < list->count; ++i)
            IB_TRY(read_item(study, yaml, list->items[i], is_figure, err));
    }
    return IB_OK;
}

void ib_study_free_report(ib_study *study) {
    for (size_t i = 0; i < study->published_count; ++i)
        free(study->published[i].cells);
    for (size_t i = 0; i < study->item_count; ++i) {
        ib_report_item *item = &study->items[i];
        free(item->groups);
        free(item->rows.items);
        free(item->columns.items);
        free(item->panels.items);
        free(item->values.items);
    }
    free(study->published);
    free(study->items);
    study->published = NULL;
    study->items = NULL;
    study->published_count = study->item_count = 0;
}
