#include "report/usage.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "record/record_file.h"
#include "record/run_files.h"

enum { MAX_GPUS = 64 };

static double number_at(const json_t *values, const char *key) {
    double number = ib_json_number_at(values, key);
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

static ib_status add_line(const char *line, size_t length, ib_usage_sample **samples, size_t *count,
                          ib_error *err) {
    ib_usage_sample *more = realloc(*samples, (*count + 1) * sizeof *more);
    if (more == NULL)
        return ib_fail_memory(err);
    *samples = more;
    return take_line(line, length, &more[*count], count, err);
}

ib_status ib_usage_read(const ib_run *run, size_t limit, ib_usage_sample **samples, size_t *count,
                        size_t *each, ib_error *err) {
    ib_lines lines;
    const char *line;
    size_t size;
    *samples = NULL;
    *count = 0;
    *each = 1;
    ib_status status = ib_run_lines_open(run, "resources.jsonl", 0, &lines, err);
    while (status == IB_OK && (status = ib_lines_next(&lines, &line, &size, err)) == IB_OK &&
           line != NULL)
        status = add_line(line, size, samples, count, err);
    ib_lines_close(&lines);
    if (*count > limit) {
        *each = (*count + limit - 1) / limit;
        *count = thin(*samples, *count, *each);
    }
    return status;
}
