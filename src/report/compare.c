#include "report/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "record/metric_lines.h"
#include "record/run_files.h"

/* ---- reading ------------------------------------------------------------------------------------
 */

static char *directory_of(const char *run) {
    static const char NAME[] = "/run.json";
    size_t length = strlen(run), tail = sizeof NAME - 1;
    if (length > tail && strcmp(run + length - tail, NAME) == 0)
        length -= tail;
    while (length > 1 && run[length - 1] == '/')
        --length;
    return strndup(run, length);
}

static ib_status read_run(const char *given, ib_run *run, ib_error *err) {
    char *directory = directory_of(given);
    if (directory == NULL)
        return ib_fail_memory(err);
    ib_status status = ib_run_read(directory, run, err);
    if (status == IB_OK && run->document == NULL)
        status = ib_fail(err, IB_ERROR_VERIFY, "there is no run record: %s/run.json is missing",
                         directory);
    if (status == IB_OK && run->canonical == NULL)
        status =
            ib_fail(err, IB_ERROR_VERIFY, "%s/run.json has no canonical configuration", directory);
    free(directory);
    return status == IB_OK ? ib_run_check_file(run, "metrics.jsonl", err) : status;
}

static int by_experiment(const void *a, const void *b) {
    const ib_run *x = *(const ib_run *const *)a, *y = *(const ib_run *const *)b;
    int order = strcmp(x->experiment_sha256, y->experiment_sha256);
    return order != 0 ? order : (x > y) - (x < y);
}

ib_status ib_comparison_open(const char *const *runs, size_t count, ib_comparison *comparison,
                             ib_error *err) {
    comparison->runs = calloc(count + 1, sizeof *comparison->runs);
    comparison->finished = calloc(count + 1, sizeof *comparison->finished);
    if (comparison->runs == NULL || comparison->finished == NULL)
        return ib_fail_memory(err);
    comparison->count = count;
    for (size_t i = 0; i < count; ++i) {
        ib_run *run = &comparison->runs[i];
        IB_TRY(read_run(runs[i], run, err));
        if (run->experiment_sha256 != NULL && run->results != NULL)
            comparison->finished[comparison->finished_count++] = run;
    }
    qsort(comparison->finished, comparison->finished_count, sizeof *comparison->finished,
          by_experiment);
    return IB_OK;
}

void ib_comparison_close(ib_comparison *comparison) {
    for (size_t i = 0; i < comparison->count; ++i)
        ib_run_close(&comparison->runs[i]);
    free(comparison->runs);
    free(comparison->finished);
    *comparison = (ib_comparison){0};
}

/* ---- the same results? --------------------------------------------------------------------------
 */

