/* The command-line program: one function a command, in cmd_<name>.c. */
#ifndef IB_CLI_CLI_H
#define IB_CLI_CLI_H

#include "base/status.h"
#include "experiment/options.h"
#include "run/run.h"

typedef ib_status ib_cli_command(ib_arguments *arguments, const ib_run_context *context,
                                 ib_error *err);

ib_cli_command ib_cli_data;
ib_cli_command ib_cli_train;
ib_cli_command ib_cli_experiment;
ib_cli_command ib_cli_sweep;
ib_cli_command ib_cli_report;
ib_cli_command ib_cli_compare;
ib_cli_command ib_cli_cost;
ib_cli_command ib_cli_reproduce;
ib_cli_command ib_cli_sync;
ib_cli_command ib_cli_test;
ib_cli_command ib_cli_export;
ib_cli_command ib_cli_hash;
ib_cli_command ib_cli_bench;
ib_cli_command ib_cli_describe;
ib_cli_command ib_cli_devices;
ib_cli_command ib_cli_completion;
ib_cli_command ib_cli_manual;

#endif
