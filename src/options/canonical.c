#include "options/canonical.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/numerics_version.h"
#include "base/text_stream.h"

char *ib_option_key(const ib_option *option) {
    char *key = strdup(option->name);
    for (char *c = key; c != NULL && *c != '\0'; ++c)
        if (*c == '-')
            *c = '_';
    return key;
}

static const void *member(const ib_option *option, const ib_config *config) {
    return (const char *)config + option->offset;
}

const char *ib_option_choice_name(const ib_option *option, const ib_config *config) {
    if (option->kind == IB_OPTION_NAME)
        return *(char *const *)member(option, config);
    return ib_option_value_name(option, *(const int *)member(option, config));
}

void ib_option_write(const ib_option *option, const ib_config *config, const char *key,
                     ib_json *json) {
    const void *at = member(option, config);
    switch (option->kind) {
    case IB_OPTION_FLAG:
        ib_json_bool(json, key, *(const int *)at);
        break;
    case IB_OPTION_INT:
        ib_json_int(json, key, *(const int64_t *)at);
        break;
    case IB_OPTION_UINT64:
        ib_json_uint(json, key, *(const uint64_t *)at);
        break;
    case IB_OPTION_DOUBLE:
        ib_json_double(json, key, *(const double *)at);
        break;
    case IB_OPTION_MODEL:
        ib_json_string(json, key,
                       config->experiment.network_path != NULL
                           ? config->experiment.network_path
                           : ib_option_choice_name(option, config));
        break;
    case IB_OPTION_CHOICE:
    case IB_OPTION_NAME:
        ib_json_string(json, key, ib_option_choice_name(option, config));
        break;
    case IB_OPTION_NAME_OR_DOUBLE:
    case IB_OPTION_STRING:
        ib_json_string(json, key, *(char *const *)at);
        break;
    }
}

ib_status ib_config_write(const ib_config *config, unsigned commands, const char *key,
                          ib_json *json, ib_error *err) {
    const ib_option *option;
    ib_json_open(json, key, '{');
    for (size_t i = 0; (option = ib_option_at(i)) != NULL; ++i) {
        if ((option->commands & commands) == 0 || !ib_option_applies(option, &config->experiment))
            continue;
        char *name = ib_option_key(option);
        if (name == NULL)
            return ib_fail_memory(err);
        ib_option_write(option, config, name, json);
        free(name);
    }
    ib_json_close(json, '}');
    return IB_OK;
}

/* One member of the canonical object: an option, or one of the inputs (option NULL). */
typedef struct canonical_entry {
    char *key;
    const ib_option *option;
} canonical_entry;

static int by_key(const void *a, const void *b) {
    return strcmp(((const canonical_entry *)a)->key, ((const canonical_entry *)b)->key);
}

static const char *const EXTRA_KEYS[] = {"data", "data_sha256", "init_model_sha256", "network",
                                         "numerics"};
enum { EXTRAS = sizeof EXTRA_KEYS / sizeof EXTRA_KEYS[0] };

/* Users name what they import as they like; what enters the arithmetic is in the files and here. */
static void write_imported(const ib_dataset_info *info, const char *key, ib_json *json) {
    ib_json_open(json, key, '{');
    ib_json_uint(json, "classes", info->classes);
    ib_json_double(json, "mean", info->mean);
    ib_json_double(json, "standard_deviation", info->standard_deviation);
    ib_json_close(json, '}');
}

