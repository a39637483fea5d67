/* isobit verify: whether run records are what was written. */
#include "command/command.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "record/checkpoint.h"
#include "record/record_file.h"
#include "record/record_read.h"

enum { DEPTH = 4 };

typedef struct verification {
    FILE *out;
    json_t *runs; /* NULL: lines are printed */
    size_t records, unsealed, broken;
} verification;

/* The names of files that the record does not know. */
static ib_status unknown_files(const char *directory, const json_t *record, json_t **unknown,
                               ib_error *err) {
    struct dirent **entries = NULL;
    int count = scandir(directory, &entries, NULL, alphasort);
    if (count < 0)
        return ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot read %s", directory);
    *unknown = json_array();
    int failed = *unknown == NULL;
    for (int i = 0; i < count; ++i) {
        const char *name = entries[i]->d_name;
        /* Of a run that goes on nothing is named yet. */
        int known = name[0] == '.' || ib_record_is_beside(name) || ib_record_names(record, name);
        for (size_t f = 0; !known && IB_RECORD_FILES[f] != NULL; ++f)
            known = strcmp(name, IB_RECORD_FILES[f]) == 0 &&
                    (!ib_record_is_sealed(record) ||
                     json_object_size(json_object_get(record, "files")) == 0);
        errno = 0; /* a name that is not UTF-8 cannot be told */
        if (!known && !failed && json_array_append_new(*unknown, json_string(name)) != 0)
            failed = errno == ENOMEM;
        free(entries[i]);
    }
    free(entries);
    return failed ? ib_fail_memory(err) : IB_OK;
}

static ib_status check_record(const char *directory, json_t **record, ib_error *err) {
    int there = 0;
    IB_TRY(ib_record_read(directory, record, err));
    const char *status = ib_json_text_at(*record, "status", NULL);
    const char *experiment = ib_json_text_at(*record, "experiment_sha256", NULL);
    if (status == NULL || experiment == NULL || ib_json_text_at(*record, "run_id", NULL) == NULL)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s/run.json is no run record: run_id, status or experiment_sha256 is "
                       "missing",
                       directory);
    IB_TRY(ib_record_check_metrics(directory, *record, err));
    IB_TRY(ib_record_check_trace(directory, *record, err));
    IB_TRY(ib_record_check_files(directory, *record, err));
    /* What a finished run has left of its checkpoints is about to be removed. */
    if (strcmp(status, "finished") != 0 && ib_record_is_sealed(*record))
        IB_TRY(ib_checkpoint_check(directory, experiment, &there, err));
    return IB_OK;
}

static ib_status tell(verification *v, const char *directory, const char *state,
                      const json_t *record, const char *message, ib_error *err) {
    json_t *unknown = NULL;
    ib_status listed = unknown_files(directory, record, &unknown, err);
    if (listed != IB_OK) {
        json_decref(unknown);
        return listed;
    }
    if (v->runs != NULL) {
        json_t *run = json_pack("{s:s, s:s, s:s?, s:s?, s:O}", "run_dir", directory, "state", state,
                                "status", ib_json_text_at(record, "status", NULL), "message",
                                message, "unknown", unknown);
        int failed = json_array_append_new(v->runs, run) != 0;
        json_decref(unknown);
        return failed ? ib_fail_memory(err) : IB_OK;
    }
    fprintf(v->out, "%-8s  %s", state, directory);
    if (message != NULL)
        fprintf(v->out, ": %s", message);
    for (size_t i = 0; i < json_array_size(unknown); ++i)
        fprintf(v->out, "%s%s", i == 0 ? "  (not of the record: " : ", ",
                json_string_value(json_array_get(unknown, i)));
    fputs(json_array_size(unknown) > 0 ? ")\n" : "\n", v->out);
    json_decref(unknown);
    return IB_OK;
}

