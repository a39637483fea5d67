/* A run record as it is read: run.json, checked and with a type. All that reads records reads them
 * through this, so that each member of run.json is named once where it is written (record_write.c)
 * and once where it is read (run.c). */
#ifndef IB_RECORD_RUN_H
#define IB_RECORD_RUN_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "catalog/metrics.h"
#include "record/record_file.h"

/* The table of a normalisation that has one: ib_pixel_table_path of the model. */
#define IB_TABLE_NAME "model.normalization.safetensors"

enum { IB_RECORD_FORMAT = 2, IB_RECORD_UNSEALED = 1 };

typedef enum ib_run_status {
    IB_RECORDED_NOTHING, /* it does not say */
    IB_RECORDED_RUNNING, /* or killed */
    IB_RECORDED_FINISHED,
    IB_RECORDED_DIVERGED,
    IB_RECORDED_INTERRUPTED,
    IB_RECORDED_FAILED, /* or what this version does not know */
} ib_run_status;
const char *ib_run_status_name(ib_run_status status); /* as in run.json; NULL for NOTHING */

/* Numbers that a record does not say, or that are not finite, are NAN. Texts and JSON that it does
 * not have are NULL; those that it has are of the document. */
typedef struct ib_run_environment {
    const char *isobit_version, *git_commit, *compiler, *cpu_model, *device, *backend, *isa;
    double threads;
    const json_t *members; /* all of them */
} ib_run_environment;

typedef struct ib_run_data {
    const char *dataset;
    json_int_t train_count, validation_count, test_count; /* 0: not said */
    ib_recorded_shape shape;
    const json_t *sha256; /* by file */
} ib_run_data;

typedef struct ib_run_gpu {
    const char *name;
    double percent_mean, memory_max_bytes, energy_joules;
} ib_run_gpu;

typedef struct ib_run_resources {
    double seconds; /* of all parts of the run; NAN: there are no totals */
    double cpu_seconds, cpu_percent_mean, rss_max_bytes;
    double energy_joules; /* without the GPUs' */
    const char *energy_reason;
    ib_run_gpu *gpus;
    size_t gpu_count;
} ib_run_resources;

typedef struct ib_run {
    char *directory;   /* as it was given; owned */
    json_t *document;  /* run.json; owned. NULL: there is none */
    json_t *canonical; /* the text that experiment_sha256 is of, parsed; owned. NULL: no JSON */
    int sealed; /* 0: an earlier version wrote it: its files' hashes are not known, but those of the
                 * models */
    ib_run_status status;
    const char *run_id, *experiment, *experiment_sha256, *message;
    const char *started, *ended; /* "2026-11-23T10:15:30Z" */
    json_int_t resumes;
    const json_t *resume_times;
    const json_t *configuration; /* options by ib_recorded_option (recorded.h) */
    const json_t *files;         /* for run_files.h */
    ib_run_environment environment;
    ib_run_data data;
    ib_run_resources resources;
    const json_t *results; /* all of them; NULL: the run has not finished */
    const char *model_sha256, *optimizer_sha256;
    double metrics[IB_METRICS_MOST]; /* of the results, by ib_metric_index */
    double *confusion; /* [actual][predicted], data.shape.classes x the same; owned. NULL: none */
} ib_run;

/* Reads <directory>/run.json. Not there: document NULL and IB_OK. IB_ERROR_VERIFY naming what does
 * not fit: no JSON; a broken seal, or none where there must be one; a canonical form that has not
 * experiment_sha256, or that says otherwise than the configuration; an accuracy that is not that of
 * the confusion matrix. After a failure *run is empty. The caller calls ib_run_close. */
ib_status ib_run_read(const char *directory, ib_run *run, ib_error *err);
void ib_run_close(ib_run *run);

/* A metric of the results by its name in the catalogue. */
double ib_run_metric(const ib_run *run, const char *name);

#endif
