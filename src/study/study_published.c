/* What others published: metrics, values with units, and the cells that a value stands beside. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "base/number.h"
#include "study/study_parts.h"

const ib_yaml_key IB_PUBLISHED_KEYS[] = {
    {"source", IB_YAML_TEXT, 1, "where it was published, so that a reader finds it"},
    {"machine", IB_YAML_TEXT, 0, "what it was measured on"},
    {"cells", IB_YAML_LIST, 0, "the groups it belongs to (all without it)"},
    {"columns", IB_YAML_LIST, 1,
     "what each column of rows is: options, label, epoch, machine, metrics"},
    {"rows", IB_YAML_LIST, 1, "one list a line of the published table; ~ where it has no value"},
    {NULL, 0, 0, NULL},
};
enum { MAX_MATCHES = 65536 };

/* ---- values with units --------------------------------------------------------------------------
 */

static const struct {
    ib_metric_unit unit;
    const char *suffix;
    double factor; /* below 1: its inverse divides, which is exact where this is not */
} SUFFIXES[] = {
    {IB_UNIT_FRACTION, "%", 0.01}, {IB_UNIT_SECONDS, "min", 60},  {IB_UNIT_SECONDS, "s", 1},
    {IB_UNIT_RATIO, "x", 1},       {IB_UNIT_COUNT, "M", 1e6},     {IB_UNIT_BYTES, "MB", 1e6},
    {IB_UNIT_PERCENT, "%", 1},     {IB_UNIT_WATT_HOURS, "Wh", 1},
};

static const char *const UNIT_HELP[] = {
    [IB_UNIT_FRACTION] = "a share, as 0.9901 or 99.01%",
    [IB_UNIT_PLAIN] = "a number",
    [IB_UNIT_SECONDS] = "a time, as 341.6s or 5.5min",
    [IB_UNIT_RATIO] = "a ratio, as 1.5x",
    [IB_UNIT_COUNT] = "a number, as 11180000 or 11.18M",
    [IB_UNIT_BYTES] = "a size, as 1700000 or 1.7MB",
    [IB_UNIT_PERCENT] = "a percentage, as 187 or 187%",
    [IB_UNIT_WATT_HOURS] = "an energy, as 1.5 or 1.5Wh",
    [IB_UNIT_MONEY] = "a sum of money, as 0.007",
};

/* text is cut at its suffix. */
static int parse_number(ib_metric_unit unit, char *text, double *value) {
    size_t length = strlen(text);
    double factor = 1;
    for (size_t i = 0; i < sizeof SUFFIXES / sizeof SUFFIXES[0]; ++i) {
        size_t suffix = strlen(SUFFIXES[i].suffix);
        if (SUFFIXES[i].unit != unit || length <= suffix ||
            strcmp(text + length - suffix, SUFFIXES[i].suffix) != 0)
            continue;
        text[length - suffix] = '\0';
        factor = SUFFIXES[i].factor;
        break;
    }
    if (ib_parse_double(text, value) != 0)
        return -1;
    *value = factor < 1 ? *value / 100 : *value * factor;
    if (unit == IB_UNIT_FRACTION && (*value < 0 || *value > 1))
        return -1;
    return unit >= IB_UNIT_SECONDS && *value < 0 ? -1 : 0;
}

/* "98.95%", or a range "50..60": the unit may be written at the end alone. */
static ib_status parse_value(const ib_yaml *yaml, const ib_yaml_node *node,
                             const ib_metric_info *metric, ib_published *published, ib_error *err) {
    char *text = strdup(node->text);
    if (text == NULL)
        return ib_fail_memory(err);
    char *dots = strstr(text, "..");
    int failed;
    if (dots == NULL) {
        failed = parse_number(metric->unit, text, &published->low);
        published->high = published->low;
    } else {
        char *high = dots + 2;
        size_t digits = strspn(high, "0123456789.+-eE");
        char *low = strndup(text, (size_t)(dots - text) + strlen(high + digits));
        if (low == NULL) {
            free(text);
            return ib_fail_memory(err);
        }
        memcpy(low + (dots - text), high + digits, strlen(high + digits) + 1);
        failed = parse_number(metric->unit, low, &published->low) != 0 ||
                 parse_number(metric->unit, high, &published->high) != 0 ||
                 published->low > published->high;
        free(low);
    }
    free(text);
    if (failed)
        return ib_yaml_fail(yaml, node->line, metric->name, err, "'%s' is not valid: give %s",
                            node->text, UNIT_HELP[metric->unit]);
    return IB_OK;
}

