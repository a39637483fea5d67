/* isobit bench: what the machine can do, and what a training step makes of it. */
#ifndef IB_COMMAND_BENCH_H
#define IB_COMMAND_BENCH_H

#include <stdio.h>

#include "base/status.h"
#include "options/config.h"

/* Peak FMA rate (best of 10, one thread and all threads) and memory bandwidth, in about seconds. */
ib_status ib_bench_roofline(const ib_config *config, double seconds, FILE *out, ib_error *err);

/* Training steps on generated images for about seconds: time, images per second, and the share of
 * the FMA peak measured in the same run, counted as the dense network's multiply-adds. Text, or one
 * JSON object with config->output.json. */
ib_status ib_bench_step(const ib_config *config, double seconds, FILE *out, ib_error *err);

/* Every operation of a training step: time, GFLOP/s, GB/s and its share of its own bound, and their
 * sum against the whole step. config->bench.profile: also writes a Chrome/Perfetto trace there. */
ib_status ib_bench_ops(const ib_config *config, double seconds, FILE *out, ib_error *err);

#endif
