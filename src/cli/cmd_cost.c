#include "cli/cli.h"

ib_status ib_cli_cost(ib_arguments *arguments, const ib_run_context *context, ib_error *err) {
    return ib_run_cost(arguments, context, err);
}
