#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/nearest.h"
#include "base/number.h"
#include "nn/layer.h"
#include "nn/network_parts.h"

/* ---- values -----------------------------------------------------------------------------------
 */

/* What "$width" stands for, where the block is used; anything else is itself. */
static ib_status resolve(const struct network_reader *r, const struct network_scope *scope,
                         const ib_yaml_node **node, ib_error *err) {
    while ((*node)->kind == IB_YAML_TEXT && (*node)->text[0] == '$') {
        const ib_yaml_node *value =
            scope->values == NULL ? NULL : ib_yaml_get(scope->values, (*node)->text + 1);
        if (scope->values == NULL)
            return ib_yaml_fail(r->yaml, (*node)->line, NULL, err,
                                "%s stands for a value in blocks only: give the value",
                                (*node)->text);
        if (value == NULL)
            return ib_yaml_fail(r->yaml, scope->values->line, NULL, err,
                                "the block has %s in line %zu: give %s a value here", (*node)->text,
                                (*node)->line, (*node)->text + 1);
        *node = value;
        scope = scope->outer;
    }
    return IB_OK;
}

ib_status ib_network_take_text(const struct network_reader *r, const struct network_scope *scope,
                               const char *key, const ib_yaml_node *node, const char **text,
                               ib_error *err) {
    IB_TRY(resolve(r, scope, &node, err));
    if (node->kind != IB_YAML_TEXT || node->text[0] == '\0')
        return ib_yaml_fail(r->yaml, node->line, key, err, "give a text");
    *text = node->text;
    return IB_OK;
}

ib_status ib_network_take_integer(const struct network_reader *r, const struct network_scope *scope,
                                  const char *key, const ib_yaml_node *node, int64_t least,
                                  int64_t most, int64_t *value, ib_error *err) {
    IB_TRY(resolve(r, scope, &node, err));
    if (node->kind == IB_YAML_TEXT && ib_parse_i64(node->text, value) == 0 && *value >= least &&
        *value <= most)
        return IB_OK;
    return ib_yaml_fail(r->yaml, node->line, key, err, "give an integer from %lld to %lld",
                        (long long)least, (long long)most);
}

static ib_status take_number(const struct network_reader *r, const struct network_scope *scope,
                             const char *key, const ib_yaml_node *node, double *value,
                             ib_error *err) {
    IB_TRY(resolve(r, scope, &node, err));
    if (node->kind == IB_YAML_TEXT && ib_parse_double(node->text, value) == 0)
        return IB_OK;
    return ib_yaml_fail(r->yaml, node->line, key, err, "give a number");
}

static ib_status take_flag(const struct network_reader *r, const struct network_scope *scope,
                           const char *key, const ib_yaml_node *node, int *value, ib_error *err) {
    IB_TRY(resolve(r, scope, &node, err));
    if (node->kind == IB_YAML_TEXT &&
        (strcmp(node->text, "true") == 0 || strcmp(node->text, "false") == 0)) {
        *value = node->text[0] == 't';
        return IB_OK;
    }
    return ib_yaml_fail(r->yaml, node->line, key, err, "give true or false");
}

/* ---- names ------------------------------------------------------------------------------------
 */

char *ib_network_prefixed(const struct network_scope *scope, const char *name) {
    return scope->prefix[0] == '\0' ? strdup(name) : ib_format("%s.%s", scope->prefix, name);
}

int ib_network_is_taken(const struct network_reader *r, const char *name) {
    for (size_t i = 0; i < r->file->count; ++i)
        if (r->file->rows[i].name != NULL && strcmp(r->file->rows[i].name, name) == 0)
            return 1;
    return 0;
}

