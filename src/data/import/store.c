#include "data/import/store.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json_text.h"
#include "base/sha256.h"
#include "data/idx.h"
#include "data/import/source.h"
#include "data/lock.h"

/* What the lock file says of one idx file. */
typedef struct stored {
    const char *name;
    uint64_t bytes;
    char sha256[IB_SHA256_HEX_SIZE];
} stored;

/* What is there may be a data set, or what one is to be made of, which must not be written over. */
static ib_status check_empty(const char *path, ib_error *err) {
    ib_import_names names;
    ib_status status = ib_import_names_of(path, &names, err);
    if (status == IB_OK && names.count > 0)
        status = ib_fail(err, IB_ERROR_USAGE,
                         "%s is there already, with %s in it: choose another --name, or remove it",
                         path, names.items[0]);
    ib_import_names_free(&names);
    return status;
}

ib_status ib_import_check_place(const char *data_dir, const char *name, ib_error *err) {
    if (!ib_is_dataset_name(name))
        return ib_fail(err, IB_ERROR_USAGE,
                       "--name: '%s' is not valid: give 1 to %d letters, digits, '.', '_' and '-', "
                       "the first a letter or a digit",
                       name, (int)IB_LOCK_MOST_NAME);
    if (ib_dataset_find(name) != NULL)
        return ib_fail(err, IB_ERROR_USAGE,
                       "--name: %s is a data set that isobit knows: choose another name", name);
    char *path = ib_path_join(data_dir, name);
    if (path == NULL)
        return ib_fail_memory(err);
    ib_status status = ib_path_is_missing(path) ? IB_OK : check_empty(path, err);
    free(path);
    return status;
}

/* ---- idx files ----------------------------------------------------------------------------------
 */

static void put(FILE *out, ib_sha256 *hash, stored *file, const void *data, size_t size) {
    fwrite(data, 1, size, out); /* the commit looks for errors */
    ib_sha256_update(hash, data, size);
    file->bytes += size;
}

static void put_labels(FILE *out, ib_sha256 *hash, stored *file, const ib_import_set *set,
                       ib_import_part part, unsigned label_bytes) {
    for (size_t i = 0; i < set->counts[part]; ++i) {
        unsigned label = set->labels[set->order[part][i]];
        const uint8_t bytes[2] = {(uint8_t)(label >> 8), (uint8_t)label};
        put(out, hash, file, bytes + (2 - label_bytes), label_bytes);
    }
}

static ib_status write_idx(const ib_folder *folder, const ib_import_set *set, ib_file_role role,
                           unsigned label_bytes, stored *file, ib_error *err) {
    uint8_t header[IB_IDX_MOST_HEADER];
    ib_atomic_file out;
    ib_sha256 hash;
    ib_import_part part = role >= IB_TEST_IMAGES ? IB_PART_TEST : IB_PART_TRAIN;
    size_t each = ib_image_bytes(set->image), count = set->counts[part];
    ib_idx_kind kind = ib_is_image_role(role) ? IB_IDX_IMAGES
                       : label_bytes > 1      ? IB_IDX_WIDE_LABELS
                                              : IB_IDX_LABELS;
    *file = (stored){.name = ib_dataset_lock_file_name(set->image, label_bytes, role)};
    IB_TRY(ib_atomic_open_in(&out, folder, file->name, err));
    ib_sha256_begin(&hash);
    put(out.stream, &hash, file, header,
        ib_idx_write_header(header, set->image, kind, (uint32_t)count));
    if (kind != IB_IDX_IMAGES)
        put_labels(out.stream, &hash, file, set, part, label_bytes);
    for (size_t i = 0; kind == IB_IDX_IMAGES && i < count; ++i)
        put(out.stream, &hash, file, set->pixels + set->order[part][i] * each, each);
    ib_sha256_end_hex(&hash, file->sha256);
    return ib_atomic_commit(&out, err);
}

/* ---- the lock file ------------------------------------------------------------------------------
 */

static void write_size(ib_json *json, const char *key, const uint32_t size[2]) {
    if (size[0] == 0)
        return;
    ib_json_open(json, key, '[');
    ib_json_uint(json, NULL, size[0]);
    ib_json_uint(json, NULL, size[1]);
    ib_json_close(json, ']');
}

