#include "cli/cli.h"

#include <string.h>

#include "run/bench.h"

ib_status ib_cli_bench(ib_arguments *arguments, const ib_run_context *context, ib_error *err) {
    const ib_config *config = &arguments->config;
    static const char *const FOR_STEPS[] = {"model",    "batch-size", "optimizer",    "lr",
                                            "momentum", "rho",        "weight-decay", "beta1",
                                            "beta2",    "eps",        "profile",      NULL};
    int roofline = strcmp(arguments->words[0], "roofline") == 0;
    if (roofline)
        IB_TRY(ib_arguments_refuse(arguments, FOR_STEPS, "bench roofline", err));
    if (roofline)
        return ib_bench_roofline(config, config->bench_seconds, context->out, err);
    if (strcmp(arguments->words[0], "ops") == 0)
        return ib_bench_ops(config, config->bench_seconds, context->out, err);
    return ib_bench_step(config, config->bench_seconds, context->out, err);
}
