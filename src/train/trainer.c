#include "train/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/philox.h"

/* One batch's images and labels, gathered as pointers into the mapped data set. */
struct batch {
    const uint8_t **images;
    uint8_t *labels;
};

static ib_status batch_open(size_t capacity, struct batch *batch, ib_error *err) {
    batch->images = malloc(capacity * sizeof *batch->images);
    batch->labels = malloc(capacity);
    return batch->images == NULL || batch->labels == NULL ? ib_fail_memory(err) : IB_OK;
}

static void batch_close(struct batch *batch) {
    free(batch->images);
    free(batch->labels);
}

static void batch_fill(struct batch *batch, const ib_dataset *dataset, const uint32_t *indices,
                       size_t count) {
    for (size_t i = 0; i < count; ++i) {
        batch->images[i] = ib_dataset_pixels(dataset, indices[i]);
        batch->labels[i] = (uint8_t)ib_dataset_label(dataset, indices[i]);
    }
}

/* ---- evaluation -------------------------------------------------------------------------------
 */

static ib_status evaluate_batches(ib_model *model, const ib_dataset *dataset,
                                  const uint32_t *indices, size_t count, size_t batch_size,
                                  struct batch *batch, float *losses, uint8_t *predictions,
                                  ib_evaluation *evaluation, ib_error *err) {
    double total = 0; /* binary64, in the order of samples: independent of the batch */
    for (size_t first = 0; first < count; first += batch_size) {
        size_t n = count - first < batch_size ? count - first : batch_size;
        batch_fill(batch, dataset, indices + first, n);
        IB_TRY(ib_model_predict(model, batch->images, batch->labels, n, NULL, losses, predictions,
                                err));
        for (size_t i = 0; i < n; ++i) {
            total += (double)losses[i];
            ++evaluation->confusion[batch->labels[i]][predictions[i]];
            evaluation->correct += batch->labels[i] == predictions[i];
        }
    }
    evaluation->loss = count > 0 ? total / (double)count : 0;
    evaluation->accuracy = count > 0 ? (double)evaluation->correct / (double)count : 0;
    return IB_OK;
}

ib_status ib_evaluate(ib_model *model, const ib_dataset *dataset, const uint32_t *indices,
                      size_t count, size_t batch_size, ib_evaluation *evaluation, ib_error *err) {
    double start = ib_seconds();
    *evaluation = (ib_evaluation){.count = count};
    struct batch batch = {0};
    float *losses = malloc(batch_size * sizeof *losses);
    uint8_t *predictions = malloc(batch_size);
    ib_status status = batch_open(batch_size, &batch, err);
    if (status == IB_OK && (losses == NULL || predictions == NULL))
        status = ib_fail_memory(err);
    if (status == IB_OK)
        status = evaluate_batches(model, dataset, indices, count, batch_size, &batch, losses,
                                  predictions, evaluation, err);
    free(losses);
    free(predictions);
    batch_close(&batch);
    evaluation->seconds = ib_seconds() - start;
    return status;
}

/* ---- training ---------------------------------------------------------------------------------
 */

struct run {
    ib_model *model;
    const ib_config *config;
    const ib_dataset *dataset;
    const ib_split *split;
    const ib_train_observer *observer;
    ib_train_result *result;
    uint32_t *order;
    struct batch batch;
    double learning_rate;
};

