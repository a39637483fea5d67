#include "record/run.h"
#include "options/network_option.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/sha256.h"
#include "options/options.h"
#include "record/seal.h"

const char *ib_run_status_name(ib_run_status status) {
    static const char *const NAMES[] = {[IB_RECORDED_NOTHING] = NULL,
                                        [IB_RECORDED_RUNNING] = "running",
                                        [IB_RECORDED_FINISHED] = "finished",
                                        [IB_RECORDED_DIVERGED] = "diverged",
                                        [IB_RECORDED_INTERRUPTED] = "interrupted",
                                        [IB_RECORDED_FAILED] = "failed"};
    return NAMES[status];
}

static ib_run_status status_of(const char *name) {
    if (name == NULL)
        return IB_RECORDED_NOTHING;
    for (ib_run_status s = IB_RECORDED_RUNNING; s < IB_RECORDED_FAILED; ++s)
        if (strcmp(name, ib_run_status_name(s)) == 0)
            return s;
    return IB_RECORDED_FAILED;
}

/* ---- members ------------------------------------------------------------------------------------
 */

static json_int_t count_at(const json_t *object, const char *key) {
    return json_integer_value(json_object_get(object, key));
}

static void take_environment(const json_t *from, ib_run_environment *to) {
    *to = (ib_run_environment){.isobit_version = ib_json_text_at(from, "isobit_version"),
                               .git_commit = ib_json_text_at(from, "git_commit"),
                               .compiler = ib_json_text_at(from, "compiler"),
                               .cpu_model = ib_json_text_at(from, "cpu_model"),
                               .device = ib_json_text_at(from, "device"),
                               .backend = ib_json_text_at(from, "backend"),
                               .isa = ib_json_text_at(from, "isa"),
                               .threads = ib_json_number_at(from, "threads"),
                               .members = from};
}

static void take_data(const json_t *from, ib_run_data *to) {
    *to = (ib_run_data){.dataset = ib_json_text_at(from, "dataset"),
                        .train_count = count_at(from, "train_count"),
                        .validation_count = count_at(from, "validation_count"),
                        .test_count = count_at(from, "test_count"),
                        .shape = ib_recorded_shape_of(from),
                        .sha256 = json_object_get(from, "sha256")};
}

static void take_results(const json_t *from, ib_run *run) {
    const json_t *by_class = json_object_get(from, "metrics");
    const ib_metric_info *metric;
    run->results = json_is_object(from) ? from : NULL;
    run->model_sha256 = ib_json_text_at(from, "model_sha256");
    run->optimizer_sha256 = ib_json_text_at(from, "optimizer_sha256");
    for (size_t m = 0; (metric = ib_metric_at(m)) != NULL; ++m) {
        run->metrics[m] = ib_json_number_at(from, metric->name);
        if (isnan(run->metrics[m]))
            run->metrics[m] = ib_json_number_at(by_class, metric->name);
    }
}

static ib_status take_confusion(const json_t *rows, ib_run *run, ib_error *err) {
    size_t classes = run->data.shape.classes;
    if (classes == 0 || json_array_size(rows) != classes)
        return IB_OK;
    double *confusion = calloc(classes * classes, sizeof *confusion);
    if (confusion == NULL)
        return ib_fail_memory(err);
    int good = 1;
    for (size_t k = 0; good && k < classes * classes; ++k) {
        confusion[k] =
            ib_json_number_of(json_array_get(json_array_get(rows, k / classes), k % classes));
        good = confusion[k] >= 0 && confusion[k] <= 1e15;
    }
    if (good)
        run->confusion = confusion;
    else
        free(confusion);
    return IB_OK;
}

