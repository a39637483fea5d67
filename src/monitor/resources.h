/* What a run takes of its machine, watched by a thread of its own: a line of resources.jsonl each
 * period, and totals. Nothing here can fail the run: what goes wrong is told in the totals. */
#ifndef IB_MONITOR_RESOURCES_H
#define IB_MONITOR_RESOURCES_H

#include <sched.h>
#include <stdint.h>

#include "base/chain.h"
#include "base/folder.h"
#include "base/json_text.h"
#include "monitor/resources_gpu.h"
#include "monitor/resources_read.h"

typedef struct ib_sampler_options {
    double period;         /* seconds, above 0 */
    double start_seconds;  /* ib_seconds() when the process started */
    const cpu_set_t *cpus; /* where the thread may run; NULL: where the caller may */
    const char *root;      /* of /proc and /sys: "" */
    const ib_nvml *nvml;   /* NULL: the machine's */
} ib_sampler_options;

typedef struct ib_gpu_totals {
    char name[IB_GPU_NAME];
    double utilization_sum, memory_max, joules, celsius_max; /* percent, bytes; max -1: unknown */
    uint64_t utilization_count;
    int has_energy;
} ib_gpu_totals;

/* Of all processes that worked on the run, also on what was lost when one of them was killed. */
typedef struct ib_resource_totals {
    double period;
    uint64_t samples;
    double seconds, cpu_seconds, sampler_cpu_seconds;
    double machine_percent_sum;
    uint64_t machine_percent_count;
    uint64_t rss_max;
    uint64_t minor_faults, major_faults, voluntary_switches, involuntary_switches;
    double joules;
    char energy_reason[IB_REASON_SIZE]; /* "": joules were measured */
    unsigned gpu_count;
    ib_gpu_totals gpus[IB_MAX_GPUS];
    char error[IB_REASON_SIZE]; /* "": none */
} ib_resource_totals;

/* What an earlier process wrote: whole lines. Zero: nothing. */
typedef struct ib_resource_past {
    ib_resource_totals totals;
    ib_sha256 hash; /* of bytes; of none: not begun */
    uint64_t bytes;
} ib_resource_past;

typedef struct ib_sampler ib_sampler;

/* Starts the thread, which appends chained lines (chain.h) to the file of that name in the folder.
 * What is there of the past stays and counts in the totals; the rest, a line that was cut off, is
 * removed. root and nvml outlive the sampler, the other options do not have to. NULL: out of
 * memory. */
ib_sampler *ib_sampler_start(const ib_sampler_options *options, const ib_resource_past *past,
                             const ib_folder *folder, const char *name);
/* Takes a last sample and ends the thread, at once. The totals belong to the sampler; a second call
 * gives them again. */
const ib_resource_totals *ib_sampler_stop(ib_sampler *sampler);
/* What the file holds when the sampler has stopped; 0: not all of it could be written. */
int ib_sampler_written(const ib_sampler *sampler, ib_prefix *file);
/* Stops it where it was not stopped. NULL is allowed. */
void ib_sampler_close(ib_sampler *sampler);

/* One object. totals NULL: the memory for watching was not there. */
void ib_resources_write(const ib_resource_totals *totals, const char *key, ib_json *json);

#endif
