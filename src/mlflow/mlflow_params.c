/* A record's values as the texts of a server. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_value.h"
#include "mlflow/mlflow_send.h"

static char *text_of(const json_t *value) {
    const char *text = json_string_value(value);
    if (text != NULL)
        return strdup(text);
    return ib_json_dump(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(17));
}

int ib_mlflow_add_value(json_t *object, const char *prefix, const char *name, const json_t *value) {
    if (json_is_null(value))
        return 1;
    char *key = ib_format("%s%s", prefix, name);
    char *text = text_of(value);
    int good = key != NULL && text != NULL && ib_mlflow_add_text(object, key, text);
    free(key);
    free(text);
    return good;
}

/* The configuration: a param each. */
json_t *ib_mlflow_params_of(const ib_run *run) {
    json_t *params = json_object();
    const char *name;
    json_t *value;
    int good = params != NULL;
    json_object_foreach((json_t *)(uintptr_t)run->configuration, name, value) {
        good = good && ib_mlflow_add_value(params, "", name, value);
    }
    if (good)
        return params;
    json_decref(params);
    return NULL;
}
