/* The run record: runs/<experiment>/<run-id>/, written as the run happens and readable without
 * isobit. run.json says what was run, where, and how it ended; metrics.jsonl grows line by line. */
#ifndef IB_RECORD_RECORD_H
#define IB_RECORD_RECORD_H

#include <sched.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/backend.h"
#include "base/chain.h"
#include "base/folder.h"
#include "base/json_text.h"
#include "base/sha256.h"
#include "base/status.h"
#include "data/dataset.h"
#include "data/pixel_table.h"
#include "data/split.h"
#include "record/run.h"
#include "train/metrics.h"
#include "train/trainer.h"

typedef struct ib_record ib_record;

/* What is known before training. Everything outlives the record. */
typedef struct ib_record_start {
    const struct ib_config *configuration; /* written whole */
    const char *runs_dir;
    const char *experiment; /* folder below runs_dir: "mnist-cnn" */
    const char *canonical;  /* experiment_sha256 is the SHA-256 of this text */
    const char *experiment_sha256;
    const ib_dataset *dataset;
    const ib_split *split;
    const ib_pixel_table *table; /* written beside the model; NULL: the normalisation has none */
    const ib_backend_info *backend;
    unsigned usable_cpus; /* before the backend pinned its threads */
    double sample_period; /* s between two lines of resources.jsonl; 0: none */
} ib_record_start;

/* What a support vector machine has besides. */
typedef struct ib_svm_results {
    uint64_t support_vectors, iterations;
    double gamma, objective; /* the sum over all pairs */
    double predict_seconds;
    size_t pair_count;
    const double *objectives; /* by pair: (0,1), (0,2) ... */
} ib_svm_results;

/* The keys of `isobit train --json`. An empty hash or zero model_bytes is written as null. */
typedef struct ib_run_results {
    char model_sha256[IB_SHA256_HEX_SIZE];
    char optimizer_sha256[IB_SHA256_HEX_SIZE];
    const char *experiment_sha256;
    double test_accuracy, test_loss;
    double train_seconds, total_seconds; /* of all parts of a run that was resumed */
    double images_per_second;
    uint64_t model_bytes, peak_rss_bytes;
    const ib_backend_info *backend;
    int exact;
    const char *run_dir;             /* NULL: no record */
    const ib_metrics *metrics;       /* of the test images */
    const ib_evaluation *validation; /* NULL when the split has none */
    const ib_svm_results *svm;       /* NULL for networks, which have a loss instead */
} ib_run_results;

/* Writes the results as members of the object that is open in json. */
void ib_results_write(const ib_run_results *results, ib_json *json);

/* Makes the run's directory and writes run.json with status "running". A directory that cannot be
 * written is IB_ERROR_RUNTIME and leaves no files. The caller ends the record with ib_record_end.
 */
ib_status ib_record_begin(const ib_record_start *start, ib_record **record, ib_error *err);

/* Opens the record of a run that has not ended, to go on with it, and takes the run's lock: one
 * process at a time works on a run (IB_ERROR_RUNTIME for the second); a process that ends, however
 * it ends, gives the lock up. No record there, a damaged one, or one in which a name that the run
 * writes is a link, a pipe or the like: IB_ERROR_VERIFY. Nothing is changed yet. The caller ends
 * with ib_record_close. */
ib_status ib_record_reopen(const char *directory, ib_record **record, ib_error *err);
/* As ib_record_reopen found it; owned by the record. */
const ib_run *ib_record_previous(const ib_record *record);
/* Goes on: writes run.json with status "running", the time of this resumption and earlier_seconds
 * (what the parts before it took, as far as the run keeps their work) and cuts metrics.jsonl to the
 * given beginning. One that does not begin so, a resources.jsonl of other lines than were written,
 * or a table that is missing or not the start's, is IB_ERROR_VERIFY, and nothing is changed. */
ib_status ib_record_continue(ib_record *record, const ib_record_start *start,
                             const ib_prefix *metrics, double earlier_seconds, ib_error *err);
/* What metrics.jsonl holds, all lines so far being on the disk. */
ib_status ib_record_metrics_position(ib_record *record, ib_prefix *metrics, ib_error *err);

/* What trace.bin holds, where the run has one. */
void ib_record_take_trace(ib_record *record, const ib_prefix *trace);

/* The run's directory, as text and held open to write in; owned by the record. */
const char *ib_record_directory(const ib_record *record);
const ib_folder *ib_record_folder(const ib_record *record);

/* Appends one line to metrics.jsonl, with the hash of it and all before it. Lines reach the file
 * within about a second. */
ib_status ib_record_metric(ib_record *record, const char *key, double value, uint64_t step,
                           uint64_t epoch, ib_error *err);
ib_status ib_record_flush(ib_record *record, ib_error *err);

/* Begins to watch what the run takes (resources.h) where the configuration's --sample-period is not
 * 0; ib_record_finish ends it and writes the totals. start_seconds: ib_seconds() when the process
 * started. cpus: those allowed before the backend pinned its threads; NULL: not known. */
void ib_record_watch(ib_record *record, double start_seconds, const cpu_set_t *cpus);

/* How the run ended: outcome IB_OK is "finished" and needs results and test; any other is
 * "diverged", "interrupted" or "failed", with the message. Writes run.json for the last time, with
 * size and SHA-256 of every other file, each of which is on the disk by then. Of files that grew it
 * is what was written; a finished run where one is otherwise on the disk is IB_ERROR_VERIFY. */
ib_status ib_record_finish(ib_record *record, ib_status outcome, const char *message,
                           const ib_run_results *results, const ib_evaluation *test, ib_error *err);
/* Frees the record; the files stay. NULL is allowed. */
void ib_record_close(ib_record *record);

#endif
