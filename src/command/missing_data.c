#include "command/missing_data.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "data/prepare.h"

/* Whether a file of the set is not there. */
static ib_status look(const char *directory, const ib_dataset_info *info, int *missing,
                      ib_error *err) {
    *missing = 0;
    for (int role = 0; role < IB_FILE_ROLES && !*missing; ++role) {
        char *path = ib_path_join(directory, ib_dataset_file_name(info, (ib_file_role)role));
        if (path == NULL)
            return ib_fail_memory(err);
        *missing = ib_path_is_missing(path);
        free(path);
    }
    return IB_OK;
}

static ib_status get(const char *data_dir, const char *directory, const ib_dataset_info *info,
                     const ib_command_context *context, ib_error *err) {
    const char *mirror =
        context->environment == NULL ? NULL : context->environment("ISOBIT_MIRROR");
    int has_dir = !ib_path_is_missing(data_dir), has_folder = !ib_path_is_missing(directory);
    ib_error why = {0};
    ib_status status = ib_prepare_files(info, data_dir, mirror, context->log, &why);
    int is_memory = ib_error_is_memory(&why);
    if (status != IB_OK && !is_memory)
        fprintf(context->log, "%s is not there, and could not be had: %s\n", info->name,
                ib_error_text(&why));
    ib_error_clear(&why);
    if (status != IB_OK && !has_folder)
        rmdir(directory); /* stays where a file has come */
    if (status != IB_OK && !has_dir)
        rmdir(data_dir);
    return is_memory ? ib_fail_memory(err) : IB_OK;
}

ib_status ib_get_missing_set(const char *data_dir, const char *name, const ib_config *config,
                             const ib_command_context *context, ib_error *err) {
    const ib_dataset_info *info = ib_dataset_find(name);
    int missing = 0;
    if (info == NULL || config->data.no_download)
        return IB_OK;
    char *directory = ib_path_join(data_dir, name);
    if (directory == NULL)
        return ib_fail_memory(err);
    ib_status status = look(directory, info, &missing, err);
    if (status == IB_OK && missing)
        status = get(data_dir, directory, info, context, err);
    free(directory);
    return status;
}

ib_status ib_get_missing_data(const ib_config *config, const ib_command_context *context,
                              ib_error *err) {
    return ib_get_missing_set(config->data.dir, config->experiment.dataset, config, context, err);
}
