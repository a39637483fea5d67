/* The public API's predictor (include/isobit/isobit.h). */
#include "isobit/isobit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "build_info.h"
#include "data/dataset.h"
#include "model/model.h"
#include "model/model_file.h"
#include "options/options.h"

enum { PREDICTOR_BATCH = 256 };

struct ib_predictor {
    ib_config config; /* the model points to it */
    ib_backend *backend;
    ib_model *model;
    ib_error err;
};

const char *ib_version(void) {
    return IB_VERSION;
}

static ib_status set_option(const char *name, const char *value, ib_config *config, ib_error *err) {
    if (value == NULL)
        return IB_OK;
    return ib_option_set(ib_option_find(name, strlen(name)), value, name, config, err);
}

static ib_status open_parts(ib_predictor *predictor, const char *path,
                            const ib_predictor_options *options, ib_error *err) {
    ib_config *config = &predictor->config;
    IB_TRY(ib_config_defaults(config, err));
    IB_TRY(set_option("dataset", options->dataset, config, err));
    IB_TRY(set_option("normalize", options->normalize, config, err));
    IB_TRY(set_option("isa", options->isa, config, err));
    const ib_dataset_info *info = ib_dataset_find(config->experiment.dataset);
    if (info == NULL)
        return ib_fail(err, IB_ERROR_USAGE, "no data set '%s'", config->experiment.dataset);
    ib_backend_options machine = {config->machine.backend, config->machine.isa, options->threads};
    IB_TRY(ib_backend_open(&machine, &predictor->backend, err));
    return ib_open_model_file(path, predictor->backend, &config->experiment, info, PREDICTOR_BATCH,
                              &predictor->model, err);
}

ib_status ib_predictor_open(const char *model_path, const ib_predictor_options *options,
                            ib_predictor **predictor, char *message, size_t message_size) {
    const ib_predictor_options defaults = {0};
    ib_error err = {0};
    *predictor = NULL;
    ib_predictor *fresh = calloc(1, sizeof *fresh);
    ib_status status =
        fresh == NULL ? ib_fail_memory(&err)
                      : open_parts(fresh, model_path, options != NULL ? options : &defaults, &err);
    if (message != NULL && message_size > 0)
        snprintf(message, message_size, "%s", status == IB_OK ? "" : ib_error_text(&err));
    ib_error_clear(&err);
    if (status == IB_OK)
        *predictor = fresh;
    else
        ib_predictor_close(fresh);
    return status;
}

size_t ib_predictor_image_bytes(const ib_predictor *predictor) {
    return ib_model_image_bytes(predictor->model);
}

size_t ib_predictor_class_count(const ib_predictor *predictor) {
    return ib_model_class_count(predictor->model);
}

ib_status ib_predictor_predict(ib_predictor *predictor, const uint8_t *images, size_t count,
                               uint16_t *classes, float *logits) {
    ib_scores scores = {.classes = classes, .logits = logits};
    ib_error_clear(&predictor->err);
    IB_TRY(ib_model_attach_images(predictor->model, images, NULL, count, &predictor->err));
    return ib_model_evaluate(predictor->model, count, NULL, NULL, &scores, &predictor->err);
}

const char *ib_predictor_error(const ib_predictor *predictor) {
    return ib_error_text(&predictor->err);
}

void ib_predictor_close(ib_predictor *predictor) {
    if (predictor == NULL)
        return;
    ib_model_close(predictor->model);
    if (predictor->backend != NULL)
        ib_backend_close(predictor->backend);
    ib_config_free(&predictor->config);
    ib_error_clear(&predictor->err);
    free(predictor);
}
