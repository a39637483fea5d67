#include "model/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "model/registry.h"
#include "model/state.h"

const char *ib_model_kind_name(ib_model_kind kind) {
    return ib_model_entry_of(kind)->name;
}

static double chosen_mean(const ib_config *config, double dataset_mean) {
    switch ((ib_normalize_kind)config->normalize) {
    case IB_NORMALIZE_UNIT:
        return 0.0;
    case IB_NORMALIZE_HALF:
        return 0.5;
    case IB_NORMALIZE_DATASET:
        break;
    }
    return dataset_mean;
}

static double chosen_deviation(const ib_config *config, double dataset_deviation) {
    switch ((ib_normalize_kind)config->normalize) {
    case IB_NORMALIZE_UNIT:
        return 1.0;
    case IB_NORMALIZE_HALF:
        return 0.5;
    case IB_NORMALIZE_DATASET:
        break;
    }
    return dataset_deviation;
}

void ib_chosen_normalization(const ib_config *config, double dataset_mean, double dataset_deviation,
                             double *mean, double *deviation) {
    *mean = chosen_mean(config, dataset_mean);
    *deviation = chosen_deviation(config, dataset_deviation);
}

int ib_model_is_network(ib_model_kind kind) {
    const ib_model_entry *entry = ib_model_entry_of(kind);
    return entry->layers != NULL || entry->resnet != NULL;
}

ib_status ib_model_open(ib_backend *backend, const ib_config *config, const ib_dataset_info *data,
                        size_t max_batch, int training, ib_model **result, ib_error *err) {
    *result = NULL;
    if (max_batch == 0 || max_batch > 65536)
        return ib_fail(err, IB_ERROR_USAGE, "a batch holds 1 to 65536 images, not %zu", max_batch);
    if (!ib_model_is_network((ib_model_kind)config->model))
        return ib_fail(err, IB_ERROR_USAGE, "%s is no network: only isobit train and test know it",
                       ib_model_kind_name((ib_model_kind)config->model));
    ib_model *model = calloc(1, sizeof *model);
    if (model == NULL)
        return ib_fail_memory(err);
    model->config = config;
    ib_status status =
        ib_model_rows((ib_model_kind)config->model, data->classes, &model->rows, err);
    if (status == IB_OK)
        status = ib_network_open(&model->network, backend, model->rows.rows, data->image,
                                 data->classes, (int64_t)max_batch, training,
                                 (ib_optimizer_kind)config->optimizer, config->momentum != 0, err);
    ib_normalization_table(chosen_mean(config, data->mean),
                           chosen_deviation(config, data->standard_deviation),
                           model->network.table);
    size_t count = 0;
    while (ib_network_parameter(&model->network, count) != NULL)
        ++count;
    model->tensor_count = count;
    model->tensors = calloc(count + 1, sizeof *model->tensors);
    model->losses = calloc(max_batch, sizeof *model->losses);
    model->logits = calloc(max_batch * (size_t)ib_pad16(data->classes), sizeof *model->logits);
    if (status == IB_OK && (!model->tensors || !model->losses || !model->logits))
        status = ib_fail_memory(err);
    if (status != IB_OK) {
        ib_model_close(model);
        return status;
    }
    for (size_t i = 0; i < count; ++i) {
        const ib_parameter *p = ib_network_parameter(&model->network, i);
        model->tensors[i] = (ib_tensor_info){p->name, p->shape, p->dtype, p->trained};
    }
    *result = model;
    return IB_OK;
}

void ib_model_close(ib_model *model) {
    if (model == NULL)
        return;
    ib_network_close(&model->network);
    ib_model_rows_free(&model->rows);
    free(model->tensors);
    free(model->losses);
    free(model->logits);
    free(model);
}

size_t ib_model_tensor_count(const ib_model *model) {
    return model->tensor_count;
}

const ib_tensor_info *ib_model_tensor(const ib_model *model, size_t index) {
    return &model->tensors[index];
}

