#include "run/record_file.h"

#include <stdlib.h>

#include "base/file.h"

enum { MAX_JSON_BYTES = 64 << 20 };

ib_status ib_json_file_read(const char *path, json_t **object, ib_error *err) {
    *object = NULL;
    if (!ib_path_exists(path))
        return IB_OK;
    char *text = NULL;
    size_t size = 0;
    IB_TRY(ib_read_file(path, MAX_JSON_BYTES, &text, &size, err));
    json_error_t why;
    json_t *read = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
    free(text);
    if (read == NULL)
        return ib_fail(err, IB_ERROR_VERIFY, "%s, line %d: not valid JSON: %s", path, why.line,
                       why.text);
    if (!json_is_object(read)) {
        json_decref(read);
        return ib_fail(err, IB_ERROR_VERIFY, "%s: the outermost value is not an object", path);
    }
    *object = read;
    return IB_OK;
}

const char *ib_json_text_at(const json_t *object, const char *key, const char *inner) {
    const json_t *value = json_object_get(object, key);
    if (inner != NULL)
        value = json_object_get(value, inner);
    return json_string_value(value);
}
