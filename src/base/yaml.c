#include "base/yaml.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/file.h"
#include "base/nearest.h"

ib_status ib_yaml_fail(const ib_yaml *yaml, size_t line, const char *key, ib_error *err,
                       const char *format, ...) {
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        return ib_fail_memory(err);
    ib_fail(err, IB_ERROR_USAGE, "%s:%zu: %s%s%s", yaml->name, line, key != NULL ? key : "",
            key != NULL ? ": " : "", text);
    free(text);
    return IB_ERROR_USAGE;
}

/* ---- the tree -----------------------------------------------------------------------------------
 */

/* Depth is bounded by IB_YAML_MAX_DEPTH. */
static void free_node(ib_yaml_node *node) {
    if (node == NULL)
        return;
    for (size_t i = 0; i < node->count; ++i) {
        free_node(node->items[i]);
        if (node->keys != NULL)
            free_node(node->keys[i]);
    }
    free(node->items);
    free(node->keys);
    free(node->text);
    free(node);
}

void ib_yaml_close(ib_yaml *yaml) {
    free_node(yaml->root);
    free(yaml->name);
    *yaml = (ib_yaml){0};
}

const ib_yaml_node *ib_yaml_get(const ib_yaml_node *map, const char *key) {
    for (size_t i = 0; map != NULL && map->kind == IB_YAML_MAP && i < map->count; ++i)
        if (strcmp(map->keys[i]->text, key) == 0)
            return map->items[i];
    return NULL;
}

typedef struct reader {
    ib_yaml *yaml;
    yaml_parser_t parser;
    ib_error *err;
} reader;

static size_t line_of(const yaml_event_t *event) {
    return event->start_mark.line + 1;
}

static ib_status next_event(reader *r, yaml_event_t *event) {
    if (yaml_parser_parse(&r->parser, event))
        return IB_OK;
    if (r->parser.error == YAML_MEMORY_ERROR)
        return ib_fail_memory(r->err);
    const char *problem = r->parser.problem != NULL ? r->parser.problem : "not valid";
    return ib_yaml_fail(r->yaml, r->parser.problem_mark.line + 1, NULL, r->err, "YAML: %s%s%s",
                        problem, r->parser.context != NULL ? " " : "",
                        r->parser.context != NULL ? r->parser.context : "");
}

static ib_yaml_node *new_node(ib_yaml_kind kind, size_t line) {
    ib_yaml_node *node = calloc(1, sizeof *node);
    if (node != NULL)
        *node = (ib_yaml_node){.kind = kind, .line = line};
    return node;
}

/* Takes ownership of key (NULL in a list) and value, also on failure. */
static ib_status append(ib_yaml_node *parent, ib_yaml_node *key, ib_yaml_node *value,
                        ib_error *err) {
    if ((parent->count & (parent->count - 1)) == 0) { /* full at every power of two */
        size_t capacity = parent->count == 0 ? 1 : 2 * parent->count;
        ib_yaml_node **items = realloc(parent->items, capacity * sizeof *items);
        if (items != NULL)
            parent->items = items;
        ib_yaml_node **keys = NULL;
        if (items != NULL && parent->kind == IB_YAML_MAP) {
            keys = realloc(parent->keys, capacity * sizeof *keys);
            if (keys != NULL)
                parent->keys = keys;
        }
        if (items == NULL || (parent->kind == IB_YAML_MAP && keys == NULL)) {
            free_node(key);
            free_node(value);
            return ib_fail_memory(err);
        }
    }
    if (parent->kind == IB_YAML_MAP)
        parent->keys[parent->count] = key;
    parent->items[parent->count++] = value;
    return IB_OK;
}

