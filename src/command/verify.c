/* isobit verify: whether run records are what was written. */
#include "command/command.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/json_value.h"
#include "record/checkpoint.h"
#include "record/run_files.h"

typedef struct verification {
    FILE *out;
    json_t *runs; /* NULL: lines are printed */
    size_t records, unsealed, broken;
} verification;

/* The names of files that the record does not know. */
static ib_status unknown_files(const char *directory, const ib_run *run, json_t **unknown,
                               ib_error *err) {
    struct dirent **entries = NULL;
    int count = scandir(directory, &entries, NULL, alphasort);
    if (count < 0)
        return ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot read %s", directory);
    *unknown = json_array();
    int failed = *unknown == NULL;
    for (int i = 0; i < count; ++i) {
        const char *name = entries[i]->d_name;
        errno = 0; /* a name that is not UTF-8 cannot be told */
        if (!failed && name[0] != '.' && !ib_run_knows(run, name) &&
            json_array_append_new(*unknown, json_string(name)) != 0)
            failed = errno == ENOMEM;
        free(entries[i]);
    }
    free(entries);
    return failed ? ib_fail_memory(err) : IB_OK;
}

static ib_status check_record(const char *directory, ib_run *run, ib_error *err) {
    IB_TRY(ib_run_read(directory, run, err));
    if (run->status == IB_RECORDED_NOTHING || run->experiment_sha256 == NULL || run->run_id == NULL)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s/run.json is no run record: run_id, status or experiment_sha256 is "
                       "missing",
                       directory);
    IB_TRY(ib_run_check_files(run, err));
    /* What a finished run has left of its checkpoints is about to be removed. */
    if (run->status == IB_RECORDED_FINISHED || !run->sealed)
        return IB_OK;
    return ib_checkpoint_check_all(directory, run->experiment_sha256, err);
}

static ib_status tell(verification *v, const char *directory, const char *state, const ib_run *of,
                      const char *message, ib_error *err) {
    json_t *unknown = NULL;
    ib_status listed = unknown_files(directory, of, &unknown, err);
    if (listed != IB_OK) {
        json_decref(unknown);
        return listed;
    }
    if (v->runs != NULL) {
        json_t *run =
            json_pack("{s:s, s:s, s:s?, s:s?, s:O}", "run_dir", directory, "state", state, "status",
                      ib_run_status_name(of->status), "message", message, "unknown", unknown);
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

static ib_status verify_record(void *context, const char *directory, ib_error *err) {
    verification *v = context;
    ib_run run;
    ib_error why = {0};
    ib_status status = check_record(directory, &run, &why);
    int sealed = run.sealed, is_memory = ib_error_is_memory(&why);
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
                      &run, status != IB_OK ? ib_error_text(&why) : NULL, err);
    ib_error_clear(&why);
    ib_run_close(&run);
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
        IB_TRY(ib_runs_visit(arguments->words[i], verify_record, v, err));
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
