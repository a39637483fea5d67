/* The trained model as a logged model of its run: MLflow's own loader reads the ONNX file where
 * there is one. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/dataset.h"
#include "mlflow/mlflow_send.h"
#include "model/onnx.h"
#include "record/recorded.h"

/* The model of this run if there is one already; oldest first. */
static ib_status find_model(ib_mlflow_sender *s, json_t **reply, ib_error *err) {
    char *filter = ib_format("source_run_id = '%s'", ib_mlflow_state_text(&s->cursor, "run_id"));
    json_t *body = filter == NULL ? NULL
                                  : json_pack("{s:[s],s:s,s:i}", "experiment_ids",
                                              ib_mlflow_state_text(&s->cursor, "experiment_id"),
                                              "filter", filter, "max_results", 1);
    free(filter);
    if (body == NULL)
        return ib_fail_memory(err);
    ib_status status =
        ib_mlflow_call(s->client, "POST", "/mlflow/logged-models/search", body, 0, reply, err);
    json_decref(body);
    return status;
}

/* The configuration, for the model's page too. */
static json_t *params_list(const ib_run *run) {
    json_t *params = ib_mlflow_params_of(run), *list = json_array(), *value;
    const char *key;
    json_object_foreach(params, key, value) {
        json_array_append_new(list, json_pack("{s:s,s:O}", "key", key, "value", value));
    }
    json_decref(params);
    return list;
}

static ib_status create_model(ib_mlflow_sender *s, int onnx, json_t **reply, ib_error *err) {
    const char *sha256 = s->run.model_sha256;
    json_t *body = json_pack("{s:s,s:s,s:s,s:s,s:[{s:s,s:s},{s:s,s:s}]}", "experiment_id",
                             ib_mlflow_state_text(&s->cursor, "experiment_id"), "name", "model",
                             "model_type", onnx ? "onnx" : "safetensors", "source_run_id",
                             ib_mlflow_state_text(&s->cursor, "run_id"), "tags", "key",
                             "isobit.model_sha256", "value", sha256 == NULL ? "" : sha256, "key",
                             "isobit.experiment", "value", s->run.experiment);
    if (body == NULL || json_object_set_new(body, "params", params_list(&s->run)) != 0) {
        json_decref(body);
        return ib_fail_memory(err);
    }
    ib_status status =
        ib_mlflow_call(s->client, "POST", "/mlflow/logged-models", body, 1, reply, err);
    json_decref(body);
    return status;
}

/* Notes the id and where its files go. *is_new: nobody knows it but we. */
static ib_status ensure_model(ib_mlflow_sender *s, int onnx, int *is_new, ib_error *err) {
    for (int attempt = 0; ib_mlflow_state_text(&s->cursor, "model_id") == NULL; ++attempt) {
        json_t *reply = NULL;
        IB_TRY(find_model(s, &reply, err));
        json_t *model = json_array_get(json_object_get(reply, "models"), 0);
        ib_status status = IB_OK;
        if (model == NULL) {
            json_decref(reply);
            reply = NULL;
            status = create_model(s, onnx, &reply, err);
            *is_new = status == IB_OK;
            model = json_object_get(reply, "model");
        }
        json_t *info = json_object_get(model, "info");
        json_t *id = json_object_get(info, "model_id");
        json_t *uri = json_object_get(info, "artifact_uri");
        if (status == IB_OK && (!json_is_string(id) || !json_is_string(uri)))
            status = ib_fail(err, IB_ERROR_RUNTIME, "%s: a model comes without an id or location",
                             s->client->settings.uri);
        if (status == IB_OK)
            status = ib_mlflow_state_set(&s->cursor, "model_uri", json_incref(uri), err);
        if (status == IB_OK)
            status = ib_mlflow_state_set(&s->cursor, "model_id", json_incref(id), err);
        json_decref(reply);
        if (status != IB_OK && !(s->client->transient && ib_mlflow_wait(s->client, attempt, 0)))
            return status;
        ib_error_clear(err);
    }
    return ib_mlflow_cursor_save_soon(&s->cursor, err);
}

static char *signature_of(const ib_mlflow_sender *s) {
    ib_recorded_shape shape = s->run.data.shape;
    return ib_format(
        "signature:\n"
        "  inputs: '[{\"type\": \"tensor\", \"name\": \"input\", \"tensor-spec\": {\"dtype\": "
        "\"float32\", \"shape\": [-1, %zu, %zu, %zu]}}]'\n"
        "  outputs: '[{\"type\": \"tensor\", \"name\": \"logits\", \"tensor-spec\": {\"dtype\": "
        "\"float32\", \"shape\": [-1, %zu]}}]'\n"
        "  params: null\n",
        shape.channels, shape.height, shape.width, shape.classes);
}

