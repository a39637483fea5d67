#include "record/recorded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/number.h"
#include "base/numerics_version.h"
#include "base/sha256.h"
#include "options/canonical.h"
#include "record/record_file.h"
#include "record/record_read.h"

char *ib_recorded_text(const json_t *value) {
    char number[IB_DOUBLE_TEXT];
    if (json_is_string(value))
        return strdup(json_string_value(value));
    if (json_is_integer(value))
        return ib_format("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    if (!json_is_real(value))
        return NULL;
    ib_print_double(json_real_value(value), number);
    return strdup(number);
}

static ib_status adopt_value(const ib_option *option, const json_t *value, const char *path,
                             ib_config *config, ib_error *err) {
    if (option->kind == IB_OPTION_FLAG && json_is_boolean(value)) {
        *(int *)(void *)((char *)config + option->offset) = json_is_true(value);
        return IB_OK;
    }
    if (json_is_null(value)) /* a text that was not given */
        return IB_OK;
    char *text = ib_recorded_text(value);
    if (text == NULL)
        return ib_fail(err, IB_ERROR_VERIFY, "%s: the configuration lacks '%s'", path,
                       option->name);
    ib_status status = ib_option_set(option, text, option->name, config, err);
    free(text);
    if (status != IB_OK) {
        ib_fail_context(err, "%s", path);
        return ib_fail(err, IB_ERROR_VERIFY, "%s", ib_error_text(err));
    }
    return IB_OK;
}

static const json_t *value_of(const ib_option *option, const json_t *object) {
    char *key = ib_option_key(option);
    const json_t *value = key == NULL ? NULL : json_object_get(object, key);
    free(key);
    return value;
}

ib_status ib_adopt_option(const char *name, const json_t *configuration, const char *path,
                          ib_arguments *arguments, ib_error *err) {
    const ib_option *option = ib_option_find(name, strlen(name));
    if (arguments->sources[ib_option_index(option)] != IB_FROM_DEFAULT)
        return IB_OK;
    return adopt_value(option, value_of(option, configuration), path, &arguments->config, err);
}

ib_status ib_adopt_options(const json_t *configuration, const char *path, ib_arguments *arguments,
                           ib_error *err) {
    const ib_option *option;
    for (size_t i = 0; (option = ib_option_at(i)) != NULL; ++i)
        if ((option->from_record & arguments->command->bit) != 0 &&
            ib_option_applies(option, &arguments->config.experiment))
            IB_TRY(ib_adopt_option(option->name, configuration, path, arguments, err));
    return IB_OK;
}

/* The option's value as the canonical form has it; fresh memory. */
static char *written(const ib_option *option, const ib_config *config) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL)
        return NULL;
    ib_json json = {.out = out};
    ib_option_write(option, config, NULL, &json);
    fclose(out);
    return text;
}

static ib_status adopt_arithmetic(const ib_option *option, const json_t *canonical,
                                  const char *path, const char *const *changeable,
                                  ib_arguments *arguments, ib_error *err) {
    int given = arguments->sources[ib_option_index(option)] == IB_FROM_FLAG;
    const json_t *value = value_of(option, canonical);
    if (given && changeable != NULL && ib_is_listed(changeable, option->name))
        return IB_OK;
    char *before = given ? written(option, &arguments->config) : NULL;
    ib_status status = IB_OK;
    if (value != NULL)
        status = adopt_value(option, value, path, &arguments->config, err);
    char *after = given ? written(option, &arguments->config) : NULL;
    if (status == IB_OK && given &&
        (value == NULL || before == NULL || after == NULL || strcmp(before, after) != 0))
        status = ib_fail(err, IB_ERROR_USAGE,
                         "--%s %s: the run was begun with %s, which decides its bits: leave the "
                         "option out, or start another run",
                         option->name, before != NULL ? before : "",
                         value == NULL || after == NULL ? "none" : after);
    free(before);
    free(after);
    return status;
}