static ib_status take_resources(const json_t *from, ib_run_resources *to, ib_error *err) {
    const json_t *gpus = json_object_get(from, "gpus");
    *to = (ib_run_resources){.seconds = ib_json_number_at(from, "seconds"),
                             .cpu_seconds = ib_json_number_at(from, "cpu_seconds"),
                             .cpu_percent_mean = ib_json_number_at(from, "cpu_percent_mean"),
                             .rss_max_bytes = ib_json_number_at(from, "rss_max_bytes"),
                             .energy_joules = ib_json_number_at(from, "energy_joules"),
                             .energy_reason = ib_json_text_at(from, "energy_reason"),
                             .gpu_count = json_array_size(gpus)};
    if (to->gpu_count == 0)
        return IB_OK;
    to->gpus = calloc(to->gpu_count, sizeof *to->gpus);
    if (to->gpus == NULL)
        return ib_fail_memory(err);
    for (size_t i = 0; i < to->gpu_count; ++i) {
        const json_t *gpu = json_array_get(gpus, i);
        to->gpus[i] =
            (ib_run_gpu){.name = ib_json_text_at(gpu, "name"),
                         .percent_mean = ib_json_number_at(gpu, "utilization_percent_mean"),
                         .memory_max_bytes = ib_json_number_at(gpu, "memory_max_bytes"),
                         .energy_joules = ib_json_number_at(gpu, "energy_joules")};
    }
    return IB_OK;
}

static ib_status take_members(const json_t *json, ib_run *run, ib_error *err) {
    const json_t *resumes = json_object_get(json, "resumes");
    run->sealed = count_at(json, "format") == IB_RECORD_FORMAT;
    run->status = status_of(ib_json_text_at(json, "status"));
    run->run_id = ib_json_text_at(json, "run_id");
    run->experiment = ib_json_text_at(json, "experiment");
    run->experiment_sha256 = ib_json_text_at(json, "experiment_sha256");
    run->message = ib_json_text_at(json, "message");
    run->started = ib_json_text_at(json, "started");
    run->ended = ib_json_text_at(json, "ended");
    run->resumes = count_at(resumes, "count");
    run->resume_times = json_object_get(resumes, "times");
    run->configuration = json_object_get(json, "configuration");
    run->files = json_object_get(json, "files");
    take_environment(json_object_get(json, "environment"), &run->environment);
    take_data(json_object_get(json, "data"), &run->data);
    take_results(json_object_get(json, "results"), run);
    IB_TRY(take_confusion(json_object_get(json, "confusion"), run, err));
    return take_resources(json_object_get(json, "resources"), &run->resources, err);
}

/* ---- whether it is what was written -------------------------------------------------------------
 */

static ib_status check_seal(const char *path, ib_seal seal, const ib_run *run, ib_error *err) {
    const json_t *format = json_object_get(run->document, "format");
    if (seal == IB_SEAL_BROKEN)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: it was changed: its seal is not the SHA-256 of its content", path);
    if (seal == IB_SEAL_NONE && (run->sealed || run->files != NULL))
        return ib_fail(err, IB_ERROR_VERIFY, "%s: it was changed: it has no seal at its end", path);
    int unsealed = format == NULL || json_integer_value(format) == IB_RECORD_UNSEALED;
    if (seal == IB_SEAL_NONE ? !unsealed : !run->sealed)
        return ib_fail(err, IB_ERROR_VERIFY, "%s: its format is not of this version", path);
    return IB_OK;
}

/* The configuration says 0 for as many images as there are. */
static int is_same_value(const char *key, const json_t *configured, const json_t *canonical) {
    int is_size = strcmp(key, "train_size") == 0 || strcmp(key, "test_size") == 0;
    if (is_size && json_is_integer(configured) && json_integer_value(configured) == 0)
        return 1;
    /* A network's file was named; the canonical form says what was in it. */
    if (strcmp(key, "model") == 0 && json_is_string(configured) &&
        ib_is_network_file_name(json_string_value(configured)))
        return 1;
    if (strcmp(key, "dataset") == 0 && json_is_string(canonical) &&
        strcmp(json_string_value(canonical), "imported") == 0)
        return 1; /* the form says what is in it (options/canonical.c), not how it is called */
    if (json_is_number(configured) && json_is_number(canonical))
        return json_number_value(configured) == json_number_value(canonical);
    return json_equal(configured, canonical);
}

