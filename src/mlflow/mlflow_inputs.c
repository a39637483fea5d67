/* The data sets of a record as inputs of the run, with digests of their content. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/sha256.h"
#include "mlflow/mlflow_send.h"
#include "record/recorded.h"

static char *dump(json_t *value) {
    char *text = value == NULL ? NULL : ib_json_dump(value, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(value);
    return text;
}

/* What part of which content, in MLflow's 36 characters: the same part has the same digest. */
static ib_status digest_of(const ib_mlflow_sender *s, const char *part, json_int_t count,
                           char hex[IB_SHA256_HEX_SIZE], ib_error *err) {
    const json_t *options = s->run.configuration;
    const char *split = json_string_value(ib_recorded_option(options, "split"));
    int merged = split != NULL && strcmp(split, "official") != 0; /* cut by the seed */
    const json_t *seed = merged ? ib_recorded_option(options, "seed") : json_null();
    char *text = dump(json_pack("{s:O,s:s,s:I,s:s?,s:O}", "sha256", s->run.data.sha256, "part",
                                part, "count", count, "split", split, "seed", seed));
    if (text == NULL)
        return ib_fail_memory(err);
    ib_sha256_bytes(text, strlen(text), hex);
    free(text);
    hex[IB_MLFLOW_DIGEST_LENGTH] = '\0';
    return IB_OK;
}

ib_status ib_mlflow_part_of(const ib_mlflow_sender *s, const char *part, ib_mlflow_part *data,
                            ib_error *err) {
    const ib_run_data *about = &s->run.data;
    *data = (ib_mlflow_part){.count = strcmp(part, "training") == 0  ? about->train_count
                                      : strcmp(part, "testing") == 0 ? about->test_count
                                                                     : about->validation_count};
    if (about->dataset == NULL || data->count == 0)
        return IB_OK;
    char hex[IB_SHA256_HEX_SIZE];
    IB_TRY(digest_of(s, part, data->count, hex, err));
    memcpy(data->digest, hex, sizeof data->digest);
    data->name = ib_format("%s-%s", about->dataset, part);
    return data->name == NULL ? ib_fail_memory(err) : IB_OK;
}

/* The type of images and labels as MLflow writes it: a text of JSON within JSON within JSON. */
static char *schema_of(ib_recorded_shape shape) {
    char *channels = shape.channels > 1 ? ib_format(",%zu", shape.channels) : strdup("");
    char *schema = ib_format(
        "{\"mlflow_tensorspec\":{\"features\":\"[{\\\"type\\\":\\\"tensor\\\",\\\"tensor-spec\\\":"
        "{\\\"dtype\\\":\\\"uint8\\\",\\\"shape\\\":[-1,%zu,%zu%s]}}]\",\"targets\":\"[{"
        "\\\"type\\\":"
        "\\\"tensor\\\",\\\"tensor-spec\\\":{\\\"dtype\\\":\\\"uint8\\\",\\\"shape\\\":[-1]}}]\"}}",
        shape.height, shape.width, channels != NULL ? channels : "");
    free(channels);
    return schema;
}

static ib_status add_part(const ib_mlflow_sender *s, const char *part, json_t *list,
                          ib_error *err) {
    ib_mlflow_part data;
    IB_TRY(ib_mlflow_part_of(s, part, &data, err));
    if (data.name == NULL)
        return IB_OK;
    const ib_run_data *about = &s->run.data;
    char *uri = ib_format("isobit:data/%s", about->dataset);
    char *source = dump(json_pack("{s:s}", "uri", uri));
    char *schema = schema_of(about->shape);
    char *profile = dump(json_pack("{s:I,s:O}", "num_rows", data.count, "sha256", about->sha256));
    int added = uri != NULL && source != NULL && schema != NULL && profile != NULL &&
                json_array_append_new(
                    list, json_pack("{s:[{s:s,s:s}],s:{s:s,s:s,s:s,s:s,s:s,s:s}}", "tags", "key",
                                    "mlflow.data.context", "value", part, "dataset", "name",
                                    data.name, "digest", data.digest, "source_type", "local",
                                    "source", source, "schema", schema, "profile", profile)) == 0;
    free(data.name);
    free(uri);
    free(source);
    free(schema);
    free(profile);
    return added ? IB_OK : ib_fail_memory(err);
}

ib_status ib_mlflow_send_inputs(ib_mlflow_sender *s, ib_error *err) {
    static const char *const PARTS[] = {"training", "validation", "testing"};
    json_t *list = json_array();
    ib_status status = list == NULL ? ib_fail_memory(err) : IB_OK;
    for (size_t i = 0; status == IB_OK && i < sizeof PARTS / sizeof PARTS[0]; ++i)
        status = add_part(s, PARTS[i], list, err);
    if (status == IB_OK && json_array_size(list) > 0) {
        json_t *body = json_pack("{s:s,s:O}", "run_id", ib_mlflow_state_text(&s->cursor, "run_id"),
                                 "datasets", list);
        status = body == NULL ? ib_fail_memory(err)
                              : ib_mlflow_call(s->client, "POST", "/mlflow/runs/log-inputs", body,
                                               0, NULL, err);
        json_decref(body);
    }
    json_decref(list);
    return status;
}