static ib_status verify_record(verification *v, const char *directory, ib_error *err) {
    json_t *record = NULL;
    ib_error why = {0};
    ib_status status = check_record(directory, &record, &why);
    int sealed = ib_record_is_sealed(record), is_memory = ib_error_is_memory(&why);
    ++v->records;
    v->broken += status != IB_OK;
    v->unsealed += status == IB_OK && !sealed;
    if (is_memory) /* nothing is known of it */
        status = ib_fail_memory(err);
    else
        status = tell(v, directory,
                      status != IB_OK ? "BROKEN"
                      : sealed        ? "sealed"
                                      : "unsealed",
                      record, status != IB_OK ? ib_error_text(&why) : NULL, err);
    ib_error_clear(&why);
    json_decref(record);
    return status;
}

/* The record in a directory, or those below it, by name. */
static ib_status verify_below(verification *v, const char *directory, int depth, ib_error *err) {
    struct dirent **entries = NULL;
    char *path = ib_path_join(directory, "run.json");
    if (path == NULL)
        return ib_fail_memory(err);
    int is_record = ib_path_exists(path);
    free(path);
    if (is_record)
        return verify_record(v, directory, err);
    int count = depth > 0 ? scandir(directory, &entries, NULL, alphasort) : 0;
    if (count < 0)
        return ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot read %s", directory);
    ib_status status = IB_OK;
    for (int i = 0; i < count; ++i) {
        struct stat info;
        int hidden = entries[i]->d_name[0] == '.';
        char *below = hidden ? NULL : ib_path_join(directory, entries[i]->d_name);
        if (status == IB_OK && !hidden && below == NULL)
            status = ib_fail_memory(err);
        if (status == IB_OK && !hidden && stat(below, &info) == 0 && S_ISDIR(info.st_mode))
            status = verify_below(v, below, depth - 1, err);
        free(below);
        free(entries[i]);
    }
    free(entries);
    return status;
}

static ib_status print_json(const verification *v, ib_error *err) {
    json_t *object =
        json_pack("{s:I, s:I, s:I, s:I, s:O}", "records", (json_int_t)v->records, "sealed",
                  (json_int_t)(v->records - v->unsealed - v->broken), "unsealed",
                  (json_int_t)v->unsealed, "broken", (json_int_t)v->broken, "runs", v->runs);
    char *text = object == NULL ? NULL : ib_json_dump(object, JSON_COMPACT);
    json_decref(object);
    if (text == NULL)
        return ib_fail_memory(err);
    fprintf(v->out, "%s\n", text);
    free(text);
    return IB_OK;
}

static ib_status verify_all(verification *v, const ib_arguments *arguments, ib_error *err) {
    for (size_t i = 0; i < arguments->word_count; ++i) {
        struct stat info;
        size_t before = v->records;
        if (stat(arguments->words[i], &info) != 0 || !S_ISDIR(info.st_mode))
            return ib_fail(err, IB_ERROR_VERIFY,
                           "%s is no folder: name a run's directory, or one of runs",
                           arguments->words[i]);
        IB_TRY(verify_below(v, arguments->words[i], DEPTH, err));
        if (v->records == before)
            return ib_fail(err, IB_ERROR_VERIFY, "%s holds no run record, nor do its folders",
                           arguments->words[i]);
    }
    if (v->runs != NULL)
        IB_TRY(print_json(v, err));
    if (v->broken > 0)
        return ib_fail(err, IB_ERROR_VERIFY, "%zu of %zu record%s not what was written", v->broken,
                       v->records, v->records == 1 ? " is" : "s are");
    return IB_OK;
}

ib_status ib_command_verify(ib_arguments *arguments, const ib_command_context *context,
                            ib_error *err) {
    verification v = {.out = context->out};
    if (arguments->config.output.json && (v.runs = json_array()) == NULL)
        return ib_fail_memory(err);
    ib_status status = verify_all(&v, arguments, err);
    json_decref(v.runs);
    return status;
}
