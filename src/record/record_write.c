/* run.json of a record, and results as members of JSON. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "options/canonical.h"
#include "record/environment.h"
#include "record/metrics_json.h"
#include "record/record_parts.h"
#include "record/run_files.h"
#include "record/seal.h"

char *ib_record_utc(int64_t milliseconds, int for_name) {
    time_t seconds = (time_t)(milliseconds / 1000);
    struct tm utc;
    char text[64];
    if (gmtime_r(&seconds, &utc) == NULL)
        return NULL;
    size_t length = for_name ? strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &utc)
                             : strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return length == 0 ? NULL : strdup(text);
}

/* JSON has no NULL strings of length 0 here: an empty hash means that there is none. */
static const char *or_null(const char *text) {
    return text == NULL || text[0] == '\0' ? NULL : text;
}

static void write_svm(const ib_svm_results *svm, ib_json *json) {
    ib_json_uint(json, "support_vectors", svm->support_vectors);
    ib_json_double(json, "predict_seconds", svm->predict_seconds);
    ib_json_double(json, "svm_gamma", svm->gamma);
    ib_json_uint(json, "iterations", svm->iterations);
    ib_json_double(json, "objective", svm->objective);
    ib_json_open(json, "objectives", '[');
    for (size_t p = 0; p < svm->pair_count; ++p)
        ib_json_double(json, NULL, svm->objectives[p]);
    ib_json_close(json, ']');
}

void ib_results_write(const ib_run_results *results, ib_json *json) {
    ib_json_string(json, "model_sha256", or_null(results->model_sha256));
    ib_json_string(json, "optimizer_sha256", or_null(results->optimizer_sha256));
    ib_json_string(json, "experiment_sha256", results->experiment_sha256);
    ib_json_double(json, "test_accuracy", results->test_accuracy);
    if (results->svm == NULL)
        ib_json_double(json, "test_loss", results->test_loss);
    else
        ib_json_string(json, "test_loss", NULL);
    if (results->validation != NULL) {
        ib_json_double(json, "validation_accuracy", results->validation->accuracy);
        if (results->svm == NULL)
            ib_json_double(json, "validation_loss", results->validation->loss);
    }
    ib_json_double(json, "train_seconds", results->train_seconds);
    ib_json_double(json, "total_seconds", results->total_seconds);
    ib_json_double(json, "images_per_second", results->images_per_second);
    if (results->model_bytes > 0)
        ib_json_uint(json, "model_bytes", results->model_bytes);
    else
        ib_json_string(json, "model_bytes", NULL);
    ib_json_uint(json, "peak_rss_bytes", results->peak_rss_bytes);
    ib_json_string(json, "backend", results->backend->name);
    ib_json_string(json, "isa", results->backend->isa);
    ib_json_uint(json, "threads", results->backend->threads);
    ib_json_bool(json, "exact", results->exact);
    ib_json_string(json, "run_dir", results->run_dir);
    ib_metrics_write(results->metrics, "metrics", json);
    if (results->svm != NULL)
        write_svm(results->svm, json);
}

/* null: classes are called by their numbers. */
static void write_class_names(const ib_dataset_info *info, ib_json *json) {
    if (info->class_names == NULL) {
        ib_json_string(json, "class_names", NULL);
        return;
    }
    int indent = json->indent;
    ib_json_open(json, "class_names", '[');
    json->indent = 0;
    for (uint32_t i = 0; i < info->classes; ++i)
        ib_json_string(json, NULL, info->class_names[i]);
    ib_json_close(json, ']');
    json->indent = indent;
}

