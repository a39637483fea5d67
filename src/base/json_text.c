#include "base/json_text.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/number.h"
#include "base/text.h"

static void write_text(FILE *out, const char *value) {
    size_t size = strlen(value);
    fputc('"', out);
    for (size_t at = 0, length; at < size; at += length) {
        const unsigned char *c = (const unsigned char *)value + at;
        length = ib_utf8_length(value + at, size - at);
        if (length == 0) { /* a path may hold any bytes, JSON may not */
            fputs("\\ufffd", out);
            length = 1;
        } else if (*c == '"' || *c == '\\') {
            fprintf(out, "\\%c", *c);
        } else if (*c == '\n') {
            fputs("\\n", out);
        } else if (*c == '\t' || ib_text_shown(value + at, length) == 0) { /* a control character */
            fprintf(out, "\\u%04x", length == 1 ? c[0] : c[1]); /* U+0080 to U+009F: C2 80 to 9F */
        } else {
            fwrite(c, 1, length, out);
        }
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
