/* The composition root: one function a command. Results go to context->out, progress and notes to
 * context->log; nothing else is printed, and nothing here ends the process. */
#ifndef IB_RUN_RUN_H
#define IB_RUN_RUN_H

#include <signal.h>
#include <stdio.h>

#include "base/status.h"
#include "experiment/config.h"
#include "experiment/options.h"

typedef struct ib_run_context {
    FILE *out;
    FILE *log;
    int out_is_terminal;
    int log_is_terminal;  /* a progress bar is drawn on log then */
    int use_escapes;      /* 0: NO_COLOR or a dumb terminal: the bar is drawn without them */
    double start_seconds; /* ib_seconds() at the start of the process */
    char *(*environment)(const char *name); /* getenv-like; NULL: nothing is set */
    /* The number of a signal that asks the run to stop, 0 while there is none. May be NULL. */
    const volatile sig_atomic_t *signal_number;
} ib_run_context;

ib_status ib_run_train(const ib_config *config, const ib_run_context *context, ib_error *err);
/* Goes on with the run of --resume, its options taken from its record. */
ib_status ib_run_resume(ib_arguments *arguments, const ib_run_context *context, ib_error *err);
/* Records side by side; IB_ERROR_NOT_REPRODUCED when two of one experiment differ. */
ib_status ib_run_compare(ib_arguments *arguments, const ib_run_context *context, ib_error *err);
/* What runs took and cost, by a table of prices. */
ib_status ib_run_cost(const ib_arguments *arguments, const ib_run_context *context, ib_error *err);
/* Does a recorded run again; IB_ERROR_NOT_REPRODUCED when its bits are others. */
ib_status ib_run_reproduce(ib_arguments *arguments, const ib_run_context *context, ib_error *err);
/* Takes options that were not given from the model's run record where there is one beside it. */
ib_status ib_run_test(ib_arguments *arguments, const ib_run_context *context, ib_error *err);
ib_status ib_run_export(ib_arguments *arguments, const ib_run_context *context, ib_error *err);
ib_status ib_run_hash(const ib_arguments *arguments, const ib_run_context *context, ib_error *err);
/* Checks an experiment file, or prints the format. */
ib_status ib_run_experiment(const ib_arguments *arguments, const ib_run_context *context,
                            ib_error *err);
/* Runs what is missing of one, each run by /proc/self/exe: the calling program must be isobit. */
ib_status ib_run_sweep(const ib_arguments *arguments, const ib_run_context *context, ib_error *err);
/* Tables, figures and findings of a study or of a folder of records, as files. */
ib_status ib_run_report(const ib_arguments *arguments, const ib_run_context *context,
                        ib_error *err);
/* Sends records to an MLflow server; IB_ERROR_RUNTIME when some could not be sent. */
ib_status ib_run_sync(const ib_arguments *arguments, const ib_run_context *context, ib_error *err);
ib_status ib_run_data(const ib_arguments *arguments, const ib_run_context *context, ib_error *err);
/* With config->output.measure also the floor of a training step on this machine. */
ib_status ib_run_describe(const ib_config *config, const ib_run_context *context, ib_error *err);
ib_status ib_run_devices(const ib_config *config, const ib_run_context *context, ib_error *err);

#endif
