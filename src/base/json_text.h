/* Writing JSON: the same bytes for the same values. Doubles are the shortest decimal that reads
 * back as the same binary64, which jansson cannot print; reading is jansson's. */
#ifndef IB_BASE_JSON_TEXT_H
#define IB_BASE_JSON_TEXT_H

#include <stdint.h>
#include <stdio.h>

enum { IB_JSON_MAX_DEPTH = 16 };

/* Zero-initialise with the stream. Write errors stay in the stream (ferror). */
typedef struct ib_json {
    FILE *out;
    int indent; /* spaces a level; 0: everything in one line without spaces */
    int depth;
    int has_members[IB_JSON_MAX_DEPTH];
    int failed; /* for whoever writes values and lacks the memory for one */
} ib_json;

/* key is NULL for elements of arrays and for the outermost value. */
void ib_json_open(ib_json *json, const char *key, char bracket);        /* '{' or '[' */
void ib_json_close(ib_json *json, char bracket);                        /* '}' or ']' */
void ib_json_string(ib_json *json, const char *key, const char *value); /* NULL: null */
void ib_json_double(ib_json *json, const char *key, double value);      /* not finite: a string */
void ib_json_int(ib_json *json, const char *key, int64_t value);
void ib_json_uint(ib_json *json, const char *key, uint64_t value);
void ib_json_bool(ib_json *json, const char *key, int value);

#endif
