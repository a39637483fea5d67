#include "record/record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text_stream.h"
#include "record/record_file.h"
#include "record/record_parts.h"
#include "record/record_read.h"

enum { FLUSH_MILLISECONDS = 1000, RUN_ID_TRIES = 16 };

static const char METRICS[] = "metrics.jsonl";

static char *make_run_id(int64_t milliseconds) {
    unsigned char random[3];
    char *time_text = ib_record_utc(milliseconds, 1);
    char *id = NULL;
    if (time_text != NULL && getrandom(random, sizeof random, 0) == (ssize_t)sizeof random)
        id = ib_format("%s-%02x%02x%02x", time_text, random[0], random[1], random[2]);
    free(time_text);
    return id;
}

/* ---- beginning ----------------------------------------------------------------------------------
 * A record is made as "<runs>/<experiment>/.new-<run-id>" and gets its name with its first
 * run.json: no reader sees a directory that is no record yet. Until then the directory is locked,
 * so that what a killed process left is known by its free lock, and removed by the next run.
 */

static const char NEW[] = ".new-";

static void remove_directory(const char *path) {
    DIR *directory = opendir(path);
    const struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(directory), entry->d_name, 0);
    if (directory != NULL)
        closedir(directory);
    rmdir(path);
}

static void remove_unfinished(const char *experiment_directory) {
    DIR *directory = opendir(experiment_directory);
    const struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        char *path = strncmp(entry->d_name, NEW, sizeof NEW - 1) != 0
                         ? NULL
                         : ib_path_join(experiment_directory, entry->d_name);
        int fd = path == NULL ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
            remove_directory(path);
        if (fd >= 0)
            close(fd);
        free(path);
    }
    if (directory != NULL)
        closedir(directory);
}

/* Locks a directory that was made just now; -1: another process has taken it for one that was left,
 * and removes it. On a file system without locks nobody does. */
static int lock_directory(const char *path) {
    struct stat opened, named;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int taken = flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (!taken && fstat(fd, &opened) == 0 && stat(path, &named) == 0 &&
        opened.st_ino == named.st_ino)
        return fd;
    close(fd);
    return -1;
}

static int is_taken(const char *experiment_directory, const char *run_id) {
    char *path = ib_path_join(experiment_directory, run_id);
    int taken = path != NULL && ib_path_exists(path);
    free(path);
    return taken;
}

/* Makes the directory under its first name, locked; a run id that is taken is tried again with
 * another suffix. */
static ib_status make_run_directory(ib_record *record, const char *experiment_directory, int *lock,
                                    ib_error *err) {
    for (int attempt = 0; attempt < RUN_ID_TRIES; ++attempt) {
        free(record->run_id);
        record->run_id = make_run_id(record->started_ms);
        if (record->run_id == NULL)
            return ib_fail(err, IB_ERROR_RUNTIME, "cannot make a run id: no time or randomness");
        if (is_taken(experiment_directory, record->run_id))
            continue;
        char *path = ib_format("%s/%s%s", experiment_directory, NEW, record->run_id);
        if (path == NULL)
            return ib_fail_memory(err);
        int reason = mkdir(path, 0777) == 0 ? 0 : errno;
        if (reason == 0 && (*lock = lock_directory(path)) >= 0) {
            record->directory = path;
            return IB_OK;
        }
        if (reason != 0 && reason != EEXIST)
            ib_fail_errno(err, IB_ERROR_RUNTIME, reason,
                          "cannot create the run directory %s; make it writable or choose another "
                          "with --runs-dir",
                          path);
        free(path);
        if (reason != 0 && reason != EEXIST)
            return IB_ERROR_RUNTIME;
    }
    return ib_fail(err, IB_ERROR_RUNTIME, "cannot find a free run id in %s", experiment_directory);
}

/* The record is whole: it gets its name. */
static ib_status name_directory(ib_record *record, const char *experiment_directory,
                                ib_error *err) {
    char *directory = ib_path_join(experiment_directory, record->run_id);
    char *metrics_path = directory == NULL ? NULL : ib_path_join(directory, METRICS);
    ib_status status = metrics_path == NULL ? ib_fail_memory(err) : IB_OK;
    if (status == IB_OK && rename(record->directory, directory) != 0)
        status = ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot rename %s to %s",
                               record->directory, directory);
    if (status != IB_OK) {
        free(directory);
        free(metrics_path);
        return status;
    }
    free(record->directory);
    free(record->metrics_path);
    record->directory = directory;
    record->metrics_path = metrics_path;
    ib_sync_parent(directory);
    ib_sync_parent(experiment_directory);
    return IB_OK;
}

