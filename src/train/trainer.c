#include "train/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/philox.h"

static int stop_asked(const ib_train_observer *observer) {
    return observer != NULL && observer->stop != NULL && observer->stop(observer->context);
}

/* The data set as batches come from it, its labels in fresh memory. */
static ib_status attach(ib_model *model, const ib_dataset *dataset, uint16_t **labels,
                        ib_error *err) {
    size_t classes = ib_model_class_count(model);
    *labels = NULL;
    if (classes != dataset->info->classes)
        return ib_fail(err, IB_ERROR_USAGE, "a model of %zu classes, but %s has %u", classes,
                       dataset->info->name, dataset->info->classes);
    IB_TRY(ib_dataset_labels(dataset, labels, err));
    ib_data_view view = {.part = {{dataset->values[IB_TRAIN_IMAGES], dataset->train_count},
                                  {dataset->values[IB_TEST_IMAGES], dataset->test_count}},
                         .labels = *labels,
                         .image_bytes = dataset->image_bytes};
    return ib_model_attach(model, &view, err);
}

/* ---- evaluation -------------------------------------------------------------------------------
 */

static void count_images(ib_evaluation *evaluation, const uint32_t *indices, size_t count,
                         const uint16_t *labels, const ib_scores *scores) {
    double total = 0; /* binary64, in the order of samples: independent of the batch */
    for (size_t i = 0; i < count; ++i) {
        double loss = (double)scores->losses[i];
        double margin = (double)scores->evidence[2 * i] - (double)scores->evidence[2 * i + 1];
        total += loss;
        ib_evaluation_count(evaluation, (ib_mistake){.index = indices[i],
                                                     .actual = labels[indices[i]],
                                                     .predicted = scores->classes[i],
                                                     .log_probability = margin - loss});
    }
    evaluation->loss = count > 0 ? total / (double)count : 0;
}

/* Images that stay in files come a piece at a time; else the piece is all of them. */
static ib_status score(ib_model *model, const ib_dataset *dataset, const uint32_t *indices,
                       size_t count, const ib_train_observer *observer, const ib_scores *scores,
                       ib_error *err) {
    size_t most = ib_dataset_hold_most(dataset);
    for (size_t done = 0, piece; done < count; done += piece) {
        piece = count - done < most ? count - done : most;
        ib_scores part = {.losses = scores->losses + done,
                          .classes = scores->classes + done,
                          .evidence = scores->evidence + 2 * done};
        IB_TRY(ib_dataset_hold(dataset, indices + done, piece, err));
        IB_TRY(ib_model_order(model, indices + done, piece, err));
        IB_TRY(ib_model_evaluate(model, piece, observer == NULL ? NULL : observer->stop,
                                 observer == NULL ? NULL : observer->context, &part, err));
    }
    return IB_OK;
}

/* The data set is attached to the model, with these labels. */
static ib_status evaluate(ib_model *model, const ib_dataset *dataset, const uint16_t *labels,
                          const uint32_t *indices, size_t count, const ib_train_observer *observer,
                          ib_evaluation *evaluation, ib_error *err) {
    double start = ib_seconds();
    IB_TRY(ib_evaluation_begin(evaluation, ib_model_class_count(model), err));
    ib_scores scores = {.losses = malloc((count + 1) * sizeof(float)),
                        .classes = malloc((count + 1) * sizeof(uint16_t)),
                        .evidence = malloc((count + 1) * 2 * sizeof(float))};
    ib_status status = IB_OK;
    if (scores.losses == NULL || scores.classes == NULL || scores.evidence == NULL)
        status = ib_fail_memory(err);
    if (status == IB_OK)
        status = score(model, dataset, indices, count, observer, &scores, err);
    if (status == IB_OK)
        count_images(evaluation, indices, count, labels, &scores);
    free(scores.losses);
    free(scores.classes);
    free(scores.evidence);
    evaluation->seconds = ib_seconds() - start;
    return status;
}

ib_status ib_evaluate(ib_model *model, const ib_dataset *dataset, const uint32_t *indices,
                      size_t count, ib_evaluation *evaluation, ib_error *err) {
    uint16_t *labels;
    ib_status status = attach(model, dataset, &labels, err);
    if (status == IB_OK)
        status = evaluate(model, dataset, labels, indices, count, NULL, evaluation, err);
    free(labels);
    return status;
}

/* ---- training ---------------------------------------------------------------------------------
 */

