/* Training into a record that is there already, and checking what is trained. */
#ifndef IB_COMMAND_TRAIN_RUN_H
#define IB_COMMAND_TRAIN_RUN_H

#include "command/command.h"
#include "record/record.h"

/* Zero-initialised: a new record below --runs-dir, as isobit train makes one. */
typedef struct ib_train_target {
    ib_record *record;             /* to go on with (ib_record_reopen); stays the caller's */
    const char *experiment_sha256; /* that it must be; NULL: any. Else IB_ERROR_VERIFY */
} ib_train_target;

ib_status ib_train_run(const ib_config *config, const ib_command_context *context,
                       const ib_train_target *target, ib_error *err);

#endif
