/* Trained models from files, of whatever kind they are. */
#ifndef IB_MODEL_MODEL_FILE_H
#define IB_MODEL_MODEL_FILE_H

#include <stddef.h>

#include "base/input.h"
#include "model/model.h"

/* The model that a command was given: the file itself, or model.safetensors in a run's directory.
 * Not there: IB_ERROR_VERIFY. The caller frees *path, also after a failure. */
ib_status ib_model_file_path(const char *given, char **path, ib_error *err);

/* Opens the model whose tensors a file has that was read, for evaluation, and reads its weights.
 * experiment->model is set to the kind found; experiment and backend outlive the model. A file that
 * fits no kind is IB_ERROR_VERIFY. The caller closes *model. */
ib_status ib_open_model_read(const ib_contents *contents, ib_backend *backend,
                             ib_experiment *experiment, const ib_dataset_info *data,
                             size_t max_batch, ib_model **model, ib_error *err);

#endif
