/* Pieces the bench commands share. */
#ifndef IB_COMMAND_BENCH_PARTS_H
#define IB_COMMAND_BENCH_PARTS_H

#include <jansson.h>
#include <stdio.h>

#include "backend/backend.h"
#include "catalog/machine.h"

ib_status ib_bench_open_backend(const ib_machine *machine, ib_backend **backend, ib_error *err);

/* GFLOP/s of independent FMAs on `threads` threads at once, the best of 10 runs. */
double ib_bench_fma_peak(ib_backend *backend, unsigned threads);

/* GB/s of a[i] += b[i] over arrays of total_bytes together: 2 reads and 1 write. */
ib_status ib_bench_stream_rate(ib_backend *backend, size_t total_bytes, double seconds,
                               double *rate, ib_error *err);

/* Prints object as one line and releases it. */
ib_status ib_bench_print_json(json_t *object, FILE *out, ib_error *err);

typedef struct ib_bench_limits {
    double fma_gflops, memory_gb_s, cache_gb_s;
} ib_bench_limits;

/* A profile of steps: attaches itself to the backend, which must outlive it. */
typedef struct ib_bench_profile ib_bench_profile;
ib_status ib_bench_profile_open(ib_backend *backend, ib_bench_profile **profile, ib_error *err);
void ib_bench_profile_close(ib_bench_profile *profile);
/* Ends a step that took this long. */
ib_status ib_bench_profile_step(ib_bench_profile *profile, double milliseconds, ib_error *err);
/* Median time of each operation, against its own bound, and the sum against the whole step. */
ib_status ib_bench_profile_report(const ib_bench_profile *profile, const ib_bench_limits *limits,
                                  int json, FILE *out, ib_error *err);
/* The last steps as a Chrome/Perfetto trace. */
ib_status ib_bench_profile_trace(const ib_bench_profile *profile, const char *path, ib_error *err);

#endif
