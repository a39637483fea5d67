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

static ib_status check_stop(const ib_train_observer *observer, ib_error *err) {
    if (observer == NULL || observer->stop == NULL || !observer->stop(observer->context))
        return IB_OK;
    return ib_fail(err, IB_INTERRUPTED, "training was stopped");
}

/* ---- evaluation -------------------------------------------------------------------------------
 */

/* What the model says of one batch. */
struct predicted {
    size_t classes;
    float *logits; /* [n][classes] */
    float *losses;
    uint8_t *labels;
};

static void count_image(ib_evaluation *evaluation, uint32_t index, uint8_t label,
                        const struct predicted *predicted, size_t i) {
    uint8_t class = predicted->labels[i];
    const float *logits = predicted->logits + i * predicted->classes;
    ib_evaluation_count(evaluation, (ib_mistake){.index = index,
                                                 .actual = label,
                                                 .predicted = class,
                                                 .log_probability = (double)logits[class] -
                                                                    (double)logits[label] -
                                                                    (double)predicted->losses[i]});
}

static ib_status evaluate_batches(ib_model *model, const ib_dataset *dataset,
                                  const uint32_t *indices, size_t count, size_t batch_size,
                                  struct batch *batch, struct predicted *predicted,
                                  const ib_train_observer *observer, ib_evaluation *evaluation,
                                  ib_error *err) {
    double total = 0; /* binary64, in the order of samples: independent of the batch */
    for (size_t first = 0; first < count; first += batch_size) {
        size_t n = count - first < batch_size ? count - first : batch_size;
        IB_TRY(check_stop(observer, err));
        batch_fill(batch, dataset, indices + first, n);
        IB_TRY(ib_model_predict(model, batch->images, batch->labels, n, predicted->logits,
                                predicted->losses, predicted->labels, err));
        for (size_t i = 0; i < n; ++i) {
            total += (double)predicted->losses[i];
            count_image(evaluation, indices[first + i], batch->labels[i], predicted, i);
        }
    }
    evaluation->loss = count > 0 ? total / (double)count : 0;
    return IB_OK;
}

static ib_status evaluate(ib_model *model, const ib_dataset *dataset, const uint32_t *indices,
                          size_t count, size_t batch_size, const ib_train_observer *observer,
                          ib_evaluation *evaluation, ib_error *err) {
    double start = ib_seconds();
    size_t classes = ib_model_class_count(model);
    if (classes != dataset->info->classes)
        return ib_fail(err, IB_ERROR_USAGE, "a model of %zu classes, but %s has %u", classes,
                       dataset->info->name, dataset->info->classes);
    IB_TRY(ib_evaluation_begin(evaluation, classes, err));
    struct batch batch = {0};
    struct predicted predicted = {.classes = classes,
                                  .logits = malloc(batch_size * classes * sizeof(float)),
                                  .losses = malloc(batch_size * sizeof(float)),
                                  .labels = malloc(batch_size)};
    ib_status status = batch_open(batch_size, &batch, err);
    if (status == IB_OK &&
        (predicted.logits == NULL || predicted.losses == NULL || predicted.labels == NULL))
        status = ib_fail_memory(err);
    if (status == IB_OK)
        status = evaluate_batches(model, dataset, indices, count, batch_size, &batch, &predicted,
                                  observer, evaluation, err);
    free(predicted.logits);
    free(predicted.losses);
    free(predicted.labels);
    batch_close(&batch);
    evaluation->seconds = ib_seconds() - start;
    return status;
}

ib_status ib_evaluate(ib_model *model, const ib_dataset *dataset, const uint32_t *indices,
                      size_t count, size_t batch_size, ib_evaluation *evaluation, ib_error *err) {
    return evaluate(model, dataset, indices, count, batch_size, NULL, evaluation, err);
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
    ib_train_plan plan;
};

static ib_status report_position(const struct run *r, ib_error *err) {
    if (r->observer->position == NULL)
        return IB_OK;
    return r->observer->position(r->observer->context, &r->result->position, err);
}

/* One step on images [first, first + n) of the epoch's order. */
static ib_status train_step(struct run *r, size_t first, size_t n, ib_error *err) {
    const ib_config *c = r->config;
    ib_train_position *at = &r->result->position;
    double start = ib_seconds();
    float loss = 0;
    batch_fill(&r->batch, r->dataset, r->order + first, n);
    IB_TRY(ib_model_train_step(r->model, r->batch.images, r->batch.labels, n, c->seed, at->steps,
                               at->learning_rate, &loss, err));
    ib_step_event event = {.epoch = at->epoch,
                           .step_in_epoch = at->step_in_epoch,
                           .step = at->steps + 1,
                           .images_seen = first,
                           .batch = n,
                           .loss = loss,
                           .learning_rate = at->learning_rate};
    at->loss_sum += (double)loss * (double)n;
    ++at->steps;
    ++at->step_in_epoch;
    at->images += n;
    at->train_seconds += ib_seconds() - start;
    event.train_seconds = at->train_seconds;
    if (r->observer->step != NULL)
        IB_TRY(r->observer->step(r->observer->context, &event, err));
    return report_position(r, err);
}

