/* Values of cells, their statistics over seeds, and published values beside them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "report/build_parts.h"

int ib_run_is_finished(const ib_builder *b, size_t run) {
    return strcmp(b->input->runs[run].state, "finished") == 0 &&
           b->records[run].run.directory != NULL;
}

/* ---- statistics ---------------------------------------------------------------------------------
 */

double ib_student_t(size_t degrees) {
    static const double TABLE[] = {
        12.706204736432095, 4.302652729911275,  3.182446305284263,  2.7764451051977987,
        2.5705818366147395, 2.4469118487916806, 2.3646242510102993, 2.3060041350333704,
        2.2621571627409915, 2.2281388519649385, 2.200985160082949,  2.1788128296634177,
        2.1603686564610127, 2.1447866879169273, 2.131449545559323,  2.1199052992210112,
        2.1098155778331806, 2.10092204024096,   2.093024054408263,  2.0859634472658364,
        2.079613844727662,  2.0738730679040147, 2.0686576104190406, 2.0638985616280205,
        2.059538552753294,  2.055529438642871,  2.0518305164802833, 2.048407141795244,
        2.045229642132703,  2.0422724563012373};
    enum { LISTED = sizeof TABLE / sizeof TABLE[0] };
    if (degrees == 0)
        return NAN;
    if (degrees <= LISTED)
        return TABLE[degrees - 1];
    /* Cornish and Fisher's expansion: right to 3e-8 from here on. */
    double z = 1.959963984540054, n = (double)degrees, q = z * z;
    double first = z * (q + 1) / 4;
    double second = z * ((5 * q + 16) * q + 3) / 96;
    double third = z * (((3 * q + 19) * q + 17) * q - 15) / 384;
    double fourth = z * ((((79 * q + 776) * q + 1482) * q - 1920) * q - 945) / 92160;
    return z + (first + (second + (third + fourth / n) / n) / n) / n;
}

ib_statistics ib_statistics_of(const double *values, size_t count) {
    ib_statistics s = {.asked = count,
                       .mean = NAN,
                       .deviation = NAN,
                       .half_interval = NAN,
                       .low = NAN,
                       .high = NAN};
    double sum = 0, squares = 0;
    for (size_t i = 0; i < count; ++i) {
        if (!isfinite(values[i]))
            continue;
        ++s.count;
        sum += values[i];
        s.low = s.count == 1 || values[i] < s.low ? values[i] : s.low;
        s.high = s.count == 1 || values[i] > s.high ? values[i] : s.high;
    }
    if (s.count == 0)
        return s;
    s.mean = sum / (double)s.count;
    for (size_t i = 0; i < count; ++i)
        if (isfinite(values[i]))
            squares += (values[i] - s.mean) * (values[i] - s.mean);
    if (s.count > 1) {
        s.deviation = sqrt(squares / (double)(s.count - 1));
        s.half_interval = ib_student_t(s.count - 1) * s.deviation / sqrt((double)s.count);
    }
    if (!isfinite(s.mean) || (s.count > 1 && !isfinite(s.half_interval)))
        s.mean = s.deviation = s.half_interval = s.low = s.high = NAN;
    return s;
}

/* Whether an earlier entry is the same run. */
static int is_repeated(const ib_builder *b, ib_bucket bucket, size_t entry) {
    size_t run = b->input->run_of_cell[bucket.entries[entry].cell];
    for (size_t i = 0; i < entry; ++i)
        if (b->input->run_of_cell[bucket.entries[i].cell] == run &&
            bucket.entries[i].epoch == bucket.entries[entry].epoch)
            return 1;
    return 0;
}

ib_statistics ib_bucket_statistics(ib_builder *b, const ib_report_item *item, ib_bucket bucket,
                                   const ib_metric_info *metric) {
    double *values = calloc(bucket.count + 1, sizeof *values);
    size_t count = 0;
    if (values == NULL)
        b->failed = 1;
    for (size_t i = 0; values != NULL && i < bucket.count; ++i)
        if (!is_repeated(b, bucket, i))
            values[count++] =
                ib_cell_value(b, item, bucket.entries[i].cell, bucket.entries[i].epoch, metric);
    ib_statistics s = ib_statistics_of(values, count);
    free(values);
    return s;
}