static void write_data(const ib_record *record, ib_json *json) {
    const ib_dataset *dataset = record->start.dataset;
    const ib_dataset_info *info = dataset->info;
    const ib_split *split = record->start.split;
    ib_json_open(json, "data", '{');
    ib_json_string(json, "dataset", info->name);
    ib_json_uint(json, "classes", info->classes);
    ib_json_uint(json, "height", info->image.height);
    ib_json_uint(json, "width", info->image.width);
    ib_json_uint(json, "channels", info->image.channels);
    write_class_names(info, json);
    ib_json_uint(json, "train_count", split->train_count);
    ib_json_uint(json, "validation_count", split->validation_count);
    ib_json_uint(json, "test_count", split->test_count);
    ib_json_open(json, "sha256", '{');
    for (int role = 0; role < IB_FILE_ROLES; ++role)
        ib_json_string(json, ib_dataset_file_name(info, (ib_file_role)role), dataset->sha256[role]);
    ib_json_close(json, '}');
    ib_json_close(json, '}');
}

static ib_run_status status_of(const ib_run_standing *state) {
    if (state->running)
        return IB_RECORDED_RUNNING;
    switch (state->outcome) {
    case IB_OK:
        return IB_RECORDED_FINISHED;
    case IB_ERROR_DIVERGED:
        return IB_RECORDED_DIVERGED;
    case IB_INTERRUPTED:
    case IB_TERMINATED:
        return IB_RECORDED_INTERRUPTED;
    default:
        return IB_RECORDED_FAILED;
    }
}

static void write_resumes(const ib_record *record, ib_json *json) {
    ib_json_open(json, "resumes", '{');
    ib_json_uint(json, "count", json_array_size(record->resumed));
    ib_json_open(json, "times", '[');
    for (size_t i = 0; i < json_array_size(record->resumed); ++i)
        ib_json_string(json, NULL, json_string_value(json_array_get(record->resumed, i)));
    ib_json_close(json, ']');
    ib_json_double(json, "earlier_seconds", record->earlier_seconds);
    ib_json_close(json, '}');
}

/* Brings a file onto the disk before its hash is claimed. *there 0 and IB_OK: there is none. */
static ib_status settle_file(const ib_folder *folder, const char *name, int *there, ib_prefix *file,
                             ib_error *err) {
    int fd;
    *there = 0;
    IB_TRY(ib_folder_open_file(folder, name, O_RDONLY, &fd, err));
    if (fd < 0)
        return IB_OK;
    ib_status status =
        fsync(fd) != 0
            ? ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot write %s/%s", folder->path, name)
            : ib_sha256_open_file(fd, name, &file->bytes, file->sha256, err);
    *there = status == IB_OK;
    close(fd);
    return status;
}

/* What this process knows to have written. 0: nothing of that file, or not all that it wanted to.
 */
static int knows_written(const ib_record *record, const char *name, ib_prefix *file) {
    if (strcmp(name, "metrics.jsonl") == 0)
        ib_chain_prefix(&record->chain, file);
    else if (strcmp(name, "resources.jsonl") == 0)
        return record->sampler != NULL && ib_sampler_written(record->sampler, file);
    else if (strcmp(name, IB_TRACE_NAME) == 0)
        *file = record->trace;
    else
        return 0;
    return file->bytes > 0;
}

/* Files that grow were begun long ago, and what they hold of that time must not be believed of the
 * disk: run.json claims what was written. */
static ib_status take_written(const ib_record *record, const ib_run_standing *state,
                              const char *name, ib_prefix *file, ib_error *err) {
    ib_prefix written;
    int stopped = state->outcome == IB_INTERRUPTED || state->outcome == IB_TERMINATED;
    if ((state->outcome != IB_OK && !stopped) || !knows_written(record, name, &written) ||
        (written.bytes == file->bytes && strcmp(written.sha256, file->sha256) == 0))
        return IB_OK;
    uint64_t found = file->bytes;
    *file = written;
    return stopped ? IB_OK
                   : ib_fail(err, IB_ERROR_VERIFY,
                             "%s/%s was changed while the run wrote it: its %" PRIu64
                             " bytes are not the %" PRIu64 " that were written",
                             record->folder.path, name, found, written.bytes);
}

/* While a run goes on nothing is final. Of one that ended badly, what cannot be hashed is not
 * named: the reason for which it ended is the one to tell. */
