/* An experiment and a run on the server: found before they are made. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "mlflow/mlflow_send.h"

enum { MOST_PAIRS = 100, LONGEST_VALUE = 5000 };

int64_t ib_mlflow_time(const char *text) {
    struct tm utc = {0};
    const char *end = text == NULL ? NULL : strptime(text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return end == NULL || *end != '\0' ? 0 : (int64_t)timegm(&utc) * 1000;
}

int ib_mlflow_add_text(json_t *object, const char *key, const char *value) {
    if (value == NULL)
        return 1;
    size_t length = strlen(value);
    if (length > LONGEST_VALUE)
        for (length = LONGEST_VALUE; ((unsigned char)value[length] & 0xc0) == 0x80;)
            --length; /* not in the middle of a character */
    return json_object_set_new(object, key, json_stringn(value, length)) == 0;
}

static ib_status use_experiment(ib_mlflow_sender *s, const json_t *experiment, const char *name,
                                ib_error *err) {
    const char *stage = json_string_value(json_object_get(experiment, "lifecycle_stage"));
    const char *id = json_string_value(json_object_get(experiment, "experiment_id"));
    s->client->transient = 0;
    if (id == NULL)
        return ib_fail(err, IB_ERROR_RUNTIME, "%s: experiment '%s' comes without an id",
                       s->client->settings.uri, name);
    if (stage != NULL && strcmp(stage, "deleted") == 0)
        return ib_fail(err, IB_ERROR_RUNTIME,
                       "%s: the experiment '%s' was deleted: restore it (mlflow experiments "
                       "restore --experiment-id %s), or choose another by MLFLOW_EXPERIMENT_NAME",
                       s->client->settings.uri, name, id);
    return ib_mlflow_state_set(&s->cursor, "experiment_id", json_string(id), err);
}

/* By its id, or by its name; made where there is none of that name. */
static ib_status ensure_experiment(ib_mlflow_sender *s, const char *fallback, ib_error *err) {
    const ib_mlflow_settings *settings = &s->client->settings;
    const char *name = s->names.experiment != NULL         ? s->names.experiment
                       : settings->experiment_name != NULL ? settings->experiment_name
                                                           : fallback;
    json_t *reply = NULL;
    if (s->names.experiment == NULL && settings->experiment_id != NULL) {
        IB_TRY(ib_mlflow_get(s->client, "/mlflow/experiments/get", "experiment_id",
                             settings->experiment_id, &reply, err));
        ib_status status =
            use_experiment(s, json_object_get(reply, "experiment"), settings->experiment_id, err);
        json_decref(reply);
        return status;
    }
    for (int tries = 0;; ++tries) {
        ib_status status = ib_mlflow_get(s->client, "/mlflow/experiments/get-by-name",
                                         "experiment_name", name, &reply, err);
        if (status == IB_OK) {
            status = use_experiment(s, json_object_get(reply, "experiment"), name, err);
            json_decref(reply);
            return status;
        }
        if (tries == 2 || strcmp(s->client->error_code, "RESOURCE_DOES_NOT_EXIST") != 0)
            return status;
        json_t *body = json_pack("{s:s,s:[{s:s,s:s}]}", "name", name, "tags", "key",
                                 "mlflow.experimentKind", "value", "custom_model_development");
        status =
            ib_mlflow_call(s->client, "POST", "/mlflow/experiments/create", body, 0, NULL, err);
        json_decref(body);
        if (status != IB_OK && strcmp(s->client->error_code, "RESOURCE_ALREADY_EXISTS") != 0)
            return status; /* else somebody was faster: look again */
    }
}

