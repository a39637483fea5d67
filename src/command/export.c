/* isobit export: a trained model in another program's format. */
#include "command/command.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/json_text.h"
#include "base/sha256.h"
#include "command/train_svm.h"
#include "data/dataset.h"
#include "model/model_file.h"
#include "model/onnx.h"
#include "record/recorded.h"
#include "svm/svm.h"

/* ---- LIBSVM -----------------------------------------------------------------------------------
 */

static ib_status export_libsvm(const char *path, const ib_config *config,
                               const ib_command_context *context, ib_error *err) {
    if (config->output.file == NULL)
        return ib_fail(err, IB_ERROR_USAGE, "isobit export needs the file to write: -o FILE");
    if (config->output.json)
        return ib_fail(err, IB_ERROR_USAGE, "--json goes with --onnx only");
    char sha256[IB_SHA256_HEX_SIZE];
    ib_contents file;
    ib_session session = {0};
    ib_svm_model model = {0};
    IB_TRY(ib_contents_open(path, IB_MODEL_FILE_MOST, &file, err));
    ib_sha256_bytes(file.data, file.size, sha256);
    ib_status status = ib_check_beside(path, sha256, err);
    if (status == IB_OK)
        status = ib_svm_open_file(&file, &session, &model, err);
    if (status == IB_OK)
        status = ib_svm_write_libsvm(&model, config->output.file, err);
    if (status == IB_OK)
        fprintf(context->out, "%s: %zu support vectors, %zu classes\n", config->output.file,
                model.count, model.class_count);
    ib_svm_model_close(&model);
    ib_session_close(&session);
    ib_contents_close(&file);
    return status;
}

/* ---- ONNX -------------------------------------------------------------------------------------
 */

static int is_same_file(const char *a, const char *b) {
    struct stat one, two;
    return stat(a, &one) == 0 && stat(b, &two) == 0 && one.st_dev == two.st_dev &&
           one.st_ino == two.st_ino;
}

/* The model's name with .onnx; fresh memory. */
static char *onnx_name(const char *model) {
    static const char SUFFIX[] = ".safetensors";
    size_t length = strlen(model), suffix = sizeof SUFFIX - 1;
    if (length > suffix && strcmp(model + length - suffix, SUFFIX) == 0)
        length -= suffix;
    return ib_format("%.*s.onnx", (int)length, model);
}

static void print_written(const char *path, const ib_onnx_written *written, int json, FILE *out) {
    const char *model = written->network;
    if (!json) {
        fprintf(out, "%s: %s, %llu bytes, SHA-256 %s\n", path, model,
                (unsigned long long)written->bytes, written->sha256);
        return;
    }
    ib_json text = {.out = out};
    ib_json_open(&text, NULL, '{');
    ib_json_string(&text, "path", path);
    ib_json_string(&text, "model", model);
    ib_json_uint(&text, "bytes", written->bytes);
    ib_json_string(&text, "sha256", written->sha256);
    ib_json_close(&text, '}');
    fputc('\n', out);
}

static ib_status write_onnx(const ib_contents *file, const char *path, ib_arguments *arguments,
                            const ib_command_context *context, ib_error *err) {
    const ib_config *config = &arguments->config;
    const char *model = file->path;
    char sha256[IB_SHA256_HEX_SIZE];
    ib_svm_file_kind kind;
    int adopted = 0;
    if (is_same_file(model, path))
        return ib_fail(err, IB_ERROR_USAGE, "-o %s is the model itself", path);
    IB_TRY(ib_svm_file_kind_of(file, &kind, err));
    if (kind != IB_NO_SVM)
        return ib_fail(err, IB_ERROR_USAGE,
                       "%s is a support vector machine; --onnx writes networks, --libsvm these",
                       model);
    ib_sha256_bytes(file->data, file->size, sha256);
    IB_TRY(ib_adopt_beside(model, sha256, IB_FOR_EXPORT, arguments, context->log, &adopted, err));
    if (!adopted && ib_arguments_source(arguments, "dataset") == IB_FROM_DEFAULT)
        fprintf(context->log,
                "no run record beside %s: its pixels are taken to be normalised as %s's; --dataset "
                "and --normalize say otherwise\n",
                model, config->experiment.dataset);
    ib_dataset_description data;
    IB_TRY(ib_dataset_describe(config->data.dir, config->experiment.dataset, &data, err));
    const ib_normalization *choice = ib_normalization_at((size_t)config->experiment.normalize);
    ib_onnx_notes notes = {.experiment = &config->experiment,
                           .normalize = choice->name,
                           .sha256 = sha256,
                           .image = data.info->image,
                           .classes = data.info->classes};
    ib_normalization_choose(choice, data.info->mean, data.info->standard_deviation, &notes.mean,
                            &notes.deviation);
    if (choice->by_pixel)
        notes.deviation = 0;
    ib_dataset_description_close(&data);
    ib_onnx_written written;
    IB_TRY(ib_onnx_write_read(file, &notes, NULL, path, &written, err));
    print_written(path, &written, config->output.json, context->out);
    return IB_OK;
}

static ib_status export_onnx(const char *model, ib_arguments *arguments,
                             const ib_command_context *context, ib_error *err) {
    const char *output = arguments->config.output.file;
    char *path = output == NULL ? onnx_name(model) : ib_format("%s", output);
    ib_contents file = {0};
    ib_status status = path == NULL ? ib_fail_memory(err)
                                    : ib_contents_open(model, IB_MODEL_FILE_MOST, &file, err);
    if (status == IB_OK)
        status = write_onnx(&file, path, arguments, context, err);
    ib_contents_close(&file);
    free(path);
    return status;
}

ib_status ib_command_export(ib_arguments *arguments, const ib_command_context *context,
                            ib_error *err) {
    const ib_config *config = &arguments->config;
    if (config->export.onnx == config->export.libsvm)
        return ib_fail(err, IB_ERROR_USAGE,
                       "isobit export needs one format: --onnx (networks) or --libsvm (support "
                       "vector machines)");
    char *model = NULL;
    ib_status status = ib_model_file_path(arguments->words[0], &model, err);
    if (status == IB_OK)
        status = config->export.onnx ? export_onnx(model, arguments, context, err)
                                     : export_libsvm(model, config, context, err);
    free(model);
    return status;
}