struct run {
    ib_model *model;
    const ib_experiment *experiment;
    size_t test_batch;
    const ib_dataset *dataset;
    const ib_split *split;
    const ib_train_observer *observer;
    ib_train_result *result;
    uint32_t *order;
    uint16_t *labels;
    ib_train_plan plan;
};

static ib_status report_position(const struct run *r, ib_error *err) {
    if (r->observer->position == NULL)
        return IB_OK;
    return r->observer->position(r->observer->context, &r->result->position, err);
}

static double rate_after(const struct run *r, uint64_t steps) {
    return ib_learning_rate(r->experiment, steps, r->plan.steps_per_epoch);
}

/* The images of an epoch: all, or in a dry run one batch. */
static size_t epoch_images(const struct run *r) {
    size_t count = r->split->train_count, batch = (size_t)r->experiment->batch_size;
    return r->experiment->dry_run && count > batch ? batch : count;
}

/* The events of steps that are done; the position moves over them. */
static ib_status report_steps(struct run *r, const float *losses, size_t count, double seconds,
                              ib_error *err) {
    ib_train_position *at = &r->result->position;
    size_t batch = (size_t)r->experiment->batch_size, end = epoch_images(r);
    at->train_seconds += seconds;
    for (size_t i = 0; i < count; ++i) {
        size_t first = at->step_in_epoch * batch, n = end - first < batch ? end - first : batch;
        ib_step_event event = {.epoch = at->epoch,
                               .step_in_epoch = at->step_in_epoch,
                               .step = at->steps + 1,
                               .images_seen = first,
                               .batch = n,
                               .loss = losses[i],
                               .learning_rate = at->learning_rate,
                               .train_seconds = at->train_seconds};
        at->loss_sum += (double)losses[i] * (double)n;
        ++at->steps;
        ++at->step_in_epoch;
        at->images += n;
        at->learning_rate = rate_after(r, at->steps);
        if (r->observer->step != NULL)
            IB_TRY(r->observer->step(r->observer->context, &event, err));
    }
    return IB_OK;
}

/* How many steps may be done before somebody has to see the model. */
static size_t chunk_size(const struct run *r, size_t left) {
    size_t most = IB_MOST_STEPS;
    if (r->observer->steps_until != NULL)
        most = r->observer->steps_until(r->observer->context, &r->result->position);
    size_t held = ib_dataset_hold_most(r->dataset) / (size_t)r->experiment->batch_size;
    most = held < most ? held : most; /* as many steps as there is memory for their images */
    if (most == 0 || most > IB_MOST_STEPS)
        most = most == 0 ? 1 : IB_MOST_STEPS;
    return left < most ? left : most;
}

static ib_status train_chunk(struct run *r, size_t end, ib_error *err) {
    ib_train_position *at = &r->result->position;
    size_t batch = (size_t)r->experiment->batch_size, first = at->step_in_epoch * batch, done;
    double rates[IB_MOST_STEPS];
    ib_model_steps steps = {.at = first,
                            .end = end,
                            .batch = batch,
                            .count = chunk_size(r, (end - first + batch - 1) / batch),
                            .seed = r->experiment->seed,
                            .step = at->steps,
                            .learning_rates = rates,
                            .stop = r->observer->stop,
                            .stop_context = r->observer->context};
    float losses[IB_MOST_STEPS];
    double start = ib_seconds();
    for (size_t i = 0; i < steps.count; ++i)
        rates[i] = rate_after(r, at->steps + i);
    size_t images = steps.count * batch < end - first ? steps.count * batch : end - first;
    IB_TRY(ib_dataset_hold(r->dataset, r->order + first, images, err));
    ib_status status = ib_model_train(r->model, &steps, losses, &done, err);
    IB_TRY(report_steps(r, losses, done, ib_seconds() - start, status == IB_OK ? err : NULL));
    IB_TRY(status);
    return report_position(r, err);
}

static ib_status train_epoch(struct run *r, ib_error *err) {
    ib_train_position *at = &r->result->position;
    size_t count = r->split->train_count, end = epoch_images(r);
    double start = ib_seconds();
    memcpy(r->order, r->split->train, count * sizeof *r->order);
    ib_shuffle(r->order, count, r->experiment->seed, IB_STREAM_SHUFFLE, at->epoch - 1);
    IB_TRY(ib_model_order(r->model, r->order, count, err));
    at->train_seconds += ib_seconds() - start;
    while (at->step_in_epoch * (size_t)r->experiment->batch_size < end) {
        if (stop_asked(r->observer))
            return ib_fail(err, IB_INTERRUPTED, "training was stopped");
        IB_TRY(train_chunk(r, end, err));
    }
    return IB_OK;
}