static ib_status use_run(ib_mlflow_sender *s, const json_t *run, ib_error *err) {
    const json_t *info = json_object_get(run, "info");
    const char *id = json_string_value(json_object_get(info, "run_id"));
    const char *artifacts = json_string_value(json_object_get(info, "artifact_uri"));
    const char *stage = json_string_value(json_object_get(info, "lifecycle_stage"));
    s->client->transient = 0;
    if (id == NULL || artifacts == NULL)
        return ib_fail(err, IB_ERROR_RUNTIME, "%s: a run comes without an id or artifact location",
                       s->client->settings.uri);
    if (stage != NULL && strcmp(stage, "deleted") == 0)
        return ib_fail(err, IB_ERROR_RUNTIME,
                       "%s: the run %s of %s was deleted there: restore it (mlflow runs restore "
                       "--run-id %s), or delete it for good (mlflow gc)",
                       s->client->settings.uri, id, s->directory, id);
    IB_TRY(ib_mlflow_state_set(&s->cursor, "artifact_uri", json_string(artifacts), err));
    return ib_mlflow_state_set(&s->cursor, "run_id", json_string(id), err);
}

/* *runs: those with our tag, the oldest first; the caller calls json_decref. */
static ib_status search_runs(ib_mlflow_sender *s, const char *isobit_id, json_t **reply,
                             ib_error *err) {
    char *filter = ib_format("tags.`isobit.run_id` = '%s'", isobit_id);
    json_t *body = filter == NULL
                       ? NULL
                       : json_pack("{s:[s],s:s,s:s,s:i,s:[s]}", "experiment_ids",
                                   ib_mlflow_state_text(&s->cursor, "experiment_id"), "filter",
                                   filter, "run_view_type", "ALL", "max_results", 10, "order_by",
                                   "attributes.start_time ASC");
    free(filter);
    if (body == NULL)
        return ib_fail_memory(err);
    ib_status status =
        ib_mlflow_call(s->client, "POST", "/mlflow/runs/search", body, 0, reply, err);
    json_decref(body);
    return status;
}

static int is_deleted(const json_t *run) {
    const char *stage =
        json_string_value(json_object_get(json_object_get(run, "info"), "lifecycle_stage"));
    return stage != NULL && strcmp(stage, "deleted") == 0;
}

/* A request that was answered too late may have made a second run: one of them stays. */
static ib_status delete_extras(ib_mlflow_sender *s, const json_t *runs, size_t kept,
                               ib_error *err) {
    for (size_t i = 0; i < json_array_size(runs); ++i) {
        const json_t *info = json_object_get(json_array_get(runs, i), "info");
        if (i == kept || is_deleted(json_array_get(runs, i)))
            continue;
        json_t *body = json_pack("{s:O}", "run_id", json_object_get(info, "run_id"));
        if (body == NULL)
            return ib_fail_memory(err);
        ib_status status =
            ib_mlflow_call(s->client, "POST", "/mlflow/runs/delete", body, 0, NULL, err);
        json_decref(body);
        IB_TRY(status);
    }
    return IB_OK;
}

static ib_status find_run(ib_mlflow_sender *s, const char *isobit_id, int *found, ib_error *err) {
    json_t *reply = NULL;
    IB_TRY(search_runs(s, isobit_id, &reply, err));
    const json_t *runs = json_object_get(reply, "runs");
    size_t kept = 0;
    while (kept + 1 < json_array_size(runs) && is_deleted(json_array_get(runs, kept)))
        ++kept;
    *found = json_array_size(runs) > 0;
    ib_status status = IB_OK;
    if (*found)
        status = use_run(s, json_array_get(runs, kept), err);
    if (status == IB_OK)
        status = delete_extras(s, runs, kept, err);
    json_decref(reply);
    return status;
}

static ib_status create_run(ib_mlflow_sender *s, const char *isobit_id, const char *run_name,
                            int64_t start_ms, ib_error *err) {
    json_t *body =
        json_pack("{s:s,s:s,s:I,s:s,s:[{s:s,s:s}]}", "experiment_id",
                  ib_mlflow_state_text(&s->cursor, "experiment_id"), "run_name", run_name,
                  "start_time", (json_int_t)start_ms, "user_id", s->client->settings.user, "tags",
                  "key", "isobit.run_id", "value", isobit_id);
    if (body == NULL)
        return ib_fail_memory(err);
    json_t *reply = NULL;
    ib_status status =
        ib_mlflow_call(s->client, "POST", "/mlflow/runs/create", body, 1, &reply, err);
    json_decref(body);
    if (status == IB_OK)
        status = use_run(s, json_object_get(reply, "run"), err);
    json_decref(reply);
    return status;
}