/* ---- matching -----------------------------------------------------------------------------------
 */

int ib_option_same(const ib_option *option, const ib_config *a, const ib_config *b) {
    const char *at = (const char *)a + option->offset, *bt = (const char *)b + option->offset;
    switch (option->kind) {
    case IB_OPTION_FLAG:
    case IB_OPTION_CHOICE:
        return *(const int *)at == *(const int *)bt;
    case IB_OPTION_MODEL:
        return *(const int *)at == *(const int *)bt &&
               strcmp(ib_experiment_model_name(&a->experiment),
                      ib_experiment_model_name(&b->experiment)) == 0;
    case IB_OPTION_INT:
        return *(const int64_t *)at == *(const int64_t *)bt;
    case IB_OPTION_UINT64:
        return *(const uint64_t *)at == *(const uint64_t *)bt;
    case IB_OPTION_DOUBLE:
        return *(const double *)at == *(const double *)bt;
    case IB_OPTION_NAME:
    case IB_OPTION_STRING:
    case IB_OPTION_NAME_OR_DOUBLE:
        break;
    }
    const char *x = *(char *const *)at, *y = *(char *const *)bt;
    return x == NULL || y == NULL ? x == y : strcmp(x, y) == 0;
}

static int matches(const ib_study *study, const ib_criterion *wanted, const ib_study_cell *cell) {
    if (wanted->label != NULL && (cell->label == NULL || strcmp(cell->label, wanted->label) != 0))
        return 0;
    if (wanted->group != NULL && strcmp(study->groups[cell->group].name, wanted->group) != 0)
        return 0;
    for (size_t i = 0; i < wanted->option_count; ++i)
        if (!ib_option_applies(wanted->options[i], &cell->arguments.config.experiment) ||
            !ib_option_same(wanted->options[i], &wanted->config, &cell->arguments.config))
            return 0;
    return 1;
}

/* Takes key: value into the criterion when it is an option, label or cells; *taken says so. */
ib_status ib_study_add_criterion(const ib_yaml *yaml, const char *key, const ib_yaml_node *value,
                                 ib_criterion *wanted, int *taken, ib_error *err) {
    const ib_option *option = ib_option_find(key, strlen(key));
    *taken = 1;
    if (strcmp(key, "label") == 0) {
        wanted->label = value->text;
    } else if (strcmp(key, "cells") == 0) {
        wanted->group = value->text;
    } else if (option != NULL && ib_option_in_grid(option)) {
        IB_TRY(ib_study_check_option(yaml, option, value->text, value->line, err));
        wanted->options[wanted->option_count++] = option;
        return ib_option_set(option, value->text, option->name, &wanted->config, err);
    } else {
        *taken = 0;
    }
    return IB_OK;
}

ib_status ib_study_match(const ib_study *study, const ib_criterion *wanted, const size_t *groups,
                         size_t group_count, size_t **cells, size_t *count, ib_error *err) {
    for (int pass = 0; pass < 2; ++pass) {
        if (pass == 1 && (*cells = calloc(*count > 0 ? *count : 1, sizeof **cells)) == NULL)
            return ib_fail_memory(err);
        *count = 0;
        for (size_t g = 0; g < group_count; ++g) {
            const ib_study_group *group = &study->groups[groups[g]];
            for (size_t c = group->first_cell; c < group->first_cell + group->cell_count; ++c) {
                if (!matches(study, wanted, &study->cells[c]))
                    continue;
                if (pass == 1)
                    (*cells)[*count] = c;
                ++*count;
            }
        }
    }
    return IB_OK;
}

