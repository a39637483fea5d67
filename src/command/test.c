/* isobit test: what a trained model is worth on the test images. */
#include "command/command.h"
#include "command/missing_data.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "command/metrics_text.h"
#include "command/session.h"
#include "command/train_svm.h"
#include "model/model_file.h"
#include "record/metrics_json.h"
#include "record/recorded.h"
#include "train/trainer.h"

static void print_text(const ib_evaluation *test, const ib_metrics *metrics, int has_loss,
                       const char *sha256, FILE *out) {
    fputs("\nTest set: ", out);
    if (has_loss)
        fprintf(out, "Average loss: %.4f, ", test->loss);
    fprintf(out, "Accuracy: %zu/%zu (%.0f%%)\n\n", test->correct, test->count,
            100.0 * test->accuracy);
    ib_metrics_print(metrics, test, out);
    fprintf(out, "\nmodel_sha256  %s\n", sha256);
}

/* vectors: of a support vector machine, which has no loss; 0 for a network. */
static void print_json(const ib_config *config, const ib_session *session,
                       const ib_evaluation *test, const ib_metrics *metrics, size_t vectors,
                       size_t model_bytes, const char *sha256, FILE *out) {
    const ib_backend_info *backend = &session->backend->info;
    ib_json json = {.out = out};
    ib_json_open(&json, NULL, '{');
    ib_json_string(&json, "model_sha256", sha256);
    ib_json_double(&json, "test_accuracy", test->accuracy);
    if (vectors == 0)
        ib_json_double(&json, "test_loss", test->loss);
    else
        ib_json_string(&json, "test_loss", NULL);
    ib_json_uint(&json, "test_correct", test->correct);
    ib_json_uint(&json, "test_count", test->count);
    ib_json_double(&json, "test_seconds", test->seconds);
    ib_json_string(&json, "model", ib_experiment_model_name(&config->experiment));
    ib_json_string(&json, "dataset", config->experiment.dataset);
    ib_json_uint(&json, "model_bytes", model_bytes);
    ib_json_uint(&json, "peak_rss_bytes", ib_peak_rss_bytes());
    ib_json_string(&json, "backend", backend->name);
    ib_json_string(&json, "isa", backend->isa);
    ib_json_uint(&json, "threads", backend->threads);
    ib_json_bool(&json, "exact", config->machine.exact);
    if (vectors > 0)
        ib_json_uint(&json, "support_vectors", vectors);
    ib_metrics_write(metrics, "metrics", &json);
    ib_confusion_write(test, "confusion", &json);
    ib_json_close(&json, '}');
    fputc('\n', out);
}

static ib_status load(ib_model *model, const ib_contents *contents, ib_error *err) {
    ib_safetensors file;
    IB_TRY(ib_safetensors_parse(contents, &file, err));
    ib_status status = ib_model_load_read(model, &file, err);
    ib_safetensors_close(&file);
    return status;
}

static ib_status evaluate_network(const ib_contents *file, ib_arguments *arguments,
                                  ib_session *session, ib_evaluation *test, ib_error *err) {
    ib_config *config = &arguments->config;
    if (ib_arguments_source(arguments, "model") == IB_FROM_DEFAULT) {
        IB_TRY(ib_open_model_read(file, session->backend, &config->experiment,
                                  session->dataset.info, ib_session_test_batch(config, session),
                                  &session->model, err));
    } else {
        IB_TRY(ib_session_open_model(config, 0, session, err));
        IB_TRY(load(session->model, file, err));
    }
    if (ib_model_needs_table(session->model)) {
        IB_TRY(ib_session_read_table(file->path, session, err));
        IB_TRY(ib_model_standardize(session->model, &session->table, err));
    }
    return ib_evaluate(session->model, &session->dataset, session->split.test,
                       session->split.test_count, test, err);
}

/* --model decides, or what is in the file. */
static ib_status kind_of(const ib_contents *file, const ib_arguments *arguments,
                         ib_svm_file_kind *kind, ib_error *err) {
    int given = ib_arguments_source(arguments, "model") != IB_FROM_DEFAULT;
    *kind = IB_NO_SVM;
    if (given && arguments->config.experiment.model != IB_MODEL_SVM)
        return IB_OK;
    IB_TRY(ib_svm_file_kind_of(file, kind, err));
    if (given && *kind == IB_NO_SVM)
        return ib_fail(err, IB_ERROR_VERIFY, "%s is no support vector machine", file->path);
    return IB_OK;
}

static ib_status evaluate(ib_contents *file, const char *sha256, ib_arguments *arguments,
                          ib_session *session, const ib_command_context *context,
                          ib_evaluation *test, ib_error *err) {
    ib_config *config = &arguments->config;
    ib_svm_file_kind kind;
    size_t vectors = 0;
    IB_TRY(kind_of(file, arguments, &kind, err));
    if (kind != IB_NO_SVM)
        config->experiment.model = IB_MODEL_SVM;
    IB_TRY(ib_get_missing_data(config, context, err));
    IB_TRY(ib_session_open(config, session, err));
    if (kind != IB_NO_SVM) {
        IB_TRY(ib_svm_test_file(file, kind, config, session, test, &vectors, err));
    } else {
        IB_TRY(evaluate_network(file, arguments, session, test, err));
    }
    ib_metrics metrics;
    IB_TRY(ib_metrics_compute(test->confusion, test->classes, &metrics, err));
    if (config->output.json)
        print_json(config, session, test, &metrics, vectors, file->size, sha256, context->out);
    else
        print_text(test, &metrics, kind == IB_NO_SVM, sha256, context->out);
    ib_metrics_free(&metrics);
    return IB_OK;
}

/* The file is read once: it is this that is hashed, told apart and evaluated. */
static ib_status test_file(const char *path, ib_arguments *arguments,
                           const ib_command_context *context, ib_error *err) {
    char sha256[IB_SHA256_HEX_SIZE];
    ib_contents file;
    ib_session session = {0};
    ib_evaluation test = {0};
    IB_TRY(ib_contents_open(path, IB_MODEL_FILE_MOST, &file, err));
    ib_sha256_bytes(file.data, file.size, sha256);
    ib_status status =
        ib_adopt_beside(path, sha256, IB_FOR_TEST, arguments, context->log, NULL, err);
    if (status == IB_OK)
        status = evaluate(&file, sha256, arguments, &session, context, &test, err);
    ib_evaluation_free(&test);
    ib_session_close(&session);
    ib_contents_close(&file);
    return status;
}

ib_status ib_command_test(ib_arguments *arguments, const ib_command_context *context,
                          ib_error *err) {
    char *path = NULL;
    ib_status status = ib_model_file_path(arguments->words[0], &path, err);
    if (status == IB_OK)
        status = test_file(path, arguments, context, err);
    free(path);
    return status;
}