/* The run of MLFLOW_RUN_ID, unless it belongs to another record. */
static ib_status use_given_run(ib_mlflow_sender *s, const char *isobit_id, int *used,
                               ib_error *err) {
    json_t *reply = NULL;
    const json_t *tag;
    size_t i;
    IB_TRY(ib_mlflow_get(s->client, "/mlflow/runs/get", "run_id", s->client->settings.run_id,
                         &reply, err));
    json_t *run = json_object_get(reply, "run");
    json_t *experiment = json_object_get(json_object_get(run, "info"), "experiment_id");
    *used = json_is_string(experiment);
    json_array_foreach(json_object_get(json_object_get(run, "data"), "tags"), i, tag) {
        const char *key = json_string_value(json_object_get(tag, "key"));
        const char *value = json_string_value(json_object_get(tag, "value"));
        if (key != NULL && value != NULL && strcmp(key, "isobit.run_id") == 0)
            *used = *used && strcmp(value, isobit_id) == 0;
    }
    ib_status status = IB_OK;
    if (*used)
        status = ib_mlflow_state_set(&s->cursor, "experiment_id", json_incref(experiment), err);
    if (*used && status == IB_OK)
        status = use_run(s, run, err);
    json_decref(reply);
    return status;
}

ib_status ib_mlflow_ensure_run(ib_mlflow_sender *s, const char *experiment, const char *isobit_id,
                               const char *run_name, int64_t start_ms, ib_error *err) {
    int given = 0, was_known = ib_mlflow_state_text(&s->cursor, "run_id") != NULL;
    if (ib_mlflow_state_text(&s->cursor, "run_id") == NULL && s->names.fill_given &&
        s->client->settings.run_id != NULL)
        IB_TRY(use_given_run(s, isobit_id, &given, err));
    if (ib_mlflow_state_text(&s->cursor, "run_id") == NULL) {
        if (ib_mlflow_state_text(&s->cursor, "experiment_id") == NULL)
            IB_TRY(ensure_experiment(s, experiment, err));
        for (int attempt = 0;; ++attempt) {
            int found = 0;
            IB_TRY(find_run(s, isobit_id, &found, err));
            if (found)
                break;
            /* Killed after the request, the record must tell that the server may have the run: one
             * that a sweep sets aside is sent only then. */
            if (attempt == 0)
                IB_TRY(ib_mlflow_cursor_save(&s->cursor, err));
            ib_status status = create_run(s, isobit_id, run_name, start_ms, err);
            s->is_new = status == IB_OK;
            if (status == IB_OK)
                break;
            if (!s->client->transient)
                return status;
            /* It may have been made, with the answer lost. */
            IB_TRY(ib_mlflow_state_set(&s->cursor, "doubtful", json_true(), err));
            if (!ib_mlflow_wait(s->client, attempt, 0)) {
                ib_mlflow_cursor_save(&s->cursor, NULL);
                return status;
            }
        }
    }
    if (!was_known)
        IB_TRY(ib_mlflow_cursor_save(&s->cursor, err));
    snprintf(s->sent->run_id, sizeof s->sent->run_id, "%s",
             ib_mlflow_state_text(&s->cursor, "run_id"));
    return IB_OK;
}

/* Params cannot be changed, and a run that went on with other threads has other ones: those that
 * the server has stay. */
static ib_status drop_known_params(ib_mlflow_sender *s, json_t *params, ib_error *err) {
    json_t *reply = NULL;
    ib_status status = ib_mlflow_get(s->client, "/mlflow/runs/get", "run_id",
                                     ib_mlflow_state_text(&s->cursor, "run_id"), &reply, err);
    if (status != IB_OK && strcmp(s->client->error_code, "RESOURCE_DOES_NOT_EXIST") == 0)
        return ib_fail(err, IB_ERROR_RUNTIME,
                       "%s does not know the run %s any more: remove %s/mlflow.json to send the "
                       "run anew",
                       s->client->settings.uri, ib_mlflow_state_text(&s->cursor, "run_id"),
                       s->directory);
    IB_TRY(status);
    const json_t *run = json_object_get(reply, "run");
    status = use_run(s, run, err);
    const json_t *known = json_object_get(json_object_get(run, "data"), "params");
    for (size_t i = 0; i < json_array_size(known); ++i) {
        const char *key = json_string_value(json_object_get(json_array_get(known, i), "key"));
        if (key != NULL)
            json_object_del(params, key);
    }
    json_decref(reply);
    return status;
}

