/* The lines of metrics.jsonl as MLflow's metrics, from where the server has them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_value.h"
#include "mlflow/mlflow_send.h"

enum { MOST_METRICS = 1000 };

/* A run that was resumed has written its lines from the checkpoint on once more, with other times,
 * so that the server would take them for other points. How far it has each key is asked then, and
 * not believed of the cursor: what was sent just before a kill may be there without our knowing,
 * and the lines that had its times are gone. A run writes a key's steps in rising order. */
static ib_status ask_what_is_known(ib_mlflow_sender *s, json_int_t resumes, ib_error *err) {
    json_t *reply = NULL, *known = json_object(), *metric;
    size_t i;
    if (known == NULL)
        return ib_fail_memory(err);
    ib_status status = ib_mlflow_get(s->client, "/mlflow/runs/get", "run_id",
                                     ib_mlflow_state_text(&s->cursor, "run_id"), &reply, err);
    const json_t *data = json_object_get(json_object_get(reply, "run"), "data");
    json_array_foreach(json_object_get(data, "metrics"), i, metric) {
        const char *key = json_string_value(json_object_get(metric, "key"));
        json_int_t step =
            json_integer_value(json_object_get(metric, "step")); /* 0: may be left out */
        if (key != NULL && json_object_set_new(known, key, json_integer(step)) != 0)
            status = ib_fail_memory(err);
    }
    json_decref(reply);
    if (status != IB_OK) {
        json_decref(known);
        return status;
    }
    IB_TRY(ib_mlflow_state_set(&s->cursor, "metrics_known", known, err));
    IB_TRY(ib_mlflow_state_set(&s->cursor, "metrics_bytes", json_integer(0), err));
    return ib_mlflow_state_set(&s->cursor, "resumes", json_integer(resumes), err);
}

static int is_known(const ib_mlflow_sender *s, const char *key, const json_t *step) {
    const json_t *last = json_object_get(json_object_get(s->cursor.state, "metrics_known"), key);
    return last != NULL && json_integer_value(step) <= json_integer_value(last);
}

static ib_status flush_batch(ib_mlflow_sender *s, json_t *list, uint64_t bytes, uint64_t last_time,
                             ib_error *err) {
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
    IB_TRY(ib_mlflow_state_set(&s->cursor, "metrics_bytes", json_integer((json_int_t)bytes), err));
    IB_TRY(
        ib_mlflow_state_set(&s->cursor, "metrics_time", json_integer((json_int_t)last_time), err));
    return ib_mlflow_cursor_save(&s->cursor, err);
}

/* Adds one line to the batch, or passes it over. */
static ib_status take_line(ib_mlflow_sender *s, const char *line, size_t size, uint64_t *bytes,
                           uint64_t *last_time, json_t *list, ib_error *err) {
    json_t *read;
    IB_TRY(ib_json_parse(line, size, &read, NULL, err));
    const char *key = json_string_value(json_object_get(read, "key"));
    json_t *value = json_object_get(read, "value");
    json_t *time = json_object_get(read, "timestamp");
    json_t *step = json_object_get(read, "step");
    ib_status status = IB_OK;
    if (key == NULL || value == NULL || !json_is_integer(time)) {
        s->client->transient = 0;
        status = ib_fail(err, IB_ERROR_VERIFY,
                         "%s/metrics.jsonl, offset %llu: not a line with key, value and timestamp",
                         s->directory, (unsigned long long)*bytes);
    } else {
        uint64_t when = (uint64_t)json_integer_value(time);
        int known = is_known(s, key, step);
        if (when > *last_time)
            *last_time = when;
        json_t *metric = known ? NULL
                               : json_pack("{s:s,s:O,s:O,s:I}", "key", key, "value", value,
                                           "timestamp", time, "step", json_integer_value(step));
        if (!known && json_array_append_new(list, metric) != 0)
            status = ib_fail_memory(err);
    }
    json_decref(read);
    *bytes += size;
    return status;
}

static ib_status send_lines(ib_mlflow_sender *s, FILE *stream, uint64_t bytes, ib_error *err) {
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length = 0;
    json_t *list = json_array();
    ib_status status = list == NULL ? ib_fail_memory(err) : IB_OK;
    uint64_t begun = bytes, last_time = ib_mlflow_state_number(&s->cursor, "metrics_time");
    while (status == IB_OK && (length = getline(&line, &capacity, stream)) > 0 &&
           line[length - 1] == '\n') { /* a line without its end is being written */
        status = take_line(s, line, (size_t)length, &bytes, &last_time, list, err);
        if (status == IB_OK && json_array_size(list) == MOST_METRICS)
            status = flush_batch(s, list, bytes, last_time, err);
    }
    if (status == IB_OK && length < 0 && !feof(stream))
        status = ib_fail_memory(err);
    if (status == IB_OK && bytes != begun)
        status = flush_batch(s, list, bytes, last_time, err);
    free(line);
    json_decref(list);
    return status;
}

ib_status ib_mlflow_open_lines(const ib_mlflow_sender *s, const char *name, uint64_t offset,
                               FILE **stream, ib_error *err) {
    char *path = ib_path_join(s->directory, name);
    if (path == NULL)
        return ib_fail_memory(err);
    *stream = NULL;
    ib_status status =
        ib_path_is_missing(path) ? IB_OK : ib_open_input_stream(path, SIZE_MAX, stream, err);
    free(path);
    if (*stream == NULL)
        return status;
    int reason;
    if (fseeko(*stream, (off_t)offset, SEEK_SET) == 0)
        return IB_OK;
    reason = errno;
    fclose(*stream);
    return ib_fail_errno(err, IB_ERROR_RUNTIME, reason, "cannot read %s/%s", s->directory, name);
}

ib_status ib_mlflow_send_metrics(ib_mlflow_sender *s, ib_error *err) {
    json_int_t resumes =
        json_integer_value(json_object_get(json_object_get(s->record, "resumes"), "count"));
    if ((uint64_t)resumes != ib_mlflow_state_number(&s->cursor, "resumes"))
        IB_TRY(ask_what_is_known(s, resumes, err));
    uint64_t bytes = ib_mlflow_state_number(&s->cursor, "metrics_bytes");
    FILE *stream = NULL;
    IB_TRY(ib_mlflow_open_lines(s, "metrics.jsonl", bytes, &stream, err));
    if (stream == NULL)
        return IB_OK;
    ib_status status = send_lines(s, stream, bytes, err);
    fclose(stream);
    return status;
}
