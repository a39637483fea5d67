/* MLflow: what a run record has and a tracking server has not, sent over its REST interface.
 *
 * The record is the spool. <record>/mlflow.json says, for each server, what it has acknowledged;
 * everything else can be sent at any time, from any process, again after any interruption, and
 * leaves one run, one point a metric and step, one artifact a file. */
#ifndef IB_MLFLOW_MLFLOW_H
#define IB_MLFLOW_MLFLOW_H

#include <jansson.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"
#include "mlflow/mlflow_prices.h"

typedef char *ib_environment_reader(const char *name);

/* A server and how to speak to it; for one thread at a time. */
typedef struct ib_mlflow_client ib_mlflow_client;

/* uri: http or https. Credentials, TLS and patience come from MLflow's environment variables and
 * ~/.mlflow/credentials. Nothing is sent yet. A URI or variable that cannot be used is
 * IB_ERROR_USAGE. environment may be NULL. The caller calls ib_mlflow_close. */
ib_status ib_mlflow_open(const char *uri, ib_environment_reader *environment,
                         ib_mlflow_client **client, ib_error *err);
void ib_mlflow_close(ib_mlflow_client *client);
/* The server's URI without credentials; owned by the client. */
const char *ib_mlflow_server(const ib_mlflow_client *client);

/* The first time that the server must be tried again, log (NULL: nobody) hears why. */
void ib_mlflow_tell_retries(ib_mlflow_client *client, FILE *log);
/* From now on at most so many seconds are spent on the server. */
void ib_mlflow_limit(ib_mlflow_client *client, double seconds);
/* Whether the environment names the experiment. */
int ib_mlflow_names_experiment(const ib_mlflow_client *client);

/* IB_ERROR_USAGE when a URI given on the command line holds credentials, which everybody on the
 * machine could read there, or is not http. */
ib_status ib_mlflow_check_uri(const char *uri, const char *option, ib_error *err);

/* IB_ERROR_USAGE when MLflow takes no registered model of this name. */
ib_status ib_mlflow_check_model_name(const char *name, const char *option, ib_error *err);

/* What to call things on the server. Everything may be NULL. */
typedef struct ib_mlflow_names {
    const char *experiment; /* NULL: MLFLOW_EXPERIMENT_NAME or _ID, or as the record says */
    const char *run;        /* NULL: the record's run id */
    const char *study;      /* folder of the study that the run is of: its run is the parent, and
                             * the options of the cell are the name, where run is NULL */
    const char *registered; /* the registered model that the run's model is to be a version of */
    const ib_mlflow_prices *prices; /* what an ended run cost is told by them */
    int fill_given; /* fill the run of MLFLOW_RUN_ID, unless it is another record's */
} ib_mlflow_names;

typedef struct ib_mlflow_sent {
    uint64_t metrics, artifacts, bytes; /* sent now, not before */
    int live;                           /* the run goes on: more will come */
    int busy; /* another process is at it, the one that trains: nothing was sent */
    char run_id[64];
} ib_mlflow_sent;

/* Sends what the server lacks of one record. IB_ERROR_RUNTIME: some of it could not be sent, and
 * what was acknowledged is noted. IB_ERROR_VERIFY: no record, or a damaged one. */
ib_status ib_mlflow_send_record(ib_mlflow_client *client, const char *directory,
                                const ib_mlflow_names *names, ib_mlflow_sent *sent, ib_error *err);

/* The parent run of a study, in this experiment (NULL: as the environment says, or of the study's
 * name): its grid, its files, how far it is. directory holds study.json. Its
 * runs are sent by the caller or by their own processes. wait 0: with *sent->busy when another
 * process is sending it. */
ib_status ib_mlflow_send_study(ib_mlflow_client *client, const char *directory,
                               const char *experiment, int wait, ib_mlflow_sent *sent,
                               ib_error *err);

/* A thread that sends a record while its run writes it, or a study's run while its sweep goes on.
 */
typedef struct ib_mlflow_live ib_mlflow_live;

typedef struct ib_mlflow_live_options {
    const char *uri, *directory;
    int is_study;          /* directory is a study's */
    ib_mlflow_names names; /* copied: its texts may go, prices may not */
    ib_environment_reader *environment;
    const cpu_set_t
        *cpus; /* where the thread may run, the caller being pinned; NULL: where it may */
    FILE *log;
} ib_mlflow_live_options;

/* Never fails a run: what is wrong is said once on log, and *live is NULL or does nothing. */
void ib_mlflow_live_start(const ib_mlflow_live_options *options, ib_mlflow_live **live);
/* After the record's end: waits at most so many seconds for the rest to be sent, says on log what
 * was not, and notes the thread's CPU time in mlflow.json. Returns whether all was sent. NULL is
 * allowed. */
int ib_mlflow_live_end(ib_mlflow_live *live, double seconds);

#endif