/* One process at a time works on a run; the kernel gives the lock up when that process ends. */
static ib_status take_lock(const ib_record *record, ib_error *err) {
    if (flock(fileno(record->metrics), LOCK_EX | LOCK_NB) == 0)
        return IB_OK;
    if (errno == EWOULDBLOCK)
        return ib_fail(err, IB_ERROR_RUNTIME, "another process is working on the run %s",
                       record->directory);
    return ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot lock %s", record->metrics_path);
}

static ib_status open_files(ib_record *record, ib_error *err) {
    record->metrics_path = ib_record_path(record, METRICS);
    if (record->metrics_path == NULL)
        return ib_fail_memory(err);
    record->metrics = fopen(record->metrics_path, "axe");
    if (record->metrics == NULL)
        return ib_fail_errno(err, IB_ERROR_RUNTIME, errno,
                             "cannot create %s; make it writable or choose another directory with "
                             "--runs-dir",
                             record->metrics_path);
    take_lock(record, NULL); /* nobody else knows the directory yet: a file system without locks
                                only cannot resume */
    ib_sha256_begin(&record->chain);
    ib_run_standing state = {.running = 1};
    return ib_record_write(record, &state, err);
}

/* Undoes a beginning that failed: no files are left, nor directories that were not there before. */
static void remove_beginning(ib_record *record, const char *experiment_directory,
                             int had_experiment, int had_runs) {
    if (record->directory != NULL)
        remove_directory(record->directory);
    if (!had_experiment)
        rmdir(experiment_directory);
    if (!had_runs)
        rmdir(record->start.runs_dir);
}

ib_status ib_record_begin(const ib_record_start *start, ib_record **record, ib_error *err) {
    *record = NULL;
    ib_record *fresh = calloc(1, sizeof *fresh);
    char *parent = ib_path_join(start->runs_dir, start->experiment);
    if (fresh == NULL || parent == NULL) {
        free(fresh);
        free(parent);
        return ib_fail_memory(err);
    }
    fresh->start = *start;
    fresh->started_ms = ib_unix_milliseconds();
    int had_runs = ib_path_exists(start->runs_dir);
    int had_experiment = ib_path_exists(parent);
    int lock = -1;
    ib_status status = ib_make_directories(parent, err);
    if (status != IB_OK)
        ib_fail_context(err, "the run record needs a writable directory (choose one with "
                             "--runs-dir)");
    if (status == IB_OK)
        remove_unfinished(parent);
    if (status == IB_OK)
        status = make_run_directory(fresh, parent, &lock, err);
    if (status == IB_OK)
        status = open_files(fresh, err);
    if (status == IB_OK)
        status = name_directory(fresh, parent, err);
    if (lock >= 0)
        close(lock);
    if (status != IB_OK) {
        remove_beginning(fresh, parent, had_experiment, had_runs);
        ib_record_close(fresh);
    } else {
        *record = fresh;
    }
    free(parent);
    return status;
}

/* ---- going on -----------------------------------------------------------------------------------
 */

static ib_status open_previous(ib_record *record, ib_error *err) {
    char *path = ib_record_path(record, "run.json");
    record->metrics_path = ib_record_path(record, METRICS);
    if (path == NULL || record->metrics_path == NULL) {
        free(path);
        return ib_fail_memory(err);
    }
    int fd = open(record->metrics_path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    int reason = errno;
    record->metrics = fd < 0 ? NULL : fdopen(fd, "a");
    ib_status status = IB_OK;
    if (!ib_path_exists(path) || (fd < 0 && reason == ENOENT))
        status = ib_fail(err, IB_ERROR_VERIFY,
                         "%s holds no run record: run.json or metrics.jsonl is missing",
                         record->directory);
    else if (record->metrics == NULL)
        status =
            ib_fail_errno(err, IB_ERROR_RUNTIME, reason, "cannot open %s", record->metrics_path);
    if (record->metrics == NULL && fd >= 0)
        close(fd);
    if (status == IB_OK)
        status = take_lock(record, err);
    if (status == IB_OK)
        status = ib_record_read(record->directory, &record->previous, err);
    const char *id = ib_json_text_at(record->previous, "run_id", NULL);
    if (status == IB_OK && id == NULL)
        status = ib_fail(err, IB_ERROR_VERIFY, "%s has no run_id: it is no run record", path);
    if (status == IB_OK && (record->run_id = strdup(id)) == NULL)
        status = ib_fail_memory(err);
    free(path);
    return status;
}

ib_status ib_record_reopen(const char *directory, ib_record **record, ib_error *err) {
    *record = NULL;
    ib_record *found = calloc(1, sizeof *found);
    if (found == NULL)
        return ib_fail_memory(err);
    found->directory = strdup(directory);
    ib_status status = found->directory == NULL ? ib_fail_memory(err) : open_previous(found, err);
    if (status == IB_OK)
        *record = found;
    else
        ib_record_close(found);
    return status;
}

const json_t *ib_record_previous(const ib_record *record) {
    return record->previous;
}

ib_status ib_record_continue(ib_record *record, const ib_record_start *start,
                             const ib_prefix *metrics, double earlier_seconds, ib_error *err) {
    record->start = *start;
    record->earlier_seconds = earlier_seconds;
    IB_TRY(
        ib_prefix_check(record->metrics_path, metrics, ib_chain_first_misfit, &record->chain, err));
    ib_atomic_clean(record->directory, NULL);
    json_t *before = json_object_get(json_object_get(record->previous, "resumes"), "times");
    char *now = ib_record_utc(ib_unix_milliseconds(), 0);
    record->resumed = json_is_array(before) ? json_deep_copy(before) : json_array();
    int added = now != NULL && json_array_append_new(record->resumed, json_string(now)) == 0;
    free(now);
    if (!added)
        return ib_fail_memory(err);
    /* First run.json, which may claim the file as it is, then the file. */
    ib_run_standing state = {.running = 1};
    IB_TRY(ib_record_write(record, &state, err));
    if (ftruncate(fileno(record->metrics), (off_t)metrics->bytes) != 0)
        return ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot shorten %s",
                             record->metrics_path);
    return IB_OK;
}

