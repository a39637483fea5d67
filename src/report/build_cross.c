/* Cells sorted into the places of a table or figure. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/number.h"
#include "report/build_parts.h"

/* ---- dimensions ---------------------------------------------------------------------------------
 */

static const struct {
    const char *name, *title;
} TITLES[] = {
    {"batch-size", "batch size"},    {"lr", "learning rate"},      {"optimizer", "optimiser"},
    {"dataset", "data set"},         {"svm-gamma", "gamma"},       {"cells", "part"},
    {"train-size", "train images"},  {"test-size", "test images"}, {"weight-decay", "weight decay"},
    {"init-model", "initial model"}, {"epochs", "epochs"},
};

const char *ib_dimension_title(const char *dimension) {
    for (size_t i = 0; i < sizeof TITLES / sizeof TITLES[0]; ++i)
        if (strcmp(TITLES[i].name, dimension) == 0)
            return TITLES[i].title;
    return dimension;
}

/* Options of which 0 means: all of the part. */
static int counts_images(const ib_option *option) {
    return strcmp(option->name, "train-size") == 0 ||
           strcmp(option->name, "validation-size") == 0 || strcmp(option->name, "test-size") == 0;
}

char *ib_option_text(const ib_option *option, const ib_config *config) {
    const void *at = (const char *)config + option->offset;
    char number[IB_DOUBLE_TEXT];
    switch (option->kind) {
    case IB_OPTION_FLAG:
        return strdup(*(const int *)at ? "yes" : "no");
    case IB_OPTION_INT:
        if (*(const int64_t *)at == 0 && counts_images(option))
            return strdup("all");
        return ib_format("%lld", (long long)*(const int64_t *)at);
    case IB_OPTION_UINT64:
        return ib_format("%llu", (unsigned long long)*(const uint64_t *)at);
    case IB_OPTION_DOUBLE:
        ib_print_double(*(const double *)at, number);
        return strdup(number);
    case IB_OPTION_MODEL:
        return strdup(ib_experiment_model_name(&config->experiment));
    case IB_OPTION_CHOICE: {
        const char *name = ib_option_value_name(option, *(const int *)at);
        return strdup(name != NULL ? name : "");
    }
    case IB_OPTION_NAME:
    case IB_OPTION_STRING:
    case IB_OPTION_NAME_OR_DOUBLE:
        break;
    }
    const char *text = *(char *const *)at;
    return strdup(text != NULL ? text : "");
}

char *ib_dimension_text(const ib_study *study, size_t cell, size_t epoch, const char *dimension) {
    const ib_study_cell *c = &study->cells[cell];
    const ib_study_group *group = &study->groups[c->group];
    if (strcmp(dimension, "label") == 0)
        return strdup(c->label != NULL ? c->label : "");
    if (strcmp(dimension, "cells") == 0)
        return strdup(group->title != NULL ? group->title : group->name);
    if (strcmp(dimension, "epoch") == 0)
        return ib_format("%zu", epoch);
    const ib_option *option = ib_option_find(dimension, strlen(dimension));
    if (option == NULL || !ib_option_applies(option, &c->arguments.config.experiment))
        return strdup("");
    return ib_option_text(option, &c->arguments.config);
}

/* ---- tuples -------------------------------------------------------------------------------------
 */

static size_t add_tuple(ib_builder *b, ib_tuples *tuples, size_t cell, size_t epoch) {
    static const char SEPARATOR[] = "\x1f";
    char *key = NULL;
    size_t n = tuples->dimension_count;
    char **parts = calloc(n + 1, sizeof *parts);
    for (size_t d = 0; parts != NULL && d < n; ++d) {
        parts[d] = ib_keep(b, ib_dimension_text(b->study, cell, epoch, tuples->dimensions[d]));
        ib_extend(b, &key, SEPARATOR, parts[d] != NULL ? parts[d] : "");
    }
    const json_t *known = json_object_get(tuples->index, key != NULL ? key : "");
    size_t tuple = tuples->count;
    if (known != NULL) {
        tuple = (size_t)json_integer_value(known);
    } else if (parts != NULL && !b->failed) {
        char **all = realloc(tuples->parts, ((tuple + 1) * n + 1) * sizeof *all);
        if (all == NULL || json_object_set_new_nocheck(tuples->index, key != NULL ? key : "",
                                                       json_integer((json_int_t)tuple)) != 0)
            b->failed = 1;
        if (all != NULL)
            tuples->parts = all;
        if (!b->failed) {
            memcpy(all + tuple * n, parts, n * sizeof *parts);
            memset(parts, 0, n * sizeof *parts);
            ++tuples->count;
        }
    } else {
        b->failed = 1;
    }
    for (size_t d = 0; parts != NULL && d < n; ++d)
        free(parts[d]);
    free(parts);
    free(key);
    return tuple;
}

static void open_tuples(ib_builder *b, ib_tuples *tuples, const ib_text_list *dimensions) {
    *tuples = (ib_tuples){.dimension_count = dimensions->count,
                          .dimensions = dimensions->items,
                          .index = json_object()};
    b->failed |= tuples->index == NULL;
}