static int is_same_text(const char *a, const char *b) {
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static int is_same_metric(const ib_run *a, const ib_run *b, const char *name) {
    double x = ib_run_metric(a, name), y = ib_run_metric(b, name);
    return x == y || (isnan(x) && isnan(y));
}

static int is_same_confusion(const ib_run *a, const ib_run *b) {
    size_t classes = a->data.shape.classes;
    if (a->confusion == NULL || b->confusion == NULL)
        return a->confusion == b->confusion;
    return classes == b->data.shape.classes &&
           memcmp(a->confusion, b->confusion, classes * classes * sizeof *a->confusion) == 0;
}

const char *ib_comparison_differing_result(const ib_run *a, const ib_run *b) {
    static const char *const METRICS[] = {"test_loss", "test_accuracy"};
    if (!is_same_text(a->model_sha256, b->model_sha256))
        return "model_sha256";
    if (!is_same_text(a->optimizer_sha256, b->optimizer_sha256))
        return "optimizer_sha256";
    for (size_t i = 0; i < sizeof METRICS / sizeof METRICS[0]; ++i)
        if (!is_same_metric(a, b, METRICS[i]))
            return METRICS[i];
    return is_same_confusion(a, b) ? NULL : "confusion";
}

/* *i: the next finished run after *i whose experiment is that of the one before. 0: there is none.
 */
static int next_pair(const ib_comparison *comparison, size_t *i) {
    const ib_run **runs = comparison->finished;
    while (++*i < comparison->finished_count)
        if (strcmp(runs[*i - 1]->experiment_sha256, runs[*i]->experiment_sha256) == 0)
            return 1;
    return 0;
}

int ib_comparison_conflict(const ib_comparison *comparison, size_t *first, size_t *second) {
    const ib_run **runs = comparison->finished;
    for (size_t i = 0; next_pair(comparison, &i);) {
        *first = (size_t)(runs[i - 1] - comparison->runs);
        *second = (size_t)(runs[i] - comparison->runs);
        if (ib_comparison_differing_result(runs[i - 1], runs[i]) != NULL)
            return 1;
    }
    return 0;
}

size_t ib_comparison_agreements(const ib_comparison *comparison) {
    const ib_run **runs = comparison->finished;
    size_t pairs = 0;
    for (size_t i = 0; next_pair(comparison, &i);)
        pairs += ib_comparison_differing_result(runs[i - 1], runs[i]) == NULL;
    return pairs;
}

/* ---- metrics ------------------------------------------------------------------------------------
 */

/* What a line is compared by, fresh memory. */
static char *name_of(const ib_metric_line *line) {
    return ib_format("%s@%llu", line->key, (unsigned long long)line->step);
}

/* Values by name. */
static ib_status read_metrics(const ib_run *run, json_t *values, ib_error *err) {
    ib_metric_lines lines;
    ib_metric_line line;
    int there = 1;
    ib_status status = ib_metric_lines_open(run, 0, &lines, err);
    while (status == IB_OK && there) {
        status = ib_metric_lines_next(&lines, &line, &there, err);
        if (status != IB_OK || line.key == NULL)
            continue;
        char *name = name_of(&line);
        if (name == NULL ||
            json_object_set_new(values, name, ib_metric_value_json(line.value)) != 0)
            status = ib_fail_memory(err);
        free(name);
    }
    ib_metric_lines_close(&lines);
    return status;
}

/* *found NULL: they do not differ. */
static ib_status compare_line(const ib_metric_line *line, const json_t *others, json_t **found,
                              ib_error *err) {
    if (line->key == NULL || strcmp(line->key, "train_seconds") == 0)
        return IB_OK;
    char *name = name_of(line);
    json_t *other = name == NULL ? NULL : json_object_get(others, name);
    json_t *value = ib_metric_value_json(line->value);
    int failed = name == NULL || value == NULL;
    if (!failed && other != NULL && !json_equal(value, other)) {
        *found =
            json_pack("{s:s, s:I, s:I, s:O, s:O}", "key", line->key, "step", (json_int_t)line->step,
                      "epoch", (json_int_t)line->epoch, "a", value, "b", other);
        failed = *found == NULL;
    }
    json_decref(value);
    free(name);
    return failed ? ib_fail_memory(err) : IB_OK;
}

ib_status ib_comparison_metrics(const ib_run *a, const ib_run *b, json_t **found, ib_error *err) {
    ib_metric_lines lines;
    ib_metric_line line;
    int there = 1;
    json_t *others = json_object();
    *found = NULL;
    ib_status status = others == NULL ? ib_fail_memory(err) : read_metrics(b, others, err);
    if (status == IB_OK) {
        status = ib_metric_lines_open(a, 0, &lines, err);
        while (status == IB_OK && there && *found == NULL) {
            status = ib_metric_lines_next(&lines, &line, &there, err);
            if (status == IB_OK)
                status = compare_line(&line, others, found, err);
        }
        ib_metric_lines_close(&lines);
    }
    json_decref(others);
    if (status == IB_OK && *found == NULL)
        *found = json_null();
    return status;
}