static ib_status train_epoch(struct run *r, size_t epoch, double *epoch_loss, ib_error *err) {
    const ib_config *c = r->config;
    size_t count = r->split->train_count, batch_size = (size_t)c->batch_size;
    double total = 0, start = ib_seconds(), before = r->result->train_seconds;
    memcpy(r->order, r->split->train, count * sizeof *r->order);
    ib_shuffle(r->order, count, c->seed, IB_STREAM_SHUFFLE, epoch - 1);
    if (c->dry_run && count > batch_size)
        count = batch_size;
    for (size_t first = 0, in_epoch = 0; first < count; first += batch_size, ++in_epoch) {
        size_t n = count - first < batch_size ? count - first : batch_size;
        float loss = 0;
        batch_fill(&r->batch, r->dataset, r->order + first, n);
        IB_TRY(ib_model_train_step(r->model, r->batch.images, r->batch.labels, n, c->seed,
                                   r->result->steps, r->learning_rate, &loss, err));
        total += (double)loss * (double)n;
        ++r->result->steps;
        r->result->images += n;
        r->result->train_seconds = before + (ib_seconds() - start);
        if (r->observer->step != NULL) {
            ib_step_event event = {.epoch = epoch,
                                   .step_in_epoch = in_epoch,
                                   .step = r->result->steps,
                                   .images_seen = first,
                                   .batch = n,
                                   .loss = loss,
                                   .learning_rate = r->learning_rate,
                                   .train_seconds = r->result->train_seconds};
            IB_TRY(r->observer->step(r->observer->context, &event, err));
        }
    }
    *epoch_loss = total / (double)count;
    return IB_OK;
}

static ib_status evaluate_epoch(struct run *r, size_t epoch, double train_loss, ib_error *err) {
    const ib_config *c = r->config;
    /* Evaluation is independent of its batch: the training batch's memory serves, whatever
     * --test-batch-size says. */
    size_t batch =
        (size_t)(c->test_batch_size < c->batch_size ? c->test_batch_size : c->batch_size);
    size_t count = r->split->test_count;
    if (c->dry_run && count > (size_t)c->test_batch_size)
        count = (size_t)c->test_batch_size;
    IB_TRY(ib_evaluate(r->model, r->dataset, r->split->test, count, batch, &r->result->test, err));
    r->result->has_validation = r->split->validation_count > 0 && !c->dry_run;
    if (r->result->has_validation)
        IB_TRY(ib_evaluate(r->model, r->dataset, r->split->validation, r->split->validation_count,
                           batch, &r->result->validation, err));
    if (r->observer->epoch == NULL)
        return IB_OK;
    ib_epoch_event event = {.epoch = epoch,
                            .train_loss = train_loss,
                            .learning_rate = r->learning_rate,
                            .train_seconds = r->result->train_seconds,
                            .test = r->result->test,
                            .validation =
                                r->result->has_validation ? &r->result->validation : NULL};
    return r->observer->epoch(r->observer->context, &event, err);
}

static ib_status train_epochs(struct run *r, ib_error *err) {
    const ib_config *c = r->config;
    size_t epochs = c->dry_run ? 1 : (size_t)c->epochs, count = r->split->train_count;
    ib_train_plan plan = {.train_count = count,
                          .validation_count = r->split->validation_count,
                          .test_count = r->split->test_count,
                          .steps_per_epoch =
                              (count + (size_t)c->batch_size - 1) / (size_t)c->batch_size,
                          .epochs = epochs};
    if (r->observer->begin != NULL)
        IB_TRY(r->observer->begin(r->observer->context, &plan, err));
    r->learning_rate = c->lr;
    for (size_t epoch = 1; epoch <= epochs; ++epoch) {
        double train_loss = 0;
        IB_TRY(train_epoch(r, epoch, &train_loss, err));
        IB_TRY(evaluate_epoch(r, epoch, train_loss, err));
        if (c->schedule == IB_SCHEDULE_STEP)
            r->learning_rate = r->learning_rate * c->gamma; /* binary64, one product an epoch */
    }
    return IB_OK;
}

ib_status ib_train(ib_model *model, const ib_config *config, const ib_dataset *dataset,
                   const ib_split *split, const ib_train_observer *observer,
                   ib_train_result *result, ib_error *err) {
    *result = (ib_train_result){0};
    if (split->train_count == 0 || split->test_count == 0)
        return ib_fail(err, IB_ERROR_USAGE, "nothing to train or test on: the split is empty");
    struct run r = {.model = model,
                    .config = config,
                    .dataset = dataset,
                    .split = split,
                    .observer = observer,
                    .result = result};
    r.order = malloc(split->train_count * sizeof *r.order);
    ib_status status = r.order == NULL ? ib_fail_memory(err)
                                       : batch_open((size_t)config->batch_size, &r.batch, err);
    if (status == IB_OK)
        status = train_epochs(&r, err);
    batch_close(&r.batch);
    free(r.order);
    return status;
}