/* ---- one cell -----------------------------------------------------------------------------------
 */

static int fits_one(const ib_study *study, const ib_study_cell *cell, const char *key,
                    const char *text) {
    if (strcmp(key, "label") == 0)
        return cell->label != NULL && strcmp(cell->label, text) == 0;
    if (strcmp(key, "cells") == 0)
        return strcmp(study->groups[cell->group].name, text) == 0;
    const ib_option *option = ib_option_find(key, strlen(key));
    ib_config config = {0};
    int fits = option != NULL && ib_option_applies(option, &cell->arguments.config.experiment) &&
               ib_option_set(option, text, key, &config, NULL) == IB_OK &&
               ib_option_same(option, &config, &cell->arguments.config);
    ib_config_free(&config);
    return fits;
}

static size_t likeness(const ib_study_cell *a, const ib_study_cell *b) {
    const ib_option *option;
    size_t same = 0;
    for (size_t i = 0; (option = ib_option_at(i)) != NULL; ++i)
        if (ib_option_is_arithmetic(option))
            same += ib_option_applies(option, &a->arguments.config.experiment) &&
                    ib_option_applies(option, &b->arguments.config.experiment) &&
                    ib_option_same(option, &a->arguments.config, &b->arguments.config);
    return same;
}

/* The cell that relative-to names for this one: of those that fit, the one most like it. */
static size_t reference_of(const ib_builder *b, const ib_report_item *item, size_t cell) {
    const ib_yaml_node *map = item->relative_to;
    size_t best = SIZE_MAX, most = 0;
    for (size_t g = 0; map != NULL && g < item->group_count; ++g) {
        const ib_study_group *group = &b->study->groups[item->groups[g]];
        for (size_t c = group->first_cell; c < group->first_cell + group->cell_count; ++c) {
            const ib_study_cell *other = &b->study->cells[c];
            int fits = 1;
            for (size_t k = 0; fits && k < map->count; ++k)
                fits = fits_one(b->study, other, map->keys[k]->text, map->items[k]->text);
            size_t same = fits ? likeness(&b->study->cells[cell], other) : 0;
            if (fits && (best == SIZE_MAX || same > most)) {
                best = c;
                most = same;
            }
        }
    }
    return best;
}

double ib_cell_value(ib_builder *b, const ib_report_item *item, size_t cell, size_t epoch,
                     const ib_metric_info *metric) {
    const ib_report_input *input = b->input;
    size_t run = input->run_of_cell[cell];
    if (strcmp(metric->name, "parameters") == 0)
        return input->parameters != NULL ? input->parameters[cell] : NAN;
    if (strcmp(metric->name, "flops") == 0)
        return input->flops != NULL ? input->flops[cell] : NAN;
    int speedup = strcmp(metric->name, "speedup") == 0;
    if (speedup || strcmp(metric->name, "improvement") == 0) {
        size_t reference = item != NULL ? reference_of(b, item, cell) : SIZE_MAX;
        const ib_metric_info *of = ib_metric_find(speedup ? "train_seconds" : "test_accuracy");
        if (reference == SIZE_MAX)
            return NAN;
        double ours = ib_cell_value(b, item, cell, epoch, of);
        double theirs = ib_cell_value(b, item, reference, epoch, of);
        return speedup ? theirs / ours : 100 * (ours - theirs);
    }
    if (!ib_run_is_finished(b, run))
        return NAN;
    double value = ib_report_record_value(&b->records[run], metric, epoch);
    b->failed |= b->records[run].lost;
    return value;
}

/* ---- published ----------------------------------------------------------------------------------
 */

double ib_published_difference(double ours, const ib_published *published) {
    return ours < published->low    ? ours - published->low
           : ours > published->high ? ours - published->high
                                    : 0;
}