static ib_status train_epoch(struct run *r, ib_error *err) {
    const ib_config *c = r->config;
    ib_train_position *at = &r->result->position;
    size_t count = r->split->train_count, batch_size = (size_t)c->batch_size;
    double start = ib_seconds();
    memcpy(r->order, r->split->train, count * sizeof *r->order);
    ib_shuffle(r->order, count, c->seed, IB_STREAM_SHUFFLE, at->epoch - 1);
    at->train_seconds += ib_seconds() - start;
    if (c->dry_run && count > batch_size)
        count = batch_size;
    for (size_t first = at->step_in_epoch * batch_size; first < count; first += batch_size) {
        IB_TRY(check_stop(r->observer, err));
        IB_TRY(train_step(r, first, count - first < batch_size ? count - first : batch_size, err));
    }
    return IB_OK;
}

static ib_status evaluate_model(struct run *r, ib_error *err) {
    const ib_config *c = r->config;
    /* Evaluation is independent of its batch: the training batch's memory serves, whatever
     * --test-batch-size says. */
    size_t batch =
        (size_t)(c->test_batch_size < c->batch_size ? c->test_batch_size : c->batch_size);
    size_t count = r->split->test_count;
    if (c->dry_run && count > (size_t)c->test_batch_size)
        count = (size_t)c->test_batch_size;
    IB_TRY(evaluate(r->model, r->dataset, r->split->test, count, batch, r->observer,
                    &r->result->test, err));
    r->result->has_validation = r->split->validation_count > 0 && !c->dry_run;
    if (!r->result->has_validation)
        return IB_OK;
    return evaluate(r->model, r->dataset, r->split->validation, r->split->validation_count, batch,
                    r->observer, &r->result->validation, err);
}

static ib_status end_epoch(struct run *r, ib_error *err) {
    const ib_config *c = r->config;
    ib_train_position *at = &r->result->position;
    size_t count = r->split->train_count;
    if (c->dry_run && count > (size_t)c->batch_size)
        count = (size_t)c->batch_size;
    IB_TRY(evaluate_model(r, err));
    if (r->observer->epoch != NULL) {
        ib_epoch_event event = {.epoch = at->epoch,
                                .train_loss = at->loss_sum / (double)count,
                                .learning_rate = at->learning_rate,
                                .train_seconds = at->train_seconds,
                                .test = &r->result->test,
                                .validation =
                                    r->result->has_validation ? &r->result->validation : NULL};
        IB_TRY(r->observer->epoch(r->observer->context, &event, err));
    }
    ++at->epoch;
    at->step_in_epoch = 0;
    at->loss_sum = 0;
    if (c->schedule == IB_SCHEDULE_STEP)
        at->learning_rate = at->learning_rate * c->gamma; /* binary64, one product an epoch */
    return report_position(r, err);
}

static ib_status train_epochs(struct run *r, ib_error *err) {
    ib_train_position *at = &r->result->position;
    if (r->observer->begin != NULL)
        IB_TRY(r->observer->begin(r->observer->context, &r->plan, err));
    if (at->epoch > r->plan.epochs) /* stopped between the last epoch and the end */
        return evaluate_model(r, err);
    while (at->epoch <= r->plan.epochs) {
        IB_TRY(train_epoch(r, err));
        IB_TRY(end_epoch(r, err));
    }
    return IB_OK;
}

static ib_status check_position(const struct run *r, ib_error *err) {
    const ib_train_position *at = &r->result->position;
    uint64_t steps = ((uint64_t)at->epoch - 1) * r->plan.steps_per_epoch + at->step_in_epoch;
    if (at->epoch == 0 || at->epoch > r->plan.epochs + 1 ||
        at->step_in_epoch > r->plan.steps_per_epoch || at->steps != steps ||
        (at->epoch > r->plan.epochs && at->step_in_epoch > 0))
        return ib_fail(err, IB_ERROR_VERIFY,
                       "step %zu of epoch %zu as step %llu is no position of this experiment",
                       at->step_in_epoch, at->epoch, (unsigned long long)at->steps);
    return IB_OK;
}

void ib_train_result_free(ib_train_result *result) {
    ib_evaluation_free(&result->test);
    ib_evaluation_free(&result->validation);
}

ib_status ib_train(ib_model *model, const ib_config *config, const ib_dataset *dataset,
                   const ib_split *split, const ib_train_position *from,
                   const ib_train_observer *observer, ib_train_result *result, ib_error *err) {
    *result = (ib_train_result){.position = {.epoch = 1, .learning_rate = config->lr}};
    if (from != NULL && from->epoch > 0)
        result->position = *from;
    if (split->train_count == 0 || split->test_count == 0)
        return ib_fail(err, IB_ERROR_USAGE, "nothing to train or test on: the split is empty");
    size_t count = split->train_count, batch = (size_t)config->batch_size;
    struct run r = {.model = model,
                    .config = config,
                    .dataset = dataset,
                    .split = split,
                    .observer = observer,
                    .result = result,
                    .plan = {.train_count = count,
                             .validation_count = split->validation_count,
                             .test_count = split->test_count,
                             .steps_per_epoch = (count + batch - 1) / batch,
                             .epochs = config->dry_run ? 1 : (size_t)config->epochs}};
    IB_TRY(check_position(&r, err));
    r.order = malloc(count * sizeof *r.order);
    ib_status status = r.order == NULL ? ib_fail_memory(err) : batch_open(batch, &r.batch, err);
    if (status == IB_OK)
        status = train_epochs(&r, err);
    batch_close(&r.batch);
    free(r.order);
    return status;
}
