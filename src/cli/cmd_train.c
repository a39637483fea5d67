#include "cli/cli.h"

ib_status ib_cli_train(ib_arguments *arguments, const ib_run_context *context, ib_error *err) {
    if (arguments->config.record.resume != NULL)
        return ib_run_resume(arguments, context, err);
    return ib_run_train(&arguments->config, context, err);
}
