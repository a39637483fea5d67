/* From base options, rows, grid and seeds to cells. */
#include "study/study_parts.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/nearest.h"

int ib_option_in_study(const ib_option *option) {
    if ((option->commands & IB_FOR_TRAIN) == 0 || option->kind == IB_OPTION_FLAG)
        return 0;
    return option->study == IB_STUDY_HASHED ? ib_option_is_hashed(option)
                                            : option->study != IB_STUDY_NEVER;
}

int ib_option_in_grid(const ib_option *option) {
    return ib_option_in_study(option) &&
           (ib_option_is_hashed(option) || option->study == IB_STUDY_MACHINE_GRID);
}

/* ---- options by key -----------------------------------------------------------------------------
 */

static const char *study_option_name(const void *context, size_t i) {
    (void)context;
    const ib_option *option;
    for (size_t row = 0; (option = ib_option_at(row)) != NULL; ++row)
        if (ib_option_in_study(option) && i-- == 0)
            return option->name;
    return NULL;
}

ib_status ib_study_option(const ib_yaml *yaml, const ib_yaml_node *key, const ib_option **option,
                          ib_error *err) {
    const ib_option *found = ib_option_find(key->text, strlen(key->text));
    if (found != NULL && ib_option_in_study(found)) {
        *option = found;
        return IB_OK;
    }
    if (strcmp(key->text, "seed") == 0)
        return ib_yaml_fail(yaml, key->line, key->text, err, "write seeds: [1, 2, 3] instead");
    if (found != NULL)
        return ib_yaml_fail(yaml, key->line, key->text, err,
                            "belongs to the command line, not to an experiment file");
    const char *nearest = ib_nearest_name(key->text, study_option_name, NULL);
    if (nearest != NULL)
        return ib_yaml_fail(yaml, key->line, key->text, err,
                            "there is no such option; did you mean %s?", nearest);
    return ib_yaml_fail(yaml, key->line, key->text, err,
                        "there is no such option; see isobit train --help");
}

ib_status ib_study_check_option(const ib_yaml *yaml, const ib_option *option, const char *text,
                                size_t line, ib_error *err) {
    ib_config scratch = {0};
    ib_status status = ib_option_set(option, text, option->name, &scratch, err);
    if (status == IB_OK && strcmp(option->name, "dataset") == 0 && strchr(text, '/') != NULL)
        status = ib_fail(err, IB_ERROR_USAGE,
                         "dataset: '%s' is a path: give the name alone; --data-dir says where data "
                         "sets are",
                         text);
    ib_config_free(&scratch);
    if (status != IB_OK)
        ib_fail_context(err, "%s:%zu", yaml->name, line);
    return status;
}

/* A key's value as text, checked; a list or nothing is refused. */
static ib_status read_value(const ib_yaml *yaml, const ib_yaml_node *key, const ib_yaml_node *value,
                            const ib_option **option, ib_error *err) {
    IB_TRY(ib_study_option(yaml, key, option, err));
    if (value->kind != IB_YAML_TEXT)
        return ib_yaml_fail(yaml, value->line, key->text, err, "give one value%s",
                            value->kind == IB_YAML_LIST ? "; lists are crossed under grid:" : "");
    return ib_study_check_option(yaml, *option, value->text, value->line, err);
}

static ib_status take_base(const ib_yaml *yaml, const ib_yaml_node *base, ib_study_cell *cell,
                           ib_error *err) {
    for (size_t i = 0; base != NULL && i < base->count; ++i) {
        const ib_option *option = NULL;
        IB_TRY(read_value(yaml, base->keys[i], base->items[i], &option, err));
        size_t index = ib_option_index(option);
        cell->texts[index] = base->items[i]->text;
        cell->origins[index] = IB_FROM_BASE;
    }
    return IB_OK;
}

/* ---- rows and grid ------------------------------------------------------------------------------
 */

static ib_status crossable(const ib_yaml *yaml, const ib_yaml_node *key, const ib_option *option,
                           ib_error *err) {
    if (ib_option_in_grid(option))
        return IB_OK;
    return ib_yaml_fail(yaml, key->line, key->text, err,
                        "changes no bits, so it tells no cells apart: set it under base:");
}

static ib_status read_needs(const ib_yaml *yaml, const ib_yaml_node *list, unsigned *needs,
                            ib_error *err) {
    for (size_t i = 0; list != NULL && i < list->count; ++i) {
        const ib_yaml_node *item = list->items[i];
        unsigned bit = 0;
        const char *name = NULL;
        for (size_t n = 0; (name = ib_need_name(n, &bit)) != NULL; ++n)
            if (item->kind == IB_YAML_TEXT && strcmp(name, item->text) == 0)
                break;
        if (name == NULL)
            return ib_yaml_fail(yaml, item->line, "needs", err,
                                "'%s' is not valid: give some of gpu, apple-gpu, mixed-precision, "
                                "pin-memory",
                                item->kind == IB_YAML_TEXT ? item->text : "...");
        *needs |= bit;
    }
    return IB_OK;
}

