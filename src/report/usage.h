/* What a run took over time, as resources.jsonl has it. */
#ifndef IB_REPORT_USAGE_H
#define IB_REPORT_USAGE_H

#include <stddef.h>

#include "base/status.h"
#include "record/run.h"

typedef enum ib_usage_kind {
    IB_USAGE_CPU,       /* percent, 100 is one CPU */
    IB_USAGE_MEMORY,    /* resident, megabytes */
    IB_USAGE_POWER,     /* watts, CPU packages and memory of the machine */
    IB_USAGE_GPU,       /* percent, mean over GPUs */
    IB_USAGE_GPU_POWER, /* watts, all GPUs */
    IB_USAGE_KINDS,
} ib_usage_kind;

/* One moment, or the means of several. NaN: no value. */
typedef struct ib_usage_sample {
    double seconds; /* since the run began */
    double values[IB_USAGE_KINDS];
} ib_usage_sample;

/* Reads the record's samples into at most limit of them, fresh memory: *each became one. What is
 * no sample is passed over; without the file there are none; one that is not what the record says
 * is IB_ERROR_VERIFY. */
ib_status ib_usage_read(const ib_run *run, size_t limit, ib_usage_sample **samples, size_t *count,
                        size_t *each, ib_error *err);

#endif
