#include "record/run_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/chain.h"
#include "base/file.h"
#include "base/sha256.h"
#include "record/seal.h"

static const char METRICS[] = "metrics.jsonl";

const char *const IB_RECORD_FILES[] = {
    METRICS,       IB_TRACE_NAME,       "resources.jsonl",       "misclassified.json",
    IB_TABLE_NAME, "model.safetensors", "optimizer.safetensors", NULL};

/* The SHA-256 that the record has of a file; NULL: none. *bytes NULL: not said. */
static const char *claim(const ib_run *run, const char *name, const json_t **bytes) {
    const json_t *entry = json_object_get(run->files, name);
    *bytes = json_object_get(entry, "bytes");
    if (entry != NULL)
        return ib_json_text_at(entry, "sha256");
    if (strcmp(name, "model.safetensors") == 0)
        return run->model_sha256;
    return strcmp(name, "optimizer.safetensors") == 0 ? run->optimizer_sha256 : NULL;
}

int ib_run_knows(const ib_run *run, const char *name) {
    static const char *const BESIDE[] = {"run.json", "mlflow.json", "model.onnx", "checkpoints",
                                         NULL};
    const json_t *bytes;
    for (size_t i = 0; BESIDE[i] != NULL; ++i)
        if (strcmp(name, BESIDE[i]) == 0)
            return 1;
    if (claim(run, name, &bytes) != NULL)
        return 1;
    /* Of a run that goes on nothing is named yet. */
    int names_none = !run->sealed || json_object_size(run->files) == 0;
    for (size_t i = 0; names_none && IB_RECORD_FILES[i] != NULL; ++i)
        if (strcmp(name, IB_RECORD_FILES[i]) == 0)
            return 1;
    return 0;
}

/* What the file says of itself: its seal, or that its rows are those that were written. */
static ib_status check_itself(const char *name, const ib_contents *file, ib_error *err) {
    if (strcmp(name, IB_TRACE_NAME) == 0)
        return ib_trace_check(file, err);
    if (strcmp(name, "run.json") == 0)
        return ib_seal_look((const char *)file->data, file->size) == IB_SEAL_GOOD
                   ? IB_OK
                   : ib_fail(err, IB_ERROR_VERIFY, "%s: it was changed: its seal is broken",
                             file->path);
    int has_lines = strcmp(name, METRICS) == 0 || strcmp(name, "resources.jsonl") == 0;
    size_t misfit = has_lines ? ib_chain_first_misfit(file->data, file->size) : file->size;
    if (misfit == file->size)
        return IB_OK;
    return ib_fail(err, IB_ERROR_VERIFY,
                   "%s, offset %zu: it was changed: this line is not what was written there",
                   file->path, misfit);
}

static ib_status check_claim(const ib_run *run, const char *name, const ib_contents *file,
                             ib_error *err) {
    const json_t *bytes;
    const char *sha256 = claim(run, name, &bytes);
    char hex[IB_SHA256_HEX_SIZE];
    if (bytes != NULL && json_integer_value(bytes) != (json_int_t)file->size)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s has %zu bytes, but run.json records %" JSON_INTEGER_FORMAT, file->path,
                       file->size, json_integer_value(bytes));
    if (sha256 == NULL)
        return IB_OK;
    ib_sha256_bytes(file->data, file->size, hex);
    if (strcmp(hex, sha256) != 0)
        return ib_fail(err, IB_ERROR_VERIFY, "%s has SHA-256 %s, but run.json records %s",
                       file->path, hex, sha256);
    return IB_OK;
}

static ib_status check_missing(const ib_run *run, const char *name, const char *path,
                               ib_error *err) {
    const json_t *bytes;
    claim(run, name, &bytes); /* results alone do not say that the model is kept beside them */
    if (bytes != NULL)
        return ib_fail(err, IB_ERROR_VERIFY, "%s is missing, but run.json names it", path);
    return run->sealed && strcmp(name, METRICS) == 0
               ? ib_fail(err, IB_ERROR_VERIFY, "%s is missing", path)
               : IB_OK;
}

