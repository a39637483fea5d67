/* isobit train: a new run, or one that goes on. */
#include "command/resume.h"
#include "command/train_run.h"

ib_status ib_command_train(ib_arguments *arguments, const ib_command_context *context,
                           ib_error *err) {
    ib_train_target target = {0};
    if (arguments->config.record.resume != NULL)
        return ib_train_resume(arguments, context, err);
    return ib_train_run(&arguments->config, context, &target, err);
}
