/* A study as a parent run: the grid as params, its files as artifacts, its runs nested in it. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/file.h"
#include "base/sha256.h"
#include "track/mlflow_send.h"
#include "track/record_file.h"

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

/* Every option with every value that a cell gives it: "0.01, 0.1". */
static json_t *grid_of(const json_t *study) {
    json_t *params = json_object();
    json_t *cells = json_object_get(study, "cells");
    size_t c, i;
    json_t *cell, *value, *seen;
    const char *name;
    json_t *lists = json_object();
    json_array_foreach(cells, c, cell) {
        json_object_foreach(json_object_get(cell, "options"), name, value) {
            json_t *list = json_object_get(lists, name);
            int known = 0;
            if (list == NULL) {
                json_object_set_new(lists, name, json_array());
                list = json_object_get(lists, name);
            }
            json_array_foreach(list, i, seen) {
                known = known || json_equal(seen, value);
            }
            if (!known)
                json_array_append(list, value);
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
        ib_mlflow_add_text(params, name, text);
        free(text);
    }
    json_decref(lists);
    return params;
}

typedef struct study_times {
    int64_t first, last;
    size_t cells, ended;
} study_times;

static study_times times_of(const char *directory, const json_t *study) {
    study_times times = {0};
    size_t c;
    json_t *cell;
    json_array_foreach(json_object_get(study, "cells"), c, cell) {
        const char *run = json_string_value(json_object_get(cell, "run"));
        const char *state = json_string_value(json_object_get(cell, "state"));
        char *path = run == NULL ? NULL : ib_format("%s/../%s/run.json", directory, run);
        json_t *record = NULL;
        if (path != NULL)
            ib_json_file_read(path, &record, NULL);
        int64_t started = ib_mlflow_time(ib_json_text_at(record, "started", NULL));
        int64_t ended = ib_mlflow_time(ib_json_text_at(record, "ended", NULL));
        if (started > 0 && (times.first == 0 || started < times.first))
            times.first = started;
        if (ended > times.last)
            times.last = ended;
        ++times.cells;
        times.ended += state != NULL && strcmp(state, "missing") != 0 &&
                       strcmp(state, "running") != 0 && strcmp(state, "stopped") != 0;
        json_decref(record);
        free(path);
    }
    return times;
}

/* The experiment file and those it includes, where they are still what the study was made from. */
static ib_status send_sources(ib_mlflow_sender *s, ib_error *err) {
    size_t i;
    json_t *file;
    char hex[IB_SHA256_HEX_SIZE];
    json_array_foreach(json_object_get(s->record, "files"), i, file) {
        const char *path = json_string_value(json_object_get(file, "path"));
        const char *sha256 = json_string_value(json_object_get(file, "sha256"));
        if (path == NULL || sha256 == NULL || ib_sha256_file(path, hex, NULL) != IB_OK ||
            strcmp(hex, sha256) != 0)
            continue;
        const char *slash = strrchr(path, '/');
        IB_TRY(ib_mlflow_send_file(s, path, ib_mlflow_state_text(&s->cursor, "artifact_uri"),
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
        ib_mlflow_add_text(tags, "mlflow.note.content", ib_json_text_at(s->record, "title", NULL)))
        return tags;
    json_decref(tags);
    return NULL;
}

static ib_status send_study(ib_mlflow_sender *s, const char *experiment, ib_error *err) {
    char *path = ib_path_join(s->directory, "study.json");
    if (path == NULL)
        return ib_fail_memory(err);
    ib_status status = ib_json_file_read(path, &s->record, err);
    const char *name = ib_json_text_at(s->record, "study", NULL);
    if (status == IB_OK && name == NULL)
        status = ib_fail(err, IB_ERROR_VERIFY, "%s does not name its study", path);
    free(path);
    IB_TRY(status);
    study_times times = times_of(s->directory, s->record);
    IB_TRY(ensure_id(s, name, err));
    IB_TRY(ib_mlflow_ensure_run(s, experiment, ib_mlflow_state_text(&s->cursor, "isobit_id"), name,
                                times.first, err));
    int ended = times.ended == times.cells;
    char *version = ib_format("%zu of %zu", times.ended, times.cells);
    const char *known = ib_mlflow_state_text(&s->cursor, "described");
    status = version == NULL ? ib_fail_memory(err) : IB_OK;
    if (status == IB_OK && (known == NULL || strcmp(known, version) != 0)) {
        status = ib_mlflow_describe(s, grid_of(s->record), study_tags(s, name), err);
        if (status == IB_OK)
            status = ib_mlflow_update_run(s, ended ? "FINISHED" : "RUNNING", ended ? times.last : 0,
                                          err);
        if (status == IB_OK)
            status = ib_mlflow_state_set(&s->cursor, "described", json_string(version), err);
    }
    free(version);
    IB_TRY(status);
    IB_TRY(send_sources(s, err));
    IB_TRY(ib_mlflow_send_files(s, err));
    return ib_mlflow_cursor_save(&s->cursor, err);
}

ib_status ib_mlflow_send_study(ib_mlflow_client *client, const char *directory,
                               const char *experiment, ib_mlflow_sent *sent, ib_error *err) {
    ib_mlflow_sender s;
    client->transient = 0;
    ib_status status = ib_mlflow_sender_open(client, directory, NULL, 1, sent, &s, err);
    if (status == IB_OK && !sent->busy)
        status = send_study(&s, experiment, err);
    ib_mlflow_sender_close(&s);
    return status;
}
