/* From the cells of a study to the runs it needs: which cells are one run, what each run's identity
 * is, how it stands according to the run records, and what cannot run on this machine. */
#ifndef IB_STUDY_STUDY_PLAN_H
#define IB_STUDY_STUDY_PLAN_H

#include <stddef.h>

#include "base/sha256.h"
#include "base/status.h"
#include "study/record_index.h"
#include "study/study.h"

/* <study>/.sweep.lock, which every process that works on a study holds (LOCK_SH): what has cells
 * left that nobody is at was killed. */
#define IB_STUDY_LOCK ".sweep.lock"

/* One run. Cells with the same experiment_sha256 are one run, unless they name different backends
 * or one of them cannot run here. */
typedef struct ib_study_run {
    size_t first_cell;
    char experiment_sha256[IB_SHA256_HEX_SIZE];
    char *named_backend; /* that a cell asks for; NULL: any will do */
    char *backend;       /* that will do it here */
    char *obstacle;      /* why it cannot run here; NULL: it can */
    size_t folder;       /* index into folders */
    ib_run_state state;
    char *run_id;  /* of the record that state is from; NULL: none */
    char *message; /* of a failure */
} ib_study_run;

/* What a backend and instruction set answered when they were tried. */
typedef struct ib_backend_probe {
    const char *backend, *isa;
    char *name;     /* what "auto" became; NULL: not available */
    char *obstacle; /* why not; NULL: it is */
} ib_backend_probe;

typedef struct ib_study_plan {
    const ib_study *study;
    const char *runs_dir, *data_dir;
    const char *mlflow;            /* --mlflow, for the runs' processes; NULL: not given */
    const char *mlflow_experiment; /* theirs on that server; NULL: as they find it */
    const char *mlflow_register;   /* NULL: not given */
    double mlflow_wait;            /* seconds */
    int tracked;                   /* whether they are sent to one */
    ib_study_run *runs;
    size_t run_count;
    size_t *run_of_cell;
    ib_record_index *folders; /* one for each <dataset>-<model> */
    size_t folder_count;
    ib_backend_probe *probes;
    size_t probe_count;
} ib_study_plan;

/* The study outlives the plan. The caller calls ib_study_plan_close, also after a failure. */
ib_status ib_study_plan_make(const ib_study *study, const char *runs_dir, const char *data_dir,
                             ib_study_plan *plan, ib_error *err);
void ib_study_plan_close(ib_study_plan *plan);

/* Reads the records and sets every run's state. */
ib_status ib_study_plan_refresh(ib_study_plan *plan, ib_error *err);
/* The same, but for runs whose state is known here. */
ib_status ib_study_plan_refresh_others(ib_study_plan *plan, const char *known, ib_error *err);
/* The same for one run, after reading its folder. */
ib_status ib_study_run_refresh(ib_study_plan *plan, ib_study_run *run, ib_error *err);

/* Whether the files of a run's data set are there (not whether they are undamaged). */
ib_status ib_study_run_has_data(const ib_study_plan *plan, const ib_study_run *run, int *all,
                                ib_error *err);

/* <runs-dir>/<study>/study.json: the file, every cell and how its run stands. Written atomically;
 * it says nothing that the file and the records do not, and can be made again at any time. */
ib_status ib_study_write(const ib_study_plan *plan, ib_error *err);
/* The last time that a sweep does it: what other processes did meanwhile is read first, with
 * known[run] 0; one process at a time, so that nothing is missing from the last one's file. */
ib_status ib_study_write_last(ib_study_plan *plan, const char *known, ib_error *err);
/* Says to others that this process works on the study (LOCK_SH), until *lock is closed or the
 * process ends, however it ends. */
ib_status ib_study_hold(const ib_study_plan *plan, int *lock, ib_error *err);

/* "mnist resnet18 batch-size=16 lr=0.001 seed=1": what tells a cell from others. */
void ib_study_cell_print(const ib_study *study, size_t cell, FILE *out);
/* The same in fresh memory. NULL: out of memory. */
char *ib_study_cell_text(const ib_study *study, size_t cell);

#endif
