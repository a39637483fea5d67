/* base/yaml.h without its library, for the networks that come with isobit: block mappings and
 * lists, flow ones within a line, plain texts. What a file says wrongly is not told: the program
 * does that. */
#include <stdlib.h>
#include <string.h>

#include "base/yaml.h"

typedef struct reader {
    const char *at, *end;
    size_t line;
} reader;

static void *must(void *memory) {
    if (memory == NULL)
        abort();
    return memory;
}

static ib_yaml_node *make(const reader *r, ib_yaml_kind kind) {
    ib_yaml_node *node = must(calloc(1, sizeof *node));
    node->kind = kind;
    node->line = r->line;
    return node;
}

static ib_yaml_node *make_text(const reader *r, const char *from, const char *to) {
    ib_yaml_node *node = make(r, IB_YAML_TEXT);
    while (to > from && to[-1] == ' ')
        --to;
    node->text = must(strndup(from, (size_t)(to - from)));
    return node;
}

static void add(ib_yaml_node *node, ib_yaml_node *key, ib_yaml_node *item) {
    node->items = must(realloc(node->items, (node->count + 1) * sizeof *node->items));
    node->keys = must(realloc(node->keys, (node->count + 1) * sizeof *node->keys));
    node->keys[node->count] = key;
    node->items[node->count++] = item;
}

static void skip_spaces(reader *r) {
    while (r->at < r->end && *r->at == ' ')
        ++r->at;
}

/* Up to the end of the line; in a flow, up to what ends a value there. */
static const char *text_end(const reader *r, const char *stops) {
    const char *to = r->at;
    while (to < r->end && *to != '\n' && strchr(stops, *to) == NULL)
        ++to;
    return to;
}

static ib_yaml_node *read_flow(reader *r) {
    skip_spaces(r);
    if (*r->at != '{' && *r->at != '[') {
        const char *to = text_end(r, ",]}");
        ib_yaml_node *text = make_text(r, r->at, to);
        r->at = to;
        return text;
    }
    int is_map = *r->at++ == '{';
    ib_yaml_node *node = make(r, is_map ? IB_YAML_MAP : IB_YAML_LIST);
    for (skip_spaces(r); *r->at != '}' && *r->at != ']'; skip_spaces(r)) {
        ib_yaml_node *key = NULL;
        if (is_map) {
            const char *colon = text_end(r, ":");
            key = make_text(r, r->at, colon);
            r->at = colon + 1;
        }
        add(node, key, read_flow(r));
        skip_spaces(r);
        r->at += *r->at == ',';
    }
    ++r->at;
    return node;
}

/* Goes to the next line that says something; its indentation, or -1 at the end. */
static int next_line(reader *r) {
    while (r->at < r->end) {
        const char *first = r->at;
        while (first < r->end && *first == ' ')
            ++first;
        if (first < r->end && *first != '\n' && *first != '#')
            return (int)(first - r->at);
        while (first < r->end && *first != '\n')
            ++first;
        r->at = first + (first < r->end);
        ++r->line;
    }
    return -1;
}

static void end_line(reader *r) {
    r->at = text_end(r, "");
    r->at += r->at < r->end;
    ++r->line;
}

static ib_yaml_node *read_block(reader *r, int indent);

/* What stands behind "- " or "key:"; *r is in that line, whose own indentation is given. */
static ib_yaml_node *read_value(reader *r, int indent) {
    skip_spaces(r);
    if (r->at < r->end && *r->at != '\n') {
        int is_flow = *r->at == '{' || *r->at == '[';
        ib_yaml_node *value = is_flow ? read_flow(r) : make_text(r, r->at, text_end(r, ""));
        end_line(r);
        return value;
    }
    end_line(r);
    int inner = next_line(r);
    return inner > indent ? read_block(r, inner) : make(r, IB_YAML_NONE);
}

/* "key: value" at r->at, or NULL. */
static const char *key_end(const reader *r) {
    const char *colon = text_end(r, ":{[");
    return colon < r->end && *colon == ':' ? colon : NULL;
}

static ib_yaml_node *read_item(reader *r, int indent) {
    skip_spaces(r);
    const char *colon = key_end(r);
    if (colon == NULL)
        return read_value(r, indent);
    ib_yaml_node *map = make(r, IB_YAML_MAP), *key = make_text(r, r->at, colon);
    r->at = colon + 1;
    add(map, key, read_value(r, indent));
    return map;
}

static ib_yaml_node *read_block(reader *r, int indent) {
    int is_list = r->at[indent] == '-';
    ib_yaml_node *node = make(r, is_list ? IB_YAML_LIST : IB_YAML_MAP);
    while (next_line(r) == indent && (r->at[indent] == '-') == is_list) {
        r->at += indent + is_list;
        if (is_list) {
            add(node, NULL, read_item(r, indent));
            continue;
        }
        const char *colon = key_end(r);
        if (colon == NULL)
            abort();
        ib_yaml_node *key = make_text(r, r->at, colon);
        r->at = colon + 1;
        add(node, key, read_value(r, indent));
    }
    return node;
}

static void free_node(ib_yaml_node *node) {
    if (node == NULL)
        return;
    for (size_t i = 0; i < node->count; ++i) {
        free_node(node->keys[i]);
        free_node(node->items[i]);
    }
    free(node->keys);
    free(node->items);
    free(node->text);
    free(node);
}

ib_status ib_yaml_parse(const char *name, const char *bytes, size_t size, ib_yaml *yaml,
                        ib_error *err) {
    (void)err;
    reader r = {bytes, bytes + size, 1};
    yaml->name = must(strdup(name));
    yaml->root = next_line(&r) == 0 ? read_block(&r, 0) : make(&r, IB_YAML_MAP);
    return IB_OK;
}

ib_status ib_yaml_read(const char *path, ib_yaml *yaml, ib_error *err) {
    (void)path, (void)yaml, (void)err;
    abort();
}

void ib_yaml_close(ib_yaml *yaml) {
    free(yaml->name);
    free_node(yaml->root);
    *yaml = (ib_yaml){0};
}

const ib_yaml_node *ib_yaml_get(const ib_yaml_node *map, const char *key) {
    for (size_t i = 0; map != NULL && i < map->count; ++i)
        if (strcmp(map->keys[i]->text, key) == 0)
            return map->items[i];
    return NULL;
}

ib_status ib_yaml_fail(const ib_yaml *yaml, size_t line, const char *key, ib_error *err,
                       const char *format, ...) {
    (void)format;
    return ib_fail(err, IB_ERROR_USAGE, "%s:%zu: %s", yaml->name, line, key == NULL ? "" : key);
}

ib_status ib_yaml_check(const ib_yaml *yaml, const ib_yaml_node *map, const char *what,
                        const ib_yaml_key *keys, int (*other)(const char *name), ib_error *err) {
    (void)yaml, (void)map, (void)what, (void)keys, (void)other, (void)err;
    return IB_OK;
}
