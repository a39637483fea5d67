#include "study/record_index.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "record/run.h"

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

static ib_run_state state_of(ib_run_status status) {
    switch (status) {
    case IB_RECORDED_NOTHING:
        return IB_RUN_MISSING;
    case IB_RECORDED_RUNNING:
        return IB_RUN_LIVE;
    case IB_RECORDED_FINISHED:
        return IB_RUN_FINISHED;
    case IB_RECORDED_DIVERGED:
        return IB_RUN_DIVERGED;
    case IB_RECORDED_INTERRUPTED:
        return IB_RUN_STOPPED;
    case IB_RECORDED_FAILED:
        break;
    }
    return IB_RUN_FAILED;
}

/* Fills what run.json says; state MISSING: it says nothing that can be used. */
static ib_status read_run(ib_found_run *found, const char *directory, ib_error *err) {
    ib_run run;
    ib_error why = {0};
    ib_run_read(directory, &run, &why); /* empty for a record that is damaged, too */
    int failed = ib_error_is_memory(&why);
    ib_error_clear(&why);
    const char *sha256 = run.experiment_sha256, *backend = run.environment.backend;
    found->state = IB_RUN_MISSING;
    if (sha256 != NULL && strlen(sha256) == IB_SHA256_HEX_SIZE - 1) {
        double seconds = ib_run_metric(&run, "total_seconds");
        memcpy(found->experiment_sha256, sha256, IB_SHA256_HEX_SIZE);
        found->state = state_of(run.status);
        free(found->message);
        free(found->backend);
        found->message = run.message != NULL ? strdup(run.message) : NULL;
        found->backend = strdup(backend != NULL ? backend : "");
        found->total_seconds = isnan(seconds) ? 0 : seconds;
        failed |= found->backend == NULL || (run.message != NULL && found->message == NULL);
    }
    ib_run_close(&run);
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
