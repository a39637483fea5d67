#include "record/recorded.h"
#include "options/network_option.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/number.h"
#include "base/numerics_version.h"
#include "base/text_stream.h"
#include "data/pixel_table.h"
#include "options/canonical.h"

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
    if (!json_is_string(value) && !json_is_number(value))
        return ib_fail(err, IB_ERROR_VERIFY, "%s: the configuration lacks '%s'", path,
                       option->name);
    char *text = ib_recorded_text(value);
    ib_error why = {0};
    ib_status status = text == NULL ? ib_fail_memory(&why)
                                    : ib_option_set(option, text, option->name, config, &why);
    free(text);
    if (status != IB_OK) /* whatever a value is that no option has: the record was changed */
        status = ib_error_is_memory(&why)
                     ? ib_fail_memory(err)
                     : ib_fail(err, IB_ERROR_VERIFY, "%s: %s", path, ib_error_text(&why));
    ib_error_clear(&why);
    return status;
}

/* Keys have an option's name with "_" for "-". */
static int is_key_of(const ib_option *option, const char *key) {
    const char *name = option->name;
    while (*key != '\0' && *key == (*name == '-' ? '_' : *name))
        ++key, ++name;
    return *key == '\0' && *name == '\0';
}

/* Nothing is allocated, so that NULL means that there is none. */
static const json_t *value_of(const ib_option *option, const json_t *object) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        if (is_key_of(option, key))
            return value;
    }
    return NULL;
}

const json_t *ib_recorded_option(const json_t *configuration, const char *name) {
    return value_of(ib_option_find(name, strlen(name)), configuration);
}

ib_status ib_adopt_option(const char *name, const json_t *configuration, const char *path,
                          ib_arguments *arguments, ib_error *err) {
    const ib_option *option = ib_option_find(name, strlen(name));
    if (arguments->sources[ib_option_index(option)] != IB_FROM_DEFAULT)
        return IB_OK;
    return adopt_value(option, value_of(option, configuration), path, &arguments->config, err);
}

ib_status ib_adopt_options(const json_t *configuration, const char *path, unsigned command,
                           ib_arguments *arguments, ib_error *err) {
    const ib_option *option;
    for (size_t i = 0; (option = ib_option_at(i)) != NULL; ++i)
        if ((option->from_record & command) != 0 &&
            ib_option_applies(option, &arguments->config.experiment))
            IB_TRY(ib_adopt_option(option->name, configuration, path, arguments, err));
    return IB_OK;
}

/* The option's value as the canonical form has it; fresh memory, NULL: out of it. */
static char *written(const ib_option *option, const ib_config *config) {
    ib_text_stream text;
    if (ib_text_open(&text, NULL) != IB_OK)
        return NULL;
    ib_json json = {.out = text.stream};
    ib_option_write(option, config, NULL, &json);
    return ib_text_close(&text, NULL) == IB_OK ? text.data : NULL;
}

/* Of an imported set the canonical form has the content; its name is in the configuration. */
static const json_t *named_in(const ib_run *run, const ib_option *option) {
    int imported =
        strcmp(option->name, "dataset") == 0 && json_object_get(run->canonical, "data") != NULL;
    return imported ? run->configuration : run->canonical;
}

ib_status ib_adopt_network(const ib_run *run, ib_config *config, ib_error *err) {
    const char *network = ib_json_text_at(run->canonical, "network");
    const ib_option *option = ib_option_find("dataset", strlen("dataset"));
    const char *dataset = ib_json_text_at(named_in(run, option), "dataset");
    size_t head = dataset != NULL ? strlen(dataset) + 1 : 0;
    if (network == NULL)
        return IB_OK;
    if (run->experiment == NULL || strlen(run->experiment) <= head)
        return ib_fail(err, IB_ERROR_VERIFY, "%s/run.json does not say what its network is called",
                       run->directory);
    const char *name = run->experiment + head; /* "lenet5" of "mnist-lenet5" */
    char *text = ib_format("{name: %s, rows: %s}", name, network);
    char *path = ib_path_join(run->directory, "run.json");
    ib_status status = text == NULL || path == NULL
                           ? ib_fail_memory(err)
                           : ib_config_set_network(config, name, path, text, err);
    free(text);
    free(path);
    return status;
}

static ib_status adopt_arithmetic(const ib_option *option, const ib_run *run,
                                  const char *const *changeable, ib_arguments *arguments,
                                  ib_error *err) {
    int given = arguments->sources[ib_option_index(option)] == IB_FROM_FLAG;
    const json_t *value = value_of(option, named_in(run, option));
    const char *path = run->directory;
    if (option->kind == IB_OPTION_MODEL && ib_json_text_at(run->canonical, "network") != NULL)
        return given ? IB_OK /* whether it is the same, its canonical form tells */
                     : ib_adopt_network(run, &arguments->config, err);
    if (given && changeable != NULL && ib_is_listed(changeable, option->name))
        return IB_OK;
    char *before = given ? written(option, &arguments->config) : NULL;
    ib_status status = IB_OK;
    if (value != NULL)
        status = adopt_value(option, value, path, &arguments->config, err);
    char *after = given ? written(option, &arguments->config) : NULL;
    if (status == IB_OK && given && (before == NULL || after == NULL))
        status = ib_fail_memory(err);
    if (status == IB_OK && given && (value == NULL || strcmp(before, after) != 0))
        status = ib_fail(err, IB_ERROR_USAGE,
                         "--%s %s: the run was begun with %s, which decides its bits: leave the "
                         "option out, or start another run",
                         option->name, before, value == NULL ? "none" : after);
    free(before);
    free(after);
    return status;
}

