/* One resolved command line: what the option table (options.h) fills in. It is made of the
 * experiment, the machine and one small structure for each concern of a command; whoever works for
 * one of them gets that one. The whole is for the table, the program and run/. */
#ifndef IB_OPTIONS_CONFIG_H
#define IB_OPTIONS_CONFIG_H

#include <stdint.h>

#include "catalog/experiment.h"
#include "catalog/machine.h"

/* Where data sets are and come from. */
typedef struct ib_data_source {
    char *dir; /* "data" */
    char *mirror;
    int no_download;
} ib_data_source;

/* How images of one's own become a data set. */
typedef struct ib_import_choice {
    char *name;
    char *resize, *size; /* "28x28"; NULL: not given */
    double test_share;   /* 0: the source has test images */
    int transpose;
} ib_import_choice;

/* What a run keeps and says while it goes on. */
typedef struct ib_recording {
    char *runs_dir;           /* "runs" */
    int64_t log_interval;     /* 10 */
    char *resume;             /* the directory of a run to go on with */
    int64_t checkpoint_every; /* steps; 0: only at the end of each epoch */
    double sample_period;     /* 1 s between two lines of resources.jsonl; 0: none */
    int trace;                /* hashes of every step into trace.bin */
    int save_model;
} ib_recording;

/* Run records on their way to an MLflow server. */
typedef struct ib_tracking {
    char *uri;              /* train, sweep: the server's address; NULL: MLFLOW_TRACKING_URI's */
    char *to;               /* sync: the same, which has the variable for a default */
    char *experiment;       /* NULL: MLFLOW_EXPERIMENT_NAME's, or as the record is named */
    char *registered_model; /* to make a version of; NULL: none */
    char *study;            /* train: the folder of the study that the run is of; NULL: none */
    double wait_seconds;    /* at the end of a run */
} ib_tracking;

/* Which runs of a study a sweep does. */
typedef struct ib_sweep_choice {
    int resume;     /* go on with runs that were stopped */
    char *cells;    /* "svm-mnist,epochs"; NULL: all */
    char *shard;    /* "0/4" */
    int64_t shards; /* how many there are; 0: not said */
    int64_t jobs;   /* runs at a time */
} ib_sweep_choice;

/* What runs cost: cost, report, and what is sent to a server. */
typedef struct ib_pricing {
    char *table;   /* "experiments/prices.yaml" */
    char *machine; /* the row of the table for all runs; NULL: by the records */
    double watts;  /* estimate energy by this power; 0: not */
} ib_pricing;

typedef struct ib_bench_choice {
    double seconds; /* 5 */
    char *profile;  /* where the timeline goes; NULL: none */
} ib_bench_choice;

typedef struct ib_export_choice {
    int onnx, libsvm; /* the format */
} ib_export_choice;

/* What a command itself writes. */
typedef struct ib_output {
    int json;
    char *file;      /* export, report: -o */
    char *hash_file; /* "isobit-hashes.json" */
    int measure;     /* describe: the floor of a step on this machine too */
} ib_output;

/* Strings are owned by the configuration; NULL where the option was not given. */
typedef struct ib_config {
    ib_experiment experiment; /* what may change bits: covered by experiment_sha256 */
    ib_machine machine;       /* from here on: what must not */
    ib_data_source data;
    ib_import_choice import;
    ib_recording record;
    ib_tracking tracking;
    ib_sweep_choice sweep;
    ib_pricing pricing;
    ib_bench_choice bench;
    ib_export_choice export;
    ib_output output;
} ib_config;

#endif
