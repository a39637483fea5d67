/* Records on their way to an MLflow server. */
#ifndef IB_COMMAND_TRACKING_H
#define IB_COMMAND_TRACKING_H

#include "command/command.h"
#include "mlflow/mlflow.h"
#include "record/record.h"
#include "study/study_plan.h"

/* --mlflow or MLFLOW_TRACKING_URI; NULL: the run is not tracked. */
const char *ib_tracking_uri(const ib_config *config, const ib_command_context *context);

/* What is said about tracking can be done; before the work. */
ib_status ib_tracking_check(const ib_config *config, const ib_command_context *context,
                            ib_error *err);

typedef struct ib_tracker ib_tracker;
/* Starts sending the record. *tracker is NULL without a server. cpus: what the process may use. */
void ib_tracking_start(const ib_config *config, const ib_command_context *context,
                       const ib_record *record, const cpu_set_t *cpus, ib_tracker **tracker);
/* After the record's end; waits for at most --mlflow-wait. NULL is allowed. */
void ib_tracking_end(const ib_config *config, ib_tracker *tracker);

/* Before a study's runs start: where their processes send to. */
void ib_tracking_prepare(const ib_config *config, const ib_command_context *context,
                         ib_study_plan *plan);
/* When they start: the study's own run, in which they are nested, kept up by a thread. study.json
 * is there. *live is NULL without a server. */
void ib_tracking_study_start(const ib_config *config, const ib_command_context *context,
                             const ib_study_plan *plan, ib_mlflow_live **live);
/* After them, with the study's lock given up: how it ended, and what its runs could not send;
 * within
 * --mlflow-wait. Failures are said on the log and are not the study's. */
void ib_tracking_study_end(const ib_config *config, const ib_command_context *context,
                           const ib_study_plan *plan, ib_mlflow_live *live);

typedef struct ib_sync_totals {
    uint64_t runs, metrics, artifacts, bytes;
    uint64_t live, failed; /* of the runs: still going on; not sent */
    char *first_failure;   /* owned */
} ib_sync_totals;

/* One record, or everything below a folder of records: studies first. common: experiment,
 * registered and prices for all of them. A record that cannot be sent does not stop the others; it
 * is counted, and said on log (NULL: not). */
ib_status ib_sync_path(ib_mlflow_client *client, const char *path, const ib_mlflow_names *common,
                       FILE *log, ib_sync_totals *totals, ib_error *err);

#endif
