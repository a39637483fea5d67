/* Models and optimiser state as safetensors files under PyTorch's names. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/settle.h"
#include "model/state.h"
#include "tensor/safetensors.h"

/* A weight whose average is in the model's file. */
static const char RAW[] = "raw";

/* The optimiser's name for a state, NULL when it has none. */
static const char *state_name(const ib_model *model, int state) {
    const ib_experiment *experiment = model->experiment;
    ib_optimizer_kind kind = (ib_optimizer_kind)experiment->optimizer;
    return state < ib_optimizer_states(kind, experiment->momentum != 0)
               ? ib_optimizer_at(kind)->states[state]
               : NULL;
}

/* The tensors of a file, read from the model as they are written. */
struct listed {
    const ib_model *model;
    ib_named_tensor *tensors;
    struct {
        size_t index;
        ib_tensor_part part;
    } * from;
    size_t count;
    int names_owned;
};

static ib_status list_open(struct listed *l, const ib_model *model, size_t most, int names_owned,
                           ib_error *err) {
    *l = (struct listed){.model = model, .names_owned = names_owned};
    l->tensors = calloc(most, sizeof *l->tensors);
    l->from = calloc(most, sizeof *l->from);
    return l->tensors == NULL || l->from == NULL ? ib_fail_memory(err) : IB_OK;
}

static void list_close(struct listed *l) {
    for (size_t i = 0; i < l->count && l->names_owned; ++i)
        if (l->tensors[i].data == NULL)
            free((void *)l->tensors[i].name);
    free(l->tensors);
    free(l->from);
}

/* Takes over name where the list owns names. */
static ib_status list_add(struct listed *l, const char *name, size_t index, ib_tensor_part part,
                          ib_error *err) {
    if (name == NULL)
        return ib_fail_memory(err);
    const ib_tensor_info *info = &l->model->tensors[index];
    l->from[l->count].index = index;
    l->from[l->count].part = part;
    l->tensors[l->count++] = (ib_named_tensor){name, info->dtype, info->shape, NULL};
    return IB_OK;
}

static ib_status read_listed(void *context, size_t index, void *values, ib_error *err) {
    const struct listed *l = context;
    return ib_model_read(l->model, l->from[index].index, l->from[index].part, values, err);
}

static ib_status write_listed(struct listed *l, const ib_folder *folder, const char *path,
                              char hex[IB_SHA256_HEX_SIZE], ib_error *err) {
    ib_tensor_reader reader = {l, read_listed};
    return ib_safetensors_write_read(folder, path, l->tensors, l->count, &reader, hex, err);
}

ib_status ib_model_save(const ib_model *model, const ib_folder *folder, const char *path,
                        char hex[IB_SHA256_HEX_SIZE], ib_error *err) {
    struct listed l;
    ib_status status = list_open(&l, model, model->tensor_count + 1, 0, err);
    for (size_t i = 0; status == IB_OK && i < model->tensor_count; ++i)
        status = list_add(&l, model->tensors[i].name, i, ib_model_part(model, i), err);
    if (status == IB_OK)
        status = write_listed(&l, folder, path, hex, err);
    list_close(&l);
    return status;
}

ib_status ib_model_save_optimizer(const ib_model *model, const ib_folder *folder, const char *path,
                                  uint64_t steps, char hex[IB_SHA256_HEX_SIZE], ib_error *err) {
    int64_t step = (int64_t)steps;
    struct listed l;
    ib_status status = list_open(&l, model, 3 * model->tensor_count + 1, 1, err);
    for (size_t i = 0; status == IB_OK && i < model->tensor_count; ++i) {
        if (ib_model_part(model, i) == IB_PART_AVERAGE)
            status = list_add(&l, ib_format("%s.%s", model->tensors[i].name, RAW), i, IB_PART_VALUE,
                              err);
        for (int state = 0; status == IB_OK && state < 2; ++state) {
            const char *suffix = state_name(model, state);
            if (suffix != NULL && model->tensors[i].trained)
                status = list_add(&l, ib_format("%s.%s", model->tensors[i].name, suffix), i,
                                  state == 0 ? IB_PART_STATE0 : IB_PART_STATE1, err);
        }
    }
    if (status == IB_OK) {
        l.tensors[l.count++] = (ib_named_tensor){"step", IB_I64, {0, {0}}, &step};
        status = write_listed(&l, folder, path, hex, err);
    }
    list_close(&l);
    return status;
}

static int same_shape(const ib_shape *a, const ib_shape *b) {
    return a->rank == b->rank &&
           memcmp(a->extent, b->extent, sizeof a->extent[0] * (size_t)a->rank) == 0;
}

/* A model that is not finite would be hidden by its ReLUs: results could still look like some. */
static ib_status check_finite(const ib_named_tensor *tensor, const char *path, ib_error *err) {
    const float *values = tensor->data;
    int64_t count = tensor->dtype == IB_F32 ? ib_shape_elements(&tensor->shape) : 0;
    for (int64_t i = 0; i < count; ++i)
        if (!(values[i] - values[i] == 0))
            return ib_fail(err, IB_ERROR_VERIFY, "%s: element %lld of tensor %s is not finite",
                           path, (long long)i, tensor->name);
    return IB_OK;
}

