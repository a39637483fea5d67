#include "report/usage.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_value.h"

enum { MAX_BYTES = 1 << 30, MAX_LINE = 1 << 16, MAX_GPUS = 64 };

static double number_at(const json_t *values, const char *key) {
    const json_t *value = json_object_get(values, key);
    double number = json_is_number(value) ? json_number_value(value) : NAN;
    return number >= 0 && number < 1e15 ? number : NAN;
}

/* Over GPUs 0, 1, ... as far as there is one. */
static void take_gpus(const json_t *values, ib_usage_sample *sample) {
    double use = 0, power = 0;
    size_t users = 0, powers = 0;
    for (unsigned i = 0; i < MAX_GPUS; ++i) {
        char name[64];
        snprintf(name, sizeof name, "system/gpu_%u_utilization_percentage", i);
        double percent = number_at(values, name);
        snprintf(name, sizeof name, "system/gpu_%u_power_usage_watts", i);
        double watts = number_at(values, name);
        if (isnan(percent) && isnan(watts))
            break;
        use += isnan(percent) ? 0 : percent;
        users += !isnan(percent);
        power += isnan(watts) ? 0 : watts;
        powers += !isnan(watts);
    }
    sample->values[IB_USAGE_GPU] = users > 0 ? use / (double)users : NAN;
    sample->values[IB_USAGE_GPU_POWER] = powers > 0 ? power : NAN;
}

/* Adds to *count, unless the line is no sample. */
static ib_status take_line(const char *line, size_t length, ib_usage_sample *sample, size_t *count,
                           ib_error *err) {
    static const char *const KEYS[] = {[IB_USAGE_CPU] = "system/process_cpu_utilization_percentage",
                                       [IB_USAGE_MEMORY] = "system/process_rss_megabytes",
                                       [IB_USAGE_POWER] = "system/power_watts"};
    json_t *json;
    IB_TRY(ib_json_parse(line, length, &json, NULL, err));
    const json_t *values = json_object_get(json, "values");
    sample->seconds = number_at(values, "system/process_seconds");
    for (size_t k = 0; k < sizeof KEYS / sizeof KEYS[0]; ++k)
        sample->values[k] = number_at(values, KEYS[k]);
    take_gpus(values, sample);
    json_decref(json);
    *count += !isnan(sample->seconds);
    return IB_OK;
}

/* Each group of them becomes its mean. */
static size_t thin(ib_usage_sample *samples, size_t count, size_t each) {
    size_t kept = 0;
    for (size_t first = 0; first < count; first += each) {
        size_t last = first + each < count ? first + each : count;
        ib_usage_sample mean = {0};
        for (int k = -1; k < IB_USAGE_KINDS; ++k) {
            double sum = 0;
            size_t values = 0;
            for (size_t i = first; i < last; ++i) {
                double value = k < 0 ? samples[i].seconds : samples[i].values[k];
                sum += isnan(value) ? 0 : value;
                values += !isnan(value);
            }
            *(k < 0 ? &mean.seconds : &mean.values[k]) = values > 0 ? sum / (double)values : NAN;
        }
        samples[kept++] = mean;
    }
    return kept;
}

ib_status ib_usage_read(const char *directory, size_t limit, ib_usage_sample **samples,
                        size_t *count, size_t *each, ib_error *err) {
    char *path = ib_path_join(directory, "resources.jsonl"), *text = NULL;
    size_t size = 0, lines = 0;
    *samples = NULL;
    *count = 0;
    *each = 1;
    if (path == NULL)
        return ib_fail_memory(err);
    ib_error why = {0};
    if (ib_path_exists(path))
        ib_read_file(path, MAX_BYTES, &text, &size, &why);
    free(path);
    int is_memory = ib_error_is_memory(&why);
    ib_error_clear(&why);
    if (is_memory)
        return ib_fail_memory(err);
    for (size_t i = 0; i < size; ++i)
        lines += text[i] == '\n';
    *samples = calloc(lines + 1, sizeof **samples);
    if (*samples == NULL) {
        free(text);
        return ib_fail_memory(err);
    }
    ib_status status = IB_OK;
    for (size_t at = 0; status == IB_OK && at < size;) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t length = end == NULL ? size - at : (size_t)(end - (text + at));
        if (end != NULL && length <= MAX_LINE)
            status = take_line(text + at, length, &(*samples)[*count], count, err);
        at += length + 1;
    }
    free(text);
    if (*count > limit) {
        *each = (*count + limit - 1) / limit;
        *count = thin(*samples, *count, *each);
    }
    return status;
}