/* A figure for the end of training also stands beside the last epoch, and the other way round. */
static int is_at(const ib_published *published, const ib_study_cell *cell, size_t epoch) {
    size_t last = (size_t)cell->arguments.config.experiment.epochs;
    if (published->epoch == epoch)
        return 1;
    return published->metric->by_epoch &&
           ((published->epoch == 0 && epoch == last) || (epoch == 0 && published->epoch == last));
}

size_t *ib_bucket_published(ib_builder *b, ib_bucket bucket, const ib_metric_info *metric,
                            size_t *count) {
    size_t *list = NULL;
    *count = 0;
    for (size_t i = 0; i < bucket.count; ++i) {
        size_t cell = bucket.entries[i].cell;
        for (size_t k = 0; k < b->published_counts[cell]; ++k) {
            size_t index = b->published_of_cell[cell][k];
            const ib_published *p = &b->study->published[index];
            int known =
                p->metric != metric || !is_at(p, &b->study->cells[cell], bucket.entries[i].epoch);
            for (size_t j = 0; j < *count && !known; ++j)
                known = list[j] == index;
            size_t *slot = known ? NULL : ib_append(b, &list, count, sizeof *list);
            if (slot != NULL)
                *slot = index;
        }
    }
    return list;
}

/* ---- in words -----------------------------------------------------------------------------------
 */

char *ib_metric_label(ib_builder *b, const ib_metric_info *metric) {
    static const char *const UNITS[] = {
        [IB_UNIT_FRACTION] = " (%)", [IB_UNIT_SECONDS] = " (s)",     [IB_UNIT_BYTES] = " (MB)",
        [IB_UNIT_PERCENT] = " (%)",  [IB_UNIT_WATT_HOURS] = " (Wh)", [IB_UNIT_MONEY] = NULL};
    const char *unit = UNITS[metric->unit] != NULL ? UNITS[metric->unit] : "";
    const char *title = metric->title;
    return ib_keep(b, metric->unit == IB_UNIT_MONEY && b->currency[0] != '\0'
                          ? ib_format("%s (%s)", title, b->currency)
                          : ib_format("%s%s", title, unit));
}

static char *plain_text(double value) {
    double size = fabs(value);
    if (size >= 1e9 || (size > 0 && size < 5e-5))
        return ib_format("%.3g", value);
    return size >= 1000 ? ib_format("%.0f", value)
           : size >= 1  ? ib_format("%.4g", value)
                        : ib_format("%.4f", value);
}

char *ib_value_text(ib_builder *b, const ib_metric_info *metric, double value) {
    char *text = NULL;
    double size = fabs(value);
    if (isnan(value))
        return ib_keep_copy(b, "");
    switch (metric->unit) {
    case IB_UNIT_FRACTION:
        text = ib_format("%.2f", 100 * value);
        break;
    case IB_UNIT_PLAIN:
        text = plain_text(value);
        break;
    case IB_UNIT_SECONDS:
        text = size >= 1e9    ? ib_format("%.3g", value)
               : size >= 1000 ? ib_format("%.0f", value)
               : size >= 10   ? ib_format("%.1f", value)
                              : ib_format("%.2f", value);
        break;
    case IB_UNIT_RATIO:
        text = size >= 1e6 ? ib_format("%.3g", value) : ib_format("%.2f", value);
        break;
    case IB_UNIT_COUNT:
        text = size >= 1e6 ? ib_format(size >= 1e15 ? "%.3g M" : "%.2f M", 1e-6 * value)
                           : ib_format("%.0f", value);
        break;
    case IB_UNIT_BYTES:
        text = ib_format(size >= 1e15 ? "%.3g" : "%.2f", 1e-6 * value);
        break;
    case IB_UNIT_PERCENT:
        text = ib_format(size >= 1e6 ? "%.3g" : "%.1f", value);
        break;
    case IB_UNIT_WATT_HOURS:
        text = ib_format(size >= 100 && size < 1e6 ? "%.0f" : "%.3g", value);
        break;
    case IB_UNIT_MONEY:
        text = ib_format(size >= 1e9   ? "%.3g"
                         : size >= 10  ? "%.2f"
                         : size >= 0.1 ? "%.3f"
                                       : "%.6f",
                         value);
        break;
    }
    return ib_keep(b, text);
}

