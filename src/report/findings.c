/* Sentences computed from the data, each kind in one function. None says more than was measured:
 * what it was computed from stands beside it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/number.h"
#include "report/build_parts.h"

static const char *plural(size_t count) {
    return count == 1 ? "" : "s";
}

/* ---- spread between seeds -----------------------------------------------------------------------
 */

/* Pooled standard deviation of the test accuracy between seeds of one configuration; NaN where no
 * configuration has two. */
static double seed_spread(ib_builder *b) {
    const ib_metric_info *metric = ib_metric_find("test_accuracy");
    double *sums = calloc(3 * b->config_count + 1, sizeof *sums);
    double squares = 0, degrees = 0;
    b->failed |= sums == NULL;
    for (int pass = 0; pass < 2 && sums != NULL; ++pass)
        for (size_t c = 0; c < b->study->cell_count; ++c) {
            double *of = &sums[3 * b->config_of_cell[c]];
            double value = ib_cell_value(b, NULL, c, 0, metric);
            if (isnan(value))
                continue;
            if (pass == 0) {
                of[0] += value;
                of[1] += 1;
            } else {
                double d = value - of[0] / of[1];
                of[2] += d * d;
            }
        }
    for (size_t i = 0; sums != NULL && i < b->config_count; ++i)
        if (sums[3 * i + 1] > 1) {
            squares += sums[3 * i + 2];
            degrees += sums[3 * i + 1] - 1;
        }
    free(sums);
    return degrees > 0 ? sqrt(squares / degrees) : NAN;
}

/* ---- the best configuration ---------------------------------------------------------------------
 */

static void say_best_of(ib_builder *b, const ib_report_item *item, ib_bucket bucket, int several) {
    const ib_metric_info *by = ib_metric_find(b->study->select);
    const ib_metric_info *test = ib_metric_find("test_accuracy");
    ib_statistics chosen = ib_bucket_statistics(b, item, bucket, by);
    ib_statistics result = ib_bucket_statistics(b, item, bucket, test);
    const char *dataset[] = {"dataset"};
    ib_text_list but = {.items = dataset, .count = 1};
    size_t cell = bucket.entries[0].cell;
    char *config = ib_config_text(b, cell, &but), *value = ib_value_text(b, by, chosen.mean);
    char *accuracy = ib_value_text(b, test, result.mean);
    const char *percent = by->unit == IB_UNIT_FRACTION ? " %" : "";
    int less = by->less_is_better;
    if (b->failed || isnan(result.mean)) {
        free(config);
        free(value);
        free(accuracy);
        return;
    }
    ib_add_finding(
        b,
        ib_format("%s%s%s configuration with the %s %s, %s%s, is %s. Its test accuracy "
                  "is %s %%.",
                  several ? "On " : "",
                  several ? b->study->cells[cell].arguments.config.experiment.dataset : "",
                  several ? " the" : "The", less ? "lowest" : "highest", by->title, value, percent,
                  config, accuracy),
        chosen.count == 1
            ? ib_format("one seed, chosen on validation images")
            : ib_format("means over %zu seeds, chosen on validation images", chosen.count));
    free(config);
    free(value);
    free(accuracy);
}

/* One sentence for each data set. */
static void say_best(ib_builder *b, const ib_report_item *everything) {
    const char *dataset[] = {"dataset"};
    ib_axes axes = {.rows = {.items = dataset, .count = 1}};
    ib_cross cross, all;
    if (b->study->select == NULL)
        return;
    unsigned char *best = ib_best_cells(b, everything, &axes);
    ib_cross_make(b, everything, &axes, &all);
    axes.cells = best;
    ib_cross_make(b, everything, &axes, &cross);
    for (size_t r = 0; r < cross.rows.count && !b->failed; ++r)
        say_best_of(b, everything, ib_cross_bucket(&cross, 0, r, SIZE_MAX), all.rows.count > 1);
    if (!b->failed && cross.rows.count == 0)
        ib_add_finding(
            b,
            ib_format("No configuration is chosen: no finished run has a %s.",
                      ib_metric_find(b->study->select)->title),
            ib_format("%zu finished run%s", b->report->finished, plural(b->report->finished)));
    ib_cross_free(&cross);
    ib_cross_free(&all);
    free(best);
}

