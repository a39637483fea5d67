#include "command/command.h"

#include <string.h>

#include "command/bench.h"

ib_status ib_command_bench(ib_arguments *arguments, const ib_command_context *context,
                           ib_error *err) {
    const ib_config *config = &arguments->config;
    if (strcmp(arguments->words[0], "roofline") == 0)
        return ib_bench_roofline(config, config->bench.seconds, context->out, err);
    if (strcmp(arguments->words[0], "ops") == 0)
        return ib_bench_ops(config, config->bench.seconds, context->out, err);
    return ib_bench_step(config, config->bench.seconds, context->out, err);
}
