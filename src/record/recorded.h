/* From a run record back to a configuration. */
#ifndef IB_RECORD_RECORDED_H
#define IB_RECORD_RECORDED_H

#include <jansson.h>
#include <stdio.h>

#include "base/status.h"
#include "options/options.h"
#include "record/run.h"

/* What a record's configuration says of an option, by the option's name; NULL: nothing. */
const json_t *ib_recorded_option(const json_t *configuration, const char *name);

/* What the option parser would be given for a recorded value; fresh memory. NULL: none, or out of
 * memory. */
char *ib_recorded_text(const json_t *value);

/* Gives one option the value of the record's configuration, unless it was given. */
ib_status ib_adopt_option(const char *name, const json_t *configuration, const char *path,
                          ib_arguments *arguments, ib_error *err);

/* The same for all options that mean something and that the command (IB_FOR_... bit) takes from
 * records. */
ib_status ib_adopt_options(const json_t *configuration, const char *path, unsigned command,
                           ib_arguments *arguments, ib_error *err);

/* Gives every option that may change bits the value of the record's canonical form. That form must
 * have the record's experiment_sha256 and this program's NUMERICS version: else IB_ERROR_VERIFY.
 * An option that was given with another value is IB_ERROR_USAGE, but for those in changeable (ends
 * with NULL; may be NULL). */
ib_status ib_adopt_experiment(const ib_run *run, const char *const *changeable,
                              ib_arguments *arguments, ib_error *err);

/* Gives the configuration the network of a run whose network came as a file; else nothing. */
ib_status ib_adopt_network(const ib_run *run, ib_config *config, ib_error *err);

/* The run.json beside a model file, where there is one with results, must record the file's
 * SHA-256: else IB_ERROR_VERIFY. */
ib_status ib_check_beside(const char *model_path, const char *sha256, ib_error *err);

/* ib_adopt_options from run.json beside a model file, where there is one; it must record the file's
 * SHA-256, else IB_ERROR_VERIFY. log and adopted may be NULL. */
ib_status ib_adopt_beside(const char *model_path, const char *sha256, unsigned command,
                          ib_arguments *arguments, FILE *log, int *adopted, ib_error *err);

#endif