/* ---- effects ------------------------------------------------------------------------------------
 */

/* A finished cell by what it has besides the option looked at. */
typedef struct subject {
    char *others; /* the other varied options and the seed */
    size_t value, cell;
} subject;

typedef struct effect {
    const ib_option *option;
    char **values; /* different ones, numbers in order */
    size_t value_count;
    subject *subjects;
    size_t count;
} effect;

static int by_others(const void *a, const void *b) {
    const subject *x = a, *y = b;
    int order = strcmp(x->others, y->others);
    if (order != 0)
        return order;
    if (x->value != y->value)
        return x->value < y->value ? -1 : 1;
    return (x->cell > y->cell) - (x->cell < y->cell);
}

static int by_number(const void *a, const void *b) {
    double x, y;
    if (ib_parse_double(*(char *const *)a, &x) != 0 || ib_parse_double(*(char *const *)b, &y) != 0)
        return 0;
    return (x > y) - (x < y);
}

static int is_text_among(char *const *texts, size_t count, const char *text, size_t *index) {
    for (*index = 0; *index < count; ++*index)
        if (strcmp(texts[*index], text) == 0)
            return 1;
    return 0;
}

static void free_effect(effect *e) {
    for (size_t i = 0; i < e->value_count; ++i)
        free(e->values[i]);
    for (size_t i = 0; i < e->count; ++i)
        free(e->subjects[i].others);
    free(e->values);
    free(e->subjects);
}

static void add_subject(ib_builder *b, effect *e, size_t cell) {
    const ib_study_cell *c = &b->study->cells[cell];
    const ib_option *option;
    size_t index = 0, own = ib_option_index(e->option);
    char *value = ib_keep(b, ib_option_text(e->option, &c->arguments.config));
    char *others = NULL;
    for (size_t i = 0; (option = ib_option_at(i)) != NULL && !b->failed; ++i) {
        int counts = i != own && b->varied[i] && ib_study_cell_uses(c, i);
        char *text = counts ? ib_keep(b, ib_option_text(option, &c->arguments.config)) : NULL;
        ib_extend(b, &others, "\x1f", text != NULL ? text : "");
        free(text);
    }
    if (b->failed || !is_text_among(e->values, e->value_count, value, &index)) {
        free(value);
        free(others);
        return;
    }
    free(value);
    subject *s = ib_append(b, &e->subjects, &e->count, sizeof *s);
    if (s == NULL) {
        free(others);
        return;
    }
    *s = (subject){.others = others, .value = index, .cell = cell};
}

static void collect(ib_builder *b, effect *e) {
    size_t own = ib_option_index(e->option), index;
    for (size_t c = 0; c < b->study->cell_count && !b->failed; ++c) {
        const ib_study_cell *cell = &b->study->cells[c];
        if (!ib_study_cell_uses(cell, own) || !ib_run_is_finished(b, b->input->run_of_cell[c]))
            continue;
        char *text = ib_keep(b, ib_option_text(e->option, &cell->arguments.config));
        if (text != NULL && !is_text_among(e->values, e->value_count, text, &index)) {
            char **slot = ib_append(b, &e->values, &e->value_count, sizeof *slot);
            if (slot != NULL) {
                *slot = text;
                continue;
            }
        }
        free(text);
    }
    if (e->value_count > 1)
        qsort(e->values, e->value_count, sizeof *e->values, by_number);
    for (size_t c = 0; c < b->study->cell_count && !b->failed; ++c)
        if (ib_study_cell_uses(&b->study->cells[c], own) &&
            ib_run_is_finished(b, b->input->run_of_cell[c]))
            add_subject(b, e, c);
    if (e->count > 0)
        qsort(e->subjects, e->count, sizeof *e->subjects, by_others);
}