/* Letters, digits, '.', '_' and '-', as PyTorch's modules are called. */
int ib_network_is_row_name(const char *name) {
    static const char LETTERS[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789._-";
    return name[0] != '.' && strlen(name) <= IB_NETWORK_MOST_NAME &&
           strspn(name, LETTERS) == strlen(name);
}

static ib_status take_name(const struct network_reader *r, const struct network_scope *scope,
                           const ib_yaml_node *node, const char **name, ib_error *err) {
    const char *text = "";
    IB_TRY(ib_network_take_text(r, scope, "name", node, &text, err));
    if (!ib_network_is_row_name(text) || strcmp(text, "input") == 0)
        return ib_yaml_fail(r->yaml, node->line, "name", err,
                            "'%s' is no name for a row: give letters, digits, '.', '_' and '-', "
                            "at most %d, and not 'input'",
                            text, IB_NETWORK_MOST_NAME);
    char *whole = ib_network_prefixed(scope, text);
    if (whole == NULL)
        return ib_fail_memory(err);
    *name = whole;
    if (ib_network_is_taken(r, whole))
        return ib_yaml_fail(r->yaml, node->line, "name", err, "an earlier row is called %s, too",
                            whole);
    return IB_OK;
}

/* A row before this one, in the block or at the top; "input" is what the block reads. Fresh. */
static ib_status take_reference(const struct network_reader *r, const struct network_scope *scope,
                                const char *key, const ib_yaml_node *node, const char **name,
                                ib_error *err) {
    const char *text = "";
    IB_TRY(ib_network_take_text(r, scope, key, node, &text, err));
    if (scope->values != NULL && strcmp(text, "input") == 0) {
        if (scope->input == NULL)
            return ib_yaml_fail(r->yaml, scope->values->line, NULL, err,
                                "the block reads the row before by name (line %zu): give that row "
                                "a name",
                                node->line);
        *name = strdup(scope->input);
        return *name == NULL ? ib_fail_memory(err) : IB_OK;
    }
    char *whole = ib_network_prefixed(scope, text);
    if (whole == NULL)
        return ib_fail_memory(err);
    *name = whole;
    if (!ib_network_is_taken(r, whole))
        return ib_yaml_fail(r->yaml, node->line, key, err, "no row before this one is called %s",
                            text);
    return IB_OK;
}

/* ---- one row ----------------------------------------------------------------------------------
 */

static ib_status take_out(const struct network_reader *r, const struct network_scope *scope,
                          const ib_row *row, const ib_yaml_node *node, int64_t *out,
                          ib_error *err) {
    const ib_yaml_node *value = node;
    IB_TRY(resolve(r, scope, &value, err));
    if (value->kind == IB_YAML_TEXT && strcmp(value->text, "classes") == 0 &&
        strcmp(row->kind, "linear") == 0) {
        *out = IB_CLASSES_OUT;
        return IB_OK;
    }
    return ib_network_take_integer(r, scope, "out", node, 1, 1 << 16, out, err);
}

static ib_status take_sum(const struct network_reader *r, const struct network_scope *scope,
                          ib_row *row, const ib_yaml_node *node, ib_error *err) {
    const char *before = r->file->count > 0 ? r->file->rows[r->file->count - 1].name : NULL;
    if (node->kind != IB_YAML_LIST || node->count != 2)
        return ib_yaml_fail(r->yaml, node->line, row->kind, err,
                            "give the names of two rows, such as [bn2, input]");
    IB_TRY(take_reference(r, scope, row->kind, node->items[0], &row->from, err));
    IB_TRY(take_reference(r, scope, row->kind, node->items[1], &row->with, err));
    if (before != NULL && strcmp(before, row->with) == 0 && strcmp(before, row->from) != 0) {
        const char *other = row->from;
        row->from = row->with;
        row->with = other;
    }
    return IB_OK;
}

/* How the keys of rows are called in files, and what they set. */
static const struct row_key {
    ib_row_keys bit;
    const char *name, *alias; /* PyTorch's */
} ROW_KEYS[] = {
    {IB_KEY_OUT, "out", "out_channels"},
    {IB_KEY_OUT, "out", "out_features"},
    {IB_KEY_KERNEL, "kernel", "kernel_size"},
    {IB_KEY_SIZE, "size", "kernel_size"},
    {IB_KEY_STRIDE, "stride", NULL},
    {IB_KEY_PAD, "pad", "padding"},
    {IB_KEY_BIAS, "bias", NULL},
    {IB_KEY_P, "p", NULL},
    {IB_KEY_ROWS, "rows", NULL},
};
enum { ROW_KEY_COUNT = sizeof ROW_KEYS / sizeof ROW_KEYS[0] };

static ib_status take_value(const struct network_reader *r, const struct network_scope *scope,
                            ib_row_keys bit, const char *key, const ib_yaml_node *node, ib_row *row,
                            ib_error *err) {
    int bias = 1;
    switch (bit) {
    case IB_KEY_OUT:
        return take_out(r, scope, row, node, &row->out, err);
    case IB_KEY_KERNEL:
    case IB_KEY_SIZE:
        return ib_network_take_integer(r, scope, key, node, 1, 255, &row->kernel, err);
    case IB_KEY_STRIDE:
        return ib_network_take_integer(r, scope, key, node, 1, 255, &row->stride, err);
    case IB_KEY_PAD:
        return ib_network_take_integer(r, scope, key, node, 0, 254, &row->pad, err);
    case IB_KEY_BIAS:
        IB_TRY(take_flag(r, scope, key, node, &bias, err));
        row->no_bias = !bias;
        return IB_OK;
    case IB_KEY_P:
        return take_number(r, scope, key, node, &row->p, err);
    case IB_KEY_ROWS:
        break;
    }
    return take_sum(r, scope, row, node, err);
}

/* The key of a kind that a name means, or NULL. */
static const struct row_key *key_named(const ib_layer_kind *kind, const char *name) {
    for (size_t i = 0; i < ROW_KEY_COUNT; ++i)
        if ((kind->keys & ROW_KEYS[i].bit) != 0 &&
            (strcmp(ROW_KEYS[i].name, name) == 0 ||
             (ROW_KEYS[i].alias != NULL && strcmp(ROW_KEYS[i].alias, name) == 0)))
            return &ROW_KEYS[i];
    return NULL;
}

/* "out, kernel, stride, pad, bias, name and from"; fresh memory. */
static char *keys_of(const ib_layer_kind *kind) {
    char *text = strdup("");
    ib_row_keys seen = 0;
    for (size_t i = 0; text != NULL && i < ROW_KEY_COUNT; ++i) {
        if ((kind->keys & ROW_KEYS[i].bit) == 0 || (seen & ROW_KEYS[i].bit) != 0)
            continue;
        seen |= ROW_KEYS[i].bit;
        char *longer = ib_format("%s%s, ", text, ROW_KEYS[i].name);
        free(text);
        text = longer;
    }
    char *all = text == NULL ? NULL : ib_format("%sname and from", text);
    free(text);
    return all;
}

static ib_status unknown_key(const struct network_reader *r, const ib_layer_kind *kind,
                             const ib_yaml_node *key, ib_error *err) {
    char *keys = keys_of(kind);
    ib_status status = keys == NULL
                           ? ib_fail_memory(err)
                           : ib_yaml_fail(r->yaml, key->line, key->text, err,
                                          "%s has no such key: it has %s", kind->name, keys);
    free(keys);
    return status;
}

static ib_status take_keys(const struct network_reader *r, const struct network_scope *scope,
                           const ib_layer_kind *kind, const ib_yaml_node *map, ib_row *row,
                           ib_error *err) {
    ib_row_keys given = 0;
    for (size_t i = 0; i < map->count; ++i) {
        const ib_yaml_node *key = map->keys[i], *value = map->items[i];
        if (strcmp(key->text, "name") == 0) {
            IB_TRY(take_name(r, scope, value, &row->name, err));
            continue;
        }
        if (strcmp(key->text, "from") == 0) {
            IB_TRY(take_reference(r, scope, "from", value, &row->from, err));
            continue;
        }
        const struct row_key *known = key_named(kind, key->text);
        if (known == NULL)
            return unknown_key(r, kind, key, err);
        if ((given & known->bit) != 0)
            return ib_yaml_fail(r->yaml, key->line, key->text, err, "the row says %s twice",
                                known->name);
        given |= known->bit;
        IB_TRY(take_value(r, scope, known->bit, key->text, value, row, err));
    }
    for (size_t i = 0; i < ROW_KEY_COUNT; ++i)
        if ((kind->needed & ~given & ROW_KEYS[i].bit) != 0)
            return ib_yaml_fail(r->yaml, map->line, kind->name, err, "the row needs %s",
                                ROW_KEYS[i].name);
    return IB_OK;
}

/* "max-pool: 2", "dropout: 0.5", "add: [bn2, input]": the one value that matters most. */
static ib_status take_short(const struct network_reader *r, const struct network_scope *scope,
                            const ib_layer_kind *kind, const ib_yaml_node *value, ib_row *row,
                            ib_error *err) {
    if ((kind->keys & IB_KEY_ROWS) != 0)
        return take_sum(r, scope, row, value, err);
    for (size_t i = 0; i < ROW_KEY_COUNT; ++i)
        if ((kind->needed & ROW_KEYS[i].bit) != 0 && value->kind == IB_YAML_TEXT) {
            if ((kind->needed & ~ROW_KEYS[i].bit) != 0)
                break;
            return take_value(r, scope, ROW_KEYS[i].bit, ROW_KEYS[i].name, value, row, err);
        }
    char *keys = keys_of(kind);
    ib_status status = keys == NULL ? ib_fail_memory(err)
                                    : ib_yaml_fail(r->yaml, value->line, kind->name, err,
                                                   "give its keys in braces: %s", keys);
    free(keys);
    return status;
}

void ib_network_free_row(ib_row *row) {
    free((void *)row->name);
    free((void *)row->from);
    free((void *)row->with);
}

/* Takes over the row's texts. */
static ib_status add_row(struct network_reader *r, ib_row *row, size_t line, ib_error *err) {
    ib_network_file *file = r->file;
    if (file->count == IB_NETWORK_MOST_ROWS) {
        ib_network_free_row(row);
        return ib_yaml_fail(r->yaml, line, NULL, err, "a network has at most %d rows",
                            IB_NETWORK_MOST_ROWS);
    }
    if (file->count + 1 >= r->capacity) {
        size_t capacity = r->capacity == 0 ? 32 : 2 * r->capacity;
        ib_row *rows = realloc(file->rows, capacity * sizeof *rows);
        if (rows != NULL)
            file->rows = rows;
        size_t *lines = rows == NULL ? NULL : realloc(file->lines, capacity * sizeof *lines);
        if (lines != NULL)
            file->lines = lines;
        if (lines == NULL) {
            ib_network_free_row(row);
            return ib_fail_memory(err);
        }
        r->capacity = capacity;
    }
    file->rows[file->count] = *row;
    file->lines[file->count++] = line;
    file->rows[file->count] = (ib_row){0};
    return IB_OK;
}

static const char *kind_at(const void *context, size_t index) {
    (void)context;
    const ib_layer_kind *kind = ib_layer_kind_at(index);
    return kind == NULL ? NULL : kind->name;
}

static ib_status unknown_kind(const struct network_reader *r, const ib_yaml_node *node,
                              const char *name, ib_error *err) {
    const char *nearest = ib_nearest_name(name, kind_at, NULL);
    if (nearest != NULL)
        return ib_yaml_fail(r->yaml, node->line, NULL, err,
                            "no kind of layer is called '%s'; did you mean %s?", name, nearest);
    char *names = ib_layer_kind_names();
    ib_status status =
        names == NULL ? ib_fail_memory(err)
                      : ib_yaml_fail(r->yaml, node->line, NULL, err,
                                     "no kind of layer is called '%s' (%s, block)", name, names);
    free(names);
    return status;
}

/* PyTorch's names begin the tensors of a row with parameters: it needs one. */
static ib_status name_by_kind(const struct network_reader *r, const struct network_scope *scope,
                              ib_row *row, ib_error *err) {
    for (int number = 1;; ++number) {
        char *own = ib_format("%s%d", row->kind, number);
        char *whole = own == NULL ? NULL : ib_network_prefixed(scope, own);
        free(own);
        if (whole == NULL)
            return ib_fail_memory(err);
        if (!ib_network_is_taken(r, whole)) {
            row->name = whole;
            return IB_OK;
        }
        free(whole);
    }
}

ib_status ib_network_add_layer(struct network_reader *r, const ib_yaml_node *at, const char *name,
                               const ib_yaml_node *value, const struct network_scope *scope,
                               ib_error *err) {
    const ib_layer_kind *kind = ib_layer_kind_named(name);
    if (kind == NULL)
        return unknown_kind(r, at, name, err);
    ib_row row = {.kind = kind->name};
    ib_status status;
    if (value != NULL && value->kind == IB_YAML_MAP)
        status = take_keys(r, scope, kind, value, &row, err);
    else if (value != NULL && value->kind != IB_YAML_NONE)
        status = take_short(r, scope, kind, value, &row, err);
    else
        status = kind->needed == 0 ? IB_OK
                                   : ib_yaml_fail(r->yaml, at->line, kind->name, err,
                                                  "the row says nothing: see isobit model --help");
    if (status == IB_OK && row.name == NULL && kind->has_parameters)
        status = name_by_kind(r, scope, &row, err);
    if (status == IB_OK)
        return add_row(r, &row, at->line, err);
    ib_network_free_row(&row);
    return status;
}
