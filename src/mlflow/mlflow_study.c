/* A study as a parent run: the grid as params, its files as artifacts, its runs nested in it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/sha256.h"
#include "mlflow/mlflow_send.h"
#include "record/record_file.h"
#include "study/study_plan.h"

/* A study has no id of its own: it gets one before the server hears of it. */
static ib_status ensure_id(ib_mlflow_sender *s, const char *name, ib_error *err) {
    unsigned char random[6];
    if (ib_mlflow_state_text(&s->cursor, "isobit_id") != NULL)
        return IB_OK;
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return ib_fail(err, IB_ERROR_RUNTIME, "cannot make an id: no randomness");
    json_t *id = json_sprintf("study-%s-%02x%02x%02x%02x%02x%02x", name, random[0], random[1],
                              random[2], random[3], random[4], random[5]);
    IB_TRY(ib_mlflow_state_set(&s->cursor, "isobit_id", id, err));
    return ib_mlflow_cursor_save(&s->cursor, err);
}

/* Every option with every value that a cell gives it: "0.01, 0.1". NULL: out of memory. */
static json_t *grid_of(const json_t *study) {
    json_t *params = json_object();
    json_t *cells = json_object_get(study, "cells");
    size_t c, i;
    json_t *cell, *value, *seen;
    const char *name;
    json_t *lists = json_object();
    int good = params != NULL && lists != NULL;
    json_array_foreach(cells, c, cell) {
        json_object_foreach(json_object_get(cell, "options"), name, value) {
            json_t *list = json_object_get(lists, name);
            int known = 0;
            if (list == NULL) {
                good &= json_object_set_new(lists, name, json_array()) == 0;
                list = json_object_get(lists, name);
            }
            json_array_foreach(list, i, seen) {
                known = known || json_equal(seen, value);
            }
            if (!known)
                good &= json_array_append(list, value) == 0;
        }
    }
    json_t *list;
    json_object_foreach(lists, name, list) {
        char *text = strdup("");
        json_array_foreach(list, i, value) {
            const char *one = json_string_value(value);
            char *longer = text == NULL ? NULL
                                        : ib_format("%s%s%s", text, i == 0 ? "" : ", ",
                                                    one == NULL ? "" : one);
            free(text);
            text = longer;
        }
        good = good && text != NULL && ib_mlflow_add_text(params, name, text);
        free(text);
    }
    json_decref(lists);
    if (good)
        return params;
    json_decref(params);
    return NULL;
}

typedef struct study_progress {
    int64_t first, last; /* milliseconds; 0: none */
    size_t cells, ended, failed;
} study_progress;

static int is_one_of(const char *text, const char *const *names) {
    for (size_t i = 0; text != NULL && names[i] != NULL; ++i)
        if (strcmp(text, names[i]) == 0)
            return 1;
    return 0;
}

static study_progress progress_of(const char *directory, const json_t *study) {
    static const char *const LEFT[] = {"missing", "running", "stopped", NULL};
    static const char *const FAILED[] = {"failed", "diverged", NULL};
    study_progress progress = {0};
    size_t c;
    json_t *cell;
    json_array_foreach(json_object_get(study, "cells"), c, cell) {
        const char *run = json_string_value(json_object_get(cell, "run"));
        const char *state = json_string_value(json_object_get(cell, "state"));
        char *path = run == NULL ? NULL : ib_format("%s/../%s", directory, run);
        ib_run record = {0};
        if (path != NULL)
            ib_run_read(path, &record, NULL);
        int64_t started = ib_mlflow_time(record.started), ended = ib_mlflow_time(record.ended);
        if (started > 0 && (progress.first == 0 || started < progress.first))
            progress.first = started;
        if (ended > progress.last)
            progress.last = ended;
        if (ended > 0 && started > progress.last) /* a clock that was set back */
            progress.last = started;
        ++progress.cells;
        progress.ended += state != NULL && !is_one_of(state, LEFT);
        progress.failed += is_one_of(state, FAILED);
        ib_run_close(&record);
        free(path);
    }
    return progress;
}

/* Whether a process works on the study. Whoever asks holds the lock of the directory, so that only
 * one process tries the other lock at a time. */
static int is_live(const char *directory) {
    char *path = ib_path_join(directory, IB_STUDY_LOCK);
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    free(path);
    if (fd < 0)
        return 0;
    int live = flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(fd);
    return live;
}

static const char *status_of(const study_progress *progress, int live) {
    if (progress->ended < progress->cells)
        return live ? "RUNNING" : "KILLED";
    return progress->failed > 0 ? "FAILED" : "FINISHED";
}

/* The experiment file and those it includes, where they are still what the study was made from. */
static ib_status send_sources(ib_mlflow_sender *s, ib_error *err) {
    size_t i;
    json_t *file;
    char hex[IB_SHA256_HEX_SIZE];
    json_array_foreach(json_object_get(s->study, "files"), i, file) {
        const char *path = json_string_value(json_object_get(file, "path"));
        const char *sha256 = json_string_value(json_object_get(file, "sha256"));
        if (path == NULL || sha256 == NULL || ib_sha256_file(path, hex, NULL) != IB_OK ||
            strcmp(hex, sha256) != 0)
            continue;
        const char *slash = strrchr(path, '/');
        IB_TRY(ib_mlflow_send_file(s, path, sha256,
                                   ib_mlflow_state_text(&s->cursor, "artifact_uri"),
                                   slash == NULL ? path : slash + 1, "artifacts", err));
    }
    return IB_OK;
}

