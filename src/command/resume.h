/* Going on with a run that was stopped. */
#ifndef IB_COMMAND_RESUME_H
#define IB_COMMAND_RESUME_H

#include "command/command.h"

/* With the run of --resume, its options taken from its record. */
ib_status ib_train_resume(ib_arguments *arguments, const ib_command_context *context,
                          ib_error *err);

#endif
