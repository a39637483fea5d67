/* The training loop: shuffling, steps, schedule, evaluation. It reports what happens to an observer
 * and knows nothing of files, records or terminals. */
#ifndef IB_TRAIN_TRAINER_H
#define IB_TRAIN_TRAINER_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "catalog/experiment.h"
#include "data/dataset.h"
#include "data/split.h"
#include "model/model.h"
#include "train/evaluation.h"

typedef struct ib_train_plan {
    size_t train_count, validation_count, test_count;
    size_t steps_per_epoch, epochs;
} ib_train_plan;

typedef struct ib_step_event {
    size_t epoch;         /* from 1 */
    size_t step_in_epoch; /* from 0 */
    uint64_t step;        /* optimiser steps done, this one included: from 1 */
    size_t images_seen;   /* of this epoch before this step, as PyTorch's example prints */
    size_t batch;         /* images in this step */
    float loss;           /* mean over the batch, before the update */
    double learning_rate;
    double train_seconds; /* training time so far */
} ib_step_event;

typedef struct ib_epoch_event {
    size_t epoch;         /* from 1 */
    double train_loss;    /* mean over the epoch's samples, as seen during training */
    double learning_rate; /* of its last step */
    double train_seconds; /* of training so far, evaluation excluded */
    const ib_evaluation *test;
    const ib_evaluation *validation; /* NULL when the split has none */
} ib_epoch_event;

/* Where training stands between two steps: with the model and its optimiser's state, all that going
 * on takes. Zero-initialised it is the beginning. */
typedef struct ib_train_position {
    uint64_t steps;       /* optimiser steps done */
    size_t epoch;         /* from 1; 0: the beginning. After the last epoch: one more */
    size_t step_in_epoch; /* steps of this epoch done; all of them: to be evaluated next */
    double learning_rate; /* of the next step */
    double loss_sum;      /* of this epoch's images */
    double train_seconds;
    size_t images; /* trained on, all epochs */
} ib_train_position;

/* Where training stands after so many steps, as far as bits depend on it: the losses and seconds of
 * what went before are not known, and of an epoch that was begun the mean loss is NAN. An epoch all
 * of whose steps are done is over. More steps than there are is IB_ERROR_VERIFY. */
ib_status ib_train_position_after(const ib_experiment *experiment, const ib_split *split,
                                  uint64_t steps, ib_train_position *position, ib_error *err);

/* Any function may be NULL. A status other than IB_OK ends the run with it. The step event comes
 * for every step; an observer that logs every 10th must skip the others cheaply. */
typedef struct ib_train_observer {
    void *context;
    ib_status (*begin)(void *context, const ib_train_plan *plan, ib_error *err);
    ib_status (*step)(void *context, const ib_step_event *event, ib_error *err);
    ib_status (*epoch)(void *context, const ib_epoch_event *event, ib_error *err);
    /* How many steps may be done before their events come and the position: steps are done in
     * chunks, whose results a device hands over at once. NULL: as many as go into one. */
    size_t (*steps_until)(void *context, const ib_train_position *position);
    /* After each chunk, and after the event of each epoch: training can go on from here later. */
    ib_status (*position)(void *context, const ib_train_position *position, ib_error *err);
    /* Asked between steps and between the batches of an evaluation. Not 0: training ends with
     * IB_INTERRUPTED, and the result's position is where it can go on. */
    int (*stop)(void *context);
} ib_train_observer;

typedef struct ib_train_result {
    ib_evaluation test; /* of the last epoch */
    ib_evaluation validation;
    int has_validation;
    ib_train_position position; /* in the end, however training ended */
} ib_train_result;

void ib_train_result_free(ib_train_result *result);

/* Trains model (created for experiment's batch sizes and optimiser, already initialised) from a
 * position on: NULL is the beginning, any other needs the model's weights and optimiser state of
 * there. Loss or weights that stop being finite: IB_ERROR_DIVERGED, naming step and tensor. The
 * caller calls ib_train_result_free, also after a failure. */
ib_status ib_train(ib_model *model, const ib_experiment *experiment, size_t test_batch,
                   const ib_dataset *dataset, const ib_split *split, const ib_train_position *from,
                   const ib_train_observer *observer, ib_train_result *result, ib_error *err);

/* Mean loss, accuracy and confusion matrix over indices[0..count). The evaluation is zero or was
 * begun before; the caller calls ib_evaluation_free. */
ib_status ib_evaluate(ib_model *model, const ib_dataset *dataset, const uint32_t *indices,
                      size_t count, ib_evaluation *evaluation, ib_error *err);

#endif
