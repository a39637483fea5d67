#include "cli/cli.h"

ib_status ib_cli_sweep(ib_arguments *arguments, const ib_run_context *context, ib_error *err) {
    return ib_run_sweep(arguments, context, err);
}
