#include "record/record.h"

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
#include "monitor/resources_totals.h"
#include "record/checkpoint.h"
#include "record/record_parts.h"
#include "record/run_files.h"
#include "record/trace.h"

enum { RUN_ID_TRIES = 16 };
static const double FLUSH_SECONDS = 1;

static const char METRICS[] = "metrics.jsonl", RESOURCES[] = "resources.jsonl";

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

static ib_status remove_file(void *context, const char *name, ib_error *err) {
    const ib_folder *folder = context;
    (void)err;
    unlinkat(folder->fd, name, 0);
    return IB_OK;
}

static void remove_folder(const ib_folder *parent, const char *name, ib_folder *folder) {
    ib_folder_visit(folder, remove_file, folder, NULL);
    unlinkat(parent->fd, name, AT_REMOVEDIR);
}

static ib_status remove_if_left(void *context, const char *name, ib_error *err) {
    const ib_folder *parent = context;
    ib_folder left = {0};
    (void)err;
    if (strncmp(name, NEW, sizeof NEW - 1) == 0 &&
        ib_folder_open_inner(parent, name, 0, &left, NULL) == IB_OK && left.path != NULL &&
        flock(left.fd, LOCK_EX | LOCK_NB) == 0)
        remove_folder(parent, name, &left);
    ib_folder_close(&left);
    return IB_OK;
}

/* Locks a directory that was made just now. 0: another process has taken it for one that was left,
 * and removes it. On a file system without locks nobody does. */