/* The first subject of this value in the group first..end; SIZE_MAX: none. */
static size_t of_value(const effect *e, size_t first, size_t end, size_t value) {
    for (size_t i = first; i < end; ++i)
        if (e->subjects[i].value == value)
            return e->subjects[i].cell;
    return SIZE_MAX;
}

/* The time, as a ratio by which all pairs are multiplied on average; fresh memory. */
static char *ratio_text(const double *logs, size_t count) {
    ib_statistics s = ib_statistics_of(logs, count);
    if (s.count == 0)
        return strdup("");
    if (s.count == 1)
        return ib_format("; training takes %.2f times as long", exp(s.mean));
    return ib_format("; training takes %.2f times as long (geometric mean, %.2f to %.2f)",
                     exp(s.mean), exp(s.low), exp(s.high));
}

/* How far pairs agree; fresh memory. */
static char *deviation_text(const ib_statistics *s) {
    if (s->count < 2)
        return strdup("");
    return ib_format(", standard deviation %.2f%s", 100 * s->deviation,
                     fabs(s->mean) <= s->half_interval ? " (the 95 % interval holds 0)" : "");
}

/* What b instead of a does, over pairs of runs that are alike otherwise. */
static void say_pair(ib_builder *b, const effect *e, size_t from, size_t to, double spread) {
    const ib_metric_info *accuracy = ib_metric_find("test_accuracy");
    const ib_metric_info *time = ib_metric_find("train_seconds");
    double *differences = calloc(e->count + 1, sizeof *differences);
    double *logs = calloc(e->count + 1, sizeof *logs);
    size_t pairs = 0;
    b->failed |= differences == NULL || logs == NULL;
    for (size_t first = 0, end; first < e->count && !b->failed; first = end) {
        for (end = first + 1;
             end < e->count && strcmp(e->subjects[end].others, e->subjects[first].others) == 0;)
            ++end;
        size_t x = of_value(e, first, end, from), y = of_value(e, first, end, to);
        if (x == SIZE_MAX || y == SIZE_MAX)
            continue;
        differences[pairs] =
            ib_cell_value(b, NULL, y, 0, accuracy) - ib_cell_value(b, NULL, x, 0, accuracy);
        logs[pairs++] =
            log(ib_cell_value(b, NULL, y, 0, time) / ib_cell_value(b, NULL, x, 0, time));
    }
    ib_statistics s = ib_statistics_of(differences, pairs);
    if (s.count > 0 && !b->failed) {
        char *mean = ib_difference_text(b, accuracy, s.mean);
        char *deviation = ib_keep(b, deviation_text(&s));
        char *times = ib_keep(b, ratio_text(logs, pairs));
        char *bound = ib_keep(
            b, isnan(spread) ? strdup("")
               : fabs(s.mean) < spread
                   ? ib_format(", less than the spread between seeds (%.2f)", 100 * spread)
                   : ib_format(", more than the spread between seeds (%.2f)", 100 * spread));
        if (!b->failed)
            ib_add_finding(
                b,
                ib_format("%s %s instead of %s changes the test accuracy by %s points on "
                          "average%s%s%s.",
                          ib_dimension_title(e->option->name), e->values[to], e->values[from], mean,
                          deviation, bound, times),
                ib_format("%zu pair%s of runs that are alike otherwise%s", s.count, plural(s.count),
                          isnan(spread) ? "; one seed" : ""));
        free(mean);
        free(deviation);
        free(times);
        free(bound);
        ib_finding *last = b->failed ? NULL : &b->report->findings[b->report->finding_count - 1];
        if (last != NULL && last->text[0] >= 'a' && last->text[0] <= 'z')
            last->text[0] = (char)(last->text[0] - 'a' + 'A');
    }
    free(differences);
    free(logs);
}

