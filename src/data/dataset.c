#include "data/dataset.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "data/idx.h"
#include "data/prepare.h"

/* Whether the hash found is the pinned one. */
static ib_status compare_hash(const ib_dataset_info *info, ib_file_role role, const char *file,
                              const char *found, ib_error *err) {
    if (strcmp(found, info->sha256[role]) == 0)
        return IB_OK;
    return ib_fail(err, IB_ERROR_VERIFY, "%s: not the content of %s/%s: sha256 wanted %s, found %s",
                   file, info->name, ib_dataset_file_name(info, role), info->sha256[role], found);
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
    return compare_hash(info, role, file, found, err);
}

/* A file of another size than the data set's is not read. */
static ib_status check_size(const ib_dataset *dataset, ib_file_role role, const char *path,
                            ib_error *err) {
    char found[IB_SHA256_HEX_SIZE];
    size_t size;
    int fd;
    IB_TRY(ib_open_input(path, SIZE_MAX, &fd, &size, err));
    close(fd);
    if (size == ib_dataset_file_bytes(dataset->info, role))
        return IB_OK;
    return ib_dataset_check(dataset->info, role, path, NULL, size, found, err);
}

static ib_status open_whole(ib_dataset *dataset, ib_file_role role, const char *path,
                            ib_error *err) {
    ib_contents *file = &dataset->files[role];
    IB_TRY(ib_contents_open(path, SIZE_MAX / 4, file, err));
    return ib_dataset_check(dataset->info, role, path, file->data, file->size,
                            dataset->sha256[role], err);
}

/* Images stay in the file; the two parts share the memory by their sizes. */
static ib_status open_blocks(ib_dataset *dataset, ib_file_role role, const char *path,
                             size_t memory, ib_error *err) {
    const ib_dataset_info *info = dataset->info;
    uint64_t size = ib_dataset_file_bytes(info, role);
    double both = (double)ib_dataset_file_bytes(info, IB_TRAIN_IMAGES) +
                  (double)ib_dataset_file_bytes(info, IB_TEST_IMAGES);
    size_t share = (size_t)((double)memory * ((double)size / both));
    char *found = dataset->sha256[role];
    IB_TRY(ib_blocks_open(path, (size_t)size, share, found, &dataset->blocks[role], err));
    return compare_hash(info, role, path, found, err);
}

static ib_status open_file(const char *directory, ib_dataset *dataset, ib_file_role role,
                           size_t memory, uint32_t *count, ib_error *err) {
    char *path = ib_path_join(directory, ib_dataset_file_name(dataset->info, role));
    if (path == NULL)
        return ib_fail_memory(err);
    int in_blocks = ib_is_image_role(role) && memory > 0;
    ib_status status = check_size(dataset, role, path, err);
    if (status == IB_OK)
        status = in_blocks ? open_blocks(dataset, role, path, memory, err)
                           : open_whole(dataset, role, path, err);
    if (status != IB_OK && ib_path_is_missing(path))
        status = ib_fail(err, IB_ERROR_VERIFY, "%s is missing", path);
    if (status == IB_OK) {
        const uint8_t *data =
            in_blocks ? ib_blocks_base(dataset->blocks[role]) : dataset->files[role].data;
        ib_idx idx;
        status = ib_idx_parse(path, data, (size_t)ib_dataset_file_bytes(dataset->info, role),
                              dataset->info, ib_is_image_role(role) ? IB_IDX_IMAGES : IB_IDX_LABELS,
                              &idx, err);
        dataset->values[role] = idx.values;
        *count = idx.count;
    }
    free(path);
    return status;
}

/* memory 0: all images in memory. */
static ib_status open_files(const char *directory, ib_dataset *dataset, size_t memory,
                            ib_error *err) {
    uint32_t counts[IB_FILE_ROLES];
    for (int role = 0; role < IB_FILE_ROLES; ++role)
        IB_TRY(open_file(directory, dataset, (ib_file_role)role, memory, &counts[role], err));
    /* pinned content cannot disagree; this guards the catalogue itself */
    if (counts[IB_TRAIN_IMAGES] != counts[IB_TRAIN_LABELS] ||
        counts[IB_TEST_IMAGES] != counts[IB_TEST_LABELS])
        return ib_fail(err, IB_ERROR_VERIFY, "%s: not as many labels as images", directory);
    dataset->train_count = counts[IB_TRAIN_IMAGES];
    dataset->test_count = counts[IB_TEST_IMAGES];
    return IB_OK;
}