/* Reads one tensor of the file into one part of a parameter; alone: into no other. */
static ib_status load(ib_model *model, const ib_safetensors *file, const char *path,
                      const char *name, size_t index, ib_tensor_part part, int alone,
                      ib_error *err) {
    const ib_tensor_info *want = &model->tensors[index];
    const ib_named_tensor *found = ib_safetensors_find(file, name);
    if (found == NULL)
        return ib_fail(err, IB_ERROR_VERIFY, "%s has no tensor %s", path, name);
    if (found->dtype != want->dtype || !same_shape(&found->shape, &want->shape))
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: tensor %s has another type or shape than model %s wants", path, name,
                       model->name);
    IB_TRY(check_finite(found, path, err));
    return alone ? ib_model_write_alone(model, index, part, found->data, err)
                 : ib_model_write(model, index, part, found->data, err);
}

static ib_status check_tensor_count(const ib_model *model, const ib_safetensors *file,
                                    const char *path, size_t count, ib_error *err) {
    if (file->count == count)
        return IB_OK;
    return ib_fail(err, IB_ERROR_VERIFY, "%s holds %zu tensors where model %s has %zu", path,
                   file->count, model->name, count);
}

ib_status ib_model_load_read(ib_model *model, const ib_safetensors *file, ib_error *err) {
    IB_TRY(check_tensor_count(model, file, file->path, model->tensor_count, err));
    for (size_t i = 0; i < model->tensor_count; ++i)
        IB_TRY(load(model, file, file->path, model->tensors[i].name, i, IB_PART_VALUE, 0, err));
    return IB_OK;
}

ib_status ib_model_load(ib_model *model, const char *path, ib_error *err) {
    ib_safetensors file;
    IB_TRY(ib_safetensors_open(path, &file, err));
    ib_status status = ib_model_load_read(model, &file, err);
    ib_safetensors_close(&file);
    return status;
}

static int ends_with(const char *name, const char *state) {
    size_t length = strlen(name), tail = strlen(state);
    return length > tail && name[length - tail - 1] == '.' &&
           strcmp(name + length - tail, state) == 0;
}

/* What a tensor's elements settle at: averages of squares keep smaller values. */
static int settles_at(const char *name) {
    const ib_optimizer *row;
    for (size_t i = 0; (row = ib_optimizer_at(i)) != NULL; ++i)
        for (int state = 0; row->states[state] != NULL; ++state)
            if ((row->averages >> state & 1) != 0 && ends_with(name, row->states[state]))
                return IB_SETTLE_AVERAGE;
    return IB_SETTLE;
}

ib_status ib_model_check_settled_read(const ib_safetensors *file, ib_error *err) {
    for (size_t t = 0; t < file->count; ++t) {
        const ib_named_tensor *tensor = &file->tensors[t];
        const float *values = tensor->data;
        int k = settles_at(tensor->name);
        int64_t count = tensor->dtype == IB_F32 ? ib_shape_elements(&tensor->shape) : 0, i = 0;
        while (i < count && !ib_is_unsettled(values[i], k))
            ++i;
        if (i < count)
            return ib_fail(err, IB_ERROR_VERIFY,
                           "%s: element %lld of tensor %s is %a, but nothing exact is -0 or "
                           "between 0 and 2^-%d in magnitude (NUMERICS.md, section 1)",
                           file->path, (long long)i, tensor->name, (double)values[i], k);
    }
    return IB_OK;
}

ib_status ib_model_check_settled(const char *path, ib_error *err) {
    ib_safetensors file;
    IB_TRY(ib_safetensors_open(path, &file, err));
    ib_status status = ib_model_check_settled_read(&file, err);
    ib_safetensors_close(&file);
    return status;
}

/* "<parameter>.<suffix>", which goes into this part and no other. */
static ib_status load_beside(ib_model *model, const ib_safetensors *file, const char *suffix,
                             size_t index, ib_tensor_part part, size_t *count, ib_error *err) {
    char *name = ib_format("%s.%s", model->tensors[index].name, suffix);
    if (name == NULL)
        return ib_fail_memory(err);
    ib_status status = load(model, file, file->path, name, index, part, 1, err);
    free(name);
    ++*count;
    return status;
}

static ib_status load_states(ib_model *model, const ib_safetensors *file, size_t *count,
                             ib_error *err) {
    *count = 1; /* step */
    for (size_t i = 0; i < model->tensor_count; ++i) {
        if (ib_model_part(model, i) == IB_PART_AVERAGE)
            IB_TRY(load_beside(model, file, RAW, i, IB_PART_VALUE, count, err));
        for (int state = 0; state < 2; ++state) {
            const char *suffix = state_name(model, state);
            if (suffix != NULL && model->tensors[i].trained)
                IB_TRY(load_beside(model, file, suffix, i,
                                   state == 0 ? IB_PART_STATE0 : IB_PART_STATE1, count, err));
        }
    }
    return IB_OK;
}

ib_status ib_model_load_optimizer_read(ib_model *model, const ib_safetensors *file, uint64_t *steps,
                                       ib_error *err) {
    size_t count = 0;
    const ib_named_tensor *step = ib_safetensors_find(file, "step");
    if (step == NULL || step->dtype != IB_I64 || step->shape.rank != 0)
        return ib_fail(err, IB_ERROR_VERIFY, "%s has no I64 scalar named step", file->path);
    *steps = (uint64_t) * (const int64_t *)step->data;
    IB_TRY(load_states(model, file, &count, err));
    return check_tensor_count(model, file, file->path, count, err);
}

ib_status ib_model_load_optimizer(ib_model *model, const char *path, uint64_t *steps,
                                  ib_error *err) {
    ib_safetensors file;
    IB_TRY(ib_safetensors_open(path, &file, err));
    ib_status status = ib_model_load_optimizer_read(model, &file, steps, err);
    ib_safetensors_close(&file);
    return status;
}