/* What is not a key of rows is an option, or refused as one with the nearest name. */
static int row_option(const char *name) {
    (void)name;
    return 1;
}

static ib_status take_row(const ib_yaml *yaml, const ib_yaml_node *row, ib_study_cell *cell,
                          ib_error *err) {
    IB_TRY(ib_yaml_check(yaml, row, "a row", IB_ROW_KEYS, row_option, err));
    cell->line = row->line;
    const ib_yaml_node *label = ib_yaml_get(row, "label");
    if (label != NULL && strlen(label->text) > IB_STUDY_MAX_NAME)
        return ib_yaml_fail(yaml, label->line, "label", err, "longer than %d bytes",
                            IB_STUDY_MAX_NAME);
    cell->label = label != NULL ? label->text : NULL;
    IB_TRY(read_needs(yaml, ib_yaml_get(row, "needs"), &cell->needs, err));
    for (size_t i = 0; i < row->count; ++i) {
        const ib_option *option = NULL;
        if (strcmp(row->keys[i]->text, "label") == 0 || strcmp(row->keys[i]->text, "needs") == 0)
            continue;
        IB_TRY(read_value(yaml, row->keys[i], row->items[i], &option, err));
        IB_TRY(crossable(yaml, row->keys[i], option, err));
        size_t index = ib_option_index(option);
        cell->texts[index] = row->items[i]->text;
        cell->origins[index] = IB_FROM_CELL;
    }
    return IB_OK;
}

/* Every value of the grid, and that no value comes twice. *product is multiplied by its size. */
static ib_status check_grid(const ib_yaml *yaml, const ib_yaml_node *grid, size_t *product,
                            ib_error *err) {
    for (size_t i = 0; grid != NULL && i < grid->count; ++i) {
        const ib_yaml_node *key = grid->keys[i], *list = grid->items[i];
        const ib_option *option = NULL;
        IB_TRY(ib_study_option(yaml, key, &option, err));
        IB_TRY(crossable(yaml, key, option, err));
        if (list->kind != IB_YAML_LIST || list->count == 0)
            return ib_yaml_fail(yaml, list->line, key->text, err,
                                "give a list of values, as [1, 2]; one value goes under base:");
        if (list->count > IB_STUDY_MAX_CELLS / *product)
            return ib_yaml_fail(yaml, key->line, key->text, err,
                                "the grid has more than %d cells: cut it", IB_STUDY_MAX_CELLS);
        *product *= list->count;
        for (size_t v = 0; v < list->count; ++v) {
            const ib_yaml_node *value = list->items[v];
            if (value->kind != IB_YAML_TEXT)
                return ib_yaml_fail(yaml, value->line, key->text, err, "give single values");
            IB_TRY(ib_study_check_option(yaml, option, value->text, value->line, err));
            for (size_t earlier = 0; earlier < v; ++earlier)
                if (strcmp(list->items[earlier]->text, value->text) == 0)
                    return ib_yaml_fail(yaml, value->line, key->text, err, "%s is listed twice",
                                        value->text);
        }
    }
    return IB_OK;
}

/* The index-th combination of the grid, the last key fastest. */
static ib_status take_grid(const ib_yaml *yaml, const ib_yaml_node *grid, size_t index,
                           const ib_yaml_node *row, ib_study_cell *cell, ib_error *err) {
    for (size_t i = grid != NULL ? grid->count : 0; i-- > 0;) {
        const ib_yaml_node *list = grid->items[i];
        const ib_option *option = ib_option_find(grid->keys[i]->text, strlen(grid->keys[i]->text));
        size_t at = ib_option_index(option);
        const ib_yaml_node *in_row = ib_yaml_get(row, grid->keys[i]->text);
        if (in_row != NULL)
            return ib_yaml_fail(yaml, in_row->line, option->name, err,
                                "is crossed under grid: too: leave one out");
        cell->texts[at] = list->items[index % list->count]->text;
        cell->origins[at] = IB_FROM_CELL;
        index /= list->count;
    }
    return IB_OK;
}

static ib_status grow(ib_study *study, const ib_yaml *yaml, size_t line, size_t more,
                      ib_error *err) {
    if (more > IB_STUDY_MAX_CELLS - study->cell_count)
        return ib_yaml_fail(yaml, line, NULL, err,
                            "the study has more than %d cells: cut it into several files",
                            IB_STUDY_MAX_CELLS);
    ib_study_cell *cells = realloc(study->cells, (study->cell_count + more) * sizeof *study->cells);
    if (cells == NULL)
        return ib_fail_memory(err);
    study->cells = cells;
    return IB_OK;
}

