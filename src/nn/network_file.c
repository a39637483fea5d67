#include "nn/network_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/yaml.h"
#include "catalog/networks.h"
#include "nn/layer.h"
#include "nn/network_parts.h"

static ib_status read_rows(struct network_reader *r, const ib_yaml_node *list,
                           const struct network_scope *scope, ib_error *err);

/* ---- blocks -----------------------------------------------------------------------------------
 */

static int is_a_value(const char *name) {
    (void)name;
    return 1; /* whatever a block calls "$name" */
}

/* One use of a block: its rows, named below its name; the last one is called as the block is, where
 * it has no name of its own. */
static ib_status read_block(struct network_reader *r, const ib_yaml_node *rows,
                            const ib_yaml_node *values, const char *name,
                            const struct network_scope *outer, ib_error *err) {
    ib_network_file *file = r->file;
    struct network_scope scope = {.values = values,
                                  .prefix = name,
                                  .input =
                                      file->count > 0 ? file->rows[file->count - 1].name : NULL,
                                  .outer = outer};
    IB_TRY(read_rows(r, rows, &scope, err));
    ib_row *last = &file->rows[file->count - 1];
    if (last->name != NULL || ib_network_is_taken(r, name))
        return IB_OK;
    last->name = strdup(name);
    return last->name == NULL ? ib_fail_memory(err) : IB_OK;
}

static ib_status find_block(const struct network_reader *r, const ib_yaml_node *map,
                            const char **name, const ib_yaml_node **rows, ib_error *err) {
    const ib_yaml_node *use = ib_yaml_get(map, "use");
    *rows = r->blocks == NULL ? NULL : ib_yaml_get(r->blocks, use->text);
    if (*rows == NULL)
        return ib_yaml_fail(r->yaml, use->line, "use", err,
                            "the file has no block '%s': write it below blocks", use->text);
    *name = use->text;
    return IB_OK;
}

/* block: {use: same, name: layer2, repeat: 3, first: 1, out: 128} */
static ib_status read_blocks(struct network_reader *r, const ib_yaml_node *map,
                             const struct network_scope *scope, ib_error *err) {
    static const ib_yaml_key KEYS[] = {
        {"use", IB_YAML_TEXT, 1, "one of the blocks"},
        {"name", IB_YAML_TEXT, 1, "begins the names of its rows"},
        {"repeat", IB_YAML_TEXT, 0, "how often; NAME.0, NAME.1, ..."},
        {"first", IB_YAML_TEXT, 0, "the number to begin with"},
        {NULL, 0, 0, NULL},
    };
    const ib_yaml_node *rows, *repeat = ib_yaml_get(map, "repeat"),
                              *first = ib_yaml_get(map, "first");
    const char *use = "", *own = "";
    int64_t times = 1, from = 0;
    IB_TRY(ib_yaml_check(r->yaml, map, "a block", KEYS, is_a_value, err));
    IB_TRY(find_block(r, map, &use, &rows, err));
    if (r->depth == IB_NETWORK_MOST_BLOCKS)
        return ib_yaml_fail(r->yaml, map->line, NULL, err, "blocks use each other at most %d deep",
                            IB_NETWORK_MOST_BLOCKS);
    if (repeat != NULL)
        IB_TRY(ib_network_take_integer(r, scope, "repeat", repeat, 1, 1000, &times, err));
    if (first != NULL)
        IB_TRY(ib_network_take_integer(r, scope, "first", first, 0, 1000, &from, err));
    IB_TRY(ib_network_take_text(r, scope, "name", ib_yaml_get(map, "name"), &own, err));
    if (!ib_network_is_row_name(own))
        return ib_yaml_fail(r->yaml, map->line, "name", err,
                            "'%s' is no name for a block: give letters, digits, '.', '_' and '-'",
                            own);
    int numbered = repeat != NULL || first != NULL;
    ib_status status = IB_OK;
    ++r->depth;
    for (int64_t i = 0; status == IB_OK && i < times; ++i) {
        char *number = ib_format(numbered ? "%s.%lld" : "%s", own, (long long)(from + i));
        char *name = number == NULL ? NULL : ib_network_prefixed(scope, number);
        status = name == NULL ? ib_fail_memory(err) : read_block(r, rows, map, name, scope, err);
        free(number);
        free(name);
    }
    --r->depth;
    return status;
}