size_t ib_model_parameter_count(const ib_model *model) {
    size_t total = 0;
    for (size_t i = 0; i < model->tensor_count; ++i)
        if (model->tensors[i].trained)
            total += (size_t)ib_shape_elements(&model->tensors[i].shape);
    return total;
}

size_t ib_model_class_count(const ib_model *model) {
    return (size_t)model->network.classes;
}

size_t ib_model_image_bytes(const ib_model *model) {
    return ib_image_bytes(model->network.image);
}

uint64_t ib_model_macs_forward(const ib_model *model) {
    return ib_network_macs(&model->network, 0);
}

uint64_t ib_model_macs_step(const ib_model *model) {
    return ib_network_macs(&model->network, 1);
}

static ib_status check_part(const ib_parameter *p, ib_tensor_part part, ib_error *err) {
    int integer = p != NULL && p->dtype == IB_I64 && part == IB_PART_VALUE;
    if (p == NULL || part < IB_PART_VALUE || part > IB_PART_STATE1 ||
        (p->part[part].handle == NULL && !integer))
        return ib_fail(err, IB_ERROR_RUNTIME, "this model has no such tensor, gradient or state");
    return IB_OK;
}

ib_status ib_model_read(const ib_model *model, size_t index, ib_tensor_part part, void *values,
                        ib_error *err) {
    const ib_parameter *p = ib_network_parameter(&model->network, index);
    IB_TRY(check_part(p, part, err));
    if (p->dtype == IB_I64) {
        memcpy(values, &p->counter, sizeof p->counter);
        return IB_OK;
    }
    size_t bytes = (size_t)p->floats * sizeof(float);
    ib_arena arena; /* given back at once, where free might keep it */
    IB_TRY(ib_arena_open(bytes, &arena, err));
    float *stored = (float *)(void *)arena.base;
    ib_backend *backend = model->network.backend;
    ib_status status = backend->ops->download(backend, &p->part[part], 0, stored, bytes, err);
    if (status == IB_OK)
        ib_parameter_to_torch(p, stored, values);
    ib_arena_close(&arena);
    return status;
}

ib_status ib_model_write(ib_model *model, size_t index, ib_tensor_part part, const void *values,
                         ib_error *err) {
    ib_parameter *p = ib_network_parameter(&model->network, index);
    IB_TRY(check_part(p, part, err));
    if (p->dtype == IB_I64) {
        memcpy(&p->counter, values, sizeof p->counter);
        return IB_OK;
    }
    size_t bytes = (size_t)p->floats * sizeof(float);
    float *stored = malloc(bytes);
    if (stored == NULL)
        return ib_fail_memory(err);
    ib_parameter_from_torch(p, values, stored);
    ib_backend *backend = model->network.backend;
    ib_status status = backend->ops->upload(backend, &p->part[part], 0, stored, bytes, err);
    free(stored);
    return status;
}

ib_status ib_model_initialize(ib_model *model, uint64_t seed, ib_error *err) {
    uint32_t number = 0; /* of the trained tensor */
    for (size_t i = 0; i < model->tensor_count; ++i) {
        ib_parameter *p = ib_network_parameter(&model->network, i);
        p->counter = 0;
        if (p->dtype == IB_I64)
            continue;
        if (number > UINT8_MAX)
            return ib_fail(err, IB_ERROR_RUNTIME, "more than 256 tensors to initialise");
        float *values = malloc((size_t)ib_shape_elements(&p->shape) * sizeof *values);
        if (values == NULL)
            return ib_fail_memory(err);
        ib_initialize(seed, number, p, values);
        number += (uint32_t)p->trained;
        ib_status status = ib_model_write(model, i, IB_PART_VALUE, values, err);
        free(values);
        IB_TRY(status);
    }
    return IB_OK;
}

/* ---- steps ------------------------------------------------------------------------------------
 */