ib_status ib_adopt_experiment(const ib_run *run, const char *const *changeable,
                              ib_arguments *arguments, ib_error *err) {
    const char *numerics = ib_json_text_at(run->canonical, "numerics");
    if (numerics == NULL || run->experiment_sha256 == NULL)
        return ib_fail(
            err, IB_ERROR_VERIFY,
            "%s has no canonical configuration or experiment_sha256: it is no run record",
            run->directory);
    if (strcmp(numerics, IB_NUMERICS_VERSION) != 0)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s was made by NUMERICS %s, this program computes by NUMERICS %s: use a "
                       "program of that version",
                       run->directory, numerics, IB_NUMERICS_VERSION);
    const ib_option *option;
    for (size_t i = 0; (option = ib_option_at(i)) != NULL; ++i)
        if (ib_option_is_arithmetic(option))
            IB_TRY(adopt_arithmetic(option, run, changeable, arguments, err));
    return IB_OK;
}

/* The table beside a model whose record names one is the one that it names. */
static ib_status check_table(const ib_run *run, const char *model_path, ib_error *err) {
    const char *recorded = ib_json_text_at(json_object_get(run->files, IB_TABLE_NAME), "sha256");
    char hex[IB_SHA256_HEX_SIZE];
    ib_contents contents = {0};
    if (recorded == NULL)
        return IB_OK;
    char *path = ib_pixel_table_path(model_path);
    ib_status status = IB_OK;
    if (path == NULL)
        status = ib_fail_memory(err);
    else if (ib_path_is_missing(path))
        status = ib_fail(err, IB_ERROR_VERIFY, "%s is missing, but run.json names it", path);
    else
        status = ib_contents_open(path, IB_RECORDED_MOST, &contents, err);
    if (status == IB_OK)
        ib_sha256_bytes(contents.data, contents.size, hex);
    if (status == IB_OK && strcmp(hex, recorded) != 0)
        status = ib_fail(err, IB_ERROR_VERIFY, "%s has SHA-256 %s, but run.json records %s", path,
                         hex, recorded);
    ib_contents_close(&contents);
    free(path);
    return status;
}

/* The record beside a model, *found where it has results: then the model must be the one that it
 * says. The caller closes *run, also after a failure. */
static ib_status read_beside(const char *model_path, const char *sha256, ib_run *run, int *found,
                             ib_error *err) {
    const char *slash = strrchr(model_path, '/');
    char *directory =
        slash == NULL ? strdup(".") : strndup(model_path, (size_t)(slash - model_path) + 1);
    *run = (ib_run){0};
    ib_status status = directory == NULL ? ib_fail_memory(err) : ib_run_read(directory, run, err);
    *found = status == IB_OK && run->model_sha256 != NULL;
    if (*found && strcmp(run->model_sha256, sha256) != 0)
        status = ib_fail(err, IB_ERROR_VERIFY,
                         "%s has SHA-256 %s, but the model of %s/run.json has %s: this is another "
                         "file, or it was changed after the run; move it elsewhere to use it all "
                         "the same",
                         model_path, sha256, run->directory, run->model_sha256);
    else if (*found)
        status = check_table(run, model_path, err);
    free(directory);
    return status;
}

ib_status ib_check_beside(const char *model_path, const char *sha256, ib_error *err) {
    ib_run run;
    int found;
    ib_status status = read_beside(model_path, sha256, &run, &found, err);
    ib_run_close(&run);
    return status;
}

ib_status ib_adopt_beside(const char *model_path, const char *sha256, unsigned command,
                          ib_arguments *arguments, FILE *log, int *adopted, ib_error *err) {
    ib_run run;
    int found;
    ib_status status = read_beside(model_path, sha256, &run, &found, err);
    found = found && run.configuration != NULL;
    char *path = status == IB_OK && found ? ib_path_join(run.directory, "run.json") : NULL;
    if (status == IB_OK && found)
        status = path == NULL ? ib_fail_memory(err)
                              : ib_adopt_options(run.configuration, path, command, arguments, err);
    if (status == IB_OK && found && ib_arguments_source(arguments, "model") == IB_FROM_DEFAULT)
        status = ib_adopt_network(&run, &arguments->config, err);
    if (status == IB_OK && found && log != NULL && !arguments->config.output.json)
        fprintf(log, "options not given are taken from %s\n", path);
    if (adopted != NULL)
        *adopted = status == IB_OK && found;
    ib_run_close(&run);
    free(path);
    return status;
}