static void free_tuples(ib_tuples *tuples) {
    for (size_t i = 0; i < tuples->count * tuples->dimension_count; ++i)
        free(tuples->parts[i]);
    free(tuples->parts);
    json_decref(tuples->index);
    *tuples = (ib_tuples){0};
}

/* Names tell what a number is; words speak for themselves. */
static int needs_name(const char *dimension, const char *text) {
    double number;
    if (strcmp(dimension, "label") == 0)
        return 0;
    return ib_parse_double(text, &number) == 0 || strcmp(dimension, "svm-gamma") == 0;
}

char *ib_tuple_text(ib_builder *b, const ib_tuples *tuples, size_t tuple, int names) {
    char *text = NULL;
    for (size_t d = 0; d < tuples->dimension_count; ++d) {
        const char *part = tuples->parts[tuple * tuples->dimension_count + d];
        if (part[0] == '\0')
            continue;
        if (names && needs_name(tuples->dimensions[d], part)) {
            char *named =
                ib_keep(b, ib_format("%s %s", ib_dimension_title(tuples->dimensions[d]), part));
            ib_extend(b, &text, ", ", named != NULL ? named : "");
            free(named);
        } else {
            ib_extend(b, &text, ", ", part);
        }
    }
    return text != NULL ? text : ib_keep_copy(b, "");
}

char *ib_tuples_title(ib_builder *b, const ib_tuples *tuples) {
    char *text = NULL;
    for (size_t d = 0; d < tuples->dimension_count; ++d)
        ib_extend(b, &text, ", ", ib_dimension_title(tuples->dimensions[d]));
    return text != NULL ? text : ib_keep_copy(b, "");
}

/* ---- the cross ----------------------------------------------------------------------------------
 */

static int has_dimension(const ib_text_list *list, const char *name) {
    for (size_t i = 0; i < list->count; ++i)
        if (strcmp(list->items[i], name) == 0)
            return 1;
    return 0;
}

static int by_place(const void *a, const void *b) {
    const ib_entry *x = a, *y = b;
    if (x->panel != y->panel)
        return x->panel < y->panel ? -1 : 1;
    if (x->row != y->row)
        return x->row < y->row ? -1 : 1;
    if (x->column != y->column)
        return x->column < y->column ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

static void add_entry(ib_builder *b, ib_cross *cross, size_t cell, size_t epoch) {
    size_t n = cross->count;
    if ((n & (n - 1)) == 0) {
        ib_entry *entries = realloc(cross->entries, (n == 0 ? 1 : 2 * n) * sizeof *entries);
        if (entries == NULL) {
            b->failed = 1;
            return;
        }
        cross->entries = entries;
    }
    cross->entries[cross->count++] =
        (ib_entry){.cell = cell,
                   .epoch = epoch,
                   .panel = add_tuple(b, &cross->panels, cell, epoch),
                   .row = add_tuple(b, &cross->rows, cell, epoch),
                   .column = add_tuple(b, &cross->columns, cell, epoch),
                   .order = n};
}

void ib_cross_make(ib_builder *b, const ib_report_item *item, const ib_axes *axes,
                   ib_cross *cross) {
    int by_epoch = has_dimension(&axes->rows, "epoch") || has_dimension(&axes->columns, "epoch") ||
                   has_dimension(&axes->panels, "epoch");
    *cross = (ib_cross){0};
    open_tuples(b, &cross->panels, &axes->panels);
    open_tuples(b, &cross->rows, &axes->rows);
    open_tuples(b, &cross->columns, &axes->columns);
    for (size_t g = 0; g < item->group_count; ++g) {
        const ib_study_group *group = &b->study->groups[item->groups[g]];
        for (size_t c = group->first_cell; c < group->first_cell + group->cell_count; ++c) {
            const ib_config *config = &b->study->cells[c].arguments.config;
            /* What is not a network has no epochs: one line, for the end. */
            size_t last =
                config->experiment.model == IB_MODEL_SVM ? 1 : (size_t)config->experiment.epochs;
            if (axes->cells != NULL && !axes->cells[c])
                continue;
            for (size_t e = by_epoch;
                 e <= (by_epoch ? last : 0) && !b->failed && cross->count < IB_REPORT_MAX_GRID; ++e)
                add_entry(b, cross, c, e);
        }
    }
    if (cross->count > 0)
        qsort(cross->entries, cross->count, sizeof *cross->entries, by_place);
}

void ib_cross_free(ib_cross *cross) {
    free_tuples(&cross->panels);
    free_tuples(&cross->rows);
    free_tuples(&cross->columns);
    free(cross->entries);
    *cross = (ib_cross){0};
}

/* The first entry that is not before the place. */
static size_t lower_bound(const ib_cross *cross, const ib_entry *place) {
    size_t low = 0, high = cross->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (by_place(&cross->entries[middle], place) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

ib_bucket ib_cross_bucket(const ib_cross *cross, size_t panel, size_t row, size_t column) {
    ib_entry first = {.panel = panel == SIZE_MAX ? 0 : panel,
                      .row = row == SIZE_MAX ? 0 : row,
                      .column = column == SIZE_MAX ? 0 : column};
    ib_entry last = {.panel = panel, .row = row, .column = column, .order = SIZE_MAX};
    size_t from = lower_bound(cross, &first), to = lower_bound(cross, &last);
    return (ib_bucket){cross->entries + from, to - from};
}