/* Adds [{"key": ..., "value": ...}, ...] to the body: pairs from *next on, at most as many as a
 * request takes. */
static int add_pairs(json_t *body, const char *what, const json_t *pairs, size_t *next) {
    json_t *list = json_array(), *value;
    const char *key;
    size_t at = 0, end = *next + MOST_PAIRS;
    json_object_foreach((json_t *)(uintptr_t)pairs, key, value) {
        if (at >= *next && at < end)
            json_array_append_new(list, json_pack("{s:s,s:O}", "key", key, "value", value));
        ++at;
    }
    *next = at < end ? at : end;
    return json_object_set_new(body, what, list) == 0;
}

/* params may be NULL. */
static ib_status send_pairs(ib_mlflow_sender *s, const json_t *params, const json_t *tags,
                            ib_error *err) {
    size_t param = 0, tag = 0;
    do {
        json_t *body = json_pack("{s:s}", "run_id", ib_mlflow_state_text(&s->cursor, "run_id"));
        ib_status status =
            body == NULL || !add_pairs(body, "params", params, &param) ||
                    !add_pairs(body, "tags", tags, &tag)
                ? ib_fail_memory(err)
                : ib_mlflow_call(s->client, "POST", "/mlflow/runs/log-batch", body, 0, NULL, err);
        json_decref(body);
        IB_TRY(status);
    } while (param < json_object_size(params) || tag < json_object_size(tags));
    return IB_OK;
}

ib_status ib_mlflow_describe(ib_mlflow_sender *s, json_t *params, json_t *tags, ib_error *err) {
    ib_status status = params == NULL || tags == NULL ? ib_fail_memory(err) : IB_OK;
    if (status == IB_OK && !s->is_new)
        status = drop_known_params(s, params, err);
    if (status == IB_OK)
        status = send_pairs(s, params, tags, err);
    if (status == IB_OK)
        s->is_new = 0;
    json_decref(params);
    json_decref(tags);
    return status;
}

ib_status ib_mlflow_send_tags(ib_mlflow_sender *s, const json_t *tags, ib_error *err) {
    return send_pairs(s, NULL, tags, err);
}

ib_status ib_mlflow_send_values(ib_mlflow_sender *s, json_t *metrics, ib_error *err) {
    json_t *body = json_pack("{s:s,s:O}", "run_id", ib_mlflow_state_text(&s->cursor, "run_id"),
                             "metrics", metrics);
    ib_status status = body == NULL ? ib_fail_memory(err)
                                    : ib_mlflow_call(s->client, "POST", "/mlflow/runs/log-batch",
                                                     body, 0, NULL, err);
    json_decref(body);
    if (status == IB_OK)
        s->sent->metrics += json_array_size(metrics);
    return status;
}

ib_status ib_mlflow_update_run(ib_mlflow_sender *s, const char *status, int64_t end_ms,
                               ib_error *err) {
    json_t *body = json_pack("{s:s,s:s}", "run_id", ib_mlflow_state_text(&s->cursor, "run_id"),
                             "status", status);
    if (body == NULL ||
        (end_ms > 0 &&
         json_object_set_new(body, "end_time", json_integer((json_int_t)end_ms)) != 0)) {
        json_decref(body);
        return ib_fail_memory(err);
    }
    ib_status sent = ib_mlflow_call(s->client, "POST", "/mlflow/runs/update", body, 0, NULL, err);
    json_decref(body);
    if (sent == IB_OK && json_is_true(json_object_get(s->cursor.state, "doubtful"))) {
        int found = 0;
        const char *id = ib_mlflow_state_text(&s->cursor, "isobit_id");
        if (id != NULL)
            IB_TRY(find_run(s, id, &found, err));
        json_object_del(s->cursor.state, "doubtful");
    }
    return sent;
}
