/* The composition root: one function a command. Results go to context->out, progress and notes to
 * context->log; nothing else is printed, and nothing here ends the process. */
#ifndef IB_COMMAND_COMMAND_H
#define IB_COMMAND_COMMAND_H

#include <signal.h>
#include <stdio.h>

#include "base/status.h"
#include "options/config.h"
#include "options/options.h"

typedef struct ib_command_context {
    FILE *out; /* both escape what would command a terminal (terminal.h) */
    FILE *log;
    FILE *bar; /* where log goes, as it is: for our own drawing, of numbers alone */
    int out_is_terminal;
    int log_is_terminal;  /* a progress bar is drawn then */
    int use_escapes;      /* 0: NO_COLOR or a dumb terminal: the bar is drawn without them */
    double start_seconds; /* ib_seconds() at the start of the process */
    char *(*environment)(const char *name); /* getenv-like; NULL: nothing is set */
    /* The number of a signal that asks the run to stop, 0 while there is none. May be NULL. */
    const volatile sig_atomic_t *signal_number;
    /* Whether somebody looks at it from now on. While nobody does, SIGINT and SIGTERM end the
     * process at once, whatever it waits for: only what takes steps has something to put in order.
     * Never NULL. */
    void (*look_at_signals)(int look);
} ib_command_context;

/* A command: arguments are parsed and checked. */
typedef ib_status ib_command_function(ib_arguments *arguments, const ib_command_context *context,
                                      ib_error *err);

ib_command_function ib_command_bench;
/* Records side by side; IB_ERROR_NOT_REPRODUCED when two of one experiment differ. */
ib_command_function ib_command_compare;
ib_command_function ib_command_completion;
/* What runs took and cost, by a table of prices. */
ib_command_function ib_command_cost;
ib_command_function ib_command_data;
/* With config->output.measure also the floor of a training step on this machine. */
ib_command_function ib_command_describe;
ib_command_function ib_command_model;
ib_command_function ib_command_devices;
/* Checks an experiment file, or prints the format. */
ib_command_function ib_command_experiment;
ib_command_function ib_command_export;
ib_command_function ib_command_hash;
ib_command_function ib_command_manual;
/* Tables, figures and findings of a study or of a folder of records, as files. */
ib_command_function ib_command_report;
/* Does a recorded run again; IB_ERROR_NOT_REPRODUCED when its bits are others. */
ib_command_function ib_command_reproduce;
/* Runs what is missing of one, each run by /proc/self/exe: the calling program must be isobit. */
ib_command_function ib_command_sweep;
/* Sends records to an MLflow server; IB_ERROR_RUNTIME when some could not be sent. */
ib_command_function ib_command_sync;
/* Takes options that were not given from the model's run record where there is one beside it. */
ib_command_function ib_command_test;
/* A new run, or with --resume one that goes on, its options taken from its record. */
ib_command_function ib_command_train;
/* Whether records are what was written; IB_ERROR_VERIFY when one is not. */
ib_command_function ib_command_verify;

#endif
