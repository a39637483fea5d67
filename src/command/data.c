/* isobit data: get, check and describe data sets. */
#include "command/command.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/number.h"
#include "command/data_show.h"
#include "data/dataset.h"
#include "data/import/import.h"

static void show(const ib_dataset_info *info, const char *data_dir, FILE *out) {
    char mean[IB_DOUBLE_TEXT], deviation[IB_DOUBLE_TEXT];
    ib_print_double(info->mean, mean);
    ib_print_double(info->standard_deviation, deviation);
    fprintf(out, "%s: mean %s, standard deviation %s, %s\n", info->name, mean, deviation,
            info->imported          ? "imported"
            : info->mirrors == NULL ? "drawn by isobit itself"
                                    : "downloaded");
    for (size_t i = 0; info->mirrors != NULL && info->mirrors[i] != NULL; ++i)
        fprintf(out, "  mirror %s\n", info->mirrors[i]);
    char *directory = ib_path_join(data_dir, info->name);
    for (int role = 0; role < IB_FILE_ROLES; ++role) {
        const char *name = ib_dataset_file_name(info, (ib_file_role)role);
        char *path = directory == NULL ? NULL : ib_path_join(directory, name);
        fprintf(out, "  %-24s %9llu bytes  sha256 %s  %s\n", name,
                (unsigned long long)ib_dataset_file_bytes(info, (ib_file_role)role),
                info->sha256[role], path != NULL && ib_path_exists(path) ? "present" : "absent");
        free(path);
    }
    free(directory);
}

/* Whether its files are there, whatever is in them. */
static int has_all(const ib_dataset_info *info, const char *data_dir) {
    int all = 1;
    for (int role = 0; role < IB_FILE_ROLES; ++role) {
        char *path = ib_format("%s/%s/%s", data_dir, info->name,
                               ib_dataset_file_name(info, (ib_file_role)role));
        all = all && path != NULL && ib_path_exists(path);
        free(path);
    }
    return all;
}

static ib_status show_one(const ib_config *config, FILE *out, ib_error *err) {
    ib_dataset_description data;
    IB_TRY(ib_dataset_describe(config->data.dir, config->experiment.dataset, &data, err));
    show(data.info, config->data.dir, out);
    int all = has_all(data.info, config->data.dir);
    ib_dataset_description_close(&data);
    if (!all && config->output.file == NULL)
        return IB_OK;
    ib_dataset dataset;
    IB_TRY(ib_dataset_open(config->data.dir, config->experiment.dataset, &dataset, err));
    ib_status status = ib_show_images(&dataset, out, err);
    if (status == IB_OK && config->output.file != NULL)
        status = ib_write_contact_sheet(&dataset, config->output.file, err);
    ib_dataset_close(&dataset);
    return status;
}

static ib_status import(const ib_arguments *arguments, FILE *log, ib_error *err) {
    const ib_config *config = &arguments->config;
    ib_import_options options = {.name = config->import.name,
                                 .transpose = config->import.transpose,
                                 .test_share = config->import.test_share};
    if (arguments->word_count < 2)
        return ib_fail(err, IB_ERROR_USAGE,
                       "isobit data import needs what to import: isobit data import PATH --name "
                       "NAME");
    if (options.name == NULL)
        return ib_fail(err, IB_ERROR_USAGE,
                       "isobit data import needs --name NAME: what the data set is to be called");
    if (config->import.resize != NULL)
        IB_TRY(ib_import_parse_size("--resize", config->import.resize, options.resize, err));
    if (config->import.size != NULL)
        IB_TRY(ib_import_parse_size("--size", config->import.size, options.size, err));
    return ib_dataset_import(config->data.dir, arguments->words + 1, arguments->word_count - 1,
                             &options, log, err);
}

ib_status ib_command_data(ib_arguments *arguments, const ib_command_context *context,
                          ib_error *err) {
    const ib_config *config = &arguments->config;
    const char *verb = arguments->words[0];
    if (strcmp(verb, "import") == 0)
        return import(arguments, context->out, err);
    if (arguments->word_count > 1)
        return ib_fail(err, IB_ERROR_USAGE, "isobit data %s: unexpected argument '%s'", verb,
                       arguments->words[1]);
    if (strcmp(verb, "prepare") == 0) {
        IB_TRY(ib_dataset_prepare(config->data.dir, config->experiment.dataset, config->data.mirror,
                                  context->log, err));
        fprintf(context->out, "%s is ready in %s\n", config->experiment.dataset, config->data.dir);
        return IB_OK;
    }
    if (strcmp(verb, "verify") == 0)
        return ib_dataset_verify(config->data.dir, config->experiment.dataset, context->out, err);
    const ib_dataset_info *info;
    if (ib_arguments_source(arguments, "dataset") == IB_FROM_FLAG)
        return show_one(config, context->out, err);
    if (config->output.file != NULL)
        return ib_fail(err, IB_ERROR_USAGE, "isobit data show -o needs --dataset: of which images");
    for (size_t i = 0; (info = ib_dataset_at(i)) != NULL; ++i)
        show(info, config->data.dir, context->out);
    return IB_OK;
}
