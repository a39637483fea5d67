/* isobit reproduce: a recorded run done again, and its bits compared. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text_stream.h"
#include "command/divergence.h"
#include "command/train_run.h"
#include "record/record_file.h"
#include "record/recorded.h"
#include "report/compare.h"

/* Changing the seed makes it another experiment, which must not have the same bits. */
static const char *const CHANGEABLE[] = {"seed", NULL};

/* Trains into a new record, of which *directory is the path; what training prints is kept back. */
static ib_status train(const ib_arguments *arguments, const char *experiment_sha256,
                       const ib_command_context *context, char **directory, ib_error *err) {
    ib_config config = arguments->config;
    ib_text_stream text;
    ib_command_context quiet = *context;
    config.output.json = 1;
    quiet.out_is_terminal = 0;
    IB_TRY(ib_text_open(&text, err));
    quiet.out = text.stream;
    ib_train_target target = {.experiment_sha256 = experiment_sha256};
    ib_status status = ib_train_run(&config, &quiet, &target, err);
    if (status == IB_OK)
        status = ib_text_close(&text, err);
    else
        ib_text_abort(&text);
    json_t *results = NULL;
    if (status == IB_OK)
        status = ib_json_parse(text.data, text.size, &results, NULL, err);
    const char *run = ib_json_text_at(results, "run_dir");
    if (status == IB_OK && (run == NULL || (*directory = strdup(run)) == NULL))
        status = ib_fail_memory(err);
    json_decref(results);
    free(text.data);
    return status;
}

/* null where the run has none; NULL: out of memory. */
static json_t *metric_json(const ib_run *run, const char *name) {
    double value = ib_run_metric(run, name);
    return isfinite(value) ? ib_json_number(value) : json_null();
}

static json_t *results_json(const ib_run *run) {
    return json_pack("{s:s, s:s?, s:s?, s:s?, s:o, s:o}", "run", run->directory,
                     "experiment_sha256", run->experiment_sha256, "model_sha256", run->model_sha256,
                     "optimizer_sha256", run->optimizer_sha256, "test_accuracy",
                     metric_json(run, "test_accuracy"), "train_seconds",
                     metric_json(run, "train_seconds"));
}

/* New; NULL: out of memory. */
static json_t *verdict_json(const ib_comparison *comparison, json_t *divergence,
                            const char *differing) {
    json_t *recorded = results_json(&comparison->runs[0]);
    json_t *reproduced = results_json(&comparison->runs[1]);
    json_t *object = recorded == NULL || reproduced == NULL
                         ? NULL
                         : json_pack("{s:O, s:O, s:b, s:s?, s:O?}", "recorded", recorded,
                                     "reproduced", reproduced, "same_bits", differing == NULL,
                                     "differing", differing, "divergence", divergence);
    json_decref(recorded);
    json_decref(reproduced);
    return object;
}

static ib_status print_json(const ib_comparison *comparison, json_t *divergence,
                            const char *differing, FILE *out, ib_error *err) {
    json_t *object = verdict_json(comparison, divergence, differing);
    char *text = ib_json_dump(object, JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(object);
    if (text == NULL)
        return ib_fail_memory(err);
    fprintf(out, "%s\n", text);
    free(text);
    return IB_OK;
}

/* comparison: the record, then the new run. */
static ib_status judge(const ib_comparison *comparison, ib_arguments *arguments,
                       const ib_command_context *context, ib_error *err) {
    const ib_run *recorded = &comparison->runs[0], *again = &comparison->runs[1];
    json_t *divergence = NULL;
    int other = again->experiment_sha256 == NULL ||
                strcmp(recorded->experiment_sha256, again->experiment_sha256) != 0;
    const char *differing =
        other ? "experiment_sha256" : ib_comparison_differing_result(recorded, again);
    ib_status status = IB_OK;
    int json = arguments->config.output.json;
    if (differing != NULL && !other)
        status = ib_divergence_find(comparison, 0, 1, arguments, context, &divergence, err);
    if (status == IB_OK && json)
        status = print_json(comparison, divergence, differing, context->out, err);
    else if (status == IB_OK && differing != NULL)
        status = ib_comparison_print(comparison, context->out, err);
    if (status == IB_OK && !json && divergence != NULL)
        ib_divergence_print(divergence, comparison, context->out);
    if (status == IB_OK && !json && differing == NULL)
        fprintf(context->out,
                "SAME BITS\nmodel_sha256       %s\nRecord             %s\n"
                "Done again         %s\n",
                recorded->model_sha256, recorded->directory, again->directory);
    json_decref(divergence);
    if (status == IB_OK && differing != NULL)
        status = ib_fail(err, IB_ERROR_NOT_REPRODUCED, "not reproduced: %s of %s is not that of %s",
                         differing, again->directory, recorded->directory);
    return status;
}

static ib_status adopt(const ib_run *run, ib_arguments *arguments, const char **experiment_sha256,
                       ib_error *err) {
    if (run->model_sha256 == NULL)
        return ib_fail(err, IB_ERROR_VERIFY, "%s has no results: there is nothing to compare with",
                       run->directory);
    uint64_t seed = arguments->config.experiment.seed;
    IB_TRY(ib_adopt_experiment(run, CHANGEABLE, arguments, err));
    int changed = ib_arguments_source(arguments, "seed") == IB_FROM_FLAG;
    *experiment_sha256 = run->experiment_sha256;
    if (changed && arguments->config.experiment.seed == seed)
        *experiment_sha256 = NULL; /* perhaps another experiment: the comparison tells */
    IB_TRY(ib_adopt_options(run->configuration, run->directory, IB_FOR_REPRODUCE, arguments, err));
    char *trace = ib_path_join(run->directory, "trace.bin");
    if (trace == NULL)
        return ib_fail_memory(err);
    if (ib_path_exists(trace))
        arguments->config.record.trace = 1;
    free(trace);
    return IB_OK;
}

ib_status ib_command_reproduce(ib_arguments *arguments, const ib_command_context *context,
                               ib_error *err) {
    ib_comparison recorded = {0}, both = {0};
    const char *experiment_sha256 = NULL;
    char *directory = NULL;
    ib_status status = ib_comparison_open(arguments->words, 1, &recorded, err);
    if (status == IB_OK)
        status = adopt(&recorded.runs[0], arguments, &experiment_sha256, err);
    if (status == IB_OK)
        status = train(arguments, experiment_sha256, context, &directory, err);
    if (status == IB_OK) {
        const char *runs[2] = {recorded.runs[0].directory, directory};
        status = ib_comparison_open(runs, 2, &both, err);
    }
    if (status == IB_OK)
        status = judge(&both, arguments, context, err);
    ib_comparison_close(&recorded);
    ib_comparison_close(&both);
    free(directory);
    return status;
}
