#include "study/record_index.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "record/record_read.h"

const char *ib_run_state_name(ib_run_state state) {
    static const char *const NAMES[] = {"missing", "finished", "diverged", "failed",
                                        "stopped", "running",  "not run"};
    return NAMES[state];
}

static void forget(ib_found_run *run) {
    free(run->run_id);
    free(run->message);
    free(run->backend);
    *run = (ib_found_run){0};
}

void ib_record_index_close(ib_record_index *index) {
    for (size_t i = 0; i < index->count; ++i)
        forget(&index->runs[i]);
    free(index->runs);
    free(index->experiment);
    free(index->directory);
    *index = (ib_record_index){0};
}

int ib_found_run_is_live(const ib_record_index *index, const ib_found_run *run) {
    char *path = ib_format("%s/%s/metrics.jsonl", index->directory, run->run_id);
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

static ib_run_state state_of(const char *status) {
    if (status == NULL)
        return IB_RUN_MISSING;
    if (strcmp(status, "finished") == 0)
        return IB_RUN_FINISHED;
    if (strcmp(status, "diverged") == 0)
        return IB_RUN_DIVERGED;
    if (strcmp(status, "running") == 0)
        return IB_RUN_LIVE;
    return strcmp(status, "interrupted") == 0 ? IB_RUN_STOPPED : IB_RUN_FAILED;
}

static const char *text_at(const json_t *object, const char *key) {
    return json_string_value(json_object_get(object, key));
}

/* Fills what run.json says; state MISSING: it says nothing that can be used. */
static ib_status read_run(ib_found_run *run, const char *directory, ib_error *err) {
    json_t *record = NULL;
    ib_error why = {0};
    ib_record_read(directory, &record, &why); /* NULL for a record that is damaged, too */
    int failed = ib_error_is_memory(&why);
    ib_error_clear(&why);
    if (failed)
        return ib_fail_memory(err);
    const char *sha256 = text_at(record, "experiment_sha256");
    run->state = IB_RUN_MISSING;
    if (sha256 != NULL && strlen(sha256) == IB_SHA256_HEX_SIZE - 1) {
        const char *message = text_at(record, "message");
        const char *backend = text_at(json_object_get(record, "environment"), "backend");
        memcpy(run->experiment_sha256, sha256, IB_SHA256_HEX_SIZE);
        run->state = state_of(text_at(record, "status"));
        free(run->message);
        free(run->backend);
        run->message = message != NULL ? strdup(message) : NULL;
        run->backend = strdup(backend != NULL ? backend : "");
        run->total_seconds =
            json_number_value(json_object_get(json_object_get(record, "results"), "total_seconds"));
        failed = run->backend == NULL || (message != NULL && run->message == NULL);
    }
    json_decref(record);
    return failed ? ib_fail_memory(err) : IB_OK;
}

static int by_id(const void *a, const void *b) {
    return strcmp(((const ib_found_run *)a)->run_id, ((const ib_found_run *)b)->run_id);
}

/* Runs before known are sorted. */
static ib_found_run *find_id(const ib_record_index *index, size_t known, const char *run_id) {
    char *key = (char *)(uintptr_t)run_id;
    ib_found_run wanted = {.run_id = key};
    return known == 0 ? NULL : bsearch(&wanted, index->runs, known, sizeof wanted, by_id);
}

static ib_status add_run(ib_record_index *index, const char *run_id, ib_found_run **run,
                         ib_error *err) {
    if (index->count == index->capacity) {
        size_t capacity = index->capacity == 0 ? 64 : 2 * index->capacity;
        ib_found_run *runs = realloc(index->runs, capacity * sizeof *runs);
        if (runs == NULL)
            return ib_fail_memory(err);
        index->runs = runs;
        index->capacity = capacity;
    }
    ib_found_run fresh = {.run_id = strdup(run_id)};
    if (fresh.run_id == NULL)
        return ib_fail_memory(err);
    *run = &index->runs[index->count++];
    **run = fresh;
    return IB_OK;
}

static ib_status visit(ib_record_index *index, size_t known, const char *run_id, ib_error *err) {
    ib_found_run *run = find_id(index, known, run_id);
    if (run == NULL)
        IB_TRY(add_run(index, run_id, &run, err));
    run->seen = 1;
    if (run->state == IB_RUN_FINISHED || run->state == IB_RUN_DIVERGED)
        return IB_OK; /* such a record is never written again */
    char *directory = ib_path_join(index->directory, run_id);
    if (directory == NULL)
        return ib_fail_memory(err);
    ib_status status = read_run(run, directory, err);
    free(directory);
    return status;
}

ib_status ib_record_index_refresh(ib_record_index *index, ib_error *err) {
    size_t known = index->count;
    for (size_t i = 0; i < known; ++i)
        index->runs[i].seen = 0;
    DIR *directory = opendir(index->directory);
    if (directory == NULL && errno != ENOENT)
        return ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot read %s", index->directory);
    ib_status status = IB_OK;
    const struct dirent *entry;
    while (status == IB_OK && directory != NULL && (entry = readdir(directory)) != NULL)
        if (entry->d_name[0] != '.')
            status = visit(index, known, entry->d_name, err);
    if (directory != NULL)
        closedir(directory);
    size_t kept = 0;
    for (size_t i = 0; i < index->count; ++i) {
        if (index->runs[i].seen)
            index->runs[kept++] = index->runs[i];
        else
            forget(&index->runs[i]);
    }
    index->count = kept;
    if (kept > 0)
        qsort(index->runs, kept, sizeof *index->runs, by_id);
    return status;
}

const ib_found_run *ib_record_index_find(const ib_record_index *index,
                                         const char *experiment_sha256, const char *backend) {
    static const int RANK[] = {[IB_RUN_MISSING] = 0, [IB_RUN_FINISHED] = 5, [IB_RUN_DIVERGED] = 4,
                               [IB_RUN_FAILED] = 1,  [IB_RUN_STOPPED] = 2,  [IB_RUN_LIVE] = 3};
    const ib_found_run *best = NULL;
    for (size_t i = 0; i < index->count; ++i) {
        const ib_found_run *run = &index->runs[i];
        if (run->state == IB_RUN_MISSING ||
            strcmp(run->experiment_sha256, experiment_sha256) != 0 ||
            (backend != NULL && strcmp(run->backend, backend) != 0))
            continue;
        if (best == NULL || RANK[run->state] >= RANK[best->state])
            best = run;
    }
    return best;
}
