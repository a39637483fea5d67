/* What a model does with images: training steps, their halves, evaluation. */
#include <math.h>
#include <stdlib.h>

#include "model/state.h"

ib_status ib_model_attach(ib_model *model, const ib_data_view *data, ib_error *err) {
    if (model->needs_table)
        return ib_fail(err, IB_ERROR_USAGE,
                       "--normalize standard needs the table of a run's training images");
    ib_network *net = &model->network;
    size_t count = data->part[0].count + data->part[1].count;
    if (data->image_bytes != ib_model_image_bytes(model))
        return ib_fail(err, IB_ERROR_VERIFY, "images of %zu bytes for a model of %zu",
                       data->image_bytes, ib_model_image_bytes(model));
    for (size_t i = 0; data->labels != NULL && i < count; ++i)
        if (data->labels[i] >= net->classes)
            return ib_fail(err, IB_ERROR_VERIFY,
                           "image %zu has label %u, and there are %lld classes", i, data->labels[i],
                           (long long)net->classes);
    net->order_count = 0;
    return net->backend->ops->attach_data(net->backend, data, err);
}

ib_status ib_model_attach_images(ib_model *model, const uint8_t *pixels, const uint16_t *labels,
                                 size_t count, ib_error *err) {
    ib_data_view view = {.part = {{pixels, count}, {NULL, 0}},
                         .labels = labels,
                         .image_bytes = ib_model_image_bytes(model)};
    uint32_t *order = malloc((count + 1) * sizeof *order);
    if (order == NULL)
        return ib_fail_memory(err);
    for (size_t i = 0; i < count; ++i)
        order[i] = (uint32_t)i;
    ib_status status = ib_model_attach(model, &view, err);
    if (status == IB_OK)
        status = ib_model_order(model, order, count, err);
    free(order);
    return status;
}

ib_status ib_model_order(ib_model *model, const uint32_t *order, size_t count, ib_error *err) {
    return ib_network_order(&model->network, order, count, err);
}

static ib_status check_batch(const ib_model *model, size_t count, ib_error *err) {
    if (count == 0 || (int64_t)count > model->network.capacity)
        return ib_fail(err, IB_ERROR_RUNTIME, "a batch of %zu images where 1 to %lld were planned",
                       count, (long long)model->network.capacity);
    return IB_OK;
}

static ib_status check_training(const ib_model *model, size_t batch, ib_error *err) {
    IB_TRY(check_batch(model, batch, err));
    if (!model->network.training)
        return ib_fail(err, IB_ERROR_RUNTIME, "this model was opened without training memory");
    return IB_OK;
}

/* ---- training ---------------------------------------------------------------------------------
 */

static ib_status diverged(unsigned long long step, const char *what, ib_error *err) {
    return ib_fail(err, IB_ERROR_DIVERGED,
                   "step %llu: %s is not finite any more; lower --lr or check the data", step,
                   what);
}

/* What was not finite in a step whose loss was not, in words. */
static ib_status fail_loss(ib_model *model, unsigned long long step, const char *met,
                           ib_error *err) {
    const char *bad = NULL;
    IB_TRY(ib_network_find_bad(&model->network, &bad, err));
    return diverged(step, bad != NULL ? bad : met[0] != '\0' ? met : "the loss", err);
}

static ib_status fail_weights(ib_model *model, unsigned long long step, ib_error *err) {
    const char *bad = NULL;
    IB_TRY(ib_network_find_updated_bad(&model->network, &bad, err));
    return diverged(step, bad != NULL ? bad : "a weight", err);
}

ib_status ib_model_train(ib_model *model, const ib_model_steps *steps, float *losses, size_t *done,
                         ib_error *err) {
    ib_step_scalars table[IB_MOST_STEPS];
    ib_steps_result result;
    ib_steps run = {.end = steps->end,
                    .batch = steps->batch,
                    .count = steps->count,
                    .table = table,
                    .seed = steps->seed,
                    .dropout = !model->no_dropout,
                    .stop = steps->stop,
                    .stop_context = steps->stop_context};
    *done = 0;
    IB_TRY(check_training(model, steps->batch, err));
    if (steps->count > IB_MOST_STEPS || steps->at + (steps->count - 1) * steps->batch >= steps->end)
        return ib_fail(err, IB_ERROR_RUNTIME, "%zu steps where there are not as many",
                       steps->count);
    for (size_t i = 0; i < steps->count; ++i) {
        uint64_t step = steps->step + i;
        table[i].step = step;
        table[i].at = steps->at + i * steps->batch;
        table[i].update = ib_update_scalars_of(model->experiment, steps->learning_rates[i], step);
    }
    IB_TRY(ib_network_steps(&model->network, &run, &result, err));
    *done = result.bad_step < result.done ? result.bad_step : result.done;
    for (size_t i = 0; i < *done; ++i)
        losses[i] = result.losses[i];
    if (*done == result.done)
        return IB_OK;
    unsigned long long step = (unsigned long long)(steps->step + *done) + 1;
    return result.bad_loss ? fail_loss(model, step, result.met, err)
                           : fail_weights(model, step, err);
}

ib_status ib_model_gradients(ib_model *model, size_t at, size_t count, uint64_t seed, uint64_t step,
                             float *loss, ib_error *err) {
    ib_network *net = &model->network;
    ib_pass pass = {.count = (int64_t)count,
                    .global = (int64_t)count,
                    .training = 1,
                    .dropout = !model->no_dropout,
                    .seed = seed,
                    .step = step};
    IB_TRY(check_training(model, count, err));
    IB_TRY(ib_network_forward(net, at, &pass, err));
    IB_TRY(ib_network_backward(net, &pass, 0, err));
    return net->backend->ops->download(net->backend, &net->step_losses, loss, sizeof *loss, err);
}

ib_status ib_model_update(ib_model *model, double learning_rate, uint64_t step, ib_error *err) {
    static const uint32_t NEVER = IB_NEVER_BAD;
    ib_network *net = &model->network;
    uint32_t bad = 0;
    ib_update_scalars scalars = ib_update_scalars_of(model->experiment, learning_rate, step);
    IB_TRY(net->backend->ops->upload(net->backend, &net->bad, &NEVER, sizeof NEVER, err));
    IB_TRY(ib_network_update(net, &scalars, 0, err));
    IB_TRY(net->backend->ops->download(net->backend, &net->bad, &bad, sizeof bad, err));
    return bad == IB_NEVER_BAD ? IB_OK : fail_weights(model, (unsigned long long)step + 1, err);
}

/* ---- evaluation -------------------------------------------------------------------------------
 */

ib_status ib_model_evaluate(ib_model *model, size_t count, int (*stop)(void *context),
                            void *stop_context, const ib_scores *scores, ib_error *err) {
    /* Results do not depend on the batch, memory does. */
    size_t batch = (size_t)model->network.capacity;
    ib_network_swap_average(&model->network);
    ib_status status =
        ib_network_evaluate(&model->network, count, batch, stop, stop_context, scores, err);
    ib_network_swap_average(&model->network);
    return status;
}
