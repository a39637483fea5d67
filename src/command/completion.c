/* What is generated from the tables for other programs: completion scripts, the manual page. */
#include "build_info.h"
#include "command/command.h"

ib_status ib_command_completion(ib_arguments *arguments, const ib_command_context *context,
                                ib_error *err) {
    return ib_completion(arguments->words[0], context->out, err);
}

ib_status ib_command_manual(ib_arguments *arguments, const ib_command_context *context,
                            ib_error *err) {
    (void)arguments;
    return ib_help_manual(IB_VERSION, context->out, err);
}
