#include "record/record_file.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/file.h"

ib_status ib_json_file_parse(const char *path, const char *text, size_t size, json_t **object,
                             ib_error *err) {
    ib_json_problem why;
    IB_TRY(ib_json_parse(text, size, object, &why, err));
    if (*object == NULL)
        return ib_fail(err, IB_ERROR_VERIFY, "%s, line %zu: not valid JSON: %s", path, why.line,
                       why.text);
    if (json_is_object(*object))
        return IB_OK;
    json_decref(*object);
    *object = NULL;
    return ib_fail(err, IB_ERROR_VERIFY, "%s: the outermost value is not an object", path);
}

ib_status ib_json_file_read(const char *path, json_t **object, ib_error *err) {
    *object = NULL;
    if (!ib_path_exists(path))
        return IB_OK;
    char *text = NULL;
    size_t size = 0;
    IB_TRY(ib_read_file(path, IB_JSON_FILE_MOST, &text, &size, err));
    ib_status status = ib_json_file_parse(path, text, size, object, err);
    free(text);
    return status;
}

const char *ib_json_text_at(const json_t *object, const char *key) {
    return json_string_value(json_object_get(object, key));
}

double ib_json_number_of(const json_t *value) {
    return json_is_number(value) ? json_number_value(value) : NAN; /* jansson's are finite */
}

double ib_json_number_at(const json_t *object, const char *key) {
    return ib_json_number_of(json_object_get(object, key));
}

json_t *ib_json_number(double value) {
    if (!isfinite(value))
        return NULL;
    return fabs(value) < 1e15 && value == floor(value) ? json_integer((json_int_t)value)
                                                       : json_real(value);
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