static int is_none(const yaml_event_t *event) {
    if (event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return 0;
    const char *text = (const char *)event->data.scalar.value;
    return text[0] == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0;
}

static ib_status refuse_extras(const reader *r, const yaml_event_t *event, const void *anchor,
                               const void *tag) {
    if (anchor != NULL)
        return ib_yaml_fail(r->yaml, line_of(event), NULL, r->err,
                            "anchors (&%s) are not read here: write the value out",
                            (const char *)anchor);
    if (tag != NULL)
        return ib_yaml_fail(r->yaml, line_of(event), NULL, r->err,
                            "tags (%s) are not read here: leave it out", (const char *)tag);
    return IB_OK;
}

static ib_status read_text(const reader *r, const yaml_event_t *event, ib_yaml_node **node) {
    IB_TRY(refuse_extras(r, event, event->data.scalar.anchor, event->data.scalar.tag));
    const char *text = (const char *)event->data.scalar.value;
    if (memchr(text, '\0', event->data.scalar.length) != NULL)
        return ib_yaml_fail(r->yaml, line_of(event), NULL, r->err, "a text has a NUL byte in it");
    *node = new_node(is_none(event) ? IB_YAML_NONE : IB_YAML_TEXT, line_of(event));
    if (*node == NULL || ((*node)->text = strdup(text)) == NULL)
        return ib_fail_memory(r->err);
    return IB_OK;
}

static ib_status read_value(reader *r, const yaml_event_t *first, size_t depth,
                            ib_yaml_node **node);

static ib_status read_pair(reader *r, yaml_event_t *event, size_t depth, ib_yaml_node *map) {
    ib_yaml_node *key = NULL, *value = NULL;
    if (event->type != YAML_SCALAR_EVENT)
        return ib_yaml_fail(r->yaml, line_of(event), NULL, r->err, "a key must be a plain name");
    ib_status status = read_text(r, event, &key);
    if (status == IB_OK && ib_yaml_get(map, key->text) != NULL)
        status = ib_yaml_fail(r->yaml, key->line, key->text, r->err,
                              "given twice, first in line %zu: leave one out",
                              ib_yaml_get(map, key->text)->line);
    if (status == IB_OK && map->count == IB_YAML_MAX_KEYS)
        status = ib_yaml_fail(r->yaml, key->line, key->text, r->err,
                              "a mapping of more than %d keys", IB_YAML_MAX_KEYS);
    yaml_event_t next;
    if (status == IB_OK)
        status = next_event(r, &next);
    else
        memset(&next, 0, sizeof next);
    if (status == IB_OK)
        status = read_value(r, &next, depth, &value);
    yaml_event_delete(&next);
    if (status != IB_OK) {
        free_node(key);
        free_node(value);
        return status;
    }
    return append(map, key, value, r->err);
}

static ib_status read_items(reader *r, size_t depth, ib_yaml_node *node) {
    for (;;) {
        yaml_event_t event;
        IB_TRY(next_event(r, &event));
        ib_status status = IB_OK;
        int ended = event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT;
        if (!ended && node->kind == IB_YAML_MAP) {
            status = read_pair(r, &event, depth, node);
        } else if (!ended && node->count == IB_YAML_MAX_ITEMS) {
            status = ib_yaml_fail(r->yaml, line_of(&event), NULL, r->err,
                                  "a list of more than %d items", IB_YAML_MAX_ITEMS);
        } else if (!ended) {
            ib_yaml_node *item = NULL;
            status = read_value(r, &event, depth, &item);
            if (status == IB_OK)
                status = append(node, NULL, item, r->err);
            else
                free_node(item);
        }
        yaml_event_delete(&event);
        if (status != IB_OK || ended)
            return status;
    }
}

/* *node may be set on failure too: the caller frees it. */
static ib_status read_value(reader *r, const yaml_event_t *first, size_t depth,
                            ib_yaml_node **node) {
    if (first->type == YAML_ALIAS_EVENT)
        return ib_yaml_fail(r->yaml, line_of(first), NULL, r->err,
                            "aliases (*%s) are not read here: write the value out",
                            (const char *)first->data.alias.anchor);
    if (first->type == YAML_SCALAR_EVENT)
        return read_text(r, first, node);
    int is_map = first->type == YAML_MAPPING_START_EVENT;
    IB_TRY(refuse_extras(
        r, first, is_map ? first->data.mapping_start.anchor : first->data.sequence_start.anchor,
        is_map ? first->data.mapping_start.tag : first->data.sequence_start.tag));
    if (depth == IB_YAML_MAX_DEPTH)
        return ib_yaml_fail(r->yaml, line_of(first), NULL, r->err, "nested deeper than %d levels",
                            IB_YAML_MAX_DEPTH);
    *node = new_node(is_map ? IB_YAML_MAP : IB_YAML_LIST, line_of(first));
    if (*node == NULL)
        return ib_fail_memory(r->err);
    return read_items(r, depth + 1, *node);
}

static ib_status read_document_start(const reader *r, const yaml_event_t *event) {
    if (event->data.document_start.version_directive != NULL ||
        event->data.document_start.tag_directives.start !=
            event->data.document_start.tag_directives.end)
        return ib_yaml_fail(r->yaml, line_of(event), NULL, r->err,
                            "directives (%%...) are not read here: leave them out");
    if (r->yaml->root != NULL)
        return ib_yaml_fail(r->yaml, line_of(event), NULL, r->err,
                            "a second document: one file holds one");
    return IB_OK;
}

static ib_status read_stream(reader *r) {
    for (;;) {
        yaml_event_t event;
        IB_TRY(next_event(r, &event));
        yaml_event_type_t type = event.type;
        ib_status status = IB_OK;
        if (type == YAML_DOCUMENT_START_EVENT)
            status = read_document_start(r, &event);
        else if (type != YAML_STREAM_START_EVENT && type != YAML_STREAM_END_EVENT &&
                 type != YAML_DOCUMENT_END_EVENT)
            status = read_value(r, &event, 0, &r->yaml->root);
        yaml_event_delete(&event);
        if (status != IB_OK || type == YAML_STREAM_END_EVENT)
            return status;
    }
}

ib_status ib_yaml_parse(const char *name, const char *bytes, size_t size, ib_yaml *yaml,
                        ib_error *err) {
    *yaml = (ib_yaml){.name = strdup(name)};
    if (yaml->name == NULL)
        return ib_fail_memory(err);
    if (size > IB_YAML_MAX_BYTES)
        return ib_yaml_fail(yaml, 1, NULL, err, "larger than %d bytes", IB_YAML_MAX_BYTES);
    reader r = {.yaml = yaml, .err = err};
    if (!yaml_parser_initialize(&r.parser))
        return ib_fail_memory(err);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)bytes, size);
    ib_status status = read_stream(&r);
    yaml_parser_delete(&r.parser);
    if (status == IB_OK && (yaml->root == NULL || yaml->root->kind != IB_YAML_MAP))
        status = ib_yaml_fail(yaml, yaml->root == NULL ? 1 : yaml->root->line, NULL, err,
                              "the file must be a mapping: lines of the form key: value");
    return status;
}