/* ---- published ----------------------------------------------------------------------------------
 */

typedef struct published_table {
    const ib_yaml *yaml;
    const ib_yaml_node *columns;
    const char *source, *machine;
    size_t *groups;
    size_t group_count, matched;
} published_table;

/* The columns that say which cells, at which epoch, on which machine. */
static ib_status read_keys(const published_table *table, const ib_yaml_node *row,
                           ib_criterion *wanted, ib_published *common, ib_error *err) {
    for (size_t i = 0; i < row->count; ++i) {
        const char *column = table->columns->items[i]->text;
        const ib_yaml_node *value = row->items[i];
        int taken = 0;
        if (value->kind != IB_YAML_TEXT && value->kind != IB_YAML_NONE)
            return ib_yaml_fail(table->yaml, value->line, column, err, "give one value");
        if (value->kind == IB_YAML_NONE)
            continue;
        IB_TRY(ib_study_add_criterion(table->yaml, column, value, wanted, &taken, err));
        if (strcmp(column, "machine") == 0)
            common->machine = value->text;
        int64_t epoch = 0;
        if (strcmp(column, "epoch") != 0)
            continue;
        if (ib_parse_i64(value->text, &epoch) != 0 || epoch < 1 || epoch > 1000000)
            return ib_yaml_fail(table->yaml, value->line, column, err,
                                "'%s' is not valid: give an integer from 1 to 1000000",
                                value->text);
        common->epoch = (size_t)epoch;
    }
    return IB_OK;
}

static ib_status check_epochs(const ib_study *study, const ib_yaml *yaml,
                              const ib_published *published, ib_error *err) {
    if (published->epoch > 0 && !published->metric->by_epoch)
        return ib_yaml_fail(yaml, published->line, published->metric->name, err,
                            "has no value after each epoch");
    for (size_t i = 0; published->epoch > 0 && i < published->cell_count; ++i) {
        int64_t epochs = study->cells[published->cells[i]].arguments.config.experiment.epochs;
        if ((int64_t)published->epoch > epochs)
            return ib_yaml_fail(yaml, published->line, "epoch", err,
                                "%zu is after the cell's last, %lld", published->epoch,
                                (long long)epochs);
    }
    return IB_OK;
}

static ib_status add_published(ib_study *study, published_table *table, const ib_published *common,
                               const ib_criterion *wanted, const ib_yaml_node *value,
                               const ib_metric_info *metric, ib_error *err) {
    if (study->published_count == IB_STUDY_MAX_PUBLISHED)
        return ib_yaml_fail(table->yaml, value->line, "published", err,
                            "more than %d published values", IB_STUDY_MAX_PUBLISHED);
    ib_published *list =
        realloc(study->published, (study->published_count + 1) * sizeof *study->published);
    if (list == NULL)
        return ib_fail_memory(err);
    study->published = list;
    ib_published *fresh = &list[study->published_count++];
    *fresh = *common;
    fresh->metric = metric;
    fresh->line = value->line;
    IB_TRY(parse_value(table->yaml, value, metric, fresh, err));
    IB_TRY(ib_study_match(study, wanted, table->groups, table->group_count, &fresh->cells,
                          &fresh->cell_count, err));
    table->matched += fresh->cell_count;
    if (fresh->cell_count == 0)
        return ib_yaml_fail(table->yaml, value->line, "published", err,
                            "no cell of the study has this configuration");
    if (table->matched > MAX_MATCHES)
        return ib_yaml_fail(table->yaml, value->line, "published", err,
                            "stands beside too many cells: name fewer by more columns");
    return check_epochs(study, table->yaml, fresh, err);
}