static void write_entry(const canonical_entry *entry, const ib_config *config,
                        const ib_experiment_inputs *inputs, ib_json *json) {
    const char *key = entry->key;
    if (entry->option != NULL && entry->option->kind == IB_OPTION_MODEL && inputs->model != NULL) {
        ib_json_string(json, key, inputs->model);
    } else if (entry->option != NULL && strcmp(key, "dataset") == 0 && inputs->imported != NULL) {
        ib_json_string(json, key, "imported");
    } else if (entry->option == NULL && strcmp(key, "data") == 0) {
        write_imported(inputs->imported, key, json);
    } else if (entry->option == NULL && strcmp(key, "network") == 0) {
        ib_json_string(json, key, inputs->network);
    } else if (entry->option == NULL && strcmp(key, "numerics") == 0) {
        ib_json_string(json, key, IB_NUMERICS_VERSION);
    } else if (entry->option == NULL && strcmp(key, "init_model_sha256") == 0) {
        ib_json_string(json, key, inputs->init_model_sha256);
    } else if (entry->option == NULL) {
        ib_json_open(json, key, '[');
        for (size_t i = 0; i < 4; ++i)
            ib_json_string(json, NULL, inputs->data_sha256[i]);
        ib_json_close(json, ']');
    } else if (strcmp(key, "train_size") == 0) {
        ib_json_uint(json, key, inputs->train_count);
    } else if (strcmp(key, "test_size") == 0) {
        ib_json_uint(json, key, inputs->test_count);
    } else {
        ib_option_write(entry->option, config, key, json);
    }
}

static int is_zero(const ib_option *option, const ib_config *config) {
    const void *at = member(option, config);
    switch (option->kind) {
    case IB_OPTION_FLAG:
    case IB_OPTION_CHOICE:
        return *(const int *)at == 0;
    case IB_OPTION_INT:
        return *(const int64_t *)at == 0;
    case IB_OPTION_DOUBLE:
        return *(const double *)at == 0;
    case IB_OPTION_STRING:
    case IB_OPTION_NAME_OR_DOUBLE:
        return *(char *const *)at == NULL;
    default:
        return 0;
    }
}

static ib_status write_canonical(const ib_config *config, const ib_experiment_inputs *inputs,
                                 canonical_entry *entries, size_t *count, FILE *out,
                                 ib_error *err) {
    const ib_option *option;
    for (size_t i = 0; (option = ib_option_at(i)) != NULL; ++i) {
        if (!ib_option_is_arithmetic(option) || !ib_option_applies(option, &config->experiment))
            continue;
        if (option->unsaid && is_zero(option, config))
            continue;
        entries[*count] = (canonical_entry){ib_option_key(option), option};
        if (entries[(*count)++].key == NULL)
            return ib_fail_memory(err);
    }
    for (size_t i = 0; i < EXTRAS; ++i) {
        if (strcmp(EXTRA_KEYS[i], "network") == 0 && inputs->network == NULL)
            continue; /* as before networks came as files */
        if (strcmp(EXTRA_KEYS[i], "data") == 0 && inputs->imported == NULL)
            continue; /* as before data sets could be imported */
        entries[*count] = (canonical_entry){strdup(EXTRA_KEYS[i]), NULL};
        if (entries[(*count)++].key == NULL)
            return ib_fail_memory(err);
    }
    qsort(entries, *count, sizeof entries[0], by_key);
    ib_json json = {.out = out};
    ib_json_open(&json, NULL, '{');
    for (size_t i = 0; i < *count; ++i)
        write_entry(&entries[i], config, inputs, &json);
    ib_json_close(&json, '}');
    return IB_OK;
}

ib_status ib_canonical(const ib_config *config, const ib_experiment_inputs *inputs, char **text,
                       char hex[IB_SHA256_HEX_SIZE], ib_error *err) {
    *text = NULL;
    hex[0] = '\0';
    ib_text_stream out;
    IB_TRY(ib_text_open(&out, err));
    canonical_entry entries[IB_MAX_OPTIONS + EXTRAS];
    size_t count = 0;
    ib_status status = write_canonical(config, inputs, entries, &count, out.stream, err);
    for (size_t i = 0; i < count; ++i)
        free(entries[i].key);
    if (status == IB_OK)
        status = ib_text_close(&out, err);
    else
        ib_text_abort(&out);
    if (status != IB_OK)
        return status;
    ib_sha256_bytes(out.data, out.size, hex);
    *text = out.data;
    return IB_OK;
}
