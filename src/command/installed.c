#include "command/installed.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "build_info.h"

/* *path, in fresh memory, stays NULL where the file is there as it was named, or is not installed
 * either: then whoever reads it says that it is missing. */
static ib_status find(const char *named, char **path, ib_error *err) {
    *path = NULL;
    if (strncmp(named, "experiments/", strlen("experiments/")) != 0 || ib_path_exists(named))
        return IB_OK;
    char *program = realpath("/proc/self/exe", NULL);
    if (program == NULL)
        return IB_OK;
    int folder = (int)(strrchr(program, '/') - program);
    char *joined = ib_format("%.*s/" IB_SHARE_FROM_PROGRAM "/%s", folder, program, named);
    if (joined != NULL)
        *path = realpath(joined, NULL);
    free(program);
    free(joined);
    return joined == NULL ? ib_fail_memory(err) : IB_OK;
}

ib_status ib_find_installed(ib_arguments *arguments, char **found, ib_error *err) {
    char **table = &arguments->config.pricing.table, *prices = NULL;
    *found = NULL;
    if (*table != NULL)
        IB_TRY(find(*table, &prices, err));
    if (prices != NULL) {
        free(*table);
        *table = prices;
    }
    if ((arguments->command->bit & (IB_FOR_EXPERIMENT | IB_FOR_SWEEP | IB_FOR_REPORT)) == 0)
        return IB_OK;
    for (size_t i = 0; i < arguments->word_count && *found == NULL; ++i) {
        IB_TRY(find(arguments->words[i], found, err));
        if (*found != NULL)
            arguments->words[i] = *found;
    }
    return IB_OK;
}
