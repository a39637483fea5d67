/* Where a training step's time goes, operation by operation. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "command/bench_parts.h"

enum { MAX_OPERATIONS = 1024, MAX_STEPS = 4096, MOST_WORDS = 32 };

struct row {
    ib_profile_event event; /* of the last step */
    float milliseconds[MAX_STEPS];
};

struct ib_bench_profile {
    ib_backend *backend;
    ib_profile sink;
    struct row *rows;
    size_t count; /* operations of a step */
    size_t at;    /* next operation of the current step */
    size_t steps;
    float *step_milliseconds;
};

/* "conv_forward" as it is shown: "conv forward". */
static const char *in_words(const char *operation, char words[MOST_WORDS]) {
    size_t length = 0;
    for (; operation[length] != '\0' && length + 1 < MOST_WORDS; ++length)
        words[length] = operation[length];
    words[length] = '\0';
    for (char *gap = words; (gap = strchr(gap, '_')) != NULL;)
        *gap = ' ';
    return words;
}

static void on_event(void *context, const ib_profile_event *event) {
    ib_bench_profile *profile = context;
    if (profile->at == MAX_OPERATIONS)
        return;
    struct row *row = &profile->rows[profile->at++];
    row->event = *event;
    row->milliseconds[profile->steps] = (float)(1e3 * event->seconds);
}

ib_status ib_bench_profile_open(ib_backend *backend, ib_bench_profile **result, ib_error *err) {
    *result = NULL;
    ib_bench_profile *profile = calloc(1, sizeof *profile);
    if (profile == NULL)
        return ib_fail_memory(err);
    profile->rows = calloc(MAX_OPERATIONS, sizeof *profile->rows);
    profile->step_milliseconds = calloc(MAX_STEPS, sizeof *profile->step_milliseconds);
    if (profile->rows == NULL || profile->step_milliseconds == NULL) {
        ib_bench_profile_close(profile);
        return ib_fail_memory(err);
    }
    profile->backend = backend;
    profile->sink = (ib_profile){profile, on_event};
    backend->profile = &profile->sink;
    *result = profile;
    return IB_OK;
}

void ib_bench_profile_close(ib_bench_profile *profile) {
    if (profile == NULL)
        return;
    if (profile->backend != NULL)
        profile->backend->profile = NULL;
    free(profile->rows);
    free(profile->step_milliseconds);
    free(profile);
}

ib_status ib_bench_profile_step(ib_bench_profile *profile, double milliseconds, ib_error *err) {
    if (profile->steps > 0 && profile->at != profile->count)
        return ib_fail(err, IB_ERROR_RUNTIME, "steps differ in their operations");
    profile->count = profile->at;
    profile->at = 0;
    profile->step_milliseconds[profile->steps] = (float)milliseconds;
    if (profile->steps + 1 < MAX_STEPS)
        ++profile->steps;
    return IB_OK;
}

static int by_value(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double median(const float *values, size_t count) {
    float *sorted = malloc(count * sizeof *sorted);
    if (sorted == NULL || count == 0) {
        free(sorted);
        return 0;
    }
    memcpy(sorted, values, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_value);
    double middle = (double)sorted[count / 2];
    free(sorted);
    return middle;
}

/* The least time an operation can take, in ms: its dense FMAs at the peak, or its bytes at the rate
 * of the level that holds them (a tensor beyond 2 MB comes from memory or a shared cache). */
static double bound_milliseconds(const ib_profile_event *event, const ib_bench_limits *limits,
                                 const char **name) {
    double fma = event->flops / limits->fma_gflops / 1e6;
    int large = event->bytes > 4e6;
    double rate = large ? limits->memory_gb_s : limits->cache_gb_s;
    double bytes = event->bytes / rate / 1e6;
    *name = fma >= bytes ? "fma" : large ? "memory" : "cache";
    return fma >= bytes ? fma : bytes;
}

ib_status ib_bench_profile_report(const ib_bench_profile *profile, const ib_bench_limits *limits,
                                  int json, FILE *out, ib_error *err) {
    double sum = 0, step = median(profile->step_milliseconds, profile->steps);
    json_t *list = json_array();
    int failed = list == NULL;
    if (!json)
        fprintf(out, "%-21s %-17s %9s %9s %9s %8s  %s\n", "layer", "operation", "ms", "GFLOP/s",
                "GB/s", "% bound", "bound");
    for (size_t i = 0; i < profile->count; ++i) {
        const struct row *row = &profile->rows[i];
        const ib_profile_event *event = &row->event;
        const char *bound_name;
        double ms = median(row->milliseconds, profile->steps);
        double bound = bound_milliseconds(event, limits, &bound_name);
        double gflops = event->flops / ms / 1e6, gb = event->bytes / ms / 1e6;
        const char *label = event->label == NULL ? "" : event->label;
        char words[MOST_WORDS];
        const char *operation = in_words(event->operation, words);
        sum += ms;
        if (json)
            failed |=
                json_array_append_new(
                    list, json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:s}", "layer", label,
                                    "operation", operation, "ms", ms, "gflops", gflops, "gb_per_s",
                                    gb, "bound_fraction", bound / ms, "bound", bound_name)) != 0;
        else
            fprintf(out, "%-21s %-17s %9.4f %9.1f %9.1f %8.1f  %s\n", label, operation, ms, gflops,
                    gb, 100 * bound / ms, bound_name);
    }
    if (failed) {
        json_decref(list);
        return ib_fail_memory(err);
    }
    if (json)
        return ib_bench_print_json(
            json_pack("{s:o, s:f, s:f, s:f, s:f, s:f}", "operations", list, "sum_ms", sum,
                      "step_ms_median", step, "fma_peak_gflops", limits->fma_gflops,
                      "memory_gb_per_s", limits->memory_gb_s, "cache_gb_per_s", limits->cache_gb_s),
            out, err);
    json_decref(list);
    fprintf(
        out,
        "%-39s %9.4f  of a step of %.4f ms (%.1f %%), medians of %zu steps\n"
        "peaks of this run: %.1f GFLOP/s, memory %.1f GB/s, cache %.1f GB/s; GFLOP/s counts the\n"
        "dense network, so that an operation that skips zeros can pass 100 %%\n",
        "sum", sum, step, 100 * sum / step, profile->steps, limits->fma_gflops, limits->memory_gb_s,
        limits->cache_gb_s);
    return IB_OK;
}

ib_status ib_bench_profile_trace(const ib_bench_profile *profile, const char *path, ib_error *err) {
    ib_atomic_file file;
    IB_TRY(ib_atomic_open(&file, path, err));
    fprintf(file.stream, "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[");
    for (size_t i = 0; i < profile->count; ++i) {
        const ib_profile_event *event = &profile->rows[i].event;
        char words[MOST_WORDS];
        fprintf(file.stream,
                "%s\n{\"name\":\"%s %s\",\"ph\":\"X\",\"pid\":1,\"tid\":1,\"ts\":%.3f,"
                "\"dur\":%.3f,\"args\":{\"gflop\":%.6f,\"megabytes\":%.3f}}",
                i == 0 ? "" : ",", event->label == NULL ? "" : event->label,
                in_words(event->operation, words), 1e6 * event->start, 1e6 * event->seconds,
                event->flops / 1e9, event->bytes / 1e6);
    }
    fprintf(file.stream, "\n]}\n");
    return ib_atomic_commit(&file, err);
}