static json_t *study_tags(const ib_mlflow_sender *s, const char *name) {
    json_t *tags = json_object();
    if (tags != NULL && ib_mlflow_add_text(tags, "mlflow.runName", name) &&
        ib_mlflow_add_text(tags, "mlflow.user", s->client->settings.user) &&
        ib_mlflow_add_text(tags, "mlflow.source.name", "isobit sweep") &&
        ib_mlflow_add_text(tags, "mlflow.source.type", "LOCAL") &&
        ib_mlflow_add_text(tags, "mlflow.note.content", ib_json_text_at(s->study, "title")))
        return tags;
    json_decref(tags);
    return NULL;
}

/* What the study is, and whether it goes on: sent again when that has changed. */
static ib_status send_state(ib_mlflow_sender *s, const char *name, const char *status,
                            const study_progress *progress, ib_error *err) {
    char *version = ib_format("%s, %zu cells", status, progress->cells);
    const char *known = ib_mlflow_state_text(&s->cursor, "described");
    ib_status sent = version == NULL ? ib_fail_memory(err) : IB_OK;
    if (sent == IB_OK && (known == NULL || strcmp(known, version) != 0)) {
        int64_t end = strcmp(status, "RUNNING") == 0 ? 0
                      : progress->last > 0           ? progress->last
                                                     : ib_unix_milliseconds();
        sent = ib_mlflow_describe(s, grid_of(s->study), study_tags(s, name), err);
        if (sent == IB_OK)
            sent = ib_mlflow_update_run(s, status, end, err);
        if (sent == IB_OK)
            sent = ib_mlflow_state_set(&s->cursor, "described", json_string(version), err);
        if (sent == IB_OK)
            sent = ib_mlflow_cursor_save(&s->cursor, err);
    }
    free(version);
    return sent;
}

/* "3 of 8 done, 1 failed" as a tag, for who looks at the page while it goes on. */
static ib_status send_progress(ib_mlflow_sender *s, const study_progress *progress, ib_error *err) {
    char *text = ib_format("%zu of %zu done, %zu failed", progress->ended, progress->cells,
                           progress->failed);
    const char *known = ib_mlflow_state_text(&s->cursor, "progress");
    ib_status status = text == NULL ? ib_fail_memory(err) : IB_OK;
    if (status == IB_OK && (known == NULL || strcmp(known, text) != 0)) {
        json_t *tags = json_pack("{s:s}", "isobit.cells", text);
        status = tags == NULL ? ib_fail_memory(err) : ib_mlflow_send_tags(s, tags, err);
        json_decref(tags);
        if (status == IB_OK)
            status = ib_mlflow_state_set(&s->cursor, "progress", json_string(text), err);
        if (status == IB_OK)
            status = ib_mlflow_cursor_save(&s->cursor, err);
    }
    free(text);
    return status;
}

static ib_status read_study(ib_mlflow_sender *s, ib_error *err) {
    char *path = ib_path_join(s->directory, "study.json");
    if (path == NULL)
        return ib_fail_memory(err);
    ib_status status = ib_json_file_read(path, &s->study, err);
    if (status == IB_OK && ib_json_text_at(s->study, "study") == NULL)
        status = ib_fail(err, IB_ERROR_VERIFY, "%s does not name its study", path);
    free(path);
    return status;
}

static ib_status send_study(ib_mlflow_sender *s, ib_error *err) {
    /* Before the file is read: a sweep writes it, then gives its lock up. */
    int live = is_live(s->directory);
    IB_TRY(read_study(s, err));
    const char *name = ib_json_text_at(s->study, "study");
    study_progress progress = progress_of(s->directory, s->study);
    const char *status = status_of(&progress, live);
    int is_new = ib_mlflow_state_text(&s->cursor, "described") == NULL;
    s->sent->live = strcmp(status, "RUNNING") == 0;
    IB_TRY(ensure_id(s, name, err));
    IB_TRY(ib_mlflow_ensure_run(s, name, ib_mlflow_state_text(&s->cursor, "isobit_id"), name,
                                progress.first > 0 ? progress.first : ib_unix_milliseconds(), err));
    IB_TRY(send_progress(s, &progress, err));
    IB_TRY(send_state(s, name, status, &progress, err));
    if (s->sent->live && !is_new)
        return IB_OK; /* study.json changes with every run: it goes there first and last */
    IB_TRY(send_sources(s, err));
    IB_TRY(ib_mlflow_send_files(s, err));
    return ib_mlflow_cursor_settle(&s->cursor, err);
}

ib_status ib_mlflow_send_study(ib_mlflow_client *client, const char *directory,
                               const char *experiment, int wait, ib_mlflow_sent *sent,
                               ib_error *err) {
    ib_mlflow_sender s;
    ib_mlflow_names names = {.experiment = experiment};
    client->transient = 0;
    ib_status status = ib_mlflow_sender_open(client, directory, &names, wait, sent, &s, err);
    if (status == IB_OK && !sent->busy)
        status = send_study(&s, err);
    ib_mlflow_sender_close(&s);
    return status;
}