static int is_ours(const ib_folder *parent, const char *name, const ib_folder *made) {
    struct stat opened, named;
    int taken = flock(made->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    return !taken && fstat(made->fd, &opened) == 0 &&
           fstatat(parent->fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

static int is_taken(const ib_folder *parent, const char *name) {
    struct stat info;
    return fstatat(parent->fd, name, &info, AT_SYMLINK_NOFOLLOW) == 0;
}

/* record->folder without a path, and IB_OK: the name is taken, or another process has taken the
 * directory for one that was left, and removed it. */
static ib_status try_run_directory(ib_record *record, const ib_folder *parent, const char *name,
                                   ib_error *err) {
    if (is_taken(parent, record->run_id))
        return IB_OK;
    if (mkdirat(parent->fd, name, 0777) != 0)
        return errno == EEXIST
                   ? IB_OK
                   : ib_fail_errno(err, IB_ERROR_RUNTIME, errno,
                                   "cannot create the run directory %s/%s; make it writable or "
                                   "choose another with --runs-dir",
                                   parent->path, name);
    ib_status status = ib_folder_open_inner(parent, name, 0, &record->folder, err);
    if (status != IB_OK) {
        unlinkat(parent->fd, name, AT_REMOVEDIR);
        return status;
    }
    if (record->folder.path != NULL && !is_ours(parent, name, &record->folder))
        ib_folder_close(&record->folder);
    return IB_OK;
}

/* Makes the directory under its first name, locked; a run id that is taken is tried again with
 * another suffix. */
static ib_status make_run_directory(ib_record *record, const ib_folder *parent, char **name,
                                    ib_error *err) {
    for (int attempt = 0; attempt < RUN_ID_TRIES; ++attempt) {
        free(record->run_id);
        free(*name);
        *name = NULL;
        record->run_id = make_run_id(record->clock.utc_ms);
        if (record->run_id == NULL)
            return ib_fail(err, IB_ERROR_RUNTIME, "cannot make a run id: no time or randomness");
        *name = ib_format("%s%s", NEW, record->run_id);
        if (*name == NULL)
            return ib_fail_memory(err);
        IB_TRY(try_run_directory(record, parent, *name, err));
        if (record->folder.path != NULL)
            return IB_OK;
    }
    return ib_fail(err, IB_ERROR_RUNTIME, "cannot find a free run id in %s", parent->path);
}

/* The record is whole: it gets its name, and the lock of its beginning is given up. */
static ib_status name_directory(ib_record *record, const ib_folder *parent, char **name,
                                ib_error *err) {
    char *path = ib_path_join(parent->path, record->run_id);
    char *new_name = path == NULL ? NULL : strdup(record->run_id);
    if (new_name == NULL) {
        free(path);
        return ib_fail_memory(err);
    }
    if (renameat(parent->fd, *name, parent->fd, new_name) != 0) {
        ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot rename %s to %s", record->folder.path,
                      path);
        free(path);
        free(new_name);
        return IB_ERROR_RUNTIME;
    }
    free(record->folder.path);
    record->folder.path = path;
    free(*name);
    *name = new_name;
    flock(record->folder.fd, LOCK_UN);
    return ib_folder_sync(parent, err);
}

static ib_status fail_metrics(const ib_record *record, const char *what, ib_error *err) {
    return ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot %s %s/%s", what, record->folder.path,
                         METRICS);
}

/* One process at a time works on a run; the kernel gives the lock up when that process ends. */
static ib_status take_lock(const ib_record *record, ib_error *err) {
    if (flock(fileno(record->metrics), LOCK_EX | LOCK_NB) == 0)
        return IB_OK;
    if (errno == EWOULDBLOCK)
        return ib_fail(err, IB_ERROR_RUNTIME, "another process is working on the run %s",
                       record->folder.path);
    return fail_metrics(record, "lock", err);
}

/* record->metrics stays NULL, and IB_OK, where the file is missing and not to be made. */
static ib_status open_metrics(ib_record *record, int flags, ib_error *err) {
    int fd;
    IB_TRY(ib_folder_open_file(&record->folder, METRICS, O_WRONLY | O_APPEND | flags, &fd, err));
    if (fd < 0)
        return IB_OK;
    record->metrics = fdopen(fd, "a");
    if (record->metrics != NULL)
        return IB_OK;
    close(fd);
    return ib_fail_memory(err);
}

static ib_status open_files(ib_record *record, ib_error *err) {
    ib_status status = open_metrics(record, O_CREAT | O_EXCL, err);
    if (status != IB_OK) {
        ib_fail_context(err, "make it writable or choose another directory with --runs-dir");
        return status;
    }
    if (record->start.table != NULL)
        IB_TRY(ib_pixel_table_write(record->start.table, &record->folder, IB_TABLE_NAME, err));
    take_lock(record, NULL); /* nobody else knows the directory yet: a file system without locks
                                only cannot resume */
    ib_sha256_begin(&record->chain);
    ib_run_standing state = {.running = 1};
    return ib_record_write(record, &state, err);
}

static ib_status begin_in(ib_record *record, const ib_folder *parent, ib_error *err) {
    char *name = NULL;
    ib_folder_visit(parent, remove_if_left, (void *)(uintptr_t)parent, NULL);
    ib_status status = make_run_directory(record, parent, &name, err);
    if (status == IB_OK)
        status = open_files(record, err);
    if (status == IB_OK)
        status = name_directory(record, parent, &name, err);
    if (status != IB_OK && record->folder.path != NULL)
        remove_folder(parent, name, &record->folder);
    free(name);
    return status;
}

ib_status ib_record_begin(const ib_record_start *start, ib_record **record, ib_error *err) {
    *record = NULL;
    ib_record *fresh = calloc(1, sizeof *fresh);
    char *path = ib_path_join(start->runs_dir, start->experiment);
    if (fresh == NULL || path == NULL) {
        free(fresh);
        free(path);
        return ib_fail_memory(err);
    }
    fresh->start = *start;
    fresh->clock = ib_steady_begin();
    int had_runs = ib_path_exists(start->runs_dir);
    int had_experiment = ib_path_exists(path);
    ib_folder parent = {0};
    ib_status status = ib_make_directories(path, err);
    if (status == IB_OK)
        status = ib_folder_open(path, &parent, err);
    if (status != IB_OK)
        ib_fail_context(err, "the run record needs a writable directory (choose one with "
                             "--runs-dir)");
    if (status == IB_OK)
        status = begin_in(fresh, &parent, err);
    ib_folder_close(&parent);
    if (status == IB_OK)
        *record = fresh;
    else
        ib_record_close(fresh);
    /* No directories are left that were not there before. */
    if (status != IB_OK && !had_experiment)
        rmdir(path);
    if (status != IB_OK && !had_runs)
        rmdir(start->runs_dir);
    free(path);
    return status;
}

/* ---- going on -----------------------------------------------------------------------------------
 */

static ib_status check_name(void *context, const char *name, ib_error *err) {
    static const char *const APPENDED[] = {METRICS, IB_TRACE_NAME, RESOURCES};
    for (size_t i = 0; i < sizeof APPENDED / sizeof APPENDED[0]; ++i)
        if (strcmp(name, APPENDED[i]) == 0)
            return ib_folder_check_file(context, name, O_APPEND, err);
    int is_written = strcmp(name, "run.json") == 0;
    for (size_t i = 0; IB_RECORD_FILES[i] != NULL; ++i)
        is_written |= strcmp(name, IB_RECORD_FILES[i]) == 0;
    return is_written ? ib_folder_check_file(context, name, O_RDONLY, err) : IB_OK;
}

/* Each name that the run will write is looked at before anything is changed, and not when hours
 * have passed. */
static ib_status check_names(ib_record *record, ib_error *err) {
    IB_TRY(ib_folder_visit(&record->folder, check_name, &record->folder, err));
    return ib_checkpoint_check_names(&record->folder, err);
}

static ib_status open_previous(ib_record *record, ib_error *err) {
    const char *directory = record->folder.path;
    IB_TRY(check_names(record, err));
    IB_TRY(open_metrics(record, 0, err));
    if (record->metrics == NULL || !is_taken(&record->folder, "run.json"))
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s holds no run record: run.json or metrics.jsonl is missing", directory);
    IB_TRY(take_lock(record, err));
    IB_TRY(ib_run_read(directory, &record->previous, err));
    const char *id = record->previous.run_id;
    if (id == NULL)
        return ib_fail(err, IB_ERROR_VERIFY, "%s/run.json has no run_id: it is no run record",
                       directory);
    record->run_id = strdup(id);
    return record->run_id == NULL ? ib_fail_memory(err) : IB_OK;
}

ib_status ib_record_reopen(const char *directory, ib_record **record, ib_error *err) {
    *record = NULL;
    if (ib_path_is_missing(directory))
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s holds no run record: run.json or metrics.jsonl is missing", directory);
    ib_record *found = calloc(1, sizeof *found);
    if (found == NULL)
        return ib_fail_memory(err);
    found->clock = ib_steady_begin();
    ib_status status = ib_folder_open(directory, &found->folder, err);
    if (status == IB_OK)
        status = open_previous(found, err);
    if (status == IB_OK)
        *record = found;
    else
        ib_record_close(found);
    return status;
}

const ib_run *ib_record_previous(const ib_record *record) {
    return &record->previous;
}

static ib_status check_prefix(ib_record *record, const ib_prefix *metrics, ib_error *err) {
    char *path = ib_path_join(record->folder.path, METRICS);
    if (path == NULL)
        return ib_fail_memory(err);
    ib_status status = ib_prefix_check(path, metrics, ib_chain_first_misfit, &record->chain, err);
    free(path);
    return status;
}

/* The table follows from the data; a file that says otherwise was changed. */
static ib_status check_table(const ib_record *record, ib_error *err) {
    const ib_pixel_table *table = record->start.table;
    ib_pixel_table found = {0};
    if (table == NULL)
        return IB_OK;
    char *path = ib_path_join(record->folder.path, IB_TABLE_NAME);
    ib_status status =
        path == NULL ? ib_fail_memory(err) : ib_pixel_table_read(path, table->pixels, &found, err);
    if (status == IB_OK && strcmp(found.sha256, table->sha256) != 0)
        status = ib_fail(err, IB_ERROR_VERIFY,
                         "%s has SHA-256 %s, but the training images give %s: it was changed", path,
                         found.sha256, table->sha256);
    ib_pixel_table_close(&found);
    free(path);
    return status;
}

static ib_status read_past(ib_record *record, ib_error *err) {
    ib_lines lines;
    ib_status status = ib_run_lines_open(&record->previous, RESOURCES, 0, &lines, err);
    if (status == IB_OK)
        status = ib_resources_replay(&lines, &record->past, err);
    ib_lines_close(&lines);
    return status;
}

ib_status ib_record_continue(ib_record *record, const ib_record_start *start,
                             const ib_prefix *metrics, double earlier_seconds, ib_error *err) {
    record->start = *start;
    record->earlier_seconds = earlier_seconds;
    IB_TRY(check_prefix(record, metrics, err));
    IB_TRY(check_table(record, err));
    IB_TRY(read_past(record, err));
    ib_atomic_clean(&record->folder, NULL);
    const json_t *before = record->previous.resume_times;
    char *now = ib_record_utc(record->clock.utc_ms, 0);
    record->resumed = json_is_array(before) ? json_deep_copy(before) : json_array();
    int added = now != NULL && json_array_append_new(record->resumed, json_string(now)) == 0;
    free(now);
    if (!added)
        return ib_fail_memory(err);
    /* First run.json, which may claim the file as it is, then the file. */
    ib_run_standing state = {.running = 1};
    IB_TRY(ib_record_write(record, &state, err));
    if (ftruncate(fileno(record->metrics), (off_t)metrics->bytes) != 0)
        return fail_metrics(record, "shorten", err);
    return IB_OK;
}

ib_status ib_record_metrics_position(ib_record *record, ib_prefix *metrics, ib_error *err) {
    IB_TRY(ib_record_flush(record, err));
    if (fsync(fileno(record->metrics)) != 0)
        return fail_metrics(record, "write", err);
    ib_chain_prefix(&record->chain, metrics);
    return IB_OK;
}

void ib_record_take_trace(ib_record *record, const ib_prefix *trace) {
    record->trace = *trace;
}

const char *ib_record_directory(const ib_record *record) {
    return record->folder.path;
}

const ib_folder *ib_record_folder(const ib_record *record) {
    return &record->folder;
}

ib_status ib_record_flush(ib_record *record, ib_error *err) {
    record->flushed = ib_seconds();
    if (fflush(record->metrics) != 0 || ferror(record->metrics))
        return fail_metrics(record, "write", err);
    return IB_OK;
}

ib_status ib_record_metric(ib_record *record, const char *key, double value, uint64_t step,
                           uint64_t epoch, ib_error *err) {
    char tail[IB_CHAIN_TAIL];
    ib_text_stream line;
    IB_TRY(ib_text_open(&line, err));
    ib_json json = {.out = line.stream};
    ib_json_open(&json, NULL, '{');
    ib_json_string(&json, "key", key);
    ib_json_double(&json, "value", value);
    ib_json_uint(&json, "step", step);
    ib_json_uint(&json, "epoch", epoch);
    ib_json_int(&json, "timestamp", ib_steady_milliseconds(&record->clock));
    ib_json_close(&json, '}');
    fputc('\n', json.out);
    IB_TRY(ib_text_close(&line, err));
    ib_chain_seal_line(&record->chain, line.data, line.size, tail);
    fwrite(line.data, 1, line.size - 2, record->metrics); /* flushing checks ferror */
    fputs(tail, record->metrics);
    free(line.data);
    return ib_seconds() - record->flushed >= FLUSH_SECONDS ? ib_record_flush(record, err) : IB_OK;
}

void ib_record_watch(ib_record *record, double start_seconds, const cpu_set_t *cpus) {
    double period = record->start.sample_period;
    ib_sampler_options options = {
        .period = period, .start_seconds = start_seconds, .cpus = cpus, .root = ""};
    record->watched = period > 0;
    if (record->watched)
        record->sampler = ib_sampler_start(&options, &record->past, &record->folder, RESOURCES);
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
    ib_run_close(&record->previous);
    json_decref(record->resumed);
    free(record->run_id);
    ib_folder_close(&record->folder);
    free(record);
}
