/* JSON to and from jansson's values. Where memory runs out, jansson's reader loses characters of
 * texts or aborts, and its json_dumps loses characters (tests/fault/test_command_allocation.py). */
#ifndef IB_BASE_JSON_VALUE_H
#define IB_BASE_JSON_VALUE_H

#include <jansson.h>
#include <stddef.h>

#include "base/status.h"

enum { IB_JSON_MOST_LEVELS = 256 };

/* What is wrong with a text. */
typedef struct ib_json_problem {
    const char *text; /* a constant; NULL: nothing */
    size_t line;      /* from 1 */
    size_t offset;    /* in bytes */
} ib_json_problem;

/* text: one array or object (RFC 8259) in UTF-8, at most so many levels deep, without a name twice
 * in an object and without NUL in texts; white space around it. Whole numbers of 19 and more digits
 * become texts (a seed has 64 bits, jansson's integers 63). A text that is not JSON is IB_OK with
 * *json NULL and *problem (may be NULL) filled: out of memory is the only failure. The caller calls
 * json_decref. */
ib_status ib_json_parse(const char *text, size_t size, json_t **json, ib_json_problem *problem,
                        ib_error *err);

/* json_dumps; NULL: out of memory, or value is NULL. */
char *ib_json_dump(const json_t *value, size_t flags);

#endif
