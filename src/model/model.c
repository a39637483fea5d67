#include "model/model.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/settle.h"
#include "model/state.h"

static ib_status open_network(ib_model *model, ib_backend *backend, const ib_experiment *experiment,
                              const ib_network_file *file, const ib_dataset_info *data,
                              size_t max_batch, int training, ib_error *err) {
    int64_t amount[IB_AUGMENTATIONS];
    IB_TRY(ib_augment_parse(experiment->augment, "--augment", amount, NULL, err));
    ib_network_options options = {
        .input = {data->image.channels, data->image.height, data->image.width, 0},
        .classes = data->classes,
        .capacity = (int64_t)max_batch,
        .training = training,
        .optimizer = (ib_optimizer_kind)experiment->optimizer,
        .momentum = experiment->momentum != 0,
        .label_smoothing = experiment->label_smoothing,
        .ema = experiment->ema,
        .augment = amount,
        .path = file->path,
        .lines = file->lines};
    float table[IB_LOAD_CHANNELS * 256];
    double mean, deviation;
    if (data->image.channels < 1 || data->image.channels > IB_LOAD_CHANNELS)
        return ib_fail(err, IB_ERROR_USAGE,
                       "%s has images of %u channels where 1 to %d are possible", data->name,
                       data->image.channels, IB_LOAD_CHANNELS);
    const ib_normalization *choice = ib_normalization_at((size_t)experiment->normalize);
    options.by_pixel = choice->by_pixel;
    IB_TRY(ib_network_open(&model->network, backend, file->rows, &options, err));
    model->needs_table = choice->by_pixel;
    if (choice->by_pixel)
        return IB_OK;
    ib_normalization_choose(choice, data->mean, data->standard_deviation, &mean, &deviation);
    for (uint32_t c = 0; c < data->image.channels; ++c)
        ib_normalization_table(mean, deviation, table + 256 * c);
    return ib_network_table(&model->network, table, err);
}

int ib_model_needs_table(const ib_model *model) {
    return model->needs_table;
}

ib_status ib_model_standardize(ib_model *model, const ib_pixel_table *table, ib_error *err) {
    size_t count = table->pixels;
    if (count != ib_model_image_bytes(model))
        return ib_fail(err, IB_ERROR_VERIFY,
                       "the table of means and deviations has %zu pixels, the network's images %zu",
                       count, ib_model_image_bytes(model));
    float *values = calloc(count, 2 * sizeof *values);
    if (values == NULL)
        return ib_fail_memory(err);
    for (size_t k = 0; k < count; ++k) {
        values[k] = (float)table->mean[k];
        values[count + k] = table->deviation[k] > 0 ? (float)(1.0 / table->deviation[k]) : 0.0f;
    }
    ib_status status = ib_network_table(&model->network, values, err);
    free(values);
    model->needs_table = status != IB_OK;
    return status;
}

static ib_status describe_tensors(ib_model *model, ib_error *err) {
    size_t count = model->network.parameter_count;
    model->tensors = calloc(count + 1, sizeof *model->tensors);
    if (model->tensors == NULL)
        return ib_fail_memory(err);
    model->tensor_count = count;
    for (size_t i = 0; i < count; ++i) {
        const ib_parameter *p = ib_network_parameter(&model->network, i);
        model->tensors[i] = (ib_tensor_info){p->name, p->shape, p->dtype, p->trained};
    }
    return IB_OK;
}

/* network NULL: the experiment's. */
static ib_status open_model(ib_backend *backend, const ib_experiment *experiment,
                            const ib_network_file *network, const ib_dataset_info *data,
                            size_t max_batch, int training, ib_model **result, ib_error *err) {
    *result = NULL;
    if (max_batch == 0 || max_batch > 65536)
        return ib_fail(err, IB_ERROR_USAGE, "a batch holds 1 to 65536 images, not %zu", max_batch);
    if (training)
        IB_TRY(ib_optimizer_check(experiment, err));
    ib_model *model = calloc(1, sizeof *model);
    if (model == NULL)
        return ib_fail_memory(err);
    model->experiment = experiment;
    ib_status status = IB_OK;
    if (network == NULL)
        status = ib_network_of(experiment, &model->rows, err);
    if (network == NULL)
        network = &model->rows;
    model->name = network->name;
    if (status == IB_OK)
        status = ib_network_check_images(network, &data->image, data->name, err);
    if (status == IB_OK)
        status = open_network(model, backend, experiment, network, data, max_batch, training, err);
    if (status == IB_OK)
        status = describe_tensors(model, err);
    if (status != IB_OK) {
        ib_model_close(model);
        return status;
    }
    *result = model;
    return IB_OK;
}