static void say_effects(ib_builder *b) {
    enum { MAX_VALUES = 6 };
    const ib_option *option;
    double spread = seed_spread(b);
    for (size_t i = 0; (option = ib_option_at(i)) != NULL && !b->failed; ++i) {
        effect e = {.option = option};
        if (!b->varied[i] || !ib_option_in_grid(option))
            continue;
        collect(b, &e);
        if (e.value_count > MAX_VALUES)
            say_pair(b, &e, 0, e.value_count - 1, spread);
        for (size_t v = 1; e.value_count <= MAX_VALUES && v < e.value_count && !b->failed; ++v)
            say_pair(b, &e, v - 1, v, spread);
        free_effect(&e);
    }
}

/* ---- agreement with published values ------------------------------------------------------------
 */

/* ours less a published value, over its cells; NaN: nothing to compare with. */
static double distance(ib_builder *b, const ib_published *p, double *ours, double *ratio) {
    ib_entry *entries = calloc(p->cell_count + 1, sizeof *entries);
    ib_bucket bucket = {.entries = entries};
    b->failed |= entries == NULL;
    for (size_t i = 0; entries != NULL && i < p->cell_count; ++i)
        if (!b->study->cells[p->cells[i]].changed)
            entries[bucket.count++] = (ib_entry){.cell = p->cells[i], .epoch = p->epoch};
    ib_statistics s = {.mean = NAN};
    if (bucket.count > 0)
        s = ib_bucket_statistics(b, NULL, bucket, p->metric);
    free(entries);
    *ours = s.mean;
    double nearest = s.mean < p->low ? p->low : s.mean > p->high ? p->high : s.mean;
    *ratio = s.mean / nearest;
    return isnan(s.mean) ? NAN : ib_published_difference(s.mean, p);
}

static void say_agreement_of(ib_builder *b, const ib_metric_info *metric) {
    size_t compared = 0, near = 0;
    double sum = 0, largest = 0, least_ratio = INFINITY, most_ratio = 0;
    int is_share = metric->unit == IB_UNIT_FRACTION, is_time = metric->unit == IB_UNIT_SECONDS;
    double bound = is_share ? 0.005 : 0.01;
    for (size_t i = 0; i < b->study->published_count && !b->failed; ++i) {
        const ib_published *p = &b->study->published[i];
        double ours = NAN, ratio = NAN,
               d = p->metric == metric ? distance(b, p, &ours, &ratio) : NAN;
        if (isnan(d))
            continue;
        ++compared;
        near += fabs(d) <= bound;
        sum += d;
        largest = fabs(d) > fabs(largest) ? d : largest;
        least_ratio = ratio < least_ratio ? ratio : least_ratio;
        most_ratio = ratio > most_ratio ? ratio : most_ratio;
    }
    if (compared == 0 || b->failed)
        return;
    char *mean = ib_difference_text(b, metric, sum / (double)compared);
    char *most = ib_difference_text(b, metric, largest);
    char *basis = ib_format("%zu published value%s whose runs are finished; ours less the "
                            "published value, 0 inside a published range",
                            compared, plural(compared));
    if (is_time) {
        char *range = compared == 1 ? ib_format("%.3g", least_ratio)
                                    : ib_format("%.3g to %.3g", least_ratio, most_ratio);
        ib_add_finding(b,
                       ib_format("The %s measured here is %s times the published one, on other "
                                 "machines.",
                                 metric->title, range != NULL ? range : ""),
                       basis);
        free(range);
    } else
        ib_add_finding(b,
                       ib_format("%zu of %zu published values of the %s are within %s of ours; the "
                                 "mean difference is %s, the largest %s%s.",
                                 near, compared, metric->title, is_share ? "0.5 points" : "0.01",
                                 mean != NULL ? mean : "", most != NULL ? most : "",
                                 is_share ? " points" : ""),
                       basis);
    free(mean);
    free(most);
}