ib_status ib_run_contents_open(const ib_run *run, const char *path, const char *name,
                               ib_contents *contents, ib_error *err) {
    *contents = (ib_contents){.path = path};
    if (ib_path_is_missing(path))
        return check_missing(run, name, path, err);
    IB_TRY(ib_contents_open(path, IB_RECORDED_MOST, contents, err));
    if (run->sealed)
        IB_TRY(check_itself(name, contents, err));
    return check_claim(run, name, contents, err);
}

ib_status ib_run_lines_open(const ib_run *run, const char *name, uint64_t offset, ib_lines *lines,
                            ib_error *err) {
    *lines = (ib_lines){.path = ib_path_join(run->directory, name), .offset = offset};
    return lines->path == NULL ? ib_fail_memory(err)
                               : ib_run_contents_open(run, lines->path, name, &lines->file, err);
}

ib_status ib_run_trace_open(const ib_run *run, ib_trace **trace, ib_error *err) {
    IB_TRY(ib_trace_read(run->directory, trace, err));
    if (*trace == NULL) /* none, or none yet */
        return ib_run_check_file(run, IB_TRACE_NAME, err);
    ib_status status = check_claim(run, IB_TRACE_NAME, ib_trace_contents(*trace), err);
    if (status == IB_OK && run->sealed && !ib_trace_is_chained(*trace))
        status =
            ib_fail(err, IB_ERROR_VERIFY, "%s/%s: it was changed: its format is not the record's",
                    run->directory, IB_TRACE_NAME);
    if (status != IB_OK) {
        ib_trace_free(*trace);
        *trace = NULL;
    }
    return status;
}

ib_status ib_run_check_file(const ib_run *run, const char *name, ib_error *err) {
    ib_contents contents = {0};
    char *path = ib_path_join(run->directory, name);
    ib_status status =
        path == NULL ? ib_fail_memory(err) : ib_run_contents_open(run, path, name, &contents, err);
    ib_contents_close(&contents);
    free(path);
    return status;
}

ib_status ib_run_check_files(const ib_run *run, ib_error *err) {
    for (size_t i = 0; IB_RECORD_FILES[i] != NULL; ++i)
        IB_TRY(ib_run_check_file(run, IB_RECORD_FILES[i], err));
    return IB_OK;
}

static ib_status visit_below(const char *directory, int depth, ib_run_visit *visit, void *context,
                             ib_error *err) {
    struct dirent **entries = NULL;
    char *path = ib_path_join(directory, "run.json");
    if (path == NULL)
        return ib_fail_memory(err);
    int is_record = ib_path_exists(path);
    free(path);
    if (is_record)
        return visit(context, directory, err);
    int count = depth > 0 ? scandir(directory, &entries, NULL, alphasort) : 0;
    if (count < 0 && errno != ENOENT && errno != ENOTDIR)
        return ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot read %s", directory);
    ib_status status = IB_OK;
    for (int i = 0; i < count; ++i) {
        if (status == IB_OK && entries[i]->d_name[0] != '.') {
            char *below = ib_path_join(directory, entries[i]->d_name);
            status = below == NULL ? ib_fail_memory(err)
                                   : visit_below(below, depth - 1, visit, context, err);
            free(below);
        }
        free(entries[i]);
    }
    free(entries);
    return status;
}

ib_status ib_runs_visit(const char *directory, ib_run_visit *visit, void *context, ib_error *err) {
    enum { DEPTH = 4 }; /* of folders of <runs-dir>/<experiment>/<run-id> */
    return visit_below(directory, DEPTH, visit, context, err);
}

int ib_run_is_live(const char *directory) {
    char *path = ib_path_join(directory, METRICS);
    if (path == NULL)
        return 1; /* cannot be told: nobody may touch it */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    free(path);
    if (fd < 0)
        return 0;
    int live = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(fd);
    return live;
}
