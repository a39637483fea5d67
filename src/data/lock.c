#include "data/lock.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_value.h"

struct ib_dataset_lock {
    ib_dataset_info info; /* its texts are the document's */
    char *name;
    const char **class_names;
    json_t *document;
};

static const char LETTERS[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

int ib_is_dataset_name(const char *name) {
    size_t length = strlen(name);
    if (length == 0 || length > IB_LOCK_MOST_NAME || strspn(name, LETTERS) == 0)
        return 0;
    for (size_t i = 0; i < length; ++i)
        if (strchr(LETTERS, name[i]) == NULL && strchr("._-", name[i]) == NULL)
            return 0;
    return 1;
}

const char *ib_dataset_lock_file_name(ib_image_shape image, unsigned label_bytes,
                                      ib_file_role role) {
    static const char *const IMAGES[2][2] = {
        {"train-images-idx3-ubyte", "t10k-images-idx3-ubyte"},
        {"train-images-idx4-ubyte", "t10k-images-idx4-ubyte"},
    };
    static const char *const LABELS[2][2] = {
        {"train-labels-idx1-ubyte", "t10k-labels-idx1-ubyte"},
        {"train-labels-idx1-short", "t10k-labels-idx1-short"},
    };
    int test = role >= IB_TEST_IMAGES;
    return ib_is_image_role(role) ? IMAGES[image.channels > 1][test]
                                  : LABELS[label_bytes > 1][test];
}

ib_status ib_dataset_fail_unknown(const char *data_dir, const char *name, ib_error *err) {
    char *names = ib_format("%s", "");
    const ib_dataset_info *info;
    for (size_t i = 0; names != NULL && (info = ib_dataset_at(i)) != NULL; ++i) {
        char *longer = ib_format("%s%s%s", names, i > 0 ? ", " : "", info->name);
        free(names);
        names = longer;
    }
    ib_status status =
        names == NULL ? ib_fail_memory(err)
                      : ib_fail(err, IB_ERROR_USAGE,
                                "no data set is called '%s'; there are %s, and what isobit data "
                                "import has put into %s",
                                name, names, data_dir);
    free(names);
    return status;
}

/* ---- reading ------------------------------------------------------------------------------------
 */

static ib_status refuse(const char *file, const char *what, ib_error *err) {
    return ib_fail(err, IB_ERROR_VERIFY,
                   "%s: %s: the file was changed; take it from where it was committed, or import "
                   "the data set again",
                   file, what);
}

/* document.key, a whole number from least to most. */
static int number_at(const json_t *object, const char *key, uint32_t least, uint32_t most,
                     uint32_t *number) {
    const json_t *value = json_object_get(object, key);
    json_int_t found = json_integer_value(value);
    if (!json_is_integer(value) || found < (json_int_t)least || found > (json_int_t)most)
        return 0;
    *number = (uint32_t)found;
    return 1;
}

static int fraction_at(const json_t *object, const char *key, double *number) {
    *number = json_number_value(json_object_get(object, key));
    return *number >= 0 && *number <= 1;
}

static int take_class_names(ib_dataset_lock *lock) {
    const json_t *names = json_object_get(lock->document, "class_names");
    if (json_is_null(names))
        return 1;
    if (json_array_size(names) != lock->info.classes)
        return 0;
    for (uint32_t i = 0; i < lock->info.classes; ++i) {
        const char *name = json_string_value(json_array_get(names, i));
        if (name == NULL || name[0] == '\0' || strlen(name) > IB_LOCK_MOST_CLASS_NAME)
            return 0;
        lock->class_names[i] = name;
    }
    lock->info.class_names = lock->class_names;
    return 1;
}

static int take_files(ib_dataset_lock *lock) {
    ib_dataset_info *info = &lock->info;
    const json_t *files = json_object_get(lock->document, "files");
    if (json_array_size(files) != IB_FILE_ROLES)
        return 0;
    for (int role = 0; role < IB_FILE_ROLES; ++role) {
        const json_t *file = json_array_get(files, (size_t)role);
        const char *name = json_string_value(json_object_get(file, "name"));
        const char *sha256 = json_string_value(json_object_get(file, "sha256"));
        const json_t *bytes = json_object_get(file, "bytes");
        info->files[role] = ib_dataset_lock_file_name(info->image, ib_dataset_label_bytes(info),
                                                      (ib_file_role)role);
        if (name == NULL || strcmp(name, info->files[role]) != 0 || sha256 == NULL ||
            strlen(sha256) != 64 || strspn(sha256, "0123456789abcdef") != 64 ||
            !json_is_integer(bytes) ||
            (uint64_t)json_integer_value(bytes) != ib_dataset_file_bytes(info, (ib_file_role)role))
            return 0;
        info->sha256[role] = sha256;
    }
    return 1;
}

static ib_status take_members(const char *file, ib_dataset_lock *lock, ib_error *err) {
    ib_dataset_info *info = &lock->info;
    const json_t *json = lock->document;
    uint32_t format;
    if (!number_at(json, "format", 1, UINT32_MAX, &format))
        return refuse(file, "it has no format number", err);
    if (format != IB_LOCK_FORMAT)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: format %u, but this version reads format %d: use a newer isobit", file,
                       format, (int)IB_LOCK_FORMAT);
    if (!number_at(json, "height", 1, IB_LOCK_MOST_SIDE, &info->image.height) ||
        !number_at(json, "width", 1, IB_LOCK_MOST_SIDE, &info->image.width) ||
        !number_at(json, "channels", 1, IB_LOCK_MOST_CHANNELS, &info->image.channels))
        return refuse(file, "height, width or channels are not those of images", err);
    if (!number_at(json, "classes", 2, IB_MOST_CLASSES, &info->classes) ||
        !number_at(json, "train_count", 1, IB_LOCK_MOST_IMAGES, &info->train_count) ||
        !number_at(json, "test_count", 1, IB_LOCK_MOST_IMAGES, &info->test_count))
        return refuse(file, "classes, train_count or test_count are not possible", err);
    if (!fraction_at(json, "mean", &info->mean) ||
        !fraction_at(json, "standard_deviation", &info->standard_deviation) ||
        info->standard_deviation <= 0)
        return refuse(file, "mean or standard_deviation are not those of pixels", err);
    lock->class_names = calloc(info->classes, sizeof *lock->class_names);
    if (lock->class_names == NULL)
        return ib_fail_memory(err);
    if (!take_class_names(lock))
        return refuse(file, "class_names are neither null nor a name for each class", err);
    if (!take_files(lock))
        return refuse(file, "files does not name the four files of such images", err);
    return IB_OK;
}

