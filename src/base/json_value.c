#include "base/json_value.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "base/text.h"

enum { LONG_DIGITS = 19, SHORT_NUMBER = 64 };

typedef struct reader {
    const char *begin, *at, *end;
    const char *problem; /* at at */
    int is_memory;
    unsigned depth;
} reader;

static json_t *wrong(reader *r, const char *problem) {
    if (r->problem == NULL && !r->is_memory)
        r->problem = problem;
    return NULL;
}

/* Passes a fresh value on; NULL: memory ran out. */
static json_t *made(reader *r, json_t *value) {
    r->is_memory |= value == NULL;
    return value;
}

static void skip_space(reader *r) {
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
        ++r->at;
}

static int takes(reader *r, char c) {
    skip_space(r);
    if (r->at == r->end || *r->at != c)
        return 0;
    ++r->at;
    return 1;
}

/* ---- texts --------------------------------------------------------------------------------------
 */

/* Four hexadecimal digits; -1: there are none. */
static int32_t take_unit(reader *r) {
    uint32_t unit = 0;
    if (r->end - r->at < 4)
        return -1;
    for (int i = 0; i < 4; ++i, ++r->at) {
        char c = *r->at;
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                                : 16;
        if (digit == 16)
            return -1;
        unit = unit * 16 + digit;
    }
    return (int32_t)unit;
}

/* What follows "\u", with a second unit where the first is half of a pair; 0: not allowed. */
static uint32_t take_code_point(reader *r) {
    int32_t first = take_unit(r);
    if (first < 0xD800 || first > 0xDFFF)
        return first <= 0 ? 0 : (uint32_t)first;
    if (first > 0xDBFF || r->end - r->at < 6 || r->at[0] != '\\' || r->at[1] != 'u')
        return 0;
    r->at += 2;
    int32_t second = take_unit(r);
    if (second < 0xDC00 || second > 0xDFFF)
        return 0;
    return 0x10000 + (((uint32_t)first - 0xD800) << 10) + ((uint32_t)second - 0xDC00);
}

static char *put_code_point(char *to, uint32_t code) {
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xC0 | code >> 6);
        *to++ = (char)(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        *to++ = (char)(0xE0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 0x3F));
        *to++ = (char)(0x80 | (code & 0x3F));
    } else {
        *to++ = (char)(0xF0 | code >> 18);
        *to++ = (char)(0x80 | (code >> 12 & 0x3F));
        *to++ = (char)(0x80 | (code >> 6 & 0x3F));
        *to++ = (char)(0x80 | (code & 0x3F));
    }
    return to;
}

/* After a backslash. NULL: not an escape. */
static char *take_escape(reader *r, char *to) {
    static const char NAMES[] = "\"\\/bfnrt", MEANT[] = "\"\\/\b\f\n\r\t";
    const char *name = r->at == r->end || *r->at == '\0' ? NULL : strchr(NAMES, *r->at);
    if (name != NULL) {
        ++r->at;
        *to = MEANT[name - NAMES];
        return to + 1;
    }
    if (r->at == r->end || *r->at != 'u')
        return NULL;
    ++r->at;
    uint32_t code = take_code_point(r);
    return code == 0 ? NULL : put_code_point(to, code);
}

/* The text after its opening quote, fresh; no escape is shorter than what it means. */
static char *take_text(reader *r, size_t *length) {
    const char *close = r->at;
    while (close < r->end && *close != '"')
        close += *close == '\\' && r->end - close > 1 ? 2 : 1;
    char *text = malloc((size_t)(close - r->at) + 1), *to = text;
    r->is_memory |= text == NULL;
    while (to != NULL && r->at < r->end && *r->at != '"') {
        unsigned char c = (unsigned char)*r->at;
        size_t bytes = c < 0x80 ? 1 : ib_utf8_length(r->at, (size_t)(r->end - r->at));
        if (bytes == 1 && c >= 0x20 && c != '\\') {
            *to++ = *r->at++;
            continue;
        }
        if (bytes == 0 || c < 0x20) {
            wrong(r, bytes == 0 ? "not UTF-8" : "a control character in a text");
            to = NULL;
        } else if (*r->at == '\\') {
            ++r->at;
            if ((to = take_escape(r, to)) == NULL)
                wrong(r, "not an escape that may be here");
        } else {
            memcpy(to, r->at, bytes);
            to += bytes;
            r->at += bytes;
        }
    }
    if (to != NULL && r->at < r->end) {
        ++r->at;
        *to = '\0';
        *length = (size_t)(to - text);
        return text;
    }
    wrong(r, "a text without its end");
    free(text);
    return NULL;
}

static json_t *read_text(reader *r) {
    size_t length;
    char *text = take_text(r, &length);
    json_t *value = text == NULL ? NULL : made(r, json_stringn_nocheck(text, length));
    free(text);
    return value;
}

/* ---- numbers ------------------------------------------------------------------------------------
 */

static size_t skip_digits(reader *r) {
    const char *first = r->at;
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
        ++r->at;
    return (size_t)(r->at - first);
}

static json_t *make_number(reader *r, const char *text, size_t length, size_t digits, int is_real) {
    int64_t whole;
    double real;
    if (!is_real && digits >= LONG_DIGITS && text[0] != '-')
        return made(r, json_stringn_nocheck(text, length));
    if (!is_real)
        return ib_parse_i64(text, &whole) == 0 ? made(r, json_integer(whole))
                                               : wrong(r, "a whole number that is too large");
    return ib_parse_double(text, &real) == 0 ? made(r, json_real(real))
                                             : wrong(r, "a number that is too large");
}