char *ib_difference_text(ib_builder *b, const ib_metric_info *metric, double value) {
    if (isnan(value))
        return ib_keep_copy(b, "");
    char *text = ib_value_text(b, metric, value);
    /* "-0.00" is no difference that can be seen. */
    int shows_zero = text != NULL && strspn(text, "-0.") == strlen(text);
    char *whole = text == NULL ? NULL
                               : ib_format("%s%s", value > 0 ? "+" : "",
                                           shows_zero && text[0] == '-' ? text + 1 : text);
    free(text);
    return ib_keep(b, whole);
}

char *ib_published_text(ib_builder *b, const ib_published *published) {
    char *low = ib_value_text(b, published->metric, published->low);
    if (published->low == published->high || low == NULL)
        return low;
    char *high = ib_value_text(b, published->metric, published->high);
    char *text = high == NULL ? NULL : ib_format("%s to %s", low, high);
    free(low);
    free(high);
    return ib_keep(b, text);
}

char *ib_bucket_machines(ib_builder *b, ib_bucket bucket) {
    char *text = NULL;
    for (size_t i = 0; i < bucket.count; ++i) {
        size_t run = b->input->run_of_cell[bucket.entries[i].cell];
        if (ib_run_is_finished(b, run) &&
            (text == NULL || strstr(text, b->records[run].machine) == NULL))
            ib_extend(b, &text, "; ", b->records[run].machine);
    }
    return text != NULL ? text : ib_keep_copy(b, "");
}

/* "not run: needs a GPU". */
static char *state_text(ib_builder *b, size_t run) {
    const ib_report_input_run *in = &b->input->runs[run];
    const char *obstacle = b->records[run].obstacle;
    const char *reason = obstacle != NULL ? obstacle : in->reason;
    return ib_keep(b, ib_format("%s%s%s", obstacle != NULL ? "not readable" : in->state,
                                reason != NULL ? ": " : "", reason != NULL ? reason : ""));
}

char *ib_bucket_remark(ib_builder *b, ib_bucket bucket) {
    char *text = NULL;
    size_t asked = 0, open = 0;
    for (size_t i = 0; i < bucket.count; ++i) {
        size_t run = b->input->run_of_cell[bucket.entries[i].cell];
        if (is_repeated(b, bucket, i))
            continue;
        ++asked;
        if (ib_run_is_finished(b, run))
            continue;
        ++open;
        char *state = state_text(b, run);
        if (state != NULL && (text == NULL || strstr(text, state) == NULL))
            ib_extend(b, &text, "; ", state);
        free(state);
    }
    if (text == NULL || asked == 1)
        return text;
    char *whole =
        open == asked ? ib_format("%s", text) : ib_format("%zu of %zu runs: %s", open, asked, text);
    free(text);
    return ib_keep(b, whole);
}

/* "name; name; and 3 more" for the open runs with this state among those from first on, which are
 * taken off the list. */
static char *runs_in_state(ib_builder *b, const char *state, unsigned char *open, size_t first) {
    enum { NAMED = 8 };
    size_t count = 0;
    char *names = NULL;
    for (size_t run = first; run < b->input->run_count; ++run) {
        char *own = open[run] ? state_text(b, run) : NULL;
        if (own != NULL && strcmp(own, state) == 0) {
            open[run] = 0;
            if (++count <= NAMED)
                ib_extend(b, &names, "; ", b->input->runs[run].text);
        }
        free(own);
    }
    char *more = count > NAMED ? ib_keep(b, ib_format("and %zu more", count - NAMED)) : NULL;
    if (more != NULL)
        ib_extend(b, &names, "; ", more);
    free(more);
    return names;
}

