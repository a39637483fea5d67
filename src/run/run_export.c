/* isobit export: a trained model in another program's format. */
#include "run/run.h"

#include "base/file.h"
#include "svm/svm.h"

ib_status ib_run_export(const ib_arguments *arguments, const ib_run_context *context,
                        ib_error *err) {
    const ib_config *config = &arguments->config;
    const char *path = arguments->words[0];
    if (!config->libsvm)
        return ib_fail(err, IB_ERROR_USAGE, "isobit export needs a format: --libsvm");
    if (config->output == NULL)
        return ib_fail(err, IB_ERROR_USAGE, "isobit export needs the file to write: -o FILE");
    if (!ib_path_exists(path))
        return ib_fail(err, IB_ERROR_VERIFY, "there is no model file %s", path);
    ib_svm_model model;
    IB_TRY(ib_svm_load(path, &model, err));
    ib_status status = ib_svm_write_libsvm(&model, config->output, err);
    if (status == IB_OK)
        fprintf(context->out, "%s: %zu support vectors, %zu classes\n", config->output, model.count,
                model.class_count);
    ib_svm_model_close(&model);
    return status;
}
