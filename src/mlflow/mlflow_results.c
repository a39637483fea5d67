/* The results of a run as metrics of the run, of its model and of the images they were measured on.
 */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "mlflow/mlflow_send.h"

typedef struct result_list {
    json_t *metrics;
    json_int_t time;
    const char *model_id; /* NULL: none */
    ib_mlflow_part testing, validation;
} result_list;

/* The images behind a result; NULL: it is of none, as seconds are. */
static const ib_mlflow_part *images_of(const result_list *list, const char *key) {
    static const char RESULT[] = "result/";
    const char *name = key + sizeof RESULT - 1;
    if (strncmp(name, "test_", 5) == 0 || strncmp(name, "metrics/", 8) == 0)
        return &list->testing;
    return strncmp(name, "validation_", 11) == 0 ? &list->validation : NULL;
}

static int add_result(result_list *list, const char *key, json_t *value) {
    int number = json_is_number(value);
    const char *text = json_string_value(value);
    if (!number && (text == NULL || (strcmp(text, "NaN") != 0 && strcmp(text, "Infinity") != 0 &&
                                     strcmp(text, "-Infinity") != 0)))
        return 1;
    json_t *metric = json_pack("{s:s,s:O,s:I,s:i}", "key", key, "value", value, "timestamp",
                               list->time, "step", 0);
    const ib_mlflow_part *images = images_of(list, key);
    /* On a model's page MLflow shows 0 for NaN: better nothing. */
    int good = metric != NULL, of_model = number && images != NULL && list->model_id != NULL;
    if (good && of_model)
        good = json_object_set_new(metric, "model_id", json_string(list->model_id)) == 0;
    if (good && of_model && images->name != NULL)
        good = json_object_set_new(metric, "dataset_name", json_string(images->name)) == 0 &&
               json_object_set_new(metric, "dataset_digest", json_string(images->digest)) == 0;
    return (json_array_append_new(list->metrics, metric) == 0) & good;
}

/* The members of an object, with lists as <key>/<index>. */
static int add_results(result_list *list, const char *prefix, json_t *object) {
    const char *name;
    json_t *value;
    int good = 1;
    json_object_foreach(object, name, value) {
        char *key = ib_format("%s/%s", prefix, name);
        good = good && key != NULL;
        if (good && json_is_object(value))
            good = add_results(list, key, value);
        else if (good && !json_is_array(value))
            good = add_result(list, key, value);
        for (size_t i = 0; good && i < json_array_size(value); ++i) {
            char *indexed = ib_format("%s/%zu", key, i);
            good = indexed != NULL && add_result(list, indexed, json_array_get(value, i));
            free(indexed);
        }
        free(key);
    }
    return good;
}

static ib_status collect(ib_mlflow_sender *s, result_list *list, ib_error *err) {
    json_t *results = (json_t *)(uintptr_t)s->run.results;
    IB_TRY(ib_mlflow_part_of(s, "testing", &list->testing, err));
    IB_TRY(ib_mlflow_part_of(s, "validation", &list->validation, err));
    list->metrics = json_array();
    return list->metrics == NULL || !add_results(list, "result", results) ? ib_fail_memory(err)
                                                                          : IB_OK;
}

ib_status ib_mlflow_send_results(ib_mlflow_sender *s, int64_t end_ms, ib_error *err) {
    if (s->run.results == NULL)
        return IB_OK;
    result_list list = {.time = (json_int_t)end_ms,
                        .model_id = ib_mlflow_state_text(&s->cursor, "model_id")};
    ib_status status = collect(s, &list, err);
    if (status == IB_OK)
        status = ib_mlflow_send_values(s, list.metrics, err);
    json_decref(list.metrics);
    free(list.testing.name);
    free(list.validation.name);
    return status;
}
