/* The lines of resources.jsonl as MLflow's system metrics, from where the server has them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_value.h"
#include "mlflow/mlflow_send.h"

/* A call takes 1,000 values at most, a line has far fewer than 100. */
enum { ENOUGH_FOR_A_CALL = 900 };

static ib_status flush_batch(ib_mlflow_sender *s, json_t *list, uint64_t bytes, ib_error *err) {
    json_t *body = json_pack("{s:s,s:O}", "run_id", ib_mlflow_state_text(&s->cursor, "run_id"),
                             "metrics", list);
    ib_status status = body == NULL ? ib_fail_memory(err)
                                    : ib_mlflow_call(s->client, "POST", "/mlflow/runs/log-batch",
                                                     body, 0, NULL, err);
    json_decref(body);
    IB_TRY(status);
    s->sent->metrics += json_array_size(list);
    json_array_clear(list);
    IB_TRY(ib_mlflow_state_set(&s->cursor, "system_bytes", json_integer((json_int_t)bytes), err));
    return ib_mlflow_cursor_save_soon(&s->cursor, err);
}

static ib_status take_line(ib_mlflow_sender *s, const char *line, size_t size, uint64_t offset,
                           json_t *list, ib_error *err) {
    json_t *read;
    IB_TRY(ib_json_parse(line, size, &read, NULL, err));
    json_t *time = json_object_get(read, "time"), *sample = json_object_get(read, "sample");
    json_t *values = json_object_get(read, "values"), *value;
    const char *key;
    ib_status status = IB_OK;
    if (!json_is_integer(time) || !json_is_object(values)) {
        s->client->transient = 0;
        status = ib_fail(err, IB_ERROR_VERIFY,
                         "%s/resources.jsonl, offset %llu: not a line with time and values",
                         s->directory, (unsigned long long)offset);
    }
    json_object_foreach(values, key, value) {
        if (status != IB_OK || !json_is_number(value))
            continue;
        json_t *metric = json_pack("{s:s,s:O,s:O,s:I}", "key", key, "value", value, "timestamp",
                                   time, "step", json_integer_value(sample));
        if (json_array_append_new(list, metric) != 0)
            status = ib_fail_memory(err);
    }
    json_decref(read);
    return status;
}

static ib_status send_lines(ib_mlflow_sender *s, FILE *stream, uint64_t bytes, ib_error *err) {
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length = 0;
    json_t *list = json_array();
    ib_status status = list == NULL ? ib_fail_memory(err) : IB_OK;
    while (status == IB_OK && (length = getline(&line, &capacity, stream)) > 0 &&
           line[length - 1] == '\n') { /* a line without its end is being written */
        status = take_line(s, line, (size_t)length, bytes, list, err);
        bytes += (uint64_t)length;
        if (status == IB_OK && json_array_size(list) >= ENOUGH_FOR_A_CALL)
            status = flush_batch(s, list, bytes, err);
    }
    if (status == IB_OK && length < 0 && !feof(stream))
        status = ib_fail_memory(err);
    if (status == IB_OK && json_array_size(list) > 0)
        status = flush_batch(s, list, bytes, err);
    free(line);
    json_decref(list);
    return status;
}

ib_status ib_mlflow_send_system(ib_mlflow_sender *s, ib_error *err) {
    uint64_t bytes = ib_mlflow_state_number(&s->cursor, "system_bytes");
    FILE *stream = NULL;
    IB_TRY(ib_mlflow_open_lines(s, "resources.jsonl", bytes, &stream, err));
    if (stream == NULL)
        return IB_OK;
    ib_status status = send_lines(s, stream, bytes, err);
    fclose(stream);
    return status;
}
