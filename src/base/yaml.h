/* The plain subset of YAML that experiment files are written in, as a tree whose every node knows
 * its line: mappings, lists and texts. Anchors, aliases, tags, directives, several documents and
 * duplicate keys are refused, so that a file means what it looks like. */
#ifndef IB_BASE_YAML_H
#define IB_BASE_YAML_H

#include <stddef.h>

#include "base/status.h"

enum {
    IB_YAML_MAX_BYTES = 1 << 20,
    IB_YAML_MAX_DEPTH = 8,
    IB_YAML_MAX_ITEMS = 1 << 14, /* of one list */
    IB_YAML_MAX_KEYS = 1 << 8,   /* of one mapping */
};

typedef enum ib_yaml_kind {
    IB_YAML_TEXT = 1 << 0,
    IB_YAML_LIST = 1 << 1,
    IB_YAML_MAP = 1 << 2,
    IB_YAML_NONE = 1 << 3, /* "~", "null" or nothing at all */
} ib_yaml_kind;

typedef struct ib_yaml_node {
    ib_yaml_kind kind;
    size_t line;                 /* from 1 */
    char *text;                  /* TEXT, also what NONE was written as */
    size_t count;                /* LIST, MAP */
    struct ib_yaml_node **items; /* LIST: elements; MAP: values */
    struct ib_yaml_node **keys;  /* MAP: texts */
} ib_yaml_node;

/* A file as read. Zero-initialise; the caller calls ib_yaml_close, also after a failure. */
typedef struct ib_yaml {
    char *name; /* for messages: the path */
    ib_yaml_node *root;
} ib_yaml;

/* The outermost value must be a mapping. Everything refused is IB_ERROR_USAGE naming the line. */
ib_status ib_yaml_parse(const char *name, const char *bytes, size_t size, ib_yaml *yaml,
                        ib_error *err);
ib_status ib_yaml_read(const char *path, ib_yaml *yaml, ib_error *err);
void ib_yaml_close(ib_yaml *yaml);

/* The value of a key of a mapping, NULL when it is not there or map is NULL. */
const ib_yaml_node *ib_yaml_get(const ib_yaml_node *map, const char *key);

/* "name:line: key: message" with IB_ERROR_USAGE; key NULL: without it. */
ib_status ib_yaml_fail(const ib_yaml *yaml, size_t line, const char *key, ib_error *err,
                       const char *format, ...) __attribute__((format(printf, 5, 6)));

/* What a mapping may hold. A table ends with name NULL. */
typedef struct ib_yaml_key {
    const char *name;
    unsigned kinds; /* ib_yaml_kind bits */
    int required;
    const char *help; /* for the printed schema */
} ib_yaml_key;

/* Unknown keys (with the nearest name), wrong kinds, missing keys. other, if not NULL, says
 * whether a key that is not in the table is taken by the caller. */
ib_status ib_yaml_check(const ib_yaml *yaml, const ib_yaml_node *map, const char *what,
                        const ib_yaml_key *keys, int (*other)(const char *name), ib_error *err);

#endif
