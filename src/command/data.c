/* isobit data: get, check and describe data sets. */
#include "command/command.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/number.h"
#include "data/dataset.h"

static void show(const ib_dataset_info *info, const char *data_dir, FILE *out) {
    char mean[IB_DOUBLE_TEXT], deviation[IB_DOUBLE_TEXT];
    ib_print_double(info->mean, mean);
    ib_print_double(info->standard_deviation, deviation);
    fprintf(out, "%s: mean %s, standard deviation %s, %s\n", info->name, mean, deviation,
            info->mirrors == NULL ? "drawn by isobit itself" : "downloaded");
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

ib_status ib_command_data(ib_arguments *arguments, const ib_command_context *context,
                          ib_error *err) {
    const ib_config *config = &arguments->config;
    const char *verb = arguments->words[0];
    if (strcmp(verb, "prepare") == 0) {
        IB_TRY(ib_dataset_prepare(config->data.dir, config->experiment.dataset, config->data.mirror,
                                  context->log, err));
        fprintf(context->out, "%s is ready in %s\n", config->experiment.dataset, config->data.dir);
        return IB_OK;
    }
    if (strcmp(verb, "verify") == 0)
        return ib_dataset_verify(config->data.dir, config->experiment.dataset, context->out, err);
    const ib_dataset_info *info;
    int all = ib_arguments_source(arguments, "dataset") == IB_FROM_DEFAULT;
    for (size_t i = 0; (info = ib_dataset_at(i)) != NULL; ++i)
        if (all || strcmp(info->name, config->experiment.dataset) == 0)
            show(info, config->data.dir, context->out);
    return IB_OK;
}
