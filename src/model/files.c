/* Models and optimiser state as safetensors files under PyTorch's names. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "model/state.h"
#include "tensor/safetensors.h"

/* The optimiser's name for a state, NULL when it has none. */
static const char *state_name(const ib_model *model, int state) {
    switch ((ib_optimizer_kind)model->config->optimizer) {
    case IB_ADADELTA:
        return state == 0 ? "square_avg" : "acc_delta";
    case IB_ADAM:
        return state == 0 ? "exp_avg" : "exp_avg_sq";
    case IB_SGD:
        return state == 0 && model->config->momentum != 0 ? "momentum_buffer" : NULL;
    }
    return NULL;
}

struct gathered {
    ib_named_tensor *tensors;
    size_t count, copied; /* the first of them hold copies of the model's tensors */
    int names_owned;
};

static void release(struct gathered *g) {
    for (size_t i = 0; i < g->copied; ++i) {
        free((void *)g->tensors[i].data);
        if (g->names_owned)
            free((void *)g->tensors[i].name);
    }
    free(g->tensors);
}

static ib_status gather(const ib_model *model, struct gathered *g, const char *name, size_t index,
                        ib_tensor_part part, ib_error *err) {
    const ib_tensor_info *info = &model->tensors[index];
    void *values = malloc((size_t)ib_shape_elements(&info->shape) * ib_dtype_size(info->dtype));
    if (values == NULL || name == NULL) {
        free(values);
        return ib_fail_memory(err);
    }
    g->tensors[g->count++] = (ib_named_tensor){name, info->dtype, info->shape, values};
    g->copied = g->count;
    return ib_model_read(model, index, part, values, err);
}

ib_status ib_model_save(const ib_model *model, const char *path, char hex[IB_SHA256_HEX_SIZE],
                        ib_error *err) {
    struct gathered g = {.tensors = calloc(model->tensor_count, sizeof *g.tensors)};
    ib_status status = g.tensors == NULL ? ib_fail_memory(err) : IB_OK;
    for (size_t i = 0; status == IB_OK && i < model->tensor_count; ++i)
        status = gather(model, &g, model->tensors[i].name, i, IB_PART_VALUE, err);
    if (status == IB_OK)
        status = path == NULL ? ib_safetensors_hash(g.tensors, g.count, hex, err)
                              : ib_safetensors_write(path, g.tensors, g.count, NULL, 0, hex, err);
    release(&g);
    return status;
}

ib_status ib_model_save_optimizer(const ib_model *model, const char *path, uint64_t steps,
                                  char hex[IB_SHA256_HEX_SIZE], ib_error *err) {
    int64_t step = (int64_t)steps;
    struct gathered g = {.tensors = calloc(2 * model->tensor_count + 1, sizeof *g.tensors),
                         .names_owned = 1};
    ib_status status = g.tensors == NULL ? ib_fail_memory(err) : IB_OK;
    for (size_t i = 0; status == IB_OK && i < model->tensor_count; ++i)
        for (int state = 0; status == IB_OK && state < 2; ++state) {
            const char *suffix = state_name(model, state);
            if (suffix == NULL || !model->tensors[i].trained)
                continue;
            char *name = ib_format("%s.%s", model->tensors[i].name, suffix);
            size_t before = g.count;
            status = gather(model, &g, name, i, state == 0 ? IB_PART_STATE0 : IB_PART_STATE1, err);
            if (g.count == before)
                free(name);
        }
    if (status == IB_OK) {
        g.tensors[g.count++] = (ib_named_tensor){"step", IB_I64, {0, {0}}, &step};
        status = path == NULL ? ib_safetensors_hash(g.tensors, g.count, hex, err)
                              : ib_safetensors_write(path, g.tensors, g.count, NULL, 0, hex, err);
    }
    release(&g);
    return status;
}

static int same_shape(const ib_shape *a, const ib_shape *b) {
    return a->rank == b->rank &&
           memcmp(a->extent, b->extent, sizeof a->extent[0] * (size_t)a->rank) == 0;
}

/* Reads one tensor of the file into one part of a parameter. */
static ib_status load(ib_model *model, const ib_safetensors *file, const char *path,
                      const char *name, size_t index, ib_tensor_part part, ib_error *err) {
    const ib_tensor_info *want = &model->tensors[index];
    const ib_named_tensor *found = ib_safetensors_find(file, name);
    if (found == NULL)
        return ib_fail(err, IB_ERROR_VERIFY, "%s has no tensor %s", path, name);
    if (found->dtype != want->dtype || !same_shape(&found->shape, &want->shape))
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: tensor %s has another type or shape than model %s wants", path, name,
                       ib_model_kind_name((ib_model_kind)model->config->model));
    return ib_model_write(model, index, part, found->data, err);
}

static ib_status check_tensor_count(const ib_model *model, const ib_safetensors *file,
                                    const char *path, size_t count, ib_error *err) {
    if (file->count == count)
        return IB_OK;
    return ib_fail(err, IB_ERROR_VERIFY, "%s holds %zu tensors where model %s has %zu", path,
                   file->count, ib_model_kind_name((ib_model_kind)model->config->model), count);
}

ib_status ib_model_load(ib_model *model, const char *path, ib_error *err) {
    ib_safetensors file;
    IB_TRY(ib_safetensors_open(path, &file, err));
    ib_status status = check_tensor_count(model, &file, path, model->tensor_count, err);
    for (size_t i = 0; status == IB_OK && i < model->tensor_count; ++i)
        status = load(model, &file, path, model->tensors[i].name, i, IB_PART_VALUE, err);
    ib_safetensors_close(&file);
    return status;
}

static ib_status load_states(ib_model *model, const ib_safetensors *file, const char *path,
                             size_t *count, ib_error *err) {
    *count = 1; /* step */
    for (size_t i = 0; i < model->tensor_count; ++i)
        for (int state = 0; state < 2; ++state) {
            const char *suffix = state_name(model, state);
            if (suffix == NULL || !model->tensors[i].trained)
                continue;
            char *name = ib_format("%s.%s", model->tensors[i].name, suffix);
            if (name == NULL)
                return ib_fail_memory(err);
            ib_status status =
                load(model, file, path, name, i, state == 0 ? IB_PART_STATE0 : IB_PART_STATE1, err);
            free(name);
            IB_TRY(status);
            ++*count;
        }
    return IB_OK;
}

ib_status ib_model_load_optimizer(ib_model *model, const char *path, uint64_t *steps,
                                  ib_error *err) {
    ib_safetensors file;
    size_t count = 0;
    IB_TRY(ib_safetensors_open(path, &file, err));
    const ib_named_tensor *step = ib_safetensors_find(&file, "step");
    ib_status status = IB_OK;
    if (step == NULL || step->dtype != IB_I64 || step->shape.rank != 0)
        status = ib_fail(err, IB_ERROR_VERIFY, "%s has no I64 scalar named step", path);
    else
        *steps = (uint64_t) * (const int64_t *)step->data;
    if (status == IB_OK)
        status = load_states(model, &file, path, &count, err);
    if (status == IB_OK)
        status = check_tensor_count(model, &file, path, count, err);
    ib_safetensors_close(&file);
    return status;
}
