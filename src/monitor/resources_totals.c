#include "monitor/resources_totals.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_value.h"

/* What a line says cannot be trusted to be what this program wrote. */
static double number_at(const json_t *values, const char *key) {
    const json_t *value = json_object_get(values, key);
    double number = json_is_number(value) ? json_number_value(value) : -1;
    return number >= 0 && number < 1e12 ? number : -1; /* also times 1e6 a 64-bit integer */
}

static double gpu_number_at(const json_t *values, unsigned gpu, const char *what) {
    char key[64];
    snprintf(key, sizeof key, "system/gpu_%u_%s", gpu, what);
    return number_at(values, key);
}

static void take_number(const json_t *values, const char *key, double *total) {
    double number = number_at(values, key);
    if (number >= 0)
        *total = number;
}

static void take_count(const json_t *values, const char *key, uint64_t *total) {
    double number = number_at(values, key);
    if (number >= 0)
        *total = (uint64_t)number;
}

static void take_gpus(const json_t *values, ib_resource_totals *totals) {
    for (unsigned i = 0; i < IB_MAX_GPUS; ++i) {
        ib_gpu_totals *gpu = &totals->gpus[i];
        double utilization = gpu_number_at(values, i, "utilization_percentage");
        double memory = gpu_number_at(values, i, "memory_usage_megabytes");
        double joules = gpu_number_at(values, i, "energy_joules");
        double celsius = gpu_number_at(values, i, "temperature_celsius");
        if (utilization < 0 && memory < 0 && joules < 0 && celsius < 0)
            continue;
        for (; totals->gpu_count <= i; ++totals->gpu_count)
            totals->gpus[totals->gpu_count].memory_max =
                totals->gpus[totals->gpu_count].celsius_max = -1;
        if (utilization >= 0) {
            gpu->utilization_sum += utilization;
            ++gpu->utilization_count;
        }
        gpu->memory_max = fmax(gpu->memory_max, memory < 0 ? -1 : memory * 1e6);
        gpu->celsius_max = fmax(gpu->celsius_max, celsius);
        if (joules >= 0) {
            gpu->joules = joules;
            gpu->has_energy = 1;
        }
    }
}

/* A line that is no sample is passed over. */
static ib_status take_line(const char *line, size_t length, ib_resource_totals *totals,
                           ib_error *err) {
    json_t *sample;
    IB_TRY(ib_json_parse(line, length, &sample, NULL, err));
    const json_t *values = json_object_get(sample, "values");
    if (json_is_object(values)) {
        double percent = number_at(values, "system/cpu_utilization_percentage");
        double rss = number_at(values, "system/process_peak_rss_megabytes");
        double joules = number_at(values, "system/energy_joules");
        take_count(sample, "sample", &totals->samples);
        ++totals->samples;
        take_number(values, "system/process_seconds", &totals->seconds);
        take_number(values, "system/process_cpu_seconds", &totals->cpu_seconds);
        take_number(values, "system/sampler_cpu_seconds", &totals->sampler_cpu_seconds);
        take_count(values, "system/process_minor_faults", &totals->minor_faults);
        take_count(values, "system/process_major_faults", &totals->major_faults);
        take_count(values, "system/process_voluntary_switches", &totals->voluntary_switches);
        take_count(values, "system/process_involuntary_switches", &totals->involuntary_switches);
        if (percent >= 0) {
            totals->machine_percent_sum += percent;
            ++totals->machine_percent_count;
        }
        if (rss * 1e6 > (double)totals->rss_max)
            totals->rss_max = (uint64_t)llround(rss * 1e6);
        if (joules >= 0)
            totals->joules = joules;
        else
            snprintf(totals->energy_reason, sizeof totals->energy_reason,
                     "not measured in an earlier part of the run");
        take_gpus(values, totals);
    }
    json_decref(sample);
    return IB_OK;
}

ib_status ib_resources_replay(ib_lines *lines, ib_resource_past *past, ib_error *err) {
    const char *line = "";
    size_t size;
    *past = (ib_resource_past){0};
    while (line != NULL) {
        IB_TRY(ib_lines_next(lines, &line, &size, err));
        if (line != NULL)
            IB_TRY(take_line(line, size, &past->totals, err));
    }
    past->bytes = lines->offset;
    ib_sha256_begin(&past->hash);
    ib_sha256_update(&past->hash, lines->file.data, (size_t)past->bytes);
    return IB_OK;
}

static void write_or_null(ib_json *json, const char *key, double value, int known) {
    if (known)
        ib_json_double(json, key, value);
    else
        ib_json_string(json, key, NULL);
}

static void write_gpus(const ib_resource_totals *totals, ib_json *json) {
    ib_json_open(json, "gpus", '[');
    for (unsigned i = 0; i < totals->gpu_count; ++i) {
        const ib_gpu_totals *gpu = &totals->gpus[i];
        ib_json_open(json, NULL, '{');
        ib_json_string(json, "name", gpu->name[0] == '\0' ? NULL : gpu->name);
        write_or_null(json, "utilization_percent_mean",
                      gpu->utilization_sum / (double)gpu->utilization_count,
                      gpu->utilization_count > 0);
        write_or_null(json, "memory_max_bytes", gpu->memory_max, gpu->memory_max >= 0);
        write_or_null(json, "temperature_max_celsius", gpu->celsius_max, gpu->celsius_max >= 0);
        write_or_null(json, "energy_joules", gpu->joules, gpu->has_energy);
        ib_json_close(json, '}');
    }
    ib_json_close(json, ']');
}

static const char *or_null(const char *text) {
    return text[0] == '\0' ? NULL : text;
}

void ib_resources_write(const ib_resource_totals *totals, const char *key, ib_json *json) {
    ib_json_open(json, key, '{');
    if (totals == NULL) {
        ib_json_string(json, "error", "out of memory");
        ib_json_close(json, '}');
        return;
    }
    ib_json_double(json, "period_seconds", totals->period);
    ib_json_uint(json, "samples", totals->samples);
    ib_json_double(json, "seconds", totals->seconds);
    ib_json_double(json, "cpu_seconds", totals->cpu_seconds);
    write_or_null(json, "cpu_percent_mean", 100 * totals->cpu_seconds / totals->seconds,
                  totals->seconds > 0);
    write_or_null(json, "machine_cpu_percent_mean",
                  totals->machine_percent_sum / (double)totals->machine_percent_count,
                  totals->machine_percent_count > 0);
    ib_json_uint(json, "rss_max_bytes", totals->rss_max);
    ib_json_uint(json, "minor_faults", totals->minor_faults);
    ib_json_uint(json, "major_faults", totals->major_faults);
    ib_json_uint(json, "voluntary_switches", totals->voluntary_switches);
    ib_json_uint(json, "involuntary_switches", totals->involuntary_switches);
    write_or_null(json, "energy_joules", totals->joules, totals->energy_reason[0] == '\0');
    ib_json_string(json, "energy_reason", or_null(totals->energy_reason));
    if (totals->gpu_count > 0)
        write_gpus(totals, json);
    ib_json_double(json, "sampler_cpu_seconds", totals->sampler_cpu_seconds);
    ib_json_string(json, "error", or_null(totals->error));
    ib_json_close(json, '}');
}
