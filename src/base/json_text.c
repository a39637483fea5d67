#include "base/json_text.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/number.h"

size_t ib_utf8_length(const char *bytes, size_t size) {
    const unsigned char *text = (const unsigned char *)bytes;
    size_t length = size == 0        ? 0
                    : text[0] < 0x80 ? 1
                    : text[0] < 0xC2 ? 0
                    : text[0] < 0xE0 ? 2
                    : text[0] < 0xF0 ? 3
                    : text[0] < 0xF5 ? 4
                                     : 0;
    if (length > size)
        return 0;
    for (size_t i = 1; i < length; ++i)
        if ((text[i] & 0xC0) != 0x80)
            return 0;
    if (length > 1 && ((text[0] == 0xE0 && text[1] < 0xA0) || (text[0] == 0xED && text[1] > 0x9F) ||
                       (text[0] == 0xF0 && text[1] < 0x90) || (text[0] == 0xF4 && text[1] > 0x8F)))
        return 0;
    return length;
}

static void write_text(FILE *out, const char *value) {
    const unsigned char *at = (const unsigned char *)value;
    fputc('"', out);
    while (*at != '\0') {
        size_t length = ib_utf8_length((const char *)at, strnlen((const char *)at, 4));
        if (length == 0) { /* a path may hold any bytes, JSON may not */
            fputs("\\ufffd", out);
            length = 1;
        } else if (*at == '"' || *at == '\\') {
            fprintf(out, "\\%c", *at);
        } else if (*at == '\n') {
            fputs("\\n", out);
        } else if (*at < 0x20 || *at == 0x7F) {
            fprintf(out, "\\u%04x", *at);
        } else {
            fwrite(at, 1, length, out);
        }
        at += length;
    }
    fputc('"', out);
}

static void new_line(ib_json *json) {
    if (json->indent == 0)
        return;
    fprintf(json->out, "\n%*s", json->depth * json->indent, "");
}

/* The comma, line break and key before a value. */
static void before_value(ib_json *json, const char *key) {
    if (json->depth > 0) {
        if (json->has_members[json->depth - 1])
            fputc(',', json->out);
        json->has_members[json->depth - 1] = 1;
        new_line(json);
    }
    if (key != NULL) {
        write_text(json->out, key);
        fputs(json->indent == 0 ? ":" : ": ", json->out);
    }
}

void ib_json_open(ib_json *json, const char *key, char bracket) {
    before_value(json, key);
    fputc(bracket, json->out);
    if (json->depth < IB_JSON_MAX_DEPTH)
        json->has_members[json->depth++] = 0;
}

void ib_json_close(ib_json *json, char bracket) {
    int had_members = json->depth > 0 && json->has_members[--json->depth];
    if (had_members)
        new_line(json);
    fputc(bracket, json->out);
}

void ib_json_string(ib_json *json, const char *key, const char *value) {
    before_value(json, key);
    if (value == NULL)
        fputs("null", json->out);
    else
        write_text(json->out, value);
}

void ib_json_double(ib_json *json, const char *key, double value) {
    before_value(json, key);
    if (isfinite(value)) {
        char text[IB_DOUBLE_TEXT];
        ib_print_double(value, text);
        fputs(text, json->out);
    } else {
        fputs(isnan(value) ? "\"NaN\"" : value > 0 ? "\"Infinity\"" : "\"-Infinity\"", json->out);
    }
}

void ib_json_int(ib_json *json, const char *key, int64_t value) {
    before_value(json, key);
    fprintf(json->out, "%" PRId64, value);
}

void ib_json_uint(ib_json *json, const char *key, uint64_t value) {
    before_value(json, key);
    fprintf(json->out, "%" PRIu64, value);
}

void ib_json_bool(ib_json *json, const char *key, int value) {
    before_value(json, key);
    fputs(value ? "true" : "false", json->out);
}