/* MLmodel: what the folder holds. Text of YAML, of which JSON is a part. */
static char *describe_model(const ib_mlflow_sender *s, int onnx) {
    static const char ONNX[] = "  onnx:\n"
                               "    code: null\n"
                               "    data: model.onnx\n"
                               "    onnx_version: 1.15.0\n"
                               "    providers: [CPUExecutionProvider]\n"
                               "  python_function:\n"
                               "    data: model.onnx\n"
                               "    env: {}\n"
                               "    loader_module: mlflow.onnx\n";
    const char *sha256 = s->run.model_sha256;
    char *signature = onnx ? signature_of(s) : strdup("");
    if (signature == NULL)
        return NULL;
    char *text = ib_format("artifact_path: %s\n"
                           "flavors:\n"
                           "%s"
                           "  isobit:\n"
                           "    data: model.safetensors\n"
                           "    experiment_sha256: %s\n"
                           "    model_sha256: %s\n"
                           "model_id: %s\n"
                           "model_uuid: %s\n"
                           "run_id: %s\n"
                           "utc_time_created: '%s'\n"
                           "%s",
                           ib_mlflow_state_text(&s->cursor, "model_uri"), onnx ? ONNX : "",
                           s->run.experiment_sha256, sha256 == NULL ? "null" : sha256,
                           ib_mlflow_state_text(&s->cursor, "model_id"),
                           ib_mlflow_state_text(&s->cursor, "model_id"),
                           ib_mlflow_state_text(&s->cursor, "run_id"), s->run.started, signature);
    free(signature);
    return text;
}

static ib_status send_files(ib_mlflow_sender *s, const char *safetensors, const char *onnx,
                            ib_error *err) {
    const char *uri = ib_mlflow_state_text(&s->cursor, "model_uri");
    char *text = describe_model(s, onnx != NULL);
    if (text == NULL)
        return ib_fail_memory(err);
    ib_status status = ib_mlflow_send_text(s, text, uri, "MLmodel", "model_files", err);
    free(text);
    IB_TRY(status);
    IB_TRY(ib_mlflow_send_file(s, safetensors, NULL, uri, "model.safetensors", "model_files", err));
    if (onnx != NULL)
        IB_TRY(ib_mlflow_send_file(s, onnx, NULL, uri, "model.onnx", "model_files", err));
    return IB_OK;
}

/* Whether the run has the model as its output: MLflow refuses to be told twice. */
static ib_status is_output(ib_mlflow_sender *s, const char *id, int *known, ib_error *err) {
    json_t *reply = NULL;
    IB_TRY(ib_mlflow_get(s->client, "/mlflow/runs/get", "run_id",
                         ib_mlflow_state_text(&s->cursor, "run_id"), &reply, err));
    const json_t *outputs = json_object_get(json_object_get(reply, "run"), "outputs");
    size_t i;
    json_t *output;
    *known = 0;
    json_array_foreach(json_object_get(outputs, "model_outputs"), i, output) {
        const char *there = ib_json_text_at(output, "model_id");
        *known = *known || (there != NULL && strcmp(there, id) == 0);
    }
    json_decref(reply);
    return IB_OK;
}

/* is_new: the model was made just now, so that it cannot be known. */
static ib_status add_output(ib_mlflow_sender *s, const char *id, int is_new, ib_error *err) {
    for (int attempt = 0;; ++attempt) {
        int known = 0;
        if (!is_new || attempt > 0)
            IB_TRY(is_output(s, id, &known, err));
        if (known)
            return IB_OK;
        json_t *body =
            json_pack("{s:s,s:[{s:s,s:i}]}", "run_id", ib_mlflow_state_text(&s->cursor, "run_id"),
                      "models", "model_id", id, "step", 0);
        if (body == NULL)
            return ib_fail_memory(err);
        ib_status status =
            ib_mlflow_call(s->client, "POST", "/mlflow/runs/outputs", body, 1, NULL, err);
        json_decref(body);
        if (status == IB_OK || !s->client->transient || !ib_mlflow_wait(s->client, attempt, 0))
            return status;
        ib_error_clear(err);
    }
}