static ib_status write_files(const ib_record *record, const ib_run_standing *state, ib_json *json,
                             ib_error *err) {
    ib_status status = IB_OK;
    ib_json_open(json, "files", '{');
    for (size_t i = 0; IB_RECORD_FILES[i] != NULL && !state->running && status == IB_OK; ++i) {
        ib_prefix file = {0};
        int there;
        ib_status found = settle_file(&record->folder, IB_RECORD_FILES[i], &there, &file,
                                      state->outcome == IB_OK ? err : NULL);
        if (state->outcome == IB_OK)
            status = found;
        if (!there)
            continue;
        if (status == IB_OK)
            status = take_written(record, state, IB_RECORD_FILES[i], &file, err);
        ib_json_open(json, IB_RECORD_FILES[i], '{');
        ib_json_uint(json, "bytes", file.bytes);
        ib_json_string(json, "sha256", file.sha256);
        ib_json_close(json, '}');
    }
    ib_json_close(json, '}');
    return status;
}

static ib_status write_members(const ib_record *record, const ib_run_standing *state, ib_json *json,
                               ib_error *err) {
    const char *first = record->previous.started;
    char *started = first != NULL ? strdup(first) : ib_record_utc(record->clock.utc_ms, 0);
    char *now = ib_record_utc(ib_steady_milliseconds(&record->clock), 0);
    if (started == NULL || now == NULL) {
        free(started);
        free(now);
        return ib_fail_memory(err);
    }
    /* What an earlier process began may be ahead of this one's clock. Both texts sort by time. */
    const char *ended = strcmp(now, started) < 0 ? started : now;
    ib_json_int(json, "format", IB_RECORD_FORMAT);
    ib_json_string(json, "run_id", record->run_id);
    ib_json_string(json, "experiment", record->start.experiment);
    ib_json_string(json, "status", ib_run_status_name(status_of(state)));
    ib_json_string(json, "message", state->running ? NULL : or_null(state->message));
    if (state->running)
        ib_json_string(json, "exit_code", NULL);
    else
        ib_json_int(json, "exit_code", state->outcome);
    ib_json_string(json, "started", started);
    ib_json_string(json, "ended", state->running ? NULL : ended);
    if (state->running)
        ib_json_string(json, "seconds", NULL);
    else
        ib_json_double(json, "seconds",
                       record->earlier_seconds + ib_steady_seconds(&record->clock));
    free(started);
    free(now);
    write_resumes(record, json);
    ib_json_string(json, "experiment_sha256", record->start.experiment_sha256);
    ib_json_string(json, "canonical", record->start.canonical);
    IB_TRY(ib_config_write(record->start.configuration, IB_FOR_TRAIN, "configuration", json, err));
    IB_TRY(ib_environment_write(record->start.backend, record->start.usable_cpus, "environment",
                                json, err));
    write_data(record, json);
    if (state->results != NULL) {
        ib_json_open(json, "results", '{');
        ib_results_write(state->results, json);
        ib_json_close(json, '}');
    } else {
        ib_json_string(json, "results", NULL);
    }
    ib_confusion_write(state->test, "confusion", json);
    if (state->running || !record->watched)
        ib_json_string(json, "resources", NULL);
    else
        ib_resources_write(record->sampler == NULL ? NULL : ib_sampler_stop(record->sampler),
                           "resources", json);
    return write_files(record, state, json, err);
}

ib_status ib_record_write(const ib_record *record, const ib_run_standing *state, ib_error *err) {
    ib_sealing sealing;
    IB_TRY(ib_seal_open(&sealing, 2, err));
    ib_status status = write_members(record, state, &sealing.json, err);
    if (status != IB_OK) {
        ib_seal_abort(&sealing);
        return status;
    }
    IB_TRY(ib_seal_close(&sealing, err));
    status =
        ib_write_file_in(&record->folder, "run.json", sealing.text.data, sealing.text.size, err);
    free(sealing.text.data);
    return status;
}
