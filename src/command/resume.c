/* isobit train --resume: the rest of a run that was stopped. */
#include <stdlib.h>

#include "command/resume.h"

#include "base/json_value.h"
#include "command/train_run.h"
#include "record/checkpoint.h"
#include "record/recorded.h"

static ib_status say_finished(const ib_record *record, const ib_config *config,
                              const ib_command_context *context, ib_error *err) {
    const ib_run *run = ib_record_previous(record);
    if (run->model_sha256 == NULL)
        return ib_fail(err, IB_ERROR_VERIFY, "%s/run.json says finished, but has no results",
                       ib_record_directory(record));
    if (!config->output.json) {
        fprintf(context->out, "The run %s is finished: there is nothing to go on with\n",
                ib_record_directory(record));
        fprintf(context->out, "model_sha256       %s\n", run->model_sha256);
        return IB_OK;
    }
    char *text = ib_json_dump(run->results, JSON_COMPACT | JSON_REAL_PRECISION(17));
    if (text == NULL)
        return ib_fail_memory(err);
    fprintf(context->out, "%s\n", text);
    free(text);
    return IB_OK;
}

static ib_status go_on(ib_record *record, ib_arguments *arguments,
                       const ib_command_context *context, ib_error *err) {
    const ib_run *previous = ib_record_previous(record);
    const json_t *configuration = previous->configuration;
    ib_train_target target = {.record = record, .experiment_sha256 = previous->experiment_sha256};
    if (ib_arguments_source(arguments, "runs-dir") == IB_FROM_FLAG)
        return ib_fail(err, IB_ERROR_USAGE,
                       "--runs-dir has no effect with --resume, which names the run's directory: "
                       "leave it out");
    ib_status adopted = ib_adopt_experiment(previous, NULL, arguments, err);
    if (previous->status == IB_RECORDED_FINISHED && adopted != IB_ERROR_USAGE) {
        ib_checkpoint_remove(ib_record_folder(record)); /* killed before it came to that */
        return say_finished(record, &arguments->config, context, err);
    }
    IB_TRY(adopted);
    if (arguments->config.record.trace && !json_is_true(ib_recorded_option(configuration, "trace")))
        return ib_fail(
            err, IB_ERROR_USAGE,
            "--trace: the run was begun without, and a trace begins with the first step");
    /* Not of the experiment, but of this run: metrics.jsonl and the user's wishes stay as they
     * were. */
    IB_TRY(
        ib_adopt_options(configuration, ib_record_directory(record), IB_FOR_TRAIN, arguments, err));
    if (ib_recorded_option(configuration, "sample-period") != NULL) /* earlier versions had none */
        IB_TRY(ib_adopt_option("sample-period", configuration, ib_record_directory(record),
                               arguments, err));
    return ib_train_run(&arguments->config, context, &target, err);
}

ib_status ib_train_resume(ib_arguments *arguments, const ib_command_context *context,
                          ib_error *err) {
    ib_record *record = NULL;
    char *directory = arguments->config.record.resume;
    arguments->config.record.resume = NULL; /* of this command, not of the run */
    ib_status status = ib_record_reopen(directory, &record, err);
    if (status == IB_OK)
        status = go_on(record, arguments, context, err);
    ib_record_close(record);
    free(directory);
    return status;
}
