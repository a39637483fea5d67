#include "record/record_file.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { MAX_JSON_BYTES = 64 << 20 };

ib_status ib_json_file_read(const char *path, json_t **object, ib_error *err) {
    *object = NULL;
    if (!ib_path_exists(path))
        return IB_OK;
    char *text = NULL;
    size_t size = 0;
    IB_TRY(ib_read_file(path, MAX_JSON_BYTES, &text, &size, err));
    ib_json_problem why;
    json_t *read;
    ib_status status = ib_json_parse(text, size, &read, &why, err);
    free(text);
    IB_TRY(status);
    if (read == NULL)
        return ib_fail(err, IB_ERROR_VERIFY, "%s, line %zu: not valid JSON: %s", path, why.line,
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

/* object.key from 1 to most; 0: anything else. */
static size_t extent_at(const json_t *object, const char *key, size_t normally, size_t most) {
    const json_t *value = json_object_get(object, key);
    json_int_t number = json_integer_value(value);
    if (value == NULL)
        return normally;
    return number >= 1 && (uint64_t)number <= most ? (size_t)number : 0;
}

ib_recorded_shape ib_recorded_shape_of(const json_t *data) {
    enum { MOST_CLASSES = 1024, MOST_SIDE = 4096, MOST_CHANNELS = 16 };
    ib_recorded_shape shape = {.classes = extent_at(data, "classes", 10, MOST_CLASSES),
                               .height = extent_at(data, "height", 28, MOST_SIDE),
                               .width = extent_at(data, "width", 28, MOST_SIDE),
                               .channels = extent_at(data, "channels", 1, MOST_CHANNELS)};
    if (shape.classes == 0 || shape.height == 0 || shape.width == 0 || shape.channels == 0)
        return (ib_recorded_shape){0};
    return shape;
}