static json_t *read_number(reader *r) {
    const char *first = r->at;
    char few[SHORT_NUMBER], *many = NULL;
    r->at += *r->at == '-';
    int zero = r->at < r->end && *r->at == '0', is_real = 0;
    size_t digits = skip_digits(r);
    if (digits == 0 || (zero && digits > 1))
        return wrong(r, "not a number");
    if (r->at < r->end && *r->at == '.') {
        ++r->at;
        is_real = 1;
        if (skip_digits(r) == 0)
            return wrong(r, "not a number");
    }
    if (r->at < r->end && (*r->at == 'e' || *r->at == 'E')) {
        ++r->at;
        is_real = 1;
        r->at += r->at < r->end && (*r->at == '+' || *r->at == '-');
        if (skip_digits(r) == 0)
            return wrong(r, "not a number");
    }
    size_t length = (size_t)(r->at - first);
    if (length >= sizeof few && (many = malloc(length + 1)) == NULL)
        return made(r, NULL);
    char *text = many != NULL ? many : few;
    memcpy(text, first, length);
    text[length] = '\0';
    json_t *value = make_number(r, text, length, digits, is_real);
    free(many);
    return value;
}

/* ---- values -------------------------------------------------------------------------------------
 */

static json_t *read_value(reader *r);

static int read_item(reader *r, json_t *array) {
    json_t *value = read_value(r);
    if (value == NULL)
        return 0;
    int added = json_array_append_new(array, value) == 0;
    r->is_memory |= !added;
    return added;
}

static int read_member(reader *r, json_t *object) {
    size_t length;
    if (!takes(r, '"')) {
        wrong(r, "no name where one must be");
        return 0;
    }
    char *name = take_text(r, &length);
    if (name == NULL)
        return 0;
    int added = 0;
    if (json_object_get(object, name) != NULL) {
        wrong(r, "a duplicate name");
    } else if (!takes(r, ':')) {
        wrong(r, "no colon after a name");
    } else {
        json_t *value = read_value(r);
        added = value != NULL && json_object_set_new_nocheck(object, name, value) == 0;
        r->is_memory |= value != NULL && !added;
    }
    free(name);
    return added;
}

/* After its opening bracket. */
static json_t *read_members(reader *r, char close, int (*read)(reader *, json_t *)) {
    json_t *all = made(r, close == '}' ? json_object() : json_array());
    int good = all != NULL, ended = good && takes(r, close);
    while (good && !ended) {
        good = read(r, all);
        ended = good && takes(r, close);
        if (good && !ended && !takes(r, ',')) {
            wrong(r, close == '}' ? "no comma or } after a value" : "no comma or ] after a value");
            good = 0;
        }
    }
    if (good)
        return all;
    json_decref(all);
    return NULL;
}

static json_t *read_word(reader *r) {
    static const struct {
        const char *word;
        json_t *(*make)(void);
    } WORDS[] = {{"true", json_true}, {"false", json_false}, {"null", json_null}};
    for (size_t i = 0; i < sizeof WORDS / sizeof WORDS[0]; ++i) {
        size_t length = strlen(WORDS[i].word);
        if ((size_t)(r->end - r->at) >= length && memcmp(r->at, WORDS[i].word, length) == 0) {
            r->at += length;
            return WORDS[i].make();
        }
    }
    return wrong(r, "no value where one must be");
}

/* Depth is bounded by IB_JSON_MOST_LEVELS. */
static json_t *read_value(reader *r) {
    skip_space(r);
    if (r->at < r->end && ((*r->at >= '0' && *r->at <= '9') || *r->at == '-'))
        return read_number(r);
    if (takes(r, '"'))
        return read_text(r);
    int is_object = r->at < r->end && *r->at == '{';
    if (!is_object && (r->at == r->end || *r->at != '['))
        return read_word(r);
    if (r->depth == IB_JSON_MOST_LEVELS)
        return wrong(r, "nested too deep");
    ++r->at;
    ++r->depth;
    json_t *value = is_object ? read_members(r, '}', read_member) : read_members(r, ']', read_item);
    --r->depth;
    return value;
}

ib_status ib_json_parse(const char *text, size_t size, json_t **json, ib_json_problem *problem,
                        ib_error *err) {
    reader r = {.begin = text, .at = text, .end = text + size};
    skip_space(&r);
    *json = r.at < r.end && (*r.at == '{' || *r.at == '[') ? read_value(&r)
                                                           : wrong(&r, "neither { nor [");
    skip_space(&r);
    if (*json != NULL && r.at < r.end) {
        json_decref(*json);
        *json = wrong(&r, "something after the end");
    }
    if (r.is_memory)
        return ib_fail_memory(err);
    if (problem != NULL) {
        *problem = (ib_json_problem){r.problem, 1, (size_t)(r.at - text)};
        for (const char *p = text; p < r.at; ++p)
            problem->line += *p == '\n';
    }
    return IB_OK;
}

char *ib_json_dump(const json_t *value, size_t flags) {
    errno = 0;
    char *text = json_dumps(value, flags);
    if (text == NULL || errno != ENOMEM)
        return text;
    free(text);
    return NULL;
}