ib_status ib_yaml_read(const char *path, ib_yaml *yaml, ib_error *err) {
    char *bytes = NULL;
    size_t size = 0;
    *yaml = (ib_yaml){0};
    /* One byte more than is allowed, so that the message is ib_yaml_parse's. */
    ib_status status = ib_read_file(path, (size_t)IB_YAML_MAX_BYTES + 1, &bytes, &size, err);
    if (status != IB_OK)
        return status;
    status = ib_yaml_parse(path, bytes, size, yaml, err);
    free(bytes);
    return status;
}

/* ---- checks -------------------------------------------------------------------------------------
 */

static const char *kind_name(unsigned kinds) {
    if (kinds & IB_YAML_TEXT && kinds & IB_YAML_LIST)
        return "a value or a list, as [1, 2]";
    if (kinds & IB_YAML_MAP)
        return "a mapping, as {key: value}";
    return kinds & IB_YAML_LIST ? "a list, as [1, 2]" : "one value";
}

static const char *key_name(const void *context, size_t i) {
    return ((const ib_yaml_key *)context)[i].name;
}

static ib_status unknown_key(const ib_yaml *yaml, const ib_yaml_node *key, const char *what,
                             const ib_yaml_key *keys, ib_error *err) {
    const char *nearest = ib_nearest_name(key->text, key_name, keys);
    if (nearest != NULL)
        return ib_yaml_fail(yaml, key->line, key->text, err, "%s has no such key; did you mean %s?",
                            what, nearest);
    return ib_yaml_fail(yaml, key->line, key->text, err,
                        "%s has no such key; see isobit experiment schema", what);
}

ib_status ib_yaml_check(const ib_yaml *yaml, const ib_yaml_node *map, const char *what,
                        const ib_yaml_key *keys, int (*other)(const char *name), ib_error *err) {
    if (map->kind != IB_YAML_MAP)
        return ib_yaml_fail(yaml, map->line, NULL, err, "%s must be %s", what,
                            kind_name(IB_YAML_MAP));
    for (size_t i = 0; i < map->count; ++i) {
        const ib_yaml_node *key = map->keys[i];
        const ib_yaml_key *known = keys;
        while (known->name != NULL && strcmp(known->name, key->text) != 0)
            ++known;
        if (known->name == NULL && other != NULL && other(key->text))
            continue;
        if (known->name == NULL)
            return unknown_key(yaml, key, what, keys, err);
        if ((map->items[i]->kind & known->kinds) == 0)
            return ib_yaml_fail(yaml, map->items[i]->line, key->text, err, "give %s",
                                kind_name(known->kinds));
    }
    for (const ib_yaml_key *known = keys; known->name != NULL; ++known)
        if (known->required && ib_yaml_get(map, known->name) == NULL)
            return ib_yaml_fail(yaml, map->line, NULL, err, "%s needs the key %s", what,
                                known->name);
    return IB_OK;
}
