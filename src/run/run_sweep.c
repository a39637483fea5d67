#include "run/run.h"
ib_status ib_run_sweep(const ib_arguments *arguments, const ib_run_context *context, ib_error *err) {
    (void)arguments; (void)context;
    return ib_fail(err, IB_ERROR_RUNTIME, "stub");
}
