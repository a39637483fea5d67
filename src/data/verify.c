/* ib_dataset_verify: what lies in a data set's directory, one line a file. */
#include "data/dataset.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/prepare.h"

typedef struct tally {
    unsigned bad;      /* missing or damaged: prepare mends them */
    unsigned unlisted; /* only the user knows what they are */
} tally;

static ib_status verify_file(const ib_dataset_info *info, ib_file_role role, const char *directory,
                             FILE *report, tally *count, ib_error *err) {
    const char *name = ib_dataset_file_name(info, role);
    char *path = ib_path_join(directory, name);
    if (path == NULL)
        return ib_fail_memory(err);
    ib_error why = {0};
    ib_contents file;
    char found[IB_SHA256_HEX_SIZE];
    int missing = ib_path_is_missing(path);
    ib_status status =
        ib_contents_open(path, (size_t)ib_dataset_file_bytes(info, role), &file, &why);
    if (status == IB_OK)
        status = ib_dataset_check(info, role, path, file.data, file.size, found, &why);
    int is_memory = ib_error_is_memory(&why);
    if (is_memory)
        ib_fail_memory(err); /* nothing is known of it */
    else if (status == IB_OK)
        fprintf(report, "%s/%s: ok\n", info->name, name);
    else if (missing)
        fprintf(report, "%s/%s: missing\n", info->name, name);
    else
        fprintf(report, "%s/%s: damaged (%s)\n", info->name, name, ib_error_text(&why));
    count->bad += status != IB_OK;
    ib_error_clear(&why);
    ib_contents_close(&file);
    free(path);
    return is_memory ? IB_ERROR_RUNTIME : IB_OK;
}

/* By bytes, not by locale: the report is the same everywhere. */
static int compare_entries(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_listed(const ib_dataset_info *info, const char *entry) {
    for (int role = 0; role < IB_FILE_ROLES; ++role)
        if (strcmp(entry, ib_dataset_file_name(info, (ib_file_role)role)) == 0)
            return 1;
    return strcmp(entry, ".") == 0 || strcmp(entry, "..") == 0 ||
           (info->imported && strcmp(entry, IB_LOCK_NAME) == 0);
}

static ib_status verify_others(const ib_dataset_info *info, const char *directory, FILE *report,
                               tally *count, ib_error *err) {
    struct dirent **entries = NULL;
    int n = scandir(directory, &entries, NULL, compare_entries);
    if (n < 0 && errno == ENOENT)
        return IB_OK; /* every file has been counted as missing */
    if (n < 0)
        return ib_fail_errno(err, errno == ENOMEM ? IB_ERROR_RUNTIME : IB_ERROR_VERIFY, errno,
                             "cannot list %s", directory);
    for (int i = 0; i < n; ++i) {
        if (!is_listed(info, entries[i]->d_name)) {
            fprintf(report, "%s/%s: unlisted\n", info->name, entries[i]->d_name);
            ++count->unlisted;
        }
        free(entries[i]);
    }
    free(entries);
    return IB_OK;
}

static ib_status verify_described(const char *data_dir, const ib_dataset_info *info, FILE *report,
                                  ib_error *err) {
    const char *name = info->name;
    char *directory = ib_path_join(data_dir, name);
    if (directory == NULL)
        return ib_fail_memory(err);
    tally count = {0};
    ib_status status = IB_OK;
    for (int role = 0; status == IB_OK && role < IB_FILE_ROLES; ++role)
        status = verify_file(info, (ib_file_role)role, directory, report, &count, err);
    if (status == IB_OK)
        status = verify_others(info, directory, report, &count, err);
    if (status == IB_OK && (fflush(report) != 0 || ferror(report)))
        status = ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot write the report");
    if (status == IB_OK && count.bad > 0)
        status = ib_fail(err, IB_ERROR_VERIFY,
                         info->imported
                             ? "%s: %u of %d files missing or damaged, %u unlisted; put them back, "
                               "or remove the folder and import %s into %s again"
                             : "%s: %u of %d files missing or damaged, %u unlisted; to get them: "
                               "isobit data prepare --dataset %s --data-dir %s",
                         directory, count.bad, (int)IB_FILE_ROLES, count.unlisted, name, data_dir);
    else if (status == IB_OK && count.unlisted > 0)
        status = ib_fail(err, IB_ERROR_VERIFY,
                         "%s: %u entries that do not belong to the data set; move them away",
                         directory, count.unlisted);
    free(directory);
    return status;
}

ib_status ib_dataset_verify(const char *data_dir, const char *name, FILE *report, ib_error *err) {
    ib_dataset_description description;
    IB_TRY(ib_dataset_describe(data_dir, name, &description, err));
    ib_status status = verify_described(data_dir, description.info, report, err);
    ib_dataset_description_close(&description);
    return status;
}