static ib_status read_rows(struct network_reader *r, const ib_yaml_node *list,
                           const struct network_scope *scope, ib_error *err) {
    if (list->kind != IB_YAML_LIST || list->count == 0)
        return ib_yaml_fail(r->yaml, list->line, NULL, err, "give a list of rows");
    for (size_t i = 0; i < list->count; ++i) {
        const ib_yaml_node *item = list->items[i];
        if (item->kind == IB_YAML_TEXT)
            IB_TRY(ib_network_add_layer(r, item, item->text, NULL, scope, err));
        else if (item->kind != IB_YAML_MAP || item->count != 1)
            return ib_yaml_fail(r->yaml, item->line, NULL, err,
                                "a row is its kind, or its kind and keys: 'relu', or "
                                "'conv: {out: 32, kernel: 3}'");
        else if (strcmp(item->keys[0]->text, "block") == 0)
            IB_TRY(read_blocks(r, item->items[0], scope, err));
        else
            IB_TRY(ib_network_add_layer(r, item, item->keys[0]->text, item->items[0], scope, err));
    }
    return IB_OK;
}

/* ---- the file ---------------------------------------------------------------------------------
 */

static int is_block(const char *name) {
    return name[0] != '\0';
}

static ib_status read_input(struct network_reader *r, const ib_yaml_node *map, ib_error *err) {
    static const ib_yaml_key KEYS[] = {
        {"channels", IB_YAML_TEXT, 1, NULL},
        {"height", IB_YAML_TEXT, 1, NULL},
        {"width", IB_YAML_TEXT, 1, NULL},
        {NULL, 0, 0, NULL},
    };
    static const struct network_scope top = {.prefix = ""};
    ib_network_file *file = r->file;
    IB_TRY(ib_yaml_check(r->yaml, map, "input", KEYS, NULL, err));
    IB_TRY(ib_network_take_integer(r, &top, "channels", ib_yaml_get(map, "channels"), 1, 16,
                                   &file->channels, err));
    IB_TRY(ib_network_take_integer(r, &top, "height", ib_yaml_get(map, "height"), 1, 1024,
                                   &file->height, err));
    return ib_network_take_integer(r, &top, "width", ib_yaml_get(map, "width"), 1, 1024,
                                   &file->width, err);
}

