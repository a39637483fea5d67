/* Tables: values over rows and columns, published ones beside them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "report/build_parts.h"

/* Wider tables have their columns' dimensions as rows. */
enum { MAX_WIDTH = 12 };

/* One value of a combination of columns: which of the parts of its cell group are shown. */
typedef struct field {
    const ib_metric_info *metric;
    size_t column; /* tuple */
    int has_spread, has_published;
} field;

typedef struct draft {
    ib_builder *b;
    const ib_report_item *item;
    ib_cross cross;
    field *fields;
    size_t field_count;
    ib_report_table *table;
    size_t width; /* columns added so far */
    int has_published, has_remarks, has_means;
} draft;

/* ---- published values of a row ------------------------------------------------------------------
 */

/* A row is written once for each machine that something was published for. */
typedef struct variant {
    const char *machine;
    char *sources;
    const ib_published **values; /* by field; NULL: none */
} variant;

static int is_compatible(const char *a, const char *b) {
    return a == NULL || b == NULL || strcmp(a, b) == 0;
}

static int is_known(const variant *variants, size_t count, size_t f, const ib_published *p) {
    for (size_t v = 0; v < count; ++v) {
        const ib_published *other = variants[v].values[f];
        if (other != NULL && other->low == p->low && other->high == p->high &&
            is_compatible(variants[v].machine, p->machine))
            return 1;
    }
    return 0;
}

static void place(draft *d, variant **variants, size_t *count, size_t f, const ib_published *p) {
    variant *chosen = NULL;
    if (is_known(*variants, *count, f, p))
        return;
    for (size_t v = 0; v < *count && chosen == NULL; ++v)
        if ((*variants)[v].values[f] == NULL && is_compatible((*variants)[v].machine, p->machine))
            chosen = &(*variants)[v];
    if (chosen == NULL) {
        chosen = ib_append(d->b, variants, count, sizeof *chosen);
        if (chosen == NULL)
            return;
        chosen->values = calloc(d->field_count + 1, sizeof *chosen->values);
        if (chosen->values == NULL) {
            d->b->failed = 1;
            --*count;
            return;
        }
    }
    chosen->values[f] = p;
    if (p->machine != NULL)
        chosen->machine = p->machine;
    if (chosen->sources == NULL || strstr(chosen->sources, p->source) == NULL)
        ib_extend(d->b, &chosen->sources, "; ", p->source);
}

static variant *variants_of(draft *d, size_t row, size_t *count) {
    variant *variants = NULL;
    *count = 0;
    for (size_t f = 0; f < d->field_count; ++f) {
        ib_bucket bucket = ib_cross_bucket(&d->cross, 0, row, d->fields[f].column);
        size_t listed = 0;
        size_t *list = ib_bucket_published(d->b, bucket, d->fields[f].metric, &listed);
        for (size_t i = 0; i < listed && !d->b->failed; ++i)
            place(d, &variants, count, f, &d->b->study->published[list[i]]);
        free(list);
    }
    return variants;
}

static void free_variants(variant *variants, size_t count) {
    for (size_t v = 0; v < count; ++v) {
        free(variants[v].sources);
        free(variants[v].values);
    }
    free(variants);
}

/* ---- which columns there are --------------------------------------------------------------------
 */

static void add_column(draft *d, ib_column_role role, char *name, char *key) {
    ib_report_column *column =
        ib_append(d->b, &d->table->columns, &d->table->column_count, sizeof *column);
    ib_keep(d->b, name);
    ib_keep(d->b, key);
    if (column == NULL) {
        free(name);
        free(key);
        return;
    }
    *column = (ib_report_column){.name = name, .key = key, .role = role};
}

