#include "model/model_file.h"

#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "tensor/safetensors.h"

ib_status ib_model_file_path(const char *given, char **path, ib_error *err) {
    struct stat about;
    int is_directory = stat(given, &about) == 0 && S_ISDIR(about.st_mode);
    *path = is_directory ? ib_path_join(given, "model.safetensors") : ib_format("%s", given);
    if (*path == NULL)
        return ib_fail_memory(err);
    if (ib_path_exists(*path))
        return IB_OK;
    return ib_fail(err, IB_ERROR_VERIFY,
                   "there is no model file %s; training writes one: RUN-DIRECTORY/"
                   "model.safetensors",
                   *path);
}

static int fits(const ib_model *model, const ib_safetensors *file) {
    if (file->count != ib_model_tensor_count(model))
        return 0;
    for (size_t i = 0; i < file->count; ++i) {
        const ib_tensor_info *want = ib_model_tensor(model, i);
        const ib_named_tensor *found = ib_safetensors_find(file, want->name);
        if (found == NULL || found->shape.rank != want->shape.rank)
            return 0;
        for (int d = 0; d < want->shape.rank; ++d)
            if (found->shape.extent[d] != want->shape.extent[d])
                return 0;
    }
    return 1;
}

/* Opens the experiment's network where the file fits it. */
static ib_status try_network(const ib_safetensors *file, ib_backend *backend,
                             const ib_experiment *experiment, const ib_dataset_info *data,
                             size_t max_batch, ib_model **model, ib_error *err) {
    IB_TRY(ib_model_open(backend, experiment, data, max_batch, 0, model, err));
    if (fits(*model, file))
        return IB_OK;
    ib_model_close(*model);
    *model = NULL;
    return IB_OK;
}

/* A network that came as a file, then each of the catalogue that takes such images: planning one
 * costs address space, no memory. */
static ib_status find_kind(const ib_safetensors *file, ib_backend *backend,
                           ib_experiment *experiment, const ib_dataset_info *data, size_t max_batch,
                           ib_model **model, ib_error *err) {
    const ib_model_info *row;
    if (experiment->model == IB_MODEL_FILE)
        return try_network(file, backend, experiment, data, max_batch, model, err);
    for (size_t kind = 0; *model == NULL && (row = ib_model_at(kind)) != NULL; ++kind) {
        if (!row->is_network)
            continue;
        experiment->model = (int)kind;
        ib_status status = try_network(file, backend, experiment, data, max_batch, model, err);
        if (status != IB_OK && status != IB_ERROR_USAGE)
            return status;
        ib_error_clear(err);
    }
    return IB_OK;
}

ib_status ib_open_model_read(const ib_contents *contents, ib_backend *backend,
                             ib_experiment *experiment, const ib_dataset_info *data,
                             size_t max_batch, ib_model **model, ib_error *err) {
    *model = NULL;
    ib_safetensors file;
    IB_TRY(ib_safetensors_parse(contents, &file, err));
    ib_status status = find_kind(&file, backend, experiment, data, max_batch, model, err);
    if (status == IB_OK && *model == NULL)
        status = ib_fail(err, IB_ERROR_VERIFY,
                         "%s is no model of this version: its %zu tensors (%s, ...) fit none; "
                         "'isobit train --help' lists the models",
                         file.path, file.count, file.count > 0 ? file.tensors[0].name : "none");
    if (status == IB_OK)
        status = ib_model_load_read(*model, &file, err);
    ib_safetensors_close(&file);
    if (status != IB_OK) {
        ib_model_close(*model);
        *model = NULL;
    }
    return status;
}