static ib_status labels_differ(const ib_yaml *yaml, const ib_yaml_node *rows, ib_error *err) {
    for (size_t i = 0; rows != NULL && i < rows->count; ++i) {
        const ib_yaml_node *label = ib_yaml_get(rows->items[i], "label");
        for (size_t j = 0; label != NULL && j < i; ++j) {
            const ib_yaml_node *other = ib_yaml_get(rows->items[j], "label");
            if (other != NULL && strcmp(other->text, label->text) == 0)
                return ib_yaml_fail(yaml, label->line, "label", err,
                                    "'%s' is taken by the row in line %zu", label->text,
                                    other->line);
        }
    }
    return IB_OK;
}

ib_status ib_study_expand(ib_study *study, const ib_yaml *yaml, const ib_yaml_node *group,
                          size_t group_index, const ib_yaml_node *top_base,
                          const ib_text_list *seeds, ib_error *err) {
    const ib_yaml_node *rows = ib_yaml_get(group, "rows"), *grid = ib_yaml_get(group, "grid");
    size_t seed_option = ib_option_index(ib_option_find("seed", 4));
    ib_study_cell base = {.group = group_index, .line = group->line};
    IB_TRY(take_base(yaml, top_base, &base, err));
    if (ib_yaml_get(group, "base") != top_base)
        IB_TRY(take_base(yaml, ib_yaml_get(group, "base"), &base, err));
    IB_TRY(read_needs(yaml, ib_yaml_get(group, "needs"), &base.needs, err));
    if (rows != NULL && rows->count == 0)
        return ib_yaml_fail(yaml, rows->line, "rows", err, "no row: leave it out");
    size_t combinations = 1;
    IB_TRY(check_grid(yaml, grid, &combinations, err));
    size_t row_count = rows != NULL ? rows->count : 1;
    for (size_t r = 0; r < row_count; ++r) {
        ib_study_cell in_row = base;
        if (rows != NULL)
            IB_TRY(take_row(yaml, rows->items[r], &in_row, err));
        IB_TRY(grow(study, yaml, in_row.line, combinations * seeds->count, err));
        for (size_t g = 0; g < combinations; ++g) {
            ib_study_cell cell = in_row;
            IB_TRY(take_grid(yaml, grid, g, rows != NULL ? rows->items[r] : NULL, &cell, err));
            for (size_t s = 0; s < seeds->count; ++s) {
                cell.texts[seed_option] = seeds->items[s];
                cell.origins[seed_option] = IB_FROM_CELL;
                study->cells[study->cell_count++] = cell;
            }
        }
    }
    IB_TRY(labels_differ(yaml, rows, err));
    return IB_OK;
}

/* ---- resolution ---------------------------------------------------------------------------------
 */

/* What decides which options mean something: model, optimiser, schedule, kernel. */
static ib_status deciding_config(const ib_study_cell *cell, ib_config *config, ib_error *err) {
    const ib_option *option;
    IB_TRY(ib_config_defaults(config, err));
    for (size_t i = 0; (option = ib_option_at(i)) != NULL; ++i)
        if (cell->texts[i] != NULL && ib_option_decides(option))
            IB_TRY(ib_option_set(option, cell->texts[i], option->name, config, err));
    return IB_OK;
}

static int environment_wins(const ib_option *option, char *(*environment)(const char *name)) {
    const char *value = environment != NULL && option->environment != NULL
                            ? environment(option->environment)
                            : NULL;
    return value != NULL && value[0] != '\0';
}

ib_status ib_study_resolve(const ib_yaml *yaml, ib_study_cell *cell,
                           char *(*environment)(const char *name), ib_error *err) {
    char *words[IB_MAX_OPTIONS];
    int count = 0;
    const ib_option *option;
    ib_config deciding = {0};
    ib_status status = deciding_config(cell, &deciding, err);
    for (size_t i = 0; status == IB_OK && (option = ib_option_at(i)) != NULL; ++i) {
        if (cell->texts[i] == NULL)
            continue;
        if (cell->origins[i] != IB_FROM_CELL && !ib_option_applies(option, &deciding.experiment))
            continue;
        if (cell->origins[i] != IB_FROM_COMMAND && environment_wins(option, environment))
            continue;
        words[count] = ib_format("--%s=%s", option->name, cell->texts[i]);
        if (words[count] == NULL)
            status = ib_fail_memory(err);
        else
            ++count;
    }
    ib_config_free(&deciding);
    ib_arguments_free(&cell->arguments);
    if (status == IB_OK) {
        status = ib_arguments_parse(ib_command_find("train"), count, (const char *const *)words,
                                    environment, &cell->arguments, err);
        if (status != IB_OK)
            ib_fail_context(err, "%s:%zu", yaml->name, cell->line);
    }
    for (int i = 0; i < count; ++i)
        free(words[i]);
    return status;
}

int ib_study_cell_uses(const ib_study_cell *cell, size_t option) {
    return cell->texts[option] != NULL && cell->arguments.sources[option] == IB_FROM_FLAG;
}
