/* What run records there are: the state of every run below <runs-dir>/<experiment>/, read again
 * only where it may have changed. */
#ifndef IB_STUDY_RECORD_INDEX_H
#define IB_STUDY_RECORD_INDEX_H

#include <stddef.h>

#include "base/sha256.h"
#include "base/status.h"

typedef enum ib_run_state {
    IB_RUN_MISSING,
    IB_RUN_FINISHED,
    IB_RUN_DIVERGED,
    IB_RUN_FAILED,
    IB_RUN_STOPPED, /* by a signal that it heeded */
    IB_RUN_LIVE,    /* a process is at it, or it was killed: see ib_run_is_live */
    IB_RUN_NOT_HERE /* it needs what this machine lacks */
} ib_run_state;

typedef struct ib_found_run {
    char *run_id;  /* NULL: not a record */
    char *message; /* what run.json says, NULL: nothing */
    char *backend;
    char experiment_sha256[IB_SHA256_HEX_SIZE];
    ib_run_state state;
    double total_seconds; /* of a finished run */
    int seen;
} ib_found_run;

/* Zero-initialise with both paths; the caller calls ib_record_index_close. */
typedef struct ib_record_index {
    char *experiment; /* "mnist-cnn"; owned */
    char *directory;  /* <runs-dir>/<experiment>; owned */
    ib_found_run *runs;
    size_t count, capacity;
} ib_record_index;

/* Reads what is new or was not ended. A directory that is not there holds no runs. Folders that are
 * not records are passed over; a name that begins with a dot too. */
ib_status ib_record_index_refresh(ib_record_index *index, ib_error *err);
void ib_record_index_close(ib_record_index *index);

/* The run of this experiment that counts: finished before diverged before live before stopped
 * before failed. backend NULL: any. NULL when there is none. */
const ib_found_run *ib_record_index_find(const ib_record_index *index,
                                         const char *experiment_sha256, const char *backend);

const char *ib_run_state_name(ib_run_state state);

#endif