static ib_status check_canonical(const char *path, ib_run *run, ib_error *err) {
    char hex[IB_SHA256_HEX_SIZE];
    const char *text = ib_json_text_at(run->document, "canonical"), *key;
    const char *experiment = run->experiment_sha256;
    const char *again = ib_json_text_at(run->results, "experiment_sha256");
    json_t *value;
    if (text == NULL)
        return IB_OK; /* whoever needs it says so */
    IB_TRY(ib_json_parse(text, strlen(text), &run->canonical, NULL, err));
    if (experiment == NULL)
        return IB_OK;
    ib_sha256_bytes(text, strlen(text), hex);
    if (strcmp(hex, experiment) != 0)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: the canonical configuration has SHA-256 %s, but experiment_sha256 is "
                       "%s: the record was changed",
                       path, hex, experiment);
    if (again != NULL && strcmp(again, experiment) != 0)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: the record was changed: its results are of experiment_sha256 %s, it is "
                       "of %s",
                       path, again, experiment);
    json_object_foreach(run->canonical, key, value) {
        const json_t *configured = json_object_get(run->configuration, key);
        if (configured != NULL && !is_same_value(key, configured, value))
            return ib_fail(err, IB_ERROR_VERIFY,
                           "%s: the record was changed: %s of its configuration is not that of "
                           "the canonical form",
                           path, key);
    }
    return IB_OK;
}

static ib_status check_accuracy(const char *path, const ib_run *run, ib_error *err) {
    double accuracy = ib_json_number_at(run->results, "test_accuracy"), right = 0, all = 0;
    const json_t *rows = json_object_get(run->document, "confusion");
    for (size_t r = 0; r < json_array_size(rows); ++r)
        for (size_t c = 0; c < json_array_size(json_array_get(rows, r)); ++c) {
            double n = json_number_value(json_array_get(json_array_get(rows, r), c));
            all += n;
            right += r == c ? n : 0;
        }
    if (isnan(accuracy) || !(all > 0) || fabs(accuracy - right / all) <= 1e-12)
        return IB_OK;
    return ib_fail(
        err, IB_ERROR_VERIFY,
        "%s: the record was changed: test_accuracy is %.17g, but by the confusion matrix %.17g",
        path, accuracy, right / all);
}

/* ---- the file -----------------------------------------------------------------------------------
 */

static ib_status read_file(const char *path, ib_run *run, ib_error *err) {
    char *text = NULL;
    size_t size = 0;
    if (!ib_path_exists(path))
        return IB_OK;
    IB_TRY(ib_read_file(path, IB_JSON_FILE_MOST, &text, &size, err));
    ib_seal seal = ib_seal_look(text, size);
    ib_status status = ib_json_file_parse(path, text, size, &run->document, err);
    free(text);
    IB_TRY(status);
    IB_TRY(take_members(run->document, run, err));
    IB_TRY(check_seal(path, seal, run, err));
    IB_TRY(check_canonical(path, run, err));
    return check_accuracy(path, run, err);
}

ib_status ib_run_read(const char *directory, ib_run *run, ib_error *err) {
    *run = (ib_run){.directory = strdup(directory)};
    char *path = ib_path_join(directory, "run.json");
    ib_status status =
        path == NULL || run->directory == NULL ? ib_fail_memory(err) : read_file(path, run, err);
    free(path);
    if (status != IB_OK)
        ib_run_close(run);
    return status;
}

void ib_run_close(ib_run *run) {
    free(run->directory);
    free(run->resources.gpus);
    free(run->confusion);
    json_decref(run->canonical);
    json_decref(run->document);
    *run = (ib_run){0};
}

double ib_run_metric(const ib_run *run, const char *name) {
    return run->metrics[ib_metric_index(ib_metric_find(name))];
}