static ib_status take_title(struct network_reader *r, ib_error *err) {
    static const char LETTERS[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    const ib_yaml_node *name = ib_yaml_get(r->yaml->root, "name"),
                       *about = ib_yaml_get(r->yaml->root, "about");
    size_t length = strlen(name->text);
    if (length == 0 || length > IB_NETWORK_MOST_NAME || name->text[0] == '-' ||
        strspn(name->text, LETTERS) != length)
        return ib_yaml_fail(r->yaml, name->line, "name", err,
                            "give small letters, digits and '-', at most %d", IB_NETWORK_MOST_NAME);
    r->file->name = strdup(name->text);
    if (about != NULL)
        r->file->about = strdup(about->text);
    return r->file->name == NULL || (about != NULL && r->file->about == NULL) ? ib_fail_memory(err)
                                                                              : IB_OK;
}

static ib_status read_file(struct network_reader *r, ib_error *err) {
    static const ib_yaml_key KEYS[] = {
        {"name", IB_YAML_TEXT, 1, "of the network"},
        {"about", IB_YAML_TEXT, 0, "one sentence"},
        {"input", IB_YAML_MAP, 0, "the images it is for"},
        {"blocks", IB_YAML_MAP, 0, "rows that are used several times"},
        {"rows", IB_YAML_LIST, 1, "the network"},
        {NULL, 0, 0, NULL},
    };
    static const ib_yaml_key NO_KEYS[] = {{NULL, 0, 0, NULL}};
    static const struct network_scope top = {.prefix = ""};
    const ib_yaml_node *root = r->yaml->root, *input = ib_yaml_get(root, "input");
    IB_TRY(ib_yaml_check(r->yaml, root, "a network", KEYS, NULL, err));
    r->blocks = ib_yaml_get(root, "blocks");
    if (r->blocks != NULL)
        IB_TRY(ib_yaml_check(r->yaml, r->blocks, "blocks", NO_KEYS, is_block, err));
    IB_TRY(take_title(r, err));
    if (input != NULL)
        IB_TRY(read_input(r, input, err));
    return read_rows(r, ib_yaml_get(root, "rows"), &top, err);
}

static ib_status read_yaml(const ib_yaml *yaml, ib_network_file *file, ib_error *err) {
    struct network_reader reader = {.yaml = yaml, .file = file};
    file->path = strdup(yaml->name);
    return file->path == NULL ? ib_fail_memory(err) : read_file(&reader, err);
}

ib_status ib_network_parse(const char *path, const char *text, size_t size, ib_network_file *file,
                           ib_error *err) {
    ib_yaml yaml = {0};
    ib_status status = ib_yaml_parse(path, text, size, &yaml, err);
    if (status == IB_OK)
        status = read_yaml(&yaml, file, err);
    ib_yaml_close(&yaml);
    return status;
}

ib_status ib_network_of(const ib_experiment *experiment, ib_network_file *file, ib_error *err) {
    if (experiment->model == IB_MODEL_FILE)
        return ib_network_parse(experiment->network_path, experiment->network,
                                strlen(experiment->network), file, err);
    const ib_network_text *own = ib_network_at((size_t)experiment->model);
    if (own == NULL)
        return ib_fail(err, IB_ERROR_USAGE, "%s is no network: only isobit train and test know it",
                       ib_model_kind_name((ib_model_kind)experiment->model));
    return ib_network_parse(own->name, own->text, own->size, file, err);
}

ib_status ib_network_check_images(const ib_network_file *file, const ib_image_shape *image,
                                  const char *dataset, ib_error *err) {
    if (file->channels == 0 || (file->channels == image->channels &&
                                file->height == image->height && file->width == image->width))
        return IB_OK;
    return ib_fail(err, IB_ERROR_USAGE,
                   "%s is for images of %lldx%lldx%lld (channels, height, width), and those of %s "
                   "are %ux%ux%u",
                   file->path, (long long)file->channels, (long long)file->height,
                   (long long)file->width, dataset, image->channels, image->height, image->width);
}

static ib_status copy_text(const char *text, const char **copy, ib_error *err) {
    if (text == NULL)
        return IB_OK;
    *copy = strdup(text);
    return *copy == NULL ? ib_fail_memory(err) : IB_OK;
}

/* Kinds become the constant names that the planner has, so that rows own their other texts alone.
 */
static ib_status copy_row(const ib_row *row, ib_row *copy, ib_error *err) {
    const ib_layer_kind *kind = ib_layer_kind_named(row->kind);
    if (kind == NULL) {
        char *names = ib_layer_kind_names();
        ib_fail(err, IB_ERROR_USAGE, "no kind of row is called '%s'; there are %s", row->kind,
                names != NULL ? names : "");
        free(names);
        return IB_ERROR_USAGE;
    }
    *copy = *row;
    copy->kind = kind->name;
    copy->name = copy->from = copy->with = NULL;
    IB_TRY(copy_text(row->name, &copy->name, err));
    IB_TRY(copy_text(row->from, &copy->from, err));
    return copy_text(row->with, &copy->with, err);
}

ib_status ib_network_of_rows(const ib_row *rows, ib_network_file *file, ib_error *err) {
    size_t count = 0;
    while (rows[count].kind != NULL)
        ++count;
    file->rows = calloc(count + 1, sizeof *rows);
    file->path = strdup("the rows");
    file->name = strdup("of rows");
    if (file->rows == NULL || file->path == NULL || file->name == NULL)
        return ib_fail_memory(err);
    for (; file->count < count; ++file->count) {
        ib_row *copy = &file->rows[file->count];
        ib_status status = copy_row(&rows[file->count], copy, err);
        if (status != IB_OK) {
            ib_network_free_row(copy);
            return status;
        }
    }
    return IB_OK;
}

void ib_network_file_close(ib_network_file *file) {
    for (size_t i = 0; i < file->count; ++i)
        ib_network_free_row(&file->rows[i]);
    free(file->rows);
    free(file->lines);
    free(file->path);
    free(file->name);
    free(file->about);
    *file = (ib_network_file){0};
}
