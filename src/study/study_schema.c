/* The format of experiment files as a JSON Schema, from the tables that the reader uses. */
#include <string.h>

#include "base/json_text.h"
#include "study/study_parts.h"

static void write_name_pattern(ib_json *json, const char *key, const char *help) {
    ib_json_open(json, key, '{');
    ib_json_string(json, "description", help);
    ib_json_string(json, "type", "string");
    ib_json_string(json, "pattern", "^[a-z0-9][a-z0-9-]*$");
    ib_json_int(json, "maxLength", IB_STUDY_MAX_NAME);
    ib_json_close(json, '}');
}

static void write_reference(ib_json *json, const char *key, const char *help, const char *target,
                            int is_list) {
    ib_json_open(json, key, '{');
    ib_json_string(json, "description", help);
    if (is_list) {
        ib_json_string(json, "type", "array");
        ib_json_open(json, "items", '{');
    }
    ib_json_string(json, "$ref", target);
    if (is_list)
        ib_json_close(json, '}');
    ib_json_close(json, '}');
}

static void write_choices(ib_json *json, const ib_option *option) {
    ib_json_open(json, "enum", '[');
    ib_choice choice;
    for (size_t i = 0; (choice = option->choices(i)).name != NULL; ++i)
        if (choice.refusal == NULL)
            ib_json_string(json, NULL, choice.name);
    ib_json_close(json, ']');
}

/* What the option table says about a value. */
static void write_value(ib_json *json, const char *key, const ib_option *option) {
    ib_json_open(json, key, '{');
    ib_json_string(json, "description", option->help);
    switch (option->kind) {
    case IB_OPTION_INT:
        ib_json_string(json, "type", "integer");
        ib_json_int(json, "minimum", (int64_t)option->minimum);
        ib_json_int(json, "maximum", (int64_t)option->maximum);
        break;
    case IB_OPTION_DOUBLE:
        ib_json_string(json, "type", "number");
        if (option->minimum > -1e30)
            ib_json_double(json, option->minimum_excluded ? "exclusiveMinimum" : "minimum",
                           option->minimum);
        if (option->maximum < 1e30)
            ib_json_double(json, option->maximum_excluded ? "exclusiveMaximum" : "maximum",
                           option->maximum);
        break;
    case IB_OPTION_MODEL:
        ib_json_open(json, "anyOf", '[');
        ib_json_open(json, NULL, '{');
        write_choices(json, option);
        ib_json_close(json, '}');
        ib_json_open(json, NULL, '{');
        ib_json_string(json, "type", "string");
        ib_json_string(json, "pattern", "/|\\.ya?ml$");
        ib_json_close(json, '}');
        ib_json_close(json, ']');
        break;
    case IB_OPTION_CHOICE:
    case IB_OPTION_NAME:
        if (option->others == NULL)
            write_choices(json, option);
        else
            ib_json_string(json, "type", "string");
        break;
    case IB_OPTION_NAME_OR_DOUBLE:
        ib_json_open(json, "anyOf", '[');
        ib_json_open(json, NULL, '{');
        ib_json_string(json, "type", "number");
        ib_json_close(json, '}');
        ib_json_open(json, NULL, '{');
        if (option->many)
            ib_json_string(json, "type", "string");
        else
            write_choices(json, option);
        ib_json_close(json, '}');
        ib_json_close(json, ']');
        break;
    case IB_OPTION_UINT64:
        ib_json_string(json, "type", "integer");
        break;
    case IB_OPTION_STRING:
    case IB_OPTION_FLAG:
        ib_json_string(json, "type", "string");
        break;
    }
    ib_json_close(json, '}');
}

/* Every option as key and value, or (lists) as key and a list of values. */
static void write_options(ib_json *json, int (*wanted)(const ib_option *option), int lists) {
    const ib_option *option;
    for (size_t i = 0; (option = ib_option_at(i)) != NULL; ++i) {
        if (!wanted(option))
            continue;
        if (!lists) {
            write_value(json, option->name, option);
            continue;
        }
        ib_json_open(json, option->name, '{');
        ib_json_string(json, "type", "array");
        ib_json_int(json, "minItems", 1);
        write_value(json, "items", option);
        ib_json_close(json, '}');
    }
}

static void begin_object(ib_json *json, const char *key) {
    ib_json_open(json, key, '{');
    ib_json_string(json, "type", "object");
    ib_json_bool(json, "additionalProperties", 0);
    ib_json_open(json, "properties", '{');
}

/* Keys that are neither one text nor a list of texts. */
static const struct {
    const char *key, *target;
    int is_list;
} SHAPES[] = {
    {"base", "#/$defs/options", 0},        {"set", "#/$defs/options", 0},
    {"grid", "#/$defs/grid", 0},           {"rows", "#/$defs/row", 1},
    {"seeds", "#/$defs/seeds", 0},         {"needs", "#/$defs/need", 1},
    {"published", "#/$defs/published", 1}, {"tables", "#/$defs/item", 1},
    {"figures", "#/$defs/item", 1},        {"override", "#/$defs/override", 1},
};