static ib_status evaluate_model(struct run *r, ib_error *err) {
    const ib_experiment *c = r->experiment;
    size_t count = r->split->test_count;
    if (c->dry_run && count > r->test_batch)
        count = r->test_batch;
    IB_TRY(evaluate(r->model, r->dataset, r->labels, r->split->test, count, r->observer,
                    &r->result->test, err));
    r->result->has_validation = r->split->validation_count > 0 && !c->dry_run;
    if (!r->result->has_validation)
        return IB_OK;
    return evaluate(r->model, r->dataset, r->labels, r->split->validation,
                    r->split->validation_count, r->observer, &r->result->validation, err);
}

static ib_status end_epoch(struct run *r, ib_error *err) {
    ib_train_position *at = &r->result->position;
    IB_TRY(evaluate_model(r, err));
    if (r->observer->epoch != NULL) {
        ib_epoch_event event = {.epoch = at->epoch,
                                .train_loss = at->loss_sum / (double)epoch_images(r),
                                .learning_rate = rate_after(r, at->steps - 1),
                                .train_seconds = at->train_seconds,
                                .test = &r->result->test,
                                .validation =
                                    r->result->has_validation ? &r->result->validation : NULL};
        IB_TRY(r->observer->epoch(r->observer->context, &event, err));
    }
    ++at->epoch;
    at->step_in_epoch = 0;
    at->loss_sum = 0;
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

static ib_train_plan plan_of(const ib_experiment *experiment, const ib_split *split) {
    size_t count = split->train_count, batch = (size_t)experiment->batch_size;
    return (ib_train_plan){.train_count = count,
                           .validation_count = split->validation_count,
                           .test_count = split->test_count,
                           .steps_per_epoch = (count + batch - 1) / batch,
                           .epochs = experiment->dry_run ? 1 : (size_t)experiment->epochs};
}

ib_status ib_train_position_after(const ib_experiment *experiment, const ib_split *split,
                                  uint64_t steps, ib_train_position *position, ib_error *err) {
    const ib_train_plan plan = plan_of(experiment, split);
    if (plan.steps_per_epoch == 0 || steps / plan.steps_per_epoch > plan.epochs ||
        steps > (uint64_t)plan.epochs * plan.steps_per_epoch)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%llu steps are done, but this training has %zu epochs of %zu steps",
                       (unsigned long long)steps, plan.epochs, plan.steps_per_epoch);
    size_t epochs = (size_t)(steps / plan.steps_per_epoch);
    size_t begun = (size_t)(steps % plan.steps_per_epoch);
    *position = (ib_train_position){
        .steps = steps,
        .epoch = epochs + 1,
        .step_in_epoch = begun,
        .learning_rate = ib_learning_rate(experiment, steps, plan.steps_per_epoch),
        .loss_sum = begun > 0 ? (double)NAN : 0,
        .images = epochs * plan.train_count + begun * (size_t)experiment->batch_size};
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

ib_status ib_train(ib_model *model, const ib_experiment *experiment, size_t test_batch,
                   const ib_dataset *dataset, const ib_split *split, const ib_train_position *from,
                   const ib_train_observer *observer, ib_train_result *result, ib_error *err) {
    *result = (ib_train_result){.position = {.epoch = 1}};
    if (from != NULL && from->epoch > 0)
        result->position = *from;
    if (split->train_count == 0 || split->test_count == 0)
        return ib_fail(err, IB_ERROR_USAGE, "nothing to train or test on: the split is empty");
    struct run r = {.model = model,
                    .experiment = experiment,
                    .test_batch = test_batch,
                    .dataset = dataset,
                    .split = split,
                    .observer = observer,
                    .result = result,
                    .plan = plan_of(experiment, split)};
    IB_TRY(ib_schedule_check(experiment, err));
    IB_TRY(check_position(&r, err));
    result->position.learning_rate = rate_after(&r, result->position.steps);
    r.order = malloc(split->train_count * sizeof *r.order);
    ib_status status =
        r.order == NULL ? ib_fail_memory(err) : attach(model, dataset, &r.labels, err);
    if (status == IB_OK)
        status = train_epochs(&r, err);
    free(r.labels);
    free(r.order);
    return status;
}