/* Letters, digits and _ only. */
static void make_key(char *text) {
    for (; text != NULL && *text != '\0'; ++text)
        if (strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.") == 0)
            *text = '_';
}

static void add_field_columns(draft *d, const field *f) {
    ib_builder *b = d->b;
    char *label = ib_metric_label(b, f->metric);
    char *tuple = ib_tuple_text(b, &d->cross.columns, f->column, 1);
    if (b->failed) {
        free(label);
        free(tuple);
        return;
    }
    int many = d->cross.columns.dimension_count > 0;
    char *name = many ? ib_format("%s: %s", tuple, label) : strdup(label);
    char *key = many ? ib_format("%s_%s", tuple, f->metric->name) : strdup(f->metric->name);
    const char *before = many ? tuple : "", *colon = many ? ": " : "";
    const char *points = f->metric->unit == IB_UNIT_FRACTION ? " (points)" : "";
    make_key(key);
    if (ib_keep(b, name) != NULL && ib_keep(b, key) != NULL) {
        add_column(d, IB_COLUMN_OURS, strdup(name), strdup(key));
        if (f->has_spread) {
            add_column(d, IB_COLUMN_SPREAD,
                       ib_format("%s%sstandard deviation%s", before, colon, points),
                       ib_format("%s_sd", key));
            add_column(d, IB_COLUMN_SPREAD, ib_format("%s%s95 %% ±%s", before, colon, points),
                       ib_format("%s_ci95", key));
        }
        if (f->has_published) {
            add_column(d, IB_COLUMN_PUBLISHED, ib_format("%s, published", name),
                       ib_format("%s_published", key));
            add_column(d, IB_COLUMN_DIFFERENCE,
                       ib_format("%s%sdifference%s", before, colon, points),
                       ib_format("%s_difference", key));
        }
    }
    free(name);
    free(key);
    free(label);
    free(tuple);
}

/* Columns of a table of resources are there where a run has a value. */
static int is_optional(const ib_metric_info *metric) {
    return metric->unit == IB_UNIT_MONEY || metric->unit == IB_UNIT_WATT_HOURS ||
           strncmp(metric->name, "gpu_", 4) == 0;
}

/* The model's own, whatever the run. */
static int is_fixed(const ib_metric_info *metric) {
    return strcmp(metric->name, "parameters") == 0 || strcmp(metric->name, "flops") == 0;
}

static void find_fields(draft *d) {
    static const char *const TAKEN[] = {"run_seconds",       "cpu_seconds",      "cpu_percent_mean",
                                        "peak_rss_bytes",    "gpu_percent_mean", "gpu_memory_bytes",
                                        "watt_hours",        "cost_on_demand",   "cost_spot",
                                        "cost_of_1000_runs", "test_accuracy"};
    ib_builder *b = d->b;
    int resources = d->item->kind == IB_TABLE_RESOURCES;
    size_t metrics = resources ? sizeof TAKEN / sizeof TAKEN[0] : d->item->values.count;
    d->field_count = 0;
    free(d->fields);
    d->fields = NULL;
    for (size_t c = 0; c < d->cross.columns.count; ++c)
        for (size_t m = 0; m < metrics && !b->failed; ++m) {
            field *f = ib_append(b, &d->fields, &d->field_count, sizeof *f);
            if (f == NULL)
                return;
            f->metric = ib_metric_find(resources ? TAKEN[m] : d->item->values.items[m]);
            f->column = c;
            int has_value = 0;
            for (size_t r = 0; r < d->cross.rows.count && !b->failed; ++r) {
                ib_bucket bucket = ib_cross_bucket(&d->cross, 0, r, c);
                size_t published = 0;
                size_t count = ib_bucket_statistics(b, d->item, bucket, f->metric).count;
                has_value |= count > 0;
                d->has_means |= count > 1;
                f->has_spread |= !resources && !is_fixed(f->metric) && count > 1;
                if (!resources)
                    free(ib_bucket_published(b, bucket, f->metric, &published));
                f->has_published |= published > 0;
            }
            d->has_published |= f->has_published;
            if (resources && is_optional(f->metric) && !has_value)
                --d->field_count;
        }
}

static size_t field_width(const draft *d) {
    size_t width = 0;
    for (size_t f = 0; f < d->field_count; ++f)
        width += 1 + (d->fields[f].has_spread ? 2 : 0) + (d->fields[f].has_published ? 2 : 0);
    return width;
}

/* ---- cells --------------------------------------------------------------------------------------
 */

static void put(draft *d, char *text, double value) {
    size_t count = d->table->row_count * d->table->column_count + d->width;
    ib_report_value *slot = ib_append(d->b, &d->table->values, &count, sizeof *slot);
    ib_keep(d->b, text);
    if (slot == NULL) {
        free(text);
        return;
    }
    *slot = (ib_report_value){.text = text, .value = value};
    ++d->width;
}

/* What stands where a value should: the state of the runs, when it is one. */
static char *no_value_text(draft *d, ib_bucket bucket, const ib_metric_info *metric) {
    const char *none = metric->unit == IB_UNIT_WATT_HOURS      ? "not measured"
                       : metric->unit == IB_UNIT_MONEY         ? "no price"
                       : strncmp(metric->name, "cpu_", 4) == 0 ? "not recorded"
                                                               : "no value";
    const char *state = "";
    for (size_t i = 0; i < bucket.count; ++i) {
        size_t run = d->b->input->run_of_cell[bucket.entries[i].cell];
        const char *own = d->b->input->runs[run].state;
        if (ib_run_is_finished(d->b, run))
            own = none;
        if (i > 0 && strcmp(own, state) != 0)
            return ib_keep_copy(d->b, "incomplete");
        state = own;
    }
    return ib_keep_copy(d->b, state);
}

static void put_field(draft *d, size_t row, const field *f, const ib_published *p) {
    ib_builder *b = d->b;
    ib_bucket bucket = ib_cross_bucket(&d->cross, 0, row, f->column);
    ib_statistics s = ib_bucket_statistics(b, d->item, bucket, f->metric);
    put(d,
        isnan(s.mean) ? no_value_text(d, bucket, f->metric) : ib_value_text(b, f->metric, s.mean),
        s.mean);
    if (f->has_spread) {
        put(d, ib_value_text(b, f->metric, s.deviation), s.deviation);
        put(d, ib_value_text(b, f->metric, s.half_interval), s.half_interval);
    }
    if (!f->has_published)
        return;
    if (p == NULL) {
        put(d, ib_keep_copy(b, ""), NAN);
        put(d, ib_keep_copy(b, ""), NAN);
        return;
    }
    /* A range has no one value: its text says it. */
    put(d, ib_published_text(b, p), p->low == p->high ? p->low : NAN);
    double difference = isnan(s.mean) ? NAN : ib_published_difference(s.mean, p);
    put(d, ib_difference_text(b, f->metric, difference), difference);
}

/* In the bucket, other than by seed. */
static size_t config_count(const ib_builder *b, ib_bucket bucket) {
    size_t count = 0;
    for (size_t i = 0; i < bucket.count; ++i) {
        size_t j = 0;
        while (j < i && b->config_of_cell[bucket.entries[j].cell] !=
                            b->config_of_cell[bucket.entries[i].cell])
            ++j;
        count += j == i;
    }
    return count;
}

static void put_row(draft *d, size_t row, const variant *v) {
    ib_builder *b = d->b;
    const ib_tuples *rows = &d->cross.rows;
    ib_bucket whole = ib_cross_bucket(&d->cross, 0, row, SIZE_MAX);
    d->width = 0;
    for (size_t i = 0; i < rows->dimension_count; ++i)
        put(d, ib_keep_copy(b, rows->parts[row * rows->dimension_count + i]), NAN);
    if (d->item->kind == IB_TABLE_BEST)
        put(d,
            whole.count > 0 ? ib_config_text(b, whole.entries[0].cell, &d->item->rows)
                            : ib_keep_copy(b, ""),
            NAN);
    for (size_t f = 0; f < d->field_count && !b->failed; ++f)
        put_field(d, row, &d->fields[f], v != NULL ? v->values[f] : NULL);
    put(d, ib_bucket_machines(b, whole), NAN);
    if (d->has_published) {
        put(d, ib_keep_copy(b, v != NULL && v->machine != NULL ? v->machine : ""), NAN);
        put(d, ib_keep_copy(b, v != NULL && v->sources != NULL ? v->sources : ""), NAN);
    }
    if (d->has_remarks) {
        char *remark = ib_bucket_remark(b, whole);
        put(d, remark != NULL ? remark : ib_keep_copy(b, ""), NAN);
    }
    if (!b->failed)
        ++d->table->row_count;
}

static void fill_table(draft *d) {
    ib_builder *b = d->b;
    size_t most = 1;
    int has_spread = 0;
    for (size_t i = 0; i < d->cross.rows.dimension_count; ++i)
        add_column(d, IB_COLUMN_HEADING, strdup(ib_dimension_title(d->cross.rows.dimensions[i])),
                   strdup(d->cross.rows.dimensions[i]));
    if (d->item->kind == IB_TABLE_BEST)
        add_column(d, IB_COLUMN_HEADING, strdup("configuration"), strdup("configuration"));
    for (size_t f = 0; f < d->field_count && !b->failed; ++f)
        add_field_columns(d, &d->fields[f]);
    for (size_t f = 0; f < d->field_count; ++f)
        has_spread |= d->fields[f].has_spread;
    add_column(d, IB_COLUMN_REMARK, strdup("measured on"), strdup("machine"));
    if (d->has_published) {
        add_column(d, IB_COLUMN_REMARK, strdup("published for"), strdup("published_machine"));
        add_column(d, IB_COLUMN_REMARK, strdup("source"), strdup("source"));
    }
    if (d->has_remarks)
        add_column(d, IB_COLUMN_REMARK, strdup("remark"), strdup("remark"));
    for (size_t r = 0; r < d->cross.rows.count && !b->failed; ++r) {
        size_t count = 0;
        variant *variants = variants_of(d, r, &count);
        for (size_t v = 0; v < (count > 0 ? count : 1) && !b->failed; ++v)
            put_row(d, r, count > 0 ? &variants[v] : NULL);
        free_variants(variants, count);
        for (size_t c = 0; c < d->cross.columns.count; ++c) {
            ib_bucket bucket = ib_cross_bucket(&d->cross, 0, r, c);
            size_t configs = config_count(b, bucket);
            most = configs > most ? configs : most;
        }
    }
    char **note = &d->table->note;
    if (d->item->kind == IB_TABLE_RESOURCES) {
        if (d->has_means)
            ib_extend(b, note, " ",
                      most > 1 ? "Means over all configurations and seeds of a line."
                               : "Means over seeds.");
        ib_note_resources(b, &d->cross, d->table);
    }
    if (has_spread)
        ib_extend(b, note, " ",
                  most > 1 ? "Means over all configurations and seeds of a line; their standard "
                             "deviation, and the 95 % interval of the mean by Student's t."
                           : "Means over seeds; their standard deviation, and the 95 % interval of "
                             "the mean by Student's t.");
}

static void cross_item(draft *d, const ib_text_list *rows, const ib_text_list *columns,
                       const unsigned char *cells) {
    ib_axes axes = {.rows = *rows, .columns = *columns, .cells = cells};
    ib_cross_make(d->b, d->item, &axes, &d->cross);
    find_fields(d);
}

/* All of a, then all of b: fresh memory. */
static ib_text_list joined(ib_builder *b, const ib_text_list *a, const char *const *more,
                           size_t count) {
    ib_text_list list = {.items = calloc(a->count + count + 1, sizeof *list.items)};
    b->failed |= list.items == NULL;
    for (size_t i = 0; list.items != NULL && i < a->count + count; ++i)
        list.items[list.count++] = i < a->count ? a->items[i] : more[i - a->count];
    return list;
}

static void build_values(ib_builder *b, const ib_report_item *item, ib_report_table *table) {
    static const char *const EPOCH[] = {"epoch"};
    draft d = {.b = b, .item = item, .table = table};
    ib_axes choice = {.rows = item->rows};
    int epochs = item->kind == IB_TABLE_EPOCHS;
    unsigned char *best = item->kind == IB_TABLE_BEST ? ib_best_cells(b, item, &choice) : NULL;
    ib_cross all;
    ib_text_list epoch = {.items = joined(b, &(ib_text_list){0}, EPOCH, 1).items, .count = 1};
    ib_text_list rows = epochs ? epoch : item->rows;
    ib_text_list folded = epochs ? joined(b, &item->columns, EPOCH, 1)
                                 : joined(b, &item->rows, item->columns.items, item->columns.count);
    if (!b->failed)
        cross_item(&d, &rows, &item->columns, best);
    if (!b->failed && item->columns.count > 0 && field_width(&d) > MAX_WIDTH) {
        ib_cross_free(&d.cross);
        d.has_published = 0;
        cross_item(&d, &folded, &(ib_text_list){0}, best);
    }
    ib_cross_make(b, item, &choice, &all);
    if (!b->failed) {
        table->missing = ib_missing_text(b, &all);
        /* A table of resources is wide; its missing text says the same. */
        d.has_remarks = table->missing != NULL && item->kind != IB_TABLE_RESOURCES;
        fill_table(&d);
    }
    if (best != NULL && d.cross.rows.count < all.rows.count && !b->failed) {
        char *why = ib_keep(b, ib_format("%zu of %zu lines are left out: their runs have no %s.",
                                         all.rows.count - d.cross.rows.count, all.rows.count,
                                         ib_metric_find(b->study->select)->title));
        if (why != NULL)
            ib_extend(b, &table->missing, " ", why);
        free(why);
    }
    ib_cross_free(&all);
    ib_cross_free(&d.cross);
    free(d.fields);
    free(best);
    free(epoch.items);
    free(folded.items);
}

/* ---- what all runs have in common ---------------------------------------------------------------
 */

static void build_configuration(ib_builder *b, const ib_report_item *item, ib_report_table *table) {
    draft d = {.b = b, .item = item, .table = table};
    const ib_option *option;
    add_column(&d, IB_COLUMN_HEADING, strdup("option"), strdup("option"));
    add_column(&d, IB_COLUMN_OURS, strdup("value"), strdup("value"));
    for (size_t i = 0; (option = ib_option_at(i)) != NULL && !b->failed; ++i) {
        const ib_study_cell *first = NULL;
        int same = ib_option_is_arithmetic(option) && option->kind != IB_OPTION_FLAG;
        for (size_t g = 0; same && g < item->group_count; ++g) {
            const ib_study_group *group = &b->study->groups[item->groups[g]];
            for (size_t c = 0; same && c < group->cell_count; ++c) {
                const ib_study_cell *cell = &b->study->cells[group->first_cell + c];
                first = first != NULL ? first : cell;
                same = ib_option_applies(option, &cell->arguments.config.experiment) &&
                       ib_option_same(option, &first->arguments.config, &cell->arguments.config);
            }
        }
        char *text = same && first != NULL
                         ? ib_keep(b, ib_option_text(option, &first->arguments.config))
                         : NULL;
        if (text != NULL && text[0] != '\0') {
            d.width = 0;
            put(&d, ib_keep_copy(b, option->name), NAN);
            put(&d, ib_keep_copy(b, text), NAN);
            if (!b->failed)
                ++table->row_count;
        }
        free(text);
    }
}

void ib_build_table(ib_builder *b, const ib_report_item *item) {
    ib_report_table *table =
        ib_append(b, &b->report->tables, &b->report->table_count, sizeof *table);
    if (table == NULL)
        return;
    table->name = ib_keep_copy(b, item->name);
    table->title = ib_keep_copy(b, item->title);
    if (item->note != NULL)
        table->note = ib_keep_copy(b, item->note);
    if (item->kind == IB_TABLE_CONFIGURATION)
        build_configuration(b, item, table);
    else
        build_values(b, item, table);
}