static ib_status check_canonical(const char *text, const char *experiment_sha256, const char *path,
                                 json_t **canonical, ib_error *err) {
    char hex[IB_SHA256_HEX_SIZE];
    json_error_t why;
    if (text == NULL || experiment_sha256 == NULL)
        return ib_fail(
            err, IB_ERROR_VERIFY,
            "%s has no canonical configuration or experiment_sha256: it is no run record", path);
    ib_sha256_bytes(text, strlen(text), hex);
    if (strcmp(hex, experiment_sha256) != 0)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: the canonical configuration has SHA-256 %s, but experiment_sha256 is "
                       "%s: the record was changed",
                       path, hex, experiment_sha256);
    *canonical = ib_json_parse(text, strlen(text), &why);
    const char *numerics = ib_json_text_at(*canonical, "numerics", NULL);
    if (numerics == NULL)
        return ib_fail(err, IB_ERROR_VERIFY, "%s: the canonical configuration is not JSON", path);
    if (strcmp(numerics, IB_NUMERICS_VERSION) != 0)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s was made by NUMERICS %s, this program computes by NUMERICS %s: use a "
                       "program of that version",
                       path, numerics, IB_NUMERICS_VERSION);
    return IB_OK;
}

ib_status ib_adopt_experiment(const json_t *record, const char *path, const char *const *changeable,
                              ib_arguments *arguments, const char **experiment_sha256,
                              ib_error *err) {
    json_t *canonical = NULL;
    *experiment_sha256 = ib_json_text_at(record, "experiment_sha256", NULL);
    ib_status status = check_canonical(ib_json_text_at(record, "canonical", NULL),
                                       *experiment_sha256, path, &canonical, err);
    const ib_option *option;
    for (size_t i = 0; status == IB_OK && (option = ib_option_at(i)) != NULL; ++i)
        if (ib_option_is_arithmetic(option))
            status = adopt_arithmetic(option, canonical, path, changeable, arguments, err);
    json_decref(canonical);
    return status;
}

/* <directory of path>/run.json; fresh memory. */
static char *record_beside(const char *path) {
    const char *slash = strrchr(path, '/');
    return ib_format("%.*srun.json", slash == NULL ? 0 : (int)(slash - path) + 1, path);
}

/* *record NULL: none beside the model that has results. */
static ib_status read_beside(const char *model_path, const char *path, const char *sha256,
                             json_t **record, ib_error *err) {
    char *directory = strndup(path, strlen(path) - strlen("run.json"));
    *record = NULL;
    ib_status status = directory == NULL
                           ? ib_fail_memory(err)
                           : ib_record_read(directory[0] == '\0' ? "." : directory, record, err);
    free(directory);
    const char *recorded = ib_json_text_at(*record, "results", "model_sha256");
    if (recorded == NULL) {
        json_decref(*record);
        *record = NULL;
    } else if (status == IB_OK && strcmp(recorded, sha256) != 0) {
        status = ib_fail(err, IB_ERROR_VERIFY,
                         "%s has SHA-256 %s, but the model of %s has %s: this is another file, or "
                         "it was changed after the run; move it elsewhere to use it all the same",
                         model_path, sha256, path, recorded);
    }
    return status;
}

ib_status ib_check_beside(const char *model_path, const char *sha256, ib_error *err) {
    json_t *record = NULL;
    char *path = record_beside(model_path);
    ib_status status =
        path == NULL ? ib_fail_memory(err) : read_beside(model_path, path, sha256, &record, err);
    json_decref(record);
    free(path);
    return status;
}

ib_status ib_adopt_beside(const char *model_path, const char *sha256, ib_arguments *arguments,
                          FILE *log, int *adopted, ib_error *err) {
    json_t *record = NULL;
    char *path = record_beside(model_path);
    ib_status status =
        path == NULL ? ib_fail_memory(err) : read_beside(model_path, path, sha256, &record, err);
    const json_t *configuration = json_object_get(record, "configuration");
    if (status == IB_OK && configuration != NULL) {
        status = ib_adopt_options(configuration, path, arguments, err);
        if (status == IB_OK && !arguments->config.output.json)
            fprintf(log, "options not given are taken from %s\n", path);
    }
    if (adopted != NULL)
        *adopted = status == IB_OK && configuration != NULL;
    json_decref(record);
    free(path);
    return status;
}
