#include "data/dataset.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "data/idx.h"
#include "data/prepare.h"

ib_status ib_dataset_fail_unknown(const char *name, ib_error *err) {
    char *names = ib_format("%s", "");
    const ib_dataset_info *info;
    for (size_t i = 0; names != NULL && (info = ib_dataset_at(i)) != NULL; ++i) {
        char *longer = ib_format("%s%s%s", names, i > 0 ? ", " : "", info->name);
        free(names);
        names = longer;
    }
    ib_status status =
        names == NULL
            ? ib_fail_memory(err)
            : ib_fail(err, IB_ERROR_USAGE, "no data set is called '%s'; there are %s", name, names);
    free(names);
    return status;
}

ib_status ib_dataset_check(const ib_dataset_info *info, ib_file_role role, const char *file,
                           const uint8_t *data, size_t size, char found[IB_SHA256_HEX_SIZE],
                           ib_error *err) {
    found[0] = '\0';
    if (size != ib_dataset_file_bytes(info, role))
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: %zu bytes of content, but %s/%s has %" PRIu64 " (sha256 wanted %s)",
                       file, size, info->name, ib_dataset_file_name(info, role),
                       ib_dataset_file_bytes(info, role), info->sha256[role]);
    ib_sha256_bytes(data, size, found);
    if (strcmp(found, info->sha256[role]) != 0)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: not the content of %s/%s: sha256 wanted %s, found %s", file, info->name,
                       ib_dataset_file_name(info, role), info->sha256[role], found);
    return IB_OK;
}

static ib_status open_file(const char *directory, ib_dataset *dataset, ib_file_role role,
                           uint32_t *count, ib_error *err) {
    char *path = ib_path_join(directory, ib_dataset_file_name(dataset->info, role));
    if (path == NULL)
        return ib_fail_memory(err);
    int missing = ib_path_is_missing(path);
    ib_map *map = &dataset->files[role];
    ib_status status = ib_map_file(path, map, err);
    if (status != IB_OK && missing)
        status = ib_fail(err, IB_ERROR_VERIFY, "%s is missing", path);
    if (status == IB_OK)
        status = ib_dataset_check(dataset->info, role, path, map->data, map->size,
                                  dataset->sha256[role], err);
    if (status == IB_OK) {
        ib_idx idx;
        status = ib_idx_parse(path, map->data, map->size, dataset->info,
                              ib_is_image_role(role) ? IB_IDX_IMAGES : IB_IDX_LABELS, &idx, err);
        dataset->values[role] = idx.values;
        *count = idx.count;
    }
    free(path);
    return status;
}

static ib_status open_files(const char *directory, ib_dataset *dataset, ib_error *err) {
    uint32_t counts[IB_FILE_ROLES];
    for (int role = 0; role < IB_FILE_ROLES; ++role)
        IB_TRY(open_file(directory, dataset, (ib_file_role)role, &counts[role], err));
    /* pinned content cannot disagree; this guards the catalogue itself */
    if (counts[IB_TRAIN_IMAGES] != counts[IB_TRAIN_LABELS] ||
        counts[IB_TEST_IMAGES] != counts[IB_TEST_LABELS])
        return ib_fail(err, IB_ERROR_VERIFY, "%s: not as many labels as images", directory);
    dataset->train_count = counts[IB_TRAIN_IMAGES];
    dataset->test_count = counts[IB_TEST_IMAGES];
    return IB_OK;
}

ib_status ib_dataset_open(const char *data_dir, const char *name, ib_dataset *dataset,
                          ib_error *err) {
    const ib_dataset_info *info = ib_dataset_find(name);
    *dataset = (ib_dataset){0};
    return info == NULL ? ib_dataset_fail_unknown(name, err)
                        : ib_dataset_open_described(data_dir, info, dataset, err);
}

ib_status ib_dataset_open_described(const char *data_dir, const ib_dataset_info *info,
                                    ib_dataset *dataset, ib_error *err) {
    *dataset = (ib_dataset){.info = info, .image_bytes = ib_image_bytes(info->image)};
    char *directory = ib_path_join(data_dir, info->name);
    if (directory == NULL)
        return ib_fail_memory(err);
    ib_status status = open_files(directory, dataset, err);
    free(directory);
    if (status == IB_OK)
        return IB_OK;
    ib_dataset_close(dataset);
    if (status == IB_ERROR_VERIFY && err != NULL) {
        char *problem = strdup(ib_error_text(err));
        status = problem == NULL
                     ? ib_fail_memory(err)
                     : ib_fail(err, IB_ERROR_VERIFY,
                               "%s; to get it: isobit data prepare --dataset %s --data-dir %s",
                               problem, info->name, data_dir);
        free(problem);
    }
    return status;
}

void ib_dataset_release_pixels(ib_dataset *dataset) {
    for (int role = 0; role < IB_FILE_ROLES; ++role) {
        ib_unmap(&dataset->files[role]);
        dataset->values[role] = NULL;
    }
}

void ib_dataset_close(ib_dataset *dataset) {
    ib_dataset_release_pixels(dataset);
    *dataset = (ib_dataset){0};
}

const uint8_t *ib_dataset_pixels(const ib_dataset *dataset, size_t index) {
    int test = index >= dataset->train_count;
    size_t at = test ? index - dataset->train_count : index;
    return dataset->values[test ? IB_TEST_IMAGES : IB_TRAIN_IMAGES] + at * dataset->image_bytes;
}

unsigned ib_dataset_label(const ib_dataset *dataset, size_t index) {
    int test = index >= dataset->train_count;
    size_t at = test ? index - dataset->train_count : index;
    return dataset->values[test ? IB_TEST_LABELS : IB_TRAIN_LABELS][at] -
           dataset->info->first_label;
}

ib_status ib_dataset_labels(const ib_dataset *dataset, uint16_t **labels, ib_error *err) {
    size_t count = dataset->train_count + dataset->test_count;
    *labels = malloc((count + 1) * sizeof **labels);
    if (*labels == NULL)
        return ib_fail_memory(err);
    for (size_t i = 0; i < count; ++i)
        (*labels)[i] = (uint16_t)ib_dataset_label(dataset, i);
    return IB_OK;
}
