#include "report/compare.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "record/record_file.h"
#include "record/record_read.h"

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

static ib_status read_record(const char *run, char **directory, json_t **record, json_t **canonical,
                             ib_error *err) {
    *directory = directory_of(run);
    char *path = *directory == NULL ? NULL : ib_path_join(*directory, "run.json");
    if (path == NULL)
        return ib_fail_memory(err);
    ib_status status = ib_record_read(*directory, record, err);
    if (status == IB_OK && *record == NULL)
        status = ib_fail(err, IB_ERROR_VERIFY, "there is no run record: %s is missing", path);
    const char *text = ib_json_text_at(*record, "canonical", NULL);
    json_error_t why;
    if (status == IB_OK && text != NULL)
        *canonical = ib_json_parse(text, strlen(text), &why);
    if (status == IB_OK && *canonical == NULL)
        status = ib_fail(err, IB_ERROR_VERIFY, "%s has no canonical configuration", path);
    if (status == IB_OK)
        status = ib_record_check_metrics(*directory, *record, err);
    free(path);
    return status;
}

ib_status ib_comparison_open(const char *const *runs, size_t count, ib_comparison *comparison,
                             ib_error *err) {
    comparison->directories = calloc(count + 1, sizeof *comparison->directories);
    comparison->records = calloc(count + 1, sizeof *comparison->records);
    comparison->canonical = calloc(count + 1, sizeof *comparison->canonical);
    if (!comparison->directories || !comparison->records || !comparison->canonical)
        return ib_fail_memory(err);
    comparison->count = count;
    for (size_t i = 0; i < count; ++i)
        IB_TRY(read_record(runs[i], &comparison->directories[i], &comparison->records[i],
                           &comparison->canonical[i], err));
    return IB_OK;
}

void ib_comparison_close(ib_comparison *comparison) {
    for (size_t i = 0; i < comparison->count; ++i) {
        free(comparison->directories[i]);
        json_decref(comparison->records[i]);
        json_decref(comparison->canonical[i]);
    }
    free(comparison->directories);
    free(comparison->records);
    free(comparison->canonical);
    *comparison = (ib_comparison){0};
}

/* ---- the same results? --------------------------------------------------------------------------
 */

static const char *const RESULTS[] = {"model_sha256", "optimizer_sha256", "test_loss",
                                      "test_accuracy", NULL};

/* What neither record has does not differ: to jansson NULL equals nothing. */
static int is_same(const json_t *a, const json_t *b) {
    return a == b || json_equal(a, b);
}

const char *ib_comparison_differing_result(const json_t *a, const json_t *b) {
    const json_t *results_a = json_object_get(a, "results");
    const json_t *results_b = json_object_get(b, "results");
    for (size_t i = 0; RESULTS[i] != NULL; ++i)
        if (!is_same(json_object_get(results_a, RESULTS[i]),
                     json_object_get(results_b, RESULTS[i])))
            return RESULTS[i];
    return is_same(json_object_get(a, "confusion"), json_object_get(b, "confusion")) ? NULL
                                                                                     : "confusion";
}

typedef struct group_entry {
    const char *experiment;
    size_t index;
} group_entry;