ib_status ib_record_metrics_position(ib_record *record, ib_prefix *metrics, ib_error *err) {
    IB_TRY(ib_record_flush(record, err));
    if (fsync(fileno(record->metrics)) != 0)
        return ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot write %s", record->metrics_path);
    ib_chain_prefix(&record->chain, metrics);
    return IB_OK;
}

const char *ib_record_directory(const ib_record *record) {
    return record->directory;
}

char *ib_record_path(const ib_record *record, const char *name) {
    return ib_path_join(record->directory, name);
}

ib_status ib_record_flush(ib_record *record, ib_error *err) {
    record->flushed_ms = ib_unix_milliseconds();
    if (fflush(record->metrics) != 0 || ferror(record->metrics))
        return ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot write %s", record->metrics_path);
    return IB_OK;
}

ib_status ib_record_metric(ib_record *record, const char *key, double value, uint64_t step,
                           uint64_t epoch, ib_error *err) {
    int64_t now = ib_unix_milliseconds();
    char tail[IB_CHAIN_TAIL];
    ib_text_stream line;
    IB_TRY(ib_text_open(&line, err));
    ib_json json = {.out = line.stream};
    ib_json_open(&json, NULL, '{');
    ib_json_string(&json, "key", key);
    ib_json_double(&json, "value", value);
    ib_json_uint(&json, "step", step);
    ib_json_uint(&json, "epoch", epoch);
    ib_json_int(&json, "timestamp", now);
    ib_json_close(&json, '}');
    fputc('\n', json.out);
    IB_TRY(ib_text_close(&line, err));
    ib_chain_seal_line(&record->chain, line.data, line.size, tail);
    fwrite(line.data, 1, line.size - 2, record->metrics); /* flushing checks ferror */
    fputs(tail, record->metrics);
    free(line.data);
    return now - record->flushed_ms >= FLUSH_MILLISECONDS ? ib_record_flush(record, err) : IB_OK;
}

void ib_record_watch(ib_record *record, double start_seconds, const cpu_set_t *cpus) {
    double period = record->start.sample_period;
    char *path = ib_record_path(record, "resources.jsonl");
    ib_sampler_options options = {
        .period = period, .start_seconds = start_seconds, .cpus = cpus, .root = ""};
    record->watched = period > 0;
    if (record->watched && path != NULL)
        record->sampler = ib_sampler_start(&options, path);
    free(path);
}

ib_status ib_record_finish(ib_record *record, ib_status outcome, const char *message,
                           const ib_run_results *results, const ib_evaluation *test,
                           ib_error *err) {
    ib_status flushed = ib_record_flush(record, err);
    ib_run_standing state = {0, outcome, message, results, test};
    ib_status written = ib_record_write(record, &state, flushed == IB_OK ? err : NULL);
    return flushed != IB_OK ? flushed : written;
}

void ib_record_close(ib_record *record) {
    if (record == NULL)
        return;
    ib_sampler_close(record->sampler);
    if (record->metrics != NULL)
        fclose(record->metrics);
    json_decref(record->previous);
    json_decref(record->resumed);
    free(record->run_id);
    free(record->directory);
    free(record->metrics_path);
    free(record);
}