char *ib_missing_text(ib_builder *b, const ib_cross *cross) {
    size_t runs = b->input->run_count, asked = 0, missing = 0;
    unsigned char *seen = calloc(2 * runs + 1, 1);
    char *text = NULL;
    b->failed |= seen == NULL;
    if (seen == NULL)
        return NULL;
    unsigned char *open = seen + runs;
    for (size_t i = 0; i < cross->count; ++i) {
        size_t run = b->input->run_of_cell[cross->entries[i].cell];
        asked += !seen[run];
        missing += !seen[run] && !ib_run_is_finished(b, run);
        open[run] = !ib_run_is_finished(b, run);
        seen[run] = 1;
    }
    for (size_t run = 0; run < runs && !b->failed; ++run) {
        char *state = open[run] ? state_text(b, run) : NULL;
        char *names = state != NULL ? runs_in_state(b, state, open, run) : NULL;
        char *part = names != NULL ? ib_keep(b, ib_format("%s (%s)", names, state)) : NULL;
        if (part != NULL)
            ib_extend(b, &text, "; ", part);
        free(state);
        free(names);
        free(part);
    }
    free(seen);
    char *whole = text == NULL ? NULL
                               : ib_keep(b, ib_format("%zu of %zu runs %s missing: %s.", missing,
                                                      asked, missing == 1 ? "is" : "are", text));
    free(text);
    return whole;
}

char *ib_config_text(ib_builder *b, size_t cell, const ib_text_list *but) {
    const ib_study_cell *c = &b->study->cells[cell];
    const ib_option *option;
    char *text = NULL;
    if (c->label != NULL)
        ib_extend(b, &text, ", ", c->label);
    for (size_t i = 0; (option = ib_option_at(i)) != NULL; ++i) {
        int left_out =
            !b->varied[i] || !ib_study_cell_uses(c, i) || strcmp(option->name, "seed") == 0;
        for (size_t k = 0; k < but->count; ++k)
            left_out |= strcmp(but->items[k], option->name) == 0;
        if (left_out)
            continue;
        char *value = ib_keep(b, ib_option_text(option, &c->arguments.config));
        char *part = ib_keep(
            b, ib_format("%s %s", ib_dimension_title(option->name), value != NULL ? value : ""));
        ib_extend(b, &text, ", ", part != NULL ? part : "");
        free(value);
        free(part);
    }
    return text != NULL ? text : ib_keep_copy(b, "");
}

/* ---- choosing -----------------------------------------------------------------------------------
 */

unsigned char *ib_best_cells(ib_builder *b, const ib_report_item *item, const ib_axes *axes) {
    const ib_metric_info *metric = ib_metric_find(b->study->select);
    unsigned char *chosen = calloc(b->study->cell_count + 1, 1);
    ib_cross cross;
    ib_axes open = *axes;
    open.columns = (ib_text_list){0};
    ib_cross_make(b, item, &open, &cross);
    b->failed |= chosen == NULL;
    for (size_t first = 0; !b->failed && first < cross.count;) {
        ib_bucket bucket =
            ib_cross_bucket(&cross, cross.entries[first].panel, cross.entries[first].row, SIZE_MAX);
        size_t best = SIZE_MAX;
        double best_mean = NAN;
        for (size_t i = 0; i < bucket.count && bucket.count > 0; ++i) {
            size_t config = b->config_of_cell[bucket.entries[i].cell];
            size_t of_config = 0;
            int known = 0;
            ib_entry *same = calloc(bucket.count, sizeof *same);
            b->failed |= same == NULL;
            for (size_t j = 0; same != NULL && j < bucket.count; ++j) {
                if (b->config_of_cell[bucket.entries[j].cell] != config)
                    continue;
                known |= j < i;
                same[of_config++] = bucket.entries[j];
            }
            ib_statistics s = {.mean = NAN};
            if (!known && same != NULL)
                s = ib_bucket_statistics(b, item, (ib_bucket){same, of_config}, metric);
            int better = metric->less_is_better ? s.mean < best_mean : s.mean > best_mean;
            if (!isnan(s.mean) && (best == SIZE_MAX || better)) {
                best = config;
                best_mean = s.mean;
            }
            free(same);
        }
        for (size_t i = 0; best != SIZE_MAX && i < bucket.count; ++i)
            chosen[bucket.entries[i].cell] = b->config_of_cell[bucket.entries[i].cell] == best;
        first += bucket.count > 0 ? bucket.count : 1;
    }
    ib_cross_free(&cross);
    return chosen;
}
