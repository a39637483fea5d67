/* The trained model in MLflow's model registry: one version a run, however often it is sent. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "mlflow/mlflow_send.h"
#include "record/record_file.h"

ib_status ib_mlflow_check_model_name(const char *name, const char *option, ib_error *err) {
    int fits = name[strspn(name, " .")] != '\0';
    for (const char *c = name; *c != '\0'; ++c)
        fits = fits && (unsigned char)*c >= ' ' && strchr("/:'\"\\", *c) == NULL;
    return fits ? IB_OK
                : ib_fail(err, IB_ERROR_USAGE,
                          "%s: '%s' is no name of a registered model: MLflow takes none that is "
                          "empty or has / or :, and quotes would confuse its search",
                          option, name);
}

static ib_status ensure_registered_model(ib_mlflow_sender *s, const char *name, ib_error *err) {
    json_t *body = json_pack("{s:s}", "name", name);
    if (body == NULL)
        return ib_fail_memory(err);
    ib_status status =
        ib_mlflow_call(s->client, "POST", "/mlflow/registered-models/create", body, 0, NULL, err);
    json_decref(body);
    if (status == IB_OK || strcmp(s->client->error_code, "RESOURCE_ALREADY_EXISTS") != 0)
        return status;
    ib_error_clear(err);
    return IB_OK;
}

/* *version: fresh memory; NULL: this run has none of this name. */
static ib_status find_version(ib_mlflow_sender *s, const char *name, char **version,
                              ib_error *err) {
    char *filter = ib_format("name = '%s' and run_id = '%s'", name,
                             ib_mlflow_state_text(&s->cursor, "run_id"));
    json_t *reply = NULL;
    if (filter == NULL)
        return ib_fail_memory(err);
    ib_status status =
        ib_mlflow_get(s->client, "/mlflow/model-versions/search", "filter", filter, &reply, err);
    free(filter);
    const json_t *first = json_array_get(json_object_get(reply, "model_versions"), 0);
    const char *found = ib_json_text_at(first, "version");
    *version = found == NULL ? NULL : strdup(found);
    json_decref(reply);
    return status;
}

static ib_status create_version(ib_mlflow_sender *s, const char *name, char **version,
                                ib_error *err) {
    const char *id = ib_mlflow_state_text(&s->cursor, "model_id");
    const char *sha256 = s->run.model_sha256;
    char *source = ib_format("models:/%s", id);
    json_t *reply = NULL, *body = NULL;
    if (source != NULL)
        body =
            json_pack("{s:s,s:s,s:s,s:s,s:[{s:s,s:s}]}", "name", name, "source", source, "run_id",
                      ib_mlflow_state_text(&s->cursor, "run_id"), "model_id", id, "tags", "key",
                      "isobit.model_sha256", "value", sha256 == NULL ? "" : sha256);
    free(source);
    if (body == NULL)
        return ib_fail_memory(err);
    ib_status status =
        ib_mlflow_call(s->client, "POST", "/mlflow/model-versions/create", body, 1, &reply, err);
    const char *made = ib_json_text_at(json_object_get(reply, "model_version"), "version");
    if (status == IB_OK)
        *version = strdup(made == NULL ? "" : made);
    json_decref(body);
    json_decref(reply);
    return status == IB_OK && *version == NULL ? ib_fail_memory(err) : status;
}

/* A version whose answer was lost is found when it is looked for again. */
static ib_status ensure_version(ib_mlflow_sender *s, const char *name, char **version,
                                ib_error *err) {
    for (int attempt = 0;; ++attempt) {
        IB_TRY(find_version(s, name, version, err));
        if (*version != NULL)
            return IB_OK;
        ib_status status = create_version(s, name, version, err);
        if (status == IB_OK || !s->client->transient || !ib_mlflow_wait(s->client, attempt, 0))
            return status;
        ib_error_clear(err);
    }
}

ib_status ib_mlflow_register(ib_mlflow_sender *s, ib_error *err) {
    const char *name = s->names.registered;
    const json_t *known = json_object_get(s->cursor.state, "registered");
    if (name == NULL || json_object_get(known, name) != NULL)
        return IB_OK;
    char *path = ib_path_join(s->directory, "model.safetensors");
    if (path == NULL)
        return ib_fail_memory(err);
    int has_model = ib_path_exists(path);
    free(path);
    if (!has_model)
        return IB_OK; /* the run diverged, say */
    if (ib_mlflow_state_text(&s->cursor, "model_id") == NULL) {
        s->client->transient = 0;
        return ib_fail(err, IB_ERROR_RUNTIME,
                       "%s has no logged models, as MLflow has since version 3: there is nothing "
                       "to register as '%s'",
                       s->client->settings.uri, name);
    }
    char *version = NULL;
    IB_TRY(ensure_registered_model(s, name, err));
    ib_status status = ensure_version(s, name, &version, err);
    if (status == IB_OK) {
        if (known == NULL)
            json_object_set_new(s->cursor.state, "registered", json_object());
        json_t *registered = json_object_get(s->cursor.state, "registered");
        status = json_object_set_new(registered, name, json_string(version)) == 0
                     ? ib_mlflow_cursor_save_soon(&s->cursor, err)
                     : ib_fail_memory(err);
    }
    free(version);
    return status;
}
