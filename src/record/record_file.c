#include "record/record_file.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

static int is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Seeds have 64 bits, jansson's integers 63: longer ones outside of texts become texts. */
static char *quote_long_integers(const char *text, size_t size, size_t *new_size) {
    enum { LONG = 19 };
    char *out = malloc(2 * size + 1);
    size_t n = 0;
    int in_text = 0;
    for (size_t i = 0; out != NULL && i < size; ++i) {
        size_t digits = 0;
        while (!in_text && i + digits < size && is_digit(text[i + digits]))
            ++digits;
        int real = digits > 0 && i + digits < size && strchr(".eE", text[i + digits]) != NULL;
        int fraction = i > 0 && strchr(".-+", text[i - 1]) != NULL;
        if (digits >= LONG && !real && !fraction)
            n += (size_t)sprintf(out + n, "\"%.*s\"", (int)digits, text + i);
        else if (digits > 0)
            n = (size_t)((char *)memcpy(out + n, text + i, digits) - out) + digits;
        else
            out[n++] = text[i];
        if (digits > 0) {
            i += digits - 1;
        } else if (in_text && text[i] == '\\' && i + 1 < size) {
            out[n++] = text[++i];
        } else if (text[i] == '"') {
            in_text = !in_text;
        }
    }
    *new_size = n;
    return out;
}

json_t *ib_json_parse(const char *text, size_t size, json_error_t *why) {
    size_t quoted_size = 0;
    char *quoted = quote_long_integers(text, size, &quoted_size);
    json_t *read =
        quoted == NULL ? NULL : json_loadb(quoted, quoted_size, JSON_REJECT_DUPLICATES, why);
    free(quoted);
    return read;
}

ib_status ib_json_file_parse(const char *path, const char *text, size_t size, json_t **object,
                             ib_error *err) {
    json_error_t why = {0};
    *object = ib_json_parse(text, size, &why);
    if (*object == NULL && why.text[0] == '\0')
        return ib_fail_memory(err);
    if (*object == NULL)
        return ib_fail(err, IB_ERROR_VERIFY, "%s, line %d: not valid JSON: %s", path, why.line,
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
