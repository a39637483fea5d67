/* The lines of metrics.jsonl as MLflow's metrics, from where the server has them. */
#include <stdlib.h>

#include "mlflow/mlflow_send.h"
#include "record/metric_lines.h"

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

static int is_known(const ib_mlflow_sender *s, const ib_metric_line *line) {
    const json_t *last =
        json_object_get(json_object_get(s->cursor.state, "metrics_known"), line->key);
    return last != NULL && (json_int_t)line->step <= json_integer_value(last);
}

static ib_status flush_batch(ib_mlflow_sender *s, json_t *list, uint64_t bytes, uint64_t last_time,
                             ib_error *err) {
    if (json_array_size(list) > 0) {
        IB_TRY(ib_mlflow_send_values(s, list, err));
        json_array_clear(list);
    }
    IB_TRY(ib_mlflow_state_set(&s->cursor, "metrics_bytes", json_integer((json_int_t)bytes), err));
    IB_TRY(
        ib_mlflow_state_set(&s->cursor, "metrics_time", json_integer((json_int_t)last_time), err));
    return ib_mlflow_cursor_save(&s->cursor, err);
}

/* Adds one line to the batch, or passes it over. */
static ib_status take_line(ib_mlflow_sender *s, const ib_metric_line *line, json_t *list,
                           ib_error *err) {
    if (is_known(s, line))
        return IB_OK;
    json_t *metric =
        json_pack("{s:s,s:o,s:I,s:I}", "key", line->key, "value", ib_metric_value_json(line->value),
                  "timestamp", (json_int_t)line->time, "step", (json_int_t)line->step);
    return json_array_append_new(list, metric) == 0 ? IB_OK : ib_fail_memory(err);
}

static ib_status send_lines(ib_mlflow_sender *s, ib_metric_lines *lines, json_t *list,
                            ib_error *err) {
    uint64_t sent = lines->lines.offset, bytes = sent;
    uint64_t last_time = ib_mlflow_state_number(&s->cursor, "metrics_time");
    ib_metric_line line;
    for (int there = 1; there;) {
        IB_TRY(ib_metric_lines_next(lines, &line, &there, err));
        if (there && (line.key == NULL || line.time < 0)) {
            s->client->transient = 0;
            return ib_fail(
                err, IB_ERROR_VERIFY,
                "%s/metrics.jsonl, offset %llu: not a line with key, value and timestamp",
                s->directory, (unsigned long long)bytes);
        }
        if (there) {
            IB_TRY(take_line(s, &line, list, err));
            last_time = (uint64_t)line.time > last_time ? (uint64_t)line.time : last_time;
            bytes = lines->lines.offset;
        }
        if (there ? json_array_size(list) == MOST_METRICS : bytes != sent) {
            IB_TRY(flush_batch(s, list, bytes, last_time, err));
            sent = bytes;
        }
    }
    return IB_OK;
}

ib_status ib_mlflow_send_metrics(ib_mlflow_sender *s, ib_error *err) {
    if ((uint64_t)s->run.resumes != ib_mlflow_state_number(&s->cursor, "resumes"))
        IB_TRY(ask_what_is_known(s, s->run.resumes, err));
    ib_metric_lines lines;
    json_t *list = json_array();
    s->client->transient = 0;
    ib_status status =
        ib_metric_lines_open(&s->run, ib_mlflow_state_number(&s->cursor, "metrics_bytes"), &lines,
                             list == NULL ? NULL : err);
    if (list == NULL)
        status = ib_fail_memory(err);
    if (status == IB_OK)
        status = send_lines(s, &lines, list, err);
    ib_metric_lines_close(&lines);
    json_decref(list);
    return status;
}