static int by_experiment(const void *a, const void *b) {
    const group_entry *x = a, *y = b;
    int order = strcmp(x->experiment, y->experiment);
    return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

/* The finished runs, those of one experiment next to each other; fresh memory. */
static group_entry *grouped(const ib_comparison *comparison, size_t *count) {
    group_entry *entries = calloc(comparison->count + 1, sizeof *entries);
    *count = 0;
    for (size_t i = 0; entries != NULL && i < comparison->count; ++i) {
        const char *experiment = ib_json_text_at(comparison->records[i], "experiment_sha256", NULL);
        if (experiment != NULL &&
            json_is_object(json_object_get(comparison->records[i], "results")))
            entries[(*count)++] = (group_entry){experiment, i};
    }
    if (entries != NULL)
        qsort(entries, *count, sizeof *entries, by_experiment);
    return entries;
}

static int same_experiment(const group_entry *a, const group_entry *b) {
    return strcmp(a->experiment, b->experiment) == 0;
}

int ib_comparison_conflict(const ib_comparison *comparison, size_t *first, size_t *second) {
    size_t count = 0;
    int found = 0;
    group_entry *entries = grouped(comparison, &count);
    for (size_t i = 1; entries != NULL && i < count && !found; ++i) {
        if (!same_experiment(&entries[i - 1], &entries[i]))
            continue;
        *first = entries[i - 1].index;
        *second = entries[i].index;
        found = ib_comparison_differing_result(comparison->records[*first],
                                               comparison->records[*second]) != NULL;
    }
    free(entries);
    return found;
}

size_t ib_comparison_agreements(const ib_comparison *comparison) {
    size_t count = 0, pairs = 0;
    group_entry *entries = grouped(comparison, &count);
    for (size_t i = 1; entries != NULL && i < count; ++i)
        pairs += same_experiment(&entries[i - 1], &entries[i]) &&
                 ib_comparison_differing_result(comparison->records[entries[i - 1].index],
                                                comparison->records[entries[i].index]) == NULL;
    free(entries);
    return pairs;
}

/* ---- metrics ------------------------------------------------------------------------------------
 */

enum { MAX_METRICS_BYTES = 1 << 30 };

/* The lines of metrics.jsonl, in order; a line that is cut off ends them. */
static json_t *read_metrics(const char *directory) {
    char *path = ib_path_join(directory, "metrics.jsonl");
    FILE *stream = NULL;
    if (path != NULL)
        ib_open_input_stream(path, MAX_METRICS_BYTES, &stream, NULL);
    json_t *lines = stream == NULL ? NULL : json_array();
    char *line = NULL;
    size_t capacity = 0;
    json_t *metric = NULL;
    while (lines != NULL && getline(&line, &capacity, stream) > 0 &&
           (metric = json_loads(line, 0, NULL)) != NULL)
        json_array_append_new(lines, metric);
    free(line);
    free(path);
    if (stream != NULL)
        fclose(stream);
    return lines;
}

/* Fresh memory; NULL: no metric. */
static char *metric_name(const json_t *metric) {
    const char *key = json_string_value(json_object_get(metric, "key"));
    return key == NULL ? NULL
                       : ib_format("%s@%lld", key,
                                   (long long)json_integer_value(json_object_get(metric, "step")));
}

static json_t *by_name(const json_t *lines) {
    json_t *object = json_object();
    for (size_t i = 0; i < json_array_size(lines); ++i) {
        json_t *metric = json_array_get(lines, i);
        char *name = metric_name(metric);
        if (name != NULL)
            json_object_set(object, name, json_object_get(metric, "value"));
        free(name);
    }
    return object;
}

json_t *ib_comparison_metrics(const ib_comparison *comparison, size_t first, size_t second) {
    json_t *a = read_metrics(comparison->directories[first]);
    json_t *b = read_metrics(comparison->directories[second]);
    json_t *of_b = by_name(b), *found = a == NULL || b == NULL ? NULL : json_null();
    for (size_t i = 0; json_is_null(found) && i < json_array_size(a); ++i) {
        json_t *metric = json_array_get(a, i);
        const char *key = json_string_value(json_object_get(metric, "key"));
        char *name = metric_name(metric);
        json_t *other = name == NULL ? NULL : json_object_get(of_b, name);
        json_t *value = json_object_get(metric, "value");
        if (key != NULL && strcmp(key, "train_seconds") != 0 && other != NULL &&
            !json_equal(value, other))
            found = json_pack("{s:s, s:O, s:O, s:O, s:O}", "key", key, "step",
                              json_object_get(metric, "step"), "epoch",
                              json_object_get(metric, "epoch"), "a", value, "b", other);
        free(name);
    }
    json_decref(a);
    json_decref(b);
    json_decref(of_b);
    return found;
}