static void write_origin(ib_json *json, const ib_import_set *set, const ib_import_origin *origin) {
    const ib_import_options *options = set->options;
    ib_json_open(json, "made_from", '{');
    ib_json_string(json, "format", origin->format);
    ib_json_open(json, "paths", '[');
    for (size_t i = 0; i < origin->count; ++i)
        ib_json_string(json, NULL, origin->paths[i]);
    ib_json_close(json, ']');
    ib_json_bool(json, "transposed", options->transpose);
    write_size(json, "resized", options->resize);
    write_size(json, "size", options->size);
    if (options->test_share > 0)
        ib_json_double(json, "test_share", options->test_share);
    ib_json_uint(json, "first_label", set->first_label);
    ib_json_close(json, '}');
}

static void write_members(ib_json *json, const ib_import_set *set, const ib_import_origin *origin,
                          const stored files[IB_FILE_ROLES]) {
    ib_json_open(json, NULL, '{');
    ib_json_uint(json, "format", IB_LOCK_FORMAT);
    ib_json_string(json, "name", set->options->name);
    ib_json_uint(json, "height", set->image.height);
    ib_json_uint(json, "width", set->image.width);
    ib_json_uint(json, "channels", set->image.channels);
    ib_json_uint(json, "classes", set->class_count);
    if (set->class_names == NULL) {
        ib_json_string(json, "class_names", NULL);
    } else {
        ib_json_open(json, "class_names", '[');
        for (size_t i = 0; i < set->class_count; ++i)
            ib_json_string(json, NULL, set->class_names[i]);
        ib_json_close(json, ']');
    }
    ib_json_uint(json, "train_count", set->counts[IB_PART_TRAIN]);
    ib_json_uint(json, "test_count", set->counts[IB_PART_TEST]);
    ib_json_double(json, "mean", set->mean);
    ib_json_double(json, "standard_deviation", set->deviation);
    ib_json_open(json, "files", '[');
    for (int role = 0; role < IB_FILE_ROLES; ++role) {
        ib_json_open(json, NULL, '{');
        ib_json_string(json, "name", files[role].name);
        ib_json_uint(json, "bytes", files[role].bytes);
        ib_json_string(json, "sha256", files[role].sha256);
        ib_json_close(json, '}');
    }
    ib_json_close(json, ']');
    write_origin(json, set, origin);
    ib_json_close(json, '}');
}

static ib_status write_lock(const ib_folder *folder, const ib_import_set *set,
                            const ib_import_origin *origin, const stored files[IB_FILE_ROLES],
                            ib_error *err) {
    ib_atomic_file out;
    IB_TRY(ib_atomic_open_in(&out, folder, IB_LOCK_NAME, err));
    ib_json json = {.out = out.stream, .indent = 2};
    write_members(&json, set, origin, files);
    fputc('\n', out.stream);
    return ib_atomic_commit(&out, err);
}

/* ---- the folder ---------------------------------------------------------------------------------
 */

static ib_status fill(const ib_folder *folder, const ib_import_set *set,
                      const ib_import_origin *origin, ib_error *err) {
    stored files[IB_FILE_ROLES];
    unsigned label_bytes =
        ib_dataset_label_bytes(&(ib_dataset_info){.classes = (uint32_t)set->class_count});
    ib_status status = IB_OK;
    for (int role = 0; status == IB_OK && role < IB_FILE_ROLES; ++role)
        status = write_idx(folder, set, (ib_file_role)role, label_bytes, &files[role], err);
    if (status == IB_OK)
        status = write_lock(folder, set, origin, files, err);
    for (int role = 0; status != IB_OK && role < IB_FILE_ROLES; ++role)
        unlinkat(folder->fd, ib_dataset_lock_file_name(set->image, label_bytes, (ib_file_role)role),
                 0);
    if (status != IB_OK)
        unlinkat(folder->fd, IB_LOCK_NAME, 0);
    return status;
}

ib_status ib_import_store(const char *data_dir, const ib_import_set *set,
                          const ib_import_origin *origin, ib_error *err) {
    ib_folder folder;
    char *path = ib_path_join(data_dir, set->options->name);
    if (path == NULL)
        return ib_fail_memory(err);
    int is_new = ib_path_is_missing(path), is_first = ib_path_is_missing(data_dir);
    ib_status status = ib_make_directories(path, err);
    if (status == IB_OK)
        status = ib_folder_open(path, &folder, err);
    if (status == IB_OK) {
        status = fill(&folder, set, origin, err);
        ib_folder_close(&folder);
    }
    if (status != IB_OK && is_new)
        rmdir(path);
    if (status != IB_OK && is_first)
        rmdir(data_dir);
    free(path);
    return status;
}
