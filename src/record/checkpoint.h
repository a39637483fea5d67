/* Checkpoints: <run directory>/checkpoints/step-<N>.json with the model and the optimiser's state
 * beside it. The JSON is written last and holds the SHA-256 of both and of itself: a checkpoint is
 * there as a whole, or it is not one. */
#ifndef IB_RECORD_CHECKPOINT_H
#define IB_RECORD_CHECKPOINT_H

#include <stdint.h>

#include "base/chain.h"
#include "base/folder.h"
#include "base/status.h"
#include "model/model.h"
#include "train/trainer.h"

typedef struct ib_checkpoint {
    ib_train_position position; /* epoch 0: there is no checkpoint */
    ib_prefix metrics, trace;   /* of metrics.jsonl and trace.bin up to it; 0 bytes: no trace */
    double total_seconds;       /* of all processes up to it, each from its start */
} ib_checkpoint;

/* Writes a checkpoint and removes all but the two newest. A failure leaves the earlier ones. The
 * caller holds the run's lock. */
ib_status ib_checkpoint_write(const ib_folder *run, const char *experiment_sha256,
                              const ib_model *model, const ib_checkpoint *checkpoint,
                              ib_error *err);

/* Reads the newest checkpoint into model (opened for training; NULL: only checks its files) and
 * *checkpoint. One that is
 * damaged, or of another experiment, is IB_ERROR_VERIFY naming the file: no earlier one is taken in
 * its place. A folder of checkpoints that cannot be read is IB_ERROR_RUNTIME. */
ib_status ib_checkpoint_read(const char *run_directory, const char *experiment_sha256,
                             ib_model *model, ib_checkpoint *checkpoint, ib_error *err);

/* Whether metrics.jsonl and trace.bin begin as the checkpoint says: else IB_ERROR_VERIFY naming the
 * file and where it begins not to fit. */
ib_status ib_checkpoint_check_prefixes(const char *run_directory, const ib_checkpoint *checkpoint,
                                       ib_error *err);

/* Whether every checkpoint and what it claims of the record's files are whole, without loading
 * anything: IB_ERROR_VERIFY naming what is not. */
ib_status ib_checkpoint_check_all(const char *run_directory, const char *experiment_sha256,
                                  ib_error *err);

/* Whether nothing lies where checkpoints are written that must not be written to (folder.h). */
ib_status ib_checkpoint_check_names(const ib_folder *run, ib_error *err);

/* Removes all of a run that is finished. What cannot be removed stays: it does no harm. */
void ib_checkpoint_remove(const ib_folder *run);

#endif