static ib_status read_published_row(ib_study *study, published_table *table,
                                    const ib_yaml_node *row, ib_error *err) {
    if (row->kind != IB_YAML_LIST || row->count != table->columns->count)
        return ib_yaml_fail(table->yaml, row->line, "rows", err,
                            "give a list of %zu values, one for each column",
                            table->columns->count);
    ib_published common = {.source = table->source, .machine = table->machine};
    ib_criterion *wanted = calloc(1, sizeof *wanted);
    if (wanted == NULL)
        return ib_fail_memory(err);
    ib_status status = read_keys(table, row, wanted, &common, err);
    for (size_t i = 0; status == IB_OK && i < row->count; ++i) {
        const ib_metric_info *metric = ib_metric_find(table->columns->items[i]->text);
        if (metric != NULL && row->items[i]->kind == IB_YAML_TEXT)
            status = add_published(study, table, &common, wanted, row->items[i], metric, err);
    }
    ib_config_free(&wanted->config);
    free(wanted);
    return status;
}

static const char *column_name(const void *context, size_t i) {
    static const char *const OWN[] = {"cells", "label", "epoch", "machine"};
    (void)context;
    if (i < 4)
        return OWN[i];
    const ib_metric_info *metric;
    const ib_option *option;
    i -= 4;
    for (size_t m = 0; (metric = ib_metric_at(m)) != NULL; ++m)
        if (i-- == 0)
            return metric->name;
    for (size_t row = 0; (option = ib_option_at(row)) != NULL; ++row)
        if (ib_option_in_grid(option) && i-- == 0)
            return option->name;
    return NULL;
}

static ib_status check_columns(const ib_yaml *yaml, const ib_yaml_node *columns, ib_error *err) {
    int metrics = 0;
    if (columns->count > IB_MAX_OPTIONS)
        return ib_yaml_fail(yaml, columns->line, "columns", err, "more than %d", IB_MAX_OPTIONS);
    for (size_t i = 0; i < columns->count; ++i) {
        const ib_yaml_node *item = columns->items[i];
        const char *name = NULL;
        for (size_t n = 0; item->kind == IB_YAML_TEXT && (name = column_name(NULL, n)) != NULL; ++n)
            if (strcmp(name, item->text) == 0)
                break;
        const char *nearest = item->kind == IB_YAML_TEXT && name == NULL
                                  ? ib_nearest_name(item->text, column_name, NULL)
                                  : NULL;
        if (name == NULL)
            return ib_yaml_fail(yaml, item->line, "columns", err, "there is no column '%s'%s%s%s",
                                item->kind == IB_YAML_TEXT ? item->text : "...",
                                nearest != NULL ? "; did you mean " : "",
                                nearest != NULL ? nearest : "", nearest != NULL ? "?" : "");
        for (size_t j = 0; j < i; ++j)
            if (strcmp(columns->items[j]->text, item->text) == 0)
                return ib_yaml_fail(yaml, item->line, "columns", err, "%s is listed twice",
                                    item->text);
        metrics += ib_metric_find(name) != NULL;
    }
    if (metrics == 0)
        return ib_yaml_fail(yaml, columns->line, "columns", err, "no metric among them");
    return IB_OK;
}

ib_status ib_study_read_published(ib_study *study, const ib_yaml *yaml, const ib_yaml_node *node,
                                  size_t *matched, ib_error *err) {
    IB_TRY(ib_yaml_check(yaml, node, "published", IB_PUBLISHED_KEYS, NULL, err));
    const ib_yaml_node *machine = ib_yaml_get(node, "machine"), *rows = ib_yaml_get(node, "rows");
    published_table table = {.yaml = yaml,
                             .columns = ib_yaml_get(node, "columns"),
                             .source = ib_yaml_get(node, "source")->text,
                             .machine = machine != NULL ? machine->text : NULL,
                             .matched = *matched};
    IB_TRY(check_columns(yaml, table.columns, err));
    ib_status status = ib_study_groups(study, yaml, ib_yaml_get(node, "cells"), &table.groups,
                                       &table.group_count, err);
    for (size_t r = 0; status == IB_OK && r < rows->count; ++r)
        status = read_published_row(study, &table, rows->items[r], err);
    free(table.groups);
    *matched = table.matched;
    return status;
}
