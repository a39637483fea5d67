/* What an ended run cost, on the server: a price may be known only later, or change. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_value.h"
#include "mlflow/mlflow_send.h"

static ib_status send_metrics(ib_mlflow_sender *s, const json_t *metrics, json_int_t time,
                              ib_error *err) {
    json_t *list = json_array(), *value;
    const char *key;
    int good = list != NULL;
    json_object_foreach((json_t *)(uintptr_t)metrics, key, value) {
        good = good &&
               json_array_append_new(list, json_pack("{s:s,s:O,s:I,s:i}", "key", key, "value",
                                                     value, "timestamp", time, "step", 0)) == 0;
    }
    ib_status status = good ? ib_mlflow_send_values(s, list, err) : ib_fail_memory(err);
    json_decref(list);
    return status;
}

/* In mlflow.json it is "extras", as releases before this one wrote it. MLflow shows the metric that
 * is latest by step and time: what replaces another value must be later than that, and sent again
 * after a kill with the time that was chosen first. */
static ib_status choose_time(ib_mlflow_sender *s, const char *text, json_int_t end_ms,
                             json_int_t *time, ib_error *err) {
    const json_t *known = json_object_get(s->cursor.state, "extras");
    const char *known_text = json_string_value(json_object_get(known, "values"));
    if (known_text != NULL && strcmp(known_text, text) == 0) {
        *time = json_integer_value(json_object_get(known, "time"));
        return IB_OK;
    }
    *time = known == NULL ? end_ms : (json_int_t)ib_unix_milliseconds();
    IB_TRY(ib_mlflow_state_set(&s->cursor, "extras",
                               json_pack("{s:s,s:I,s:b}", "values", text, "time", *time, "sent", 0),
                               err));
    return ib_mlflow_cursor_save(&s->cursor, err);
}

static int is_known(const ib_mlflow_sender *s, const char *text) {
    const json_t *known = json_object_get(s->cursor.state, "extras");
    const char *values = json_string_value(json_object_get(known, "values"));
    return values != NULL && strcmp(values, text) == 0 &&
           json_is_true(json_object_get(known, "sent"));
}

static ib_status send_both(ib_mlflow_sender *s, json_t *metrics, json_t *tags, int64_t end_ms,
                           ib_error *err) {
    json_t *both = json_pack("[OO]", metrics, tags);
    char *text = both == NULL
                     ? NULL
                     : ib_json_dump(both, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
    json_decref(both);
    ib_status status = text == NULL ? ib_fail_memory(err) : IB_OK;
    if (status == IB_OK && !is_known(s, text)) {
        json_int_t time = 0;
        status = choose_time(s, text, (json_int_t)end_ms, &time, err);
        if (status == IB_OK)
            status = send_metrics(s, metrics, time, err);
        if (status == IB_OK)
            status = ib_mlflow_send_tags(s, tags, err);
        if (status == IB_OK) {
            json_object_set_new(json_object_get(s->cursor.state, "extras"), "sent", json_true());
            status = ib_mlflow_cursor_save_soon(&s->cursor, err);
        }
    }
    free(text);
    return status;
}

ib_status ib_mlflow_send_cost(ib_mlflow_sender *s, int64_t end_ms, ib_error *err) {
    if (s->names.prices == NULL)
        return IB_OK;
    json_t *metrics = json_object(), *tags = json_object();
    s->client->transient = 0;
    ib_status status = metrics == NULL || tags == NULL
                           ? ib_fail_memory(err)
                           : ib_mlflow_cost_of(s->names.prices, &s->run, metrics, tags, err);
    if (status == IB_OK && json_object_size(metrics) + json_object_size(tags) > 0)
        status = send_both(s, metrics, tags, end_ms, err);
    json_decref(metrics);
    json_decref(tags);
    return status;
}
