/* <record>/mlflow.json: what each server has acknowledged. Of track/mlflow_*.c only. */
#ifndef IB_MLFLOW_MLFLOW_CURSOR_H
#define IB_MLFLOW_MLFLOW_CURSOR_H

#include <jansson.h>
#include <stdint.h>

#include "base/folder.h"
#include "base/status.h"

/* Zero-initialise. While it is open no other process sends from this directory: a flock on the
 * directory itself, since mlflow.json is replaced and metrics.jsonl is locked by the run. */
typedef struct ib_mlflow_cursor {
    const char *directory; /* outlives the cursor */
    ib_folder folder;      /* its descriptor carries the lock; without a path: not open */
    json_t *file;
    json_t *state; /* this server's; owned by file */
    double saved;  /* when the file was written last */
    int unsaved;   /* it says less than state */
} ib_mlflow_cursor;

/* Waits for another process that sends, unless the run is live: then *busy is 1, and IB_OK. The
 * caller calls ib_mlflow_cursor_close. */
ib_status ib_mlflow_cursor_open(const char *directory, const char *server, int wait,
                                ib_mlflow_cursor *cursor, int *busy, ib_error *err);
/* Writes mlflow.json. */
ib_status ib_mlflow_cursor_save(ib_mlflow_cursor *cursor, ib_error *err);
/* For what may be sent twice: writes it only when it was not written a second ago; the rest at the
 * end of a pass (ib_mlflow_cursor_settle). */
ib_status ib_mlflow_cursor_save_soon(ib_mlflow_cursor *cursor, ib_error *err);
ib_status ib_mlflow_cursor_settle(ib_mlflow_cursor *cursor, ib_error *err);
void ib_mlflow_cursor_close(ib_mlflow_cursor *cursor);

const char *ib_mlflow_state_text(const ib_mlflow_cursor *cursor, const char *key); /* NULL: none */
uint64_t ib_mlflow_state_number(const ib_mlflow_cursor *cursor, const char *key);  /* 0: none */
ib_status ib_mlflow_state_set(ib_mlflow_cursor *cursor, const char *key, json_t *value,
                              ib_error *err); /* takes value, NULL: out of memory */

#endif