static ib_status open_described(const char *data_dir, const ib_dataset_info *info,
                                size_t memory_bytes, ib_dataset *dataset, ib_error *err) {
    *dataset = (ib_dataset){.info = info, .image_bytes = ib_image_bytes(info->image)};
    uint64_t images =
        ib_dataset_file_bytes(info, IB_TRAIN_IMAGES) + ib_dataset_file_bytes(info, IB_TEST_IMAGES);
    char *directory = ib_path_join(data_dir, info->name);
    if (directory == NULL)
        return ib_fail_memory(err);
    size_t within = images <= memory_bytes ? 0 : memory_bytes > 0 ? memory_bytes : 1;
    ib_status status = open_files(directory, dataset, within, err);
    free(directory);
    if (status == IB_OK)
        return IB_OK;
    ib_dataset_close(dataset);
    if (status == IB_ERROR_VERIFY && err != NULL) {
        char *problem = strdup(ib_error_text(err));
        status = problem == NULL ? ib_fail_memory(err)
                 : info->imported
                     ? ib_fail(err, IB_ERROR_VERIFY,
                               "%s; the set was imported: put its files back, or remove %s/%s and "
                               "import it again",
                               problem, data_dir, info->name)
                     : ib_fail(err, IB_ERROR_VERIFY,
                               "%s; to get it: isobit data prepare --dataset %s --data-dir %s",
                               problem, info->name, data_dir);
        free(problem);
    }
    return status;
}

ib_status ib_dataset_open(const char *data_dir, const char *name, ib_dataset *dataset,
                          ib_error *err) {
    return ib_dataset_open_within(data_dir, name, SIZE_MAX, dataset, err);
}

ib_status ib_dataset_open_within(const char *data_dir, const char *name, size_t memory_bytes,
                                 ib_dataset *dataset, ib_error *err) {
    ib_dataset_description description;
    *dataset = (ib_dataset){0};
    ib_status status = ib_dataset_describe(data_dir, name, &description, err);
    if (status == IB_OK)
        status = open_described(data_dir, description.info, memory_bytes, dataset, err);
    if (status == IB_OK)
        dataset->lock = description.lock;
    else
        ib_dataset_description_close(&description);
    return status;
}

ib_status ib_dataset_open_described(const char *data_dir, const ib_dataset_info *info,
                                    ib_dataset *dataset, ib_error *err) {
    return open_described(data_dir, info, SIZE_MAX, dataset, err);
}

void ib_dataset_release_pixels(ib_dataset *dataset) {
    for (int role = 0; role < IB_FILE_ROLES; ++role) {
        ib_contents_close(&dataset->files[role]);
        ib_blocks_close(dataset->blocks[role]);
        dataset->blocks[role] = NULL;
        dataset->values[role] = NULL;
    }
}

void ib_dataset_close(ib_dataset *dataset) {
    ib_dataset_release_pixels(dataset);
    ib_dataset_lock_free(dataset->lock);
    *dataset = (ib_dataset){0};
}

ib_status ib_dataset_hold(const ib_dataset *dataset, const uint32_t *indices, size_t count,
                          ib_error *err) {
    ib_blocks *const parts[] = {dataset->blocks[IB_TRAIN_IMAGES], dataset->blocks[IB_TEST_IMAGES]};
    if (parts[0] == NULL || parts[1] == NULL)
        return IB_OK;
    ib_blocks_turn(parts[0]);
    ib_blocks_turn(parts[1]);
    for (size_t i = 0; i < count; ++i) {
        ib_blocks *part = parts[indices[i] >= dataset->train_count];
        size_t offset = (size_t)(ib_dataset_pixels(dataset, indices[i]) - ib_blocks_base(part));
        IB_TRY(ib_blocks_hold(part, offset, dataset->image_bytes, err));
    }
    return IB_OK;
}

size_t ib_dataset_hold_most(const ib_dataset *dataset) {
    if (dataset->blocks[IB_TRAIN_IMAGES] == NULL || dataset->blocks[IB_TEST_IMAGES] == NULL)
        return SIZE_MAX;
    size_t a = ib_blocks_capacity(dataset->blocks[IB_TRAIN_IMAGES], dataset->image_bytes);
    size_t b = ib_blocks_capacity(dataset->blocks[IB_TEST_IMAGES], dataset->image_bytes);
    return a < b ? a : b;
}

const uint8_t *ib_dataset_pixels(const ib_dataset *dataset, size_t index) {
    int test = index >= dataset->train_count;
    size_t at = test ? index - dataset->train_count : index;
    return dataset->values[test ? IB_TEST_IMAGES : IB_TRAIN_IMAGES] + at * dataset->image_bytes;
}

unsigned ib_dataset_label(const ib_dataset *dataset, size_t index) {
    int test = index >= dataset->train_count;
    size_t at = test ? index - dataset->train_count : index;
    const uint8_t *labels = dataset->values[test ? IB_TEST_LABELS : IB_TRAIN_LABELS];
    return ib_idx_label(labels, ib_dataset_label_bytes(dataset->info), at) -
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