static void say_agreement(ib_builder *b) {
    static const char *const COMPARED[] = {"test_accuracy", "macro_f1", "test_loss",
                                           "train_seconds"};
    size_t changed = 0;
    for (size_t i = 0; i < sizeof COMPARED / sizeof COMPARED[0]; ++i)
        say_agreement_of(b, ib_metric_find(COMPARED[i]));
    for (size_t i = 0; i < b->study->published_count; ++i)
        for (size_t k = 0; k < b->study->published[i].cell_count; ++k)
            if (b->study->cells[b->study->published[i].cells[k]].changed) {
                ++changed;
                break;
            }
    if (changed > 0 && !b->failed)
        ib_add_finding(b,
                       ib_format("%zu of %zu published values are not shown: they belong to other "
                                 "configurations than those run here.",
                                 changed, b->study->published_count),
                       ib_format("options that were replaced by key=value or an extending file"));
}

/* ---- the same bits ------------------------------------------------------------------------------
 */

/* Compares a run with one other record of its experiment, where another machine made that. */
static void compare_bits(const ib_report_record *a, const ib_report_record *other, size_t *same,
                         size_t *different) {
    const char *ours = a->run.model_sha256, *theirs = other->run.model_sha256;
    if (ours == NULL || theirs == NULL || strcmp(a->machine, other->machine) == 0)
        return;
    ++*(strcmp(ours, theirs) == 0 ? same : different);
}

/* Whether an earlier run of the study is that record: the pair has been compared. */
static int is_earlier_run(const ib_builder *b, size_t run, const char *directory) {
    for (size_t r = 0; r < run; ++r)
        if (b->input->runs[r].directory != NULL &&
            strcmp(b->input->runs[r].directory, directory) == 0)
            return 1;
    return 0;
}

static void say_bits(ib_builder *b) {
    size_t same = 0, different = 0;
    for (size_t r = 0; r < b->input->run_count && !b->failed; ++r) {
        const ib_report_input_run *in = &b->input->runs[r];
        if (!ib_run_is_finished(b, r))
            continue;
        for (size_t i = 0; i < in->other_count; ++i) {
            ib_report_record other;
            if (is_earlier_run(b, r, in->others[i]))
                continue;
            if (ib_report_record_read(in->others[i], NULL, &other, NULL) == IB_OK)
                compare_bits(&b->records[r], &other, &same, &different);
            ib_report_record_free(&other);
        }
    }
    if (same > 0)
        ib_add_finding(b,
                       ib_format("%zu experiment%s done again on another backend, instruction set, "
                                 "number of threads or processor gave the same model_sha256.",
                                 same, plural(same)),
                       ib_format("pairs of finished records with one experiment_sha256"));
    if (different > 0)
        ib_add_finding(b,
                       ib_format("%zu experiment%s done again elsewhere gave another model_sha256, "
                                 "which must not happen: isobit compare finds where.",
                                 different, plural(different)),
                       ib_format("pairs of finished records with one experiment_sha256"));
}

/* ---- what is left out ---------------------------------------------------------------------------
 */

static void say_unreadable(ib_builder *b) {
    char *names = NULL;
    for (size_t i = 0; i < b->input->unreadable_count; ++i)
        ib_extend(b, &names, ", ", b->input->unreadable[i]);
    if (names != NULL)
        ib_add_finding(b,
                       ib_format("%zu record%s cannot be read and %s left out: %s.",
                                 b->input->unreadable_count, plural(b->input->unreadable_count),
                                 b->input->unreadable_count == 1 ? "is" : "are", names),
                       ib_format("folders with a run.json that is damaged or may not be read"));
    free(names);
}

void ib_build_findings(ib_builder *b) {
    size_t *groups = calloc(b->study->group_count + 1, sizeof *groups);
    ib_report_item everything = {.name = "", .groups = groups};
    b->failed |= groups == NULL;
    for (size_t g = 0; groups != NULL && g < b->study->group_count; ++g)
        groups[everything.group_count++] = g;
    if (!b->failed)
        say_best(b, &everything);
    if (!b->failed)
        say_effects(b);
    if (!b->failed)
        say_agreement(b);
    if (!b->failed)
        ib_build_cost_findings(b);
    if (!b->failed)
        say_bits(b);
    if (!b->failed)
        say_unreadable(b);
    free(groups);
}
