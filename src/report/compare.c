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
    if (status == IB_OK && text != NULL)
        status = ib_json_parse(text, strlen(text), canonical, NULL, err);
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

ib_status ib_comparison_agreement(const ib_comparison *comparison, ib_agreement *agreement,
                                  ib_error *err) {
    size_t count = 0;
    group_entry *entries = grouped(comparison, &count);
    *agreement = (ib_agreement){0};
    if (entries == NULL)
        return ib_fail_memory(err);
    for (size_t i = 1; i < count; ++i) {
        size_t first = entries[i - 1].index, second = entries[i].index;
        if (!same_experiment(&entries[i - 1], &entries[i]))
            continue;
        int same = ib_comparison_differing_result(comparison->records[first],
                                                  comparison->records[second]) == NULL;
        agreement->same += (size_t)same;
        if (!same && !agreement->conflict) {
            agreement->conflict = 1;
            agreement->first = first;
            agreement->second = second;
        }
    }
    free(entries);
    return IB_OK;
}

/* ---- metrics ------------------------------------------------------------------------------------
 */

enum { MAX_METRICS_BYTES = 1 << 30 };

/* Adds the lines of metrics.jsonl, in order; a line that is no JSON ends them. */
static ib_status add_lines(FILE *stream, json_t *lines, ib_error *err) {
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length = 0;
    json_t *metric = NULL;
    ib_status status = IB_OK;
    do {
        length = getline(&line, &capacity, stream);
        if (length < 0)
            status = feof(stream) ? IB_OK : ib_fail_memory(err);
        else
            status = ib_json_parse(line, (size_t)length, &metric, NULL, err);
        if (status == IB_OK && length > 0 && metric != NULL &&
            json_array_append_new(lines, metric) != 0)
            status = ib_fail_memory(err);
    } while (status == IB_OK && length > 0 && metric != NULL);
    free(line);
    return status;
}

/* *lines NULL: there is no such file. */
static ib_status read_metrics(const char *directory, json_t **lines, ib_error *err) {
    char *path = ib_path_join(directory, "metrics.jsonl");
    FILE *stream = NULL;
    *lines = NULL;
    ib_status status = path == NULL ? ib_fail_memory(err)
                       : ib_path_exists(path)
                           ? ib_open_input_stream(path, MAX_METRICS_BYTES, &stream, err)
                           : IB_OK;
    free(path);
    if (stream == NULL)
        return status;
    *lines = json_array();
    status = *lines == NULL ? ib_fail_memory(err) : add_lines(stream, *lines, err);
    fclose(stream);
    return status;
}

/* *name is fresh memory; NULL: no metric. */
static ib_status metric_name(const json_t *metric, char **name, ib_error *err) {
    const char *key = json_string_value(json_object_get(metric, "key"));
    *name = key == NULL ? NULL
                        : ib_format("%s@%lld", key,
                                    (long long)json_integer_value(json_object_get(metric, "step")));
    return key != NULL && *name == NULL ? ib_fail_memory(err) : IB_OK;
}

static ib_status by_name(const json_t *lines, json_t *object, ib_error *err) {
    for (size_t i = 0; i < json_array_size(lines); ++i) {
        json_t *metric = json_array_get(lines, i), *value = json_object_get(metric, "value");
        char *name;
        IB_TRY(metric_name(metric, &name, err));
        int failed = name != NULL && value != NULL && json_object_set(object, name, value) != 0;
        free(name);
        if (failed)
            return ib_fail_memory(err);
    }
    return IB_OK;
}

static ib_status find_metric(const json_t *a, const json_t *of_b, json_t **found, ib_error *err) {
    for (size_t i = 0; *found == NULL && i < json_array_size(a); ++i) {
        json_t *metric = json_array_get(a, i), *value = json_object_get(metric, "value");
        const char *key = json_string_value(json_object_get(metric, "key"));
        char *name;
        IB_TRY(metric_name(metric, &name, err));
        json_t *other = name == NULL ? NULL : json_object_get(of_b, name);
        free(name);
        if (other == NULL || strcmp(key, "train_seconds") == 0 || json_equal(value, other))
            continue;
        *found = json_pack("{s:s, s:O?, s:O?, s:O?, s:O}", "key", key, "step",
                           json_object_get(metric, "step"), "epoch",
                           json_object_get(metric, "epoch"), "a", value, "b", other);
        if (*found == NULL)
            return ib_fail_memory(err);
    }
    return IB_OK;
}

ib_status ib_comparison_metrics(const ib_comparison *comparison, size_t first, size_t second,
                                json_t **metric, ib_error *err) {
    json_t *a = NULL, *b = NULL, *of_b = json_object();
    *metric = NULL;
    ib_status status = of_b == NULL ? ib_fail_memory(err) : IB_OK;
    if (status == IB_OK)
        status = read_metrics(comparison->directories[first], &a, err);
    if (status == IB_OK)
        status = read_metrics(comparison->directories[second], &b, err);
    if (status == IB_OK)
        status = by_name(b, of_b, err);
    if (status == IB_OK)
        status = find_metric(a, of_b, metric, err);
    if (status == IB_OK && *metric == NULL)
        *metric = json_null();
    json_decref(a);
    json_decref(b);
    json_decref(of_b);
    return status;
}