static ib_status finish_model(ib_mlflow_sender *s, int is_new, ib_error *err) {
    const char *id = ib_mlflow_state_text(&s->cursor, "model_id");
    char *path = ib_format("/mlflow/logged-models/%s", id);
    json_t *ready = json_pack("{s:s,s:s}", "model_id", id, "status", "LOGGED_MODEL_READY");
    ib_status status = path == NULL || ready == NULL
                           ? ib_fail_memory(err)
                           : ib_mlflow_call(s->client, "PATCH", path, ready, 0, NULL, err);
    free(path);
    json_decref(ready);
    return status == IB_OK ? add_output(s, id, is_new, err) : status;
}

static ib_status write_onnx_of(const ib_mlflow_sender *s, const char *safetensors,
                               const char *normalize, const ib_dataset_info *info, ib_error *err) {
    const ib_normalization *choice = ib_normalization_find(normalize);
    ib_config config = {0};
    if (choice == NULL)
        return IB_OK;
    IB_TRY(ib_adopt_network(&s->run, &config, err));
    ib_onnx_notes notes = {.experiment = &config.experiment,
                           .normalize = normalize,
                           .sha256 = s->run.model_sha256,
                           .image = info->image,
                           .classes = info->classes};
    ib_normalization_choose(choice, info->mean, info->standard_deviation, &notes.mean,
                            &notes.deviation);
    if (choice->by_pixel)
        notes.deviation = 0;
    ib_status status =
        ib_onnx_write(safetensors, &notes, &s->cursor.folder, "model.onnx", NULL, err);
    ib_config_free(&config);
    return status;
}

/* Where an imported data set is not there any more, the model goes without. */
static ib_status write_onnx(const ib_mlflow_sender *s, const char *safetensors, ib_error *err) {
    const json_t *configuration = s->run.configuration;
    const char *model = json_string_value(ib_recorded_option(configuration, "model"));
    const char *dataset = json_string_value(ib_recorded_option(configuration, "dataset"));
    const char *data_dir = json_string_value(ib_recorded_option(configuration, "data-dir"));
    const char *normalize = json_string_value(ib_recorded_option(configuration, "normalize"));
    ib_dataset_description data;
    ib_error why = {0};
    if (model == NULL || strcmp(model, "svm") == 0 || normalize == NULL || dataset == NULL)
        return IB_OK;
    ib_status status =
        ib_dataset_describe(data_dir != NULL ? data_dir : "data", dataset, &data, &why);
    if (status != IB_OK) {
        status = ib_error_is_memory(&why) ? ib_fail_memory(err) : IB_OK;
        ib_error_clear(&why);
        return status;
    }
    status = write_onnx_of(s, safetensors, normalize, data.info, err);
    ib_dataset_description_close(&data);
    return status;
}

ib_status ib_mlflow_ensure_onnx(ib_mlflow_sender *s, ib_error *err) {
    char *safetensors = ib_path_join(s->directory, "model.safetensors");
    char *onnx = ib_path_join(s->directory, "model.onnx");
    ib_status status = safetensors == NULL || onnx == NULL ? ib_fail_memory(err) : IB_OK;
    if (status == IB_OK && ib_path_exists(safetensors) && !ib_path_exists(onnx))
        status = write_onnx(s, safetensors, err);
    free(safetensors);
    free(onnx);
    return status;
}

ib_status ib_mlflow_send_model(ib_mlflow_sender *s, ib_error *err) {
    char *safetensors = ib_path_join(s->directory, "model.safetensors");
    char *onnx = ib_path_join(s->directory, "model.onnx");
    ib_status status = safetensors == NULL || onnx == NULL ? ib_fail_memory(err) : IB_OK;
    if (status == IB_OK && ib_path_exists(safetensors)) {
        int has_onnx = ib_path_exists(onnx);
        int is_new = 0;
        status = ensure_model(s, has_onnx, &is_new, err);
        if (status == IB_OK)
            status = send_files(s, safetensors, has_onnx ? onnx : NULL, err);
        if (status == IB_OK)
            status = finish_model(s, is_new, err);
        /* A server from before MLflow 3 has no logged models: the files are artifacts there. */
        if (status != IB_OK && !s->client->transient &&
            ib_mlflow_state_text(&s->cursor, "model_id") == NULL &&
            (strcmp(s->client->error_code, "ENDPOINT_NOT_FOUND") == 0)) {
            ib_error_clear(err);
            status = IB_OK;
        }
    }
    free(safetensors);
    free(onnx);
    return status;
}