/* rows: of published: and tables: are other lists than the rows: of cells. */
static const char *shape_of(const char *key, int describes_cells, int *is_list) {
    if (describes_cells && strcmp(key, "cells") == 0) {
        *is_list = 1;
        return "#/$defs/group";
    }
    for (size_t i = 0; i < sizeof SHAPES / sizeof SHAPES[0]; ++i) {
        if (strcmp(SHAPES[i].key, key) != 0)
            continue;
        if (strcmp(key, "rows") == 0 && !describes_cells)
            return NULL;
        *is_list = SHAPES[i].is_list;
        return SHAPES[i].target;
    }
    return NULL;
}

static void write_kinds(ib_json *json, const char *key, const char *help) {
    const char *name;
    ib_json_open(json, key, '{');
    ib_json_string(json, "description", help);
    ib_json_open(json, "enum", '[');
    for (int kind = 0; (name = ib_report_kind_name((ib_report_kind)kind)) != NULL; ++kind)
        ib_json_string(json, NULL, name);
    ib_json_close(json, ']');
    ib_json_close(json, '}');
}

static void write_keys(ib_json *json, const ib_yaml_key *keys, int describes_cells) {
    for (; keys->name != NULL; ++keys) {
        int is_list = 0;
        const char *target = shape_of(keys->name, describes_cells, &is_list);
        if (target != NULL) {
            write_reference(json, keys->name, keys->help, target, is_list);
        } else if (strcmp(keys->name, "name") == 0) {
            write_name_pattern(json, "name", keys->help);
        } else if (strcmp(keys->name, "kind") == 0) {
            write_kinds(json, "kind", keys->help);
        } else {
            ib_json_open(json, keys->name, '{');
            ib_json_string(json, "description", keys->help);
            ib_json_string(json, "type",
                           (keys->kinds & IB_YAML_LIST) != 0  ? "array"
                           : (keys->kinds & IB_YAML_MAP) != 0 ? "object"
                                                              : "string");
            ib_json_close(json, '}');
        }
    }
}

static void end_object(ib_json *json, const ib_yaml_key *keys) {
    ib_json_close(json, '}');
    ib_json_open(json, "required", '[');
    for (; keys != NULL && keys->name != NULL; ++keys)
        if (keys->required)
            ib_json_string(json, NULL, keys->name);
    ib_json_close(json, ']');
    ib_json_close(json, '}');
}

static void write_mapping(ib_json *json, const char *key, const ib_yaml_key *keys,
                          int describes_cells) {
    begin_object(json, key);
    write_keys(json, keys, describes_cells);
    end_object(json, keys);
}

static void write_definitions(ib_json *json) {
    ib_json_open(json, "$defs", '{');
    begin_object(json, "options");
    write_options(json, ib_option_in_study, 0);
    end_object(json, NULL);
    begin_object(json, "grid");
    write_options(json, ib_option_in_grid, 1);
    end_object(json, NULL);
    begin_object(json, "row");
    write_keys(json, IB_ROW_KEYS, 1);
    write_options(json, ib_option_in_grid, 0);
    end_object(json, NULL);
    ib_json_open(json, "seeds", '{');
    ib_json_open(json, "type", '[');
    ib_json_string(json, NULL, "integer");
    ib_json_string(json, NULL, "array");
    ib_json_close(json, ']');
    ib_json_close(json, '}');
    ib_json_open(json, "need", '{');
    ib_json_open(json, "enum", '[');
    unsigned bit;
    for (size_t i = 0; ib_need_name(i, &bit) != NULL; ++i)
        ib_json_string(json, NULL, ib_need_name(i, &bit));
    ib_json_close(json, ']');
    ib_json_close(json, '}');
    write_mapping(json, "group", IB_GROUP_KEYS, 1);
    write_mapping(json, "override", IB_OVERRIDE_KEYS, 0);
    write_mapping(json, "published", IB_PUBLISHED_KEYS, 0);
    write_mapping(json, "item", IB_ITEM_KEYS, 0);
    write_mapping(json, "study", IB_STUDY_KEYS, 1);
    write_mapping(json, "extension", IB_EXTENSION_KEYS, 0);
    ib_json_close(json, '}');
}

ib_status ib_study_schema(FILE *out, ib_error *err) {
    ib_json json = {.out = out, .indent = 2};
    ib_json_open(&json, NULL, '{');
    ib_json_string(&json, "$schema", "https://json-schema.org/draft/2020-12/schema");
    ib_json_string(&json, "title", "isobit experiment file");
    ib_json_open(&json, "if", '{');
    ib_json_open(&json, "required", '[');
    ib_json_string(&json, NULL, "extends");
    ib_json_close(&json, ']');
    ib_json_close(&json, '}');
    write_reference(&json, "then", "changes another file", "#/$defs/extension", 0);
    write_reference(&json, "else", "a study of its own", "#/$defs/study", 0);
    write_definitions(&json);
    ib_json_close(&json, '}');
    fputc('\n', out);
    return ferror(out)
               ? ib_fail(err, IB_ERROR_RUNTIME, "cannot write the schema to standard output")
               : IB_OK;
}
