/* The parts of sending one record. Of track/mlflow_*.c only. */
#ifndef IB_MLFLOW_MLFLOW_SEND_H
#define IB_MLFLOW_MLFLOW_SEND_H

#include "mlflow/mlflow_client.h"
#include "mlflow/mlflow_cursor.h"
#include "record/run.h"

/* One record, or study, that is being sent. */
typedef struct ib_mlflow_sender {
    ib_mlflow_client *client;
    const char *directory;
    ib_mlflow_names names;
    ib_mlflow_cursor cursor;
    ib_run run;    /* the record as it was read last; empty where a study is sent */
    json_t *study; /* study.json, of a study. Owned */
    int is_new;    /* the run was made by us: it has nothing yet */
    char *parent;  /* MLflow's id of the run that this one is nested in; NULL: none. Owned */
    char *cell;    /* its name in its study; NULL: none. Owned */
    ib_mlflow_sent *sent;
} ib_mlflow_sender;

/* mlflow_run.c: experiment, run, and what describes it. */

/* Finds or makes the run whose tag isobit.run_id is this, and notes it in the cursor. */
ib_status ib_mlflow_ensure_run(ib_mlflow_sender *s, const char *experiment, const char *isobit_id,
                               const char *run_name, int64_t start_ms, ib_error *err);
/* tags and params: objects of texts. Takes both; NULL: out of memory. Params that the run has
 * already stay as they are. */
ib_status ib_mlflow_describe(ib_mlflow_sender *s, json_t *params, json_t *tags, ib_error *err);
/* The tags alone, of a run that is described. */
ib_status ib_mlflow_send_tags(ib_mlflow_sender *s, const json_t *tags, ib_error *err);
/* A list of metrics, which are counted as sent. */
ib_status ib_mlflow_send_values(ib_mlflow_sender *s, json_t *metrics, ib_error *err);
/* status "FINISHED" and so on; end_ms 0: not ended. */
ib_status ib_mlflow_update_run(ib_mlflow_sender *s, const char *status, int64_t end_ms,
                               ib_error *err);
/* Sets a tag; a value longer than MLflow takes is cut. */
int ib_mlflow_add_text(json_t *object, const char *key, const char *value);
/* "2026-11-23T10:15:30Z" as milliseconds; 0: none. */
int64_t ib_mlflow_time(const char *text);

/* Adds prefix+name with the value as a text; null adds nothing. 0: out of memory. */
int ib_mlflow_add_value(json_t *object, const char *prefix, const char *name, const json_t *value);
/* mlflow_params.c: the configuration, a text each; NULL: out of memory. */
json_t *ib_mlflow_params_of(const ib_run *run);

/* mlflow_record.c: one pass over a record; open and closed by the caller. */
ib_status ib_mlflow_sender_open(ib_mlflow_client *client, const char *directory,
                                const ib_mlflow_names *names, int wait, ib_mlflow_sent *sent,
                                ib_mlflow_sender *s, ib_error *err);
ib_status ib_mlflow_sender_pass(ib_mlflow_sender *s, ib_error *err);
void ib_mlflow_sender_close(ib_mlflow_sender *s);

/* mlflow_nested.c: finds parent and cell of a record that is of a study (names.study), as far as
 * the study has been sent. */
ib_status ib_mlflow_find_parent(ib_mlflow_sender *s, ib_error *err);

/* mlflow_metrics.c: the lines of metrics.jsonl that are not acknowledged. */
ib_status ib_mlflow_send_metrics(ib_mlflow_sender *s, ib_error *err);
/* mlflow_system.c: the same of resources.jsonl, whose keys begin with system/. */
ib_status ib_mlflow_send_system(ib_mlflow_sender *s, ib_error *err);
/* mlflow_results.c: the numbers of run.json's results as result/<key>; what was measured on images
 * belongs to the model (where there is one) and to the data set too. */
ib_status ib_mlflow_send_results(ib_mlflow_sender *s, int64_t end_ms, ib_error *err);

/* mlflow_cost.c: what the run cost by names.prices, where that is not what was acknowledged. */
ib_status ib_mlflow_send_cost(ib_mlflow_sender *s, int64_t end_ms, ib_error *err);

/* mlflow_inputs.c: the data sets of the record. */
enum { IB_MLFLOW_DIGEST_LENGTH = 36 }; /* the longest that MLflow takes */
typedef struct ib_mlflow_part {
    char *name; /* owned by the caller; NULL: the run has no such part */
    char digest[IB_MLFLOW_DIGEST_LENGTH + 1];
    json_int_t count;
} ib_mlflow_part;
/* part: "training", "validation" or "testing". */
ib_status ib_mlflow_part_of(const ib_mlflow_sender *s, const char *part, ib_mlflow_part *data,
                            ib_error *err);
ib_status ib_mlflow_send_inputs(ib_mlflow_sender *s, ib_error *err);

/* mlflow_files.c */
/* Every file of the record that the server has not in this form. */
ib_status ib_mlflow_send_files(ib_mlflow_sender *s, ib_error *err);
/* One file, as <artifact_uri>/<name>, unless state[acknowledged][name] has its size and
 * time, or its SHA-256. It is read once: what was checked is sent. One that the record names must
 * be what it says; sha256 not NULL: one that has another is not sent. */
ib_status ib_mlflow_send_file(ib_mlflow_sender *s, const char *path, const char *sha256,
                              const char *artifact_uri, const char *name, const char *acknowledged,
                              ib_error *err);
ib_status ib_mlflow_send_text(ib_mlflow_sender *s, const char *text, const char *artifact_uri,
                              const char *name, const char *acknowledged, ib_error *err);

/* mlflow_model.c: puts model.onnx, for MLflow's loader, beside the model.safetensors of a network.
 */
ib_status ib_mlflow_ensure_onnx(ib_mlflow_sender *s, ib_error *err);
/* model.safetensors (and model.onnx) as a logged model of the run. */
ib_status ib_mlflow_send_model(ib_mlflow_sender *s, ib_error *err);
/* mlflow_registry.c: the logged model as a version of names.registered. */
ib_status ib_mlflow_register(ib_mlflow_sender *s, ib_error *err);

#endif
