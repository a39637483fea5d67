/* The lines of metrics.jsonl as MLflow's metrics, from where the server has them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "track/mlflow_send.h"

enum { MOST_METRICS = 1000 };

/* Where we are in the file. A run that was resumed has written its lines from the checkpoint on
 * once more, with other timestamps: those that the server has are passed over by their number,
 * since a run writes the same lines in the same order. What is sampled (system/) is not of that
 * order and is passed over by its time. */
typedef struct position {
    uint64_t bytes, lines; /* lines: without those of system/ */
    uint64_t known_lines, known_time;
} position;

static int is_sampled(const char *key) {
    return strncmp(key, "system/", 7) == 0;
}

static ib_status flush_batch(ib_mlflow_sender *s, json_t *list, const position *at,
                             uint64_t last_time, ib_error *err) {
    if (json_array_size(list) > 0) {
        json_t *body = json_pack("{s:s,s:O}", "run_id", ib_mlflow_state_text(&s->cursor, "run_id"),
                                 "metrics", list);
        ib_status status =
            body == NULL
                ? ib_fail_memory(err)
                : ib_mlflow_call(s->client, "POST", "/mlflow/runs/log-batch", body, 0, NULL, err);
        json_decref(body);
        IB_TRY(status);
        s->sent->metrics += json_array_size(list);
        json_array_clear(list);
    }
    if (at->lines < at->known_lines)
        return IB_OK; /* still among what is known */
    IB_TRY(
        ib_mlflow_state_set(&s->cursor, "metrics_bytes", json_integer((json_int_t)at->bytes), err));
    IB_TRY(
        ib_mlflow_state_set(&s->cursor, "metrics_lines", json_integer((json_int_t)at->lines), err));
    IB_TRY(
        ib_mlflow_state_set(&s->cursor, "metrics_time", json_integer((json_int_t)last_time), err));
    json_t *resumes = json_object_get(json_object_get(s->record, "resumes"), "count");
    IB_TRY(
        ib_mlflow_state_set(&s->cursor, "resumes", json_integer(json_integer_value(resumes)), err));
    return ib_mlflow_cursor_save(&s->cursor, err);
}

/* Adds one line to the batch, or passes it over. */
static ib_status take_line(ib_mlflow_sender *s, const char *line, size_t size, position *at,
                           uint64_t *last_time, json_t *list, ib_error *err) {
    json_t *read = json_loadb(line, size, 0, NULL);
    const char *key = json_string_value(json_object_get(read, "key"));
    json_t *value = json_object_get(read, "value");
    json_t *time = json_object_get(read, "timestamp");
    json_t *step = json_object_get(read, "step");
    ib_status status = IB_OK;
    if (key == NULL || value == NULL || !json_is_integer(time)) {
        s->client->transient = 0;
        status = ib_fail(err, IB_ERROR_VERIFY,
                         "%s/metrics.jsonl, offset %llu: not a line with key, value and timestamp",
                         s->directory, (unsigned long long)at->bytes);
    } else {
        uint64_t when = (uint64_t)json_integer_value(time);
        int sampled = is_sampled(key);
        int known = sampled ? when <= at->known_time : at->lines < at->known_lines;
        at->lines += !sampled;
        if (when > *last_time)
            *last_time = when;
        json_t *metric = known ? NULL
                               : json_pack("{s:s,s:O,s:O,s:I}", "key", key, "value", value,
                                           "timestamp", time, "step", json_integer_value(step));
        if (!known && json_array_append_new(list, metric) != 0)
            status = ib_fail_memory(err);
    }
    json_decref(read);
    at->bytes += size;
    return status;
}

static ib_status send_lines(ib_mlflow_sender *s, FILE *stream, position *at, ib_error *err) {
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    json_t *list = json_array();
    ib_status status = list == NULL ? ib_fail_memory(err) : IB_OK;
    uint64_t begun = at->bytes, last_time = ib_mlflow_state_number(&s->cursor, "metrics_time");
    while (status == IB_OK && (length = getline(&line, &capacity, stream)) > 0 &&
           line[length - 1] == '\n') { /* a line without its end is being written */
        status = take_line(s, line, (size_t)length, at, &last_time, list, err);
        if (status == IB_OK && json_array_size(list) == MOST_METRICS)
            status = flush_batch(s, list, at, last_time, err);
    }
    if (status == IB_OK && at->bytes != begun)
        status = flush_batch(s, list, at, last_time, err);
    free(line);
    json_decref(list);
    return status;
}

ib_status ib_mlflow_open_lines(const ib_mlflow_sender *s, const char *name, uint64_t offset,
                               FILE **stream, ib_error *err) {
    char *path = ib_path_join(s->directory, name);
    if (path == NULL)
        return ib_fail_memory(err);
    *stream = fopen(path, "re");
    int reason = errno;
    free(path);
    if (*stream == NULL)
        return reason == ENOENT ? IB_OK
                                : ib_fail_errno(err, IB_ERROR_VERIFY, reason, "cannot read %s/%s",
                                                s->directory, name);
    if (fseeko(*stream, (off_t)offset, SEEK_SET) == 0)
        return IB_OK;
    reason = errno;
    fclose(*stream);
    return ib_fail_errno(err, IB_ERROR_RUNTIME, reason, "cannot read %s/%s", s->directory, name);
}

ib_status ib_mlflow_send_metrics(ib_mlflow_sender *s, ib_error *err) {
    position at = {.bytes = ib_mlflow_state_number(&s->cursor, "metrics_bytes"),
                   .lines = ib_mlflow_state_number(&s->cursor, "metrics_lines")};
    json_t *resumes = json_object_get(json_object_get(s->record, "resumes"), "count");
    if ((uint64_t)json_integer_value(resumes) != ib_mlflow_state_number(&s->cursor, "resumes")) {
        at.known_lines = at.lines;
        at.known_time = ib_mlflow_state_number(&s->cursor, "metrics_time");
        at.bytes = at.lines = 0;
    }
    FILE *stream = NULL;
    IB_TRY(ib_mlflow_open_lines(s, "metrics.jsonl", at.bytes, &stream, err));
    if (stream == NULL)
        return IB_OK;
    ib_status status = send_lines(s, stream, &at, err);
    fclose(stream);
    return status;
}