static ib_status check_count(const ib_model *model, size_t count, ib_error *err) {
    if (count == 0 || (int64_t)count > model->network.capacity)
        return ib_fail(err, IB_ERROR_RUNTIME, "a batch of %zu images where 1 to %lld were planned",
                       count, (long long)model->network.capacity);
    return IB_OK;
}

ib_status ib_model_gradients(ib_model *model, const uint8_t *const *images, const uint8_t *labels,
                             size_t count, uint64_t seed, uint64_t step, float *loss,
                             ib_error *err) {
    IB_TRY(check_count(model, count, err));
    if (!model->network.training)
        return ib_fail(err, IB_ERROR_RUNTIME, "this model was opened without training memory");
    uint64_t seed_and_step[2] = {seed, step};
    IB_TRY(ib_network_forward(&model->network, images, (int64_t)count, 1,
                              model->no_dropout ? NULL : seed_and_step, err));
    return ib_network_backward(&model->network, labels, (int64_t)count, model->losses, loss, err);
}

ib_status ib_model_update(ib_model *model, double learning_rate, uint64_t step, ib_error *err) {
    ib_update scalars = ib_update_scalars(model->config, learning_rate, step);
    const char *bad = NULL;
    IB_TRY(ib_network_update(&model->network, &scalars, &bad, err));
    if (bad != NULL)
        return ib_fail(err, IB_ERROR_DIVERGED,
                       "step %llu: %s is not finite any more; lower --lr or check the data",
                       (unsigned long long)step + 1, bad);
    return IB_OK;
}

ib_status ib_model_train_step(ib_model *model, const uint8_t *const *images, const uint8_t *labels,
                              size_t count, uint64_t seed, uint64_t step, double learning_rate,
                              float *loss, ib_error *err) {
    ib_error found = {0};
    ib_status status = ib_model_gradients(model, images, labels, count, seed, step, loss, &found);
    if (status == IB_OK && isfinite(*loss))
        return ib_model_update(model, learning_rate, step, err);
    const char *bad = NULL;
    if (status == IB_OK || status == IB_ERROR_DIVERGED) {
        status = ib_network_find_bad(&model->network, &bad, err);
        if (status == IB_OK)
            status = ib_fail(err, IB_ERROR_DIVERGED,
                             "step %llu: %s is not finite any more; lower --lr or check the data",
                             (unsigned long long)step + 1,
                             bad != NULL             ? bad
                             : found.status == IB_OK ? "the loss"
                                                     : ib_error_text(&found));
    } else {
        ib_fail(err, status, "%s", ib_error_text(&found));
    }
    ib_error_clear(&found);
    return status;
}

ib_status ib_model_predict(ib_model *model, const uint8_t *const *images, const uint8_t *labels,
                           size_t count, float *logits, float *losses, uint8_t *predictions,
                           ib_error *err) {
    IB_TRY(check_count(model, count, err));
    ib_network *net = &model->network;
    size_t classes = (size_t)net->classes, stride = (size_t)ib_pad16(net->classes);
    IB_TRY(ib_network_forward(net, images, (int64_t)count, 0, NULL, err));
    const ib_layer *last = &net->layers[net->layer_count - 1];
    if (losses != NULL)
        IB_TRY(ib_softmax_nll(net->backend, (int64_t)count, net->classes, 1.0f, &last->y, labels,
                              losses, NULL, NULL, err));
    IB_TRY(net->backend->ops->download(net->backend, &last->y, 0, model->logits,
                                       count * stride * sizeof(float), err));
    for (size_t i = 0; i < count; ++i) {
        const float *z = model->logits + stride * i;
        uint8_t best = 0;
        for (size_t j = 1; j < classes; ++j)
            if (z[j] > z[best])
                best = (uint8_t)j;
        if (predictions != NULL)
            predictions[i] = best;
        if (logits != NULL)
            memcpy(logits + classes * i, z, classes * sizeof(float));
    }
    return IB_OK;
}

void ib_model_set_dropout(ib_model *model, int enabled) {
    model->no_dropout = !enabled;
}
