/* The public library's predictors. */
#include <stdlib.h>
#include <string.h>

#include "api/parts.h"
#include "base/file.h"
#include "model/model_file.h"
#include "options/options.h"
#include "record/recorded.h"

enum { PREDICTOR_BATCH = 256 };

struct ib_predictor {
    ib_arguments arguments; /* of isobit test; the model points to the experiment */
    ib_backend *backend;
    ib_dataset_description data;
    ib_model *model;
    ib_error err;
};

static ib_status add_word(const char *name, const char *value, char **words, size_t *count,
                          ib_error *err) {
    if (value == NULL)
        return IB_OK;
    words[*count] = ib_format("--%s=%s", name, value);
    return words[(*count)++] == NULL ? ib_fail_memory(err) : IB_OK;
}

/* The options as the command line of `isobit test` would have them, which then knows which of them
 * to take from a record. */
static ib_status parse(ib_predictor *predictor, const char *path,
                       const ib_predictor_options *options, ib_error *err) {
    char *words[3] = {NULL};
    size_t count = 0;
    ib_status status = add_word("dataset", options->dataset, words, &count, err);
    if (status == IB_OK)
        status = add_word("normalize", options->normalize, words, &count, err);
    if (status == IB_OK)
        status = add_word("isa", options->isa, words, &count, err);
    const char *line[] = {words[0], words[1], words[2], NULL, NULL};
    line[count] = "--";
    line[count + 1] = path;
    if (status == IB_OK)
        status = ib_arguments_parse(ib_command_find("test"), (int)count + 2, line, NULL,
                                    &predictor->arguments, err);
    for (size_t i = 0; i < count; ++i)
        free(words[i]);
    return status;
}

/* By the table beside the model's file. */
static ib_status standardize(ib_model *model, const char *model_path, ib_error *err) {
    ib_pixel_table table = {0};
    char *path = ib_pixel_table_path(model_path);
    ib_status status = path == NULL
                           ? ib_fail_memory(err)
                           : ib_pixel_table_read(path, ib_model_image_bytes(model), &table, err);
    if (status == IB_OK)
        status = ib_model_standardize(model, &table, err);
    ib_pixel_table_close(&table);
    free(path);
    return status;
}

/* The file was read once: what is hashed is what is used. */
static ib_status open_model(ib_predictor *predictor, const ib_contents *contents, unsigned threads,
                            ib_error *err) {
    ib_config *config = &predictor->arguments.config;
    char sha256[IB_SHA256_HEX_SIZE];
    ib_sha256_bytes(contents->data, contents->size, sha256);
    IB_TRY(ib_adopt_beside(contents->path, sha256, IB_FOR_TEST, &predictor->arguments, NULL, NULL,
                           err));
    IB_TRY(
        ib_dataset_describe(config->data.dir, config->experiment.dataset, &predictor->data, err));
    ib_backend_options machine = {.backend = config->machine.backend,
                                  .isa = config->machine.isa,
                                  .threads = threads,
                                  .unpinned = 1};
    IB_TRY(ib_backend_open(&machine, &predictor->backend, err));
    IB_TRY(ib_open_model_read(contents, predictor->backend, &config->experiment,
                              predictor->data.info,
                              PREDICTOR_BATCH, &predictor->model, err));
    return ib_model_needs_table(predictor->model)
               ? standardize(predictor->model, contents->path, err)
               : IB_OK;
}

static ib_status open_parts(ib_predictor *predictor, const char *given,
                            const ib_predictor_options *options, ib_error *err) {
    char *path = NULL;
    ib_contents contents;
    IB_TRY(parse(predictor, given, options, err));
    ib_status status = ib_model_file_path(given, &path, err);
    if (status == IB_OK)
        status = ib_contents_open(path, IB_MODEL_FILE_MOST, &contents, err);
    if (status == IB_OK) {
        status = open_model(predictor, &contents, options->threads, err);
        ib_contents_close(&contents);
    }
    free(path);
    return status;
}

ib_status ib_predictor_open(const char *model_path, const ib_predictor_options *options,
                            ib_predictor **predictor, char *message, size_t message_size) {
    const ib_predictor_options defaults = {0};
    ib_guard guard;
    ib_error err = {0};
    ib_predictor *fresh = calloc(1, sizeof *fresh);
    ib_guard_enter(&guard);
    ib_status status =
        fresh == NULL ? ib_fail_memory(&err)
                      : open_parts(fresh, model_path, options != NULL ? options : &defaults, &err);
    if (status != IB_OK) {
        ib_predictor_close(fresh);
        fresh = NULL;
    }
    ib_guard_leave(&guard);
    *predictor = fresh;
    return ib_tell(status, &err, message, message_size);
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
    ib_guard guard;
    ib_guard_enter(&guard);
    ib_error_clear(&predictor->err);
    ib_status status =
        ib_model_attach_images(predictor->model, images, NULL, count, &predictor->err);
    if (status == IB_OK)
        status = ib_model_evaluate(predictor->model, count, NULL, NULL, &scores, &predictor->err);
    ib_guard_leave(&guard);
    return status;
}

const char *ib_predictor_error(const ib_predictor *predictor) {
    return ib_error_text(&predictor->err);
}

void ib_predictor_close(ib_predictor *predictor) {
    if (predictor == NULL)
        return;
    ib_model_close(predictor->model);
    ib_backend_close(predictor->backend);
    ib_dataset_description_close(&predictor->data);
    ib_arguments_free(&predictor->arguments);
    ib_error_clear(&predictor->err);
    free(predictor);
}