ib_status ib_model_open(ib_backend *backend, const ib_experiment *experiment,
                        const ib_dataset_info *data, size_t max_batch, int training,
                        ib_model **model, ib_error *err) {
    return open_model(backend, experiment, NULL, data, max_batch, training, model, err);
}

ib_status ib_model_open_network(ib_backend *backend, const ib_experiment *experiment,
                                const ib_network_file *network, const ib_dataset_info *data,
                                size_t max_batch, int training, ib_model **model, ib_error *err) {
    return open_model(backend, experiment, network, data, max_batch, training, model, err);
}

void ib_model_close(ib_model *model) {
    if (model == NULL)
        return;
    ib_network_close(&model->network);
    ib_network_file_close(&model->rows);
    free(model->tensors);
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
    const ib_extent *image = &model->network.input;
    return (size_t)(image->channels * image->h * image->w);
}

uint64_t ib_model_macs_forward(const ib_model *model) {
    return ib_network_macs(&model->network, 0);
}

uint64_t ib_model_macs_step(const ib_model *model) {
    return ib_network_macs(&model->network, 1);
}

/* ---- tensors ----------------------------------------------------------------------------------
 */

/* NULL: no such part. */
static const ib_buffer *part_of(const ib_parameter *p, ib_tensor_part part) {
    if (part == IB_PART_AVERAGE)
        return &p->average;
    return part >= IB_PART_VALUE && part <= IB_PART_STATE1 ? &p->part[part] : NULL;
}

static ib_status check_part(const ib_parameter *p, ib_tensor_part part, ib_error *err) {
    int integer = p != NULL && p->dtype == IB_I64 && part == IB_PART_VALUE;
    const ib_buffer *buffer = p == NULL ? NULL : part_of(p, part);
    if (buffer == NULL || (buffer->handle == NULL && !integer))
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
    ib_status status = backend->ops->download(backend, part_of(p, part), stored, bytes, err);
    if (status == IB_OK)
        ib_parameter_to_torch(p, stored, values);
    ib_arena_close(&arena);
    return status;
}

ib_tensor_part ib_model_part(const ib_model *model, size_t index) {
    const ib_parameter *p = ib_network_parameter(&model->network, index);
    return p != NULL && p->average.handle != NULL ? IB_PART_AVERAGE : IB_PART_VALUE;
}

ib_status ib_model_write_alone(ib_model *model, size_t index, ib_tensor_part part,
                               const void *values, ib_error *err) {
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
    int settles = part == IB_PART_VALUE || part == IB_PART_AVERAGE;
    for (int64_t i = 0; settles && i < p->floats; ++i)
        stored[i] = ib_settle(stored[i]); /* values made elsewhere: NUMERICS.md, section 1 */
    ib_backend *backend = model->network.backend;
    ib_status status = backend->ops->upload(backend, part_of(p, part), stored, bytes, err);
    free(stored);
    return status;
}

ib_status ib_model_write(ib_model *model, size_t index, ib_tensor_part part, const void *values,
                         ib_error *err) {
    IB_TRY(ib_model_write_alone(model, index, part, values, err));
    if (part != IB_PART_VALUE || ib_model_part(model, index) == IB_PART_VALUE)
        return IB_OK;
    return ib_model_write_alone(model, index, IB_PART_AVERAGE, values, err);
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

void ib_model_set_dropout(ib_model *model, int enabled) {
    model->no_dropout = !enabled;
}
