/* The lines of resources.jsonl as MLflow's system metrics, from where the server has them. */
#include "base/input.h"
#include "base/json_value.h"
#include "mlflow/mlflow_send.h"
#include "record/run_files.h"

/* A call takes 1,000 values at most, a line has far fewer than 100. */
enum { ENOUGH_FOR_A_CALL = 900 };

static ib_status flush_batch(ib_mlflow_sender *s, json_t *list, uint64_t bytes, ib_error *err) {
    IB_TRY(ib_mlflow_send_values(s, list, err));
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

static ib_status send_lines(ib_mlflow_sender *s, ib_lines *lines, json_t *list, ib_error *err) {
    const char *line = "";
    size_t size;
    while (line != NULL) {
        uint64_t offset = lines->offset;
        IB_TRY(ib_lines_next(lines, &line, &size, err));
        if (line != NULL)
            IB_TRY(take_line(s, line, size, offset, list, err));
        size_t enough = line != NULL ? ENOUGH_FOR_A_CALL : 1;
        if (json_array_size(list) >= enough)
            IB_TRY(flush_batch(s, list, lines->offset, err));
    }
    return IB_OK;
}

ib_status ib_mlflow_send_system(ib_mlflow_sender *s, ib_error *err) {
    ib_lines lines;
    json_t *list = json_array();
    s->client->transient = 0;
    ib_status status = ib_run_lines_open(&s->run, "resources.jsonl",
                                         ib_mlflow_state_number(&s->cursor, "system_bytes"), &lines,
                                         list == NULL ? NULL : err);
    if (list == NULL)
        status = ib_fail_memory(err);
    if (status == IB_OK)
        status = send_lines(s, &lines, list, err);
    ib_lines_close(&lines);
    json_decref(list);
    return status;
}