ib_status ib_dataset_lock_parse(const char *file, const char *text, size_t size, const char *name,
                                ib_dataset_lock **lock, ib_error *err) {
    ib_json_problem problem;
    *lock = NULL;
    ib_dataset_lock *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL)
        return ib_fail_memory(err);
    fresh->name = strdup(name);
    ib_status status = fresh->name == NULL
                           ? ib_fail_memory(err)
                           : ib_json_parse(text, size, &fresh->document, &problem, err);
    if (status == IB_OK && fresh->document == NULL)
        status = ib_fail(err, IB_ERROR_VERIFY, "%s: line %zu: no JSON: %s", file, problem.line,
                         problem.text);
    fresh->info.name = fresh->name;
    fresh->info.imported = 1;
    if (status == IB_OK)
        status = take_members(file, fresh, err);
    if (status == IB_OK)
        *lock = fresh;
    else
        ib_dataset_lock_free(fresh);
    return status;
}

const ib_dataset_info *ib_dataset_lock_info(const ib_dataset_lock *lock) {
    return &lock->info;
}

void ib_dataset_lock_free(ib_dataset_lock *lock) {
    if (lock == NULL)
        return;
    json_decref(lock->document);
    free(lock->class_names);
    free(lock->name);
    free(lock);
}

static ib_status read_lock(const char *path, const char *data_dir, const char *name,
                           ib_dataset_lock **lock, ib_error *err) {
    char *text = NULL;
    size_t size = 0;
    if (ib_path_is_missing(path))
        return ib_dataset_fail_unknown(data_dir, name, err);
    ib_status status = ib_read_file(path, IB_LOCK_MOST_BYTES, &text, &size, err);
    if (status == IB_OK)
        status = ib_dataset_lock_parse(path, text, size, name, lock, err);
    free(text);
    return status;
}

ib_status ib_dataset_describe(const char *data_dir, const char *name,
                              ib_dataset_description *description, ib_error *err) {
    *description = (ib_dataset_description){.info = ib_dataset_find(name)};
    if (description->info != NULL)
        return IB_OK;
    if (!ib_is_dataset_name(name))
        return ib_dataset_fail_unknown(data_dir, name, err);
    char *path = ib_format("%s/%s/%s", data_dir, name, IB_LOCK_NAME);
    if (path == NULL)
        return ib_fail_memory(err);
    ib_status status = read_lock(path, data_dir, name, &description->lock, err);
    free(path);
    if (status == IB_OK)
        description->info = ib_dataset_lock_info(description->lock);
    return status;
}

void ib_dataset_description_close(ib_dataset_description *description) {
    ib_dataset_lock_free(description->lock);
    *description = (ib_dataset_description){0};
}
