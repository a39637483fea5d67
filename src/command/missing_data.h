/* Data sets that a command needs and that are not there yet. */
#ifndef IB_COMMAND_MISSING_DATA_H
#define IB_COMMAND_MISSING_DATA_H

#include "command/command.h"

/* Gets what is missing of the data set's files as `isobit data prepare` does, unless
 * --no-download; what was imported comes from nowhere. Files that are there are left alone,
 * whatever is in them. Where it cannot be had, the log says why and it is IB_OK: whoever opens the
 * set says that it is missing. */
ib_status ib_get_missing_data(const ib_config *config, const ib_command_context *context,
                              ib_error *err);
/* The same of another set of the catalogue, in another folder. */
ib_status ib_get_missing_set(const char *data_dir, const char *name, const ib_config *config,
                             const ib_command_context *context, ib_error *err);

#endif
