#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "tensor/safetensors.h"

enum { LENGTH_BYTES = 8, ALIGNMENT = 8 };

/* What is about to be written: tensors in file order, the header as it stands in the file. */
struct image {
    const ib_named_tensor **ordered;
    size_t count;
    char *header; /* LENGTH_BYTES, JSON, padding */
    size_t header_size;
};

static void image_close(struct image *image) {
    free(image->ordered);
    free(image->header);
    *image = (struct image){0};
}

/* The bytes of a tensor's data. Only for tensors that check_tensor has passed. */
static size_t data_size(const ib_named_tensor *tensor) {
    return (size_t)ib_shape_elements(&tensor->shape) * ib_dtype_size(tensor->dtype);
}

static ib_status check_tensor(const ib_named_tensor *tensor, ib_error *err) {
    if (tensor->name == NULL || tensor->name[0] == '\0')
        return ib_fail(err, IB_ERROR_USAGE, "a tensor to be saved has no name");
    if (strcmp(tensor->name, "__metadata__") == 0)
        return ib_fail(err, IB_ERROR_USAGE, "a tensor must not be named __metadata__");
    size_t element = ib_dtype_size(tensor->dtype);
    if (element == 0)
        return ib_fail(err, IB_ERROR_USAGE, "tensor %s: unknown dtype %d", tensor->name,
                       (int)tensor->dtype);
    if (tensor->shape.rank < 0 || tensor->shape.rank > IB_MAX_RANK)
        return ib_fail(err, IB_ERROR_USAGE, "tensor %s: rank %d is not in 0..%d", tensor->name,
                       tensor->shape.rank, IB_MAX_RANK);
    int64_t elements = ib_shape_elements(&tensor->shape);
    int64_t bytes;
    if (elements < 0 || __builtin_mul_overflow(elements, (int64_t)element, &bytes))
        return ib_fail(err, IB_ERROR_USAGE, "tensor %s: meaningless shape", tensor->name);
    return IB_OK;
}

static int compare_tensors(const void *left, const void *right) {
    const ib_named_tensor *a = *(const ib_named_tensor *const *)left;
    const ib_named_tensor *b = *(const ib_named_tensor *const *)right;
    size_t a_size = ib_dtype_size(a->dtype);
    size_t b_size = ib_dtype_size(b->dtype);
    if (a_size != b_size)
        return a_size > b_size ? -1 : 1;
    return strcmp(a->name, b->name);
}

static int compare_names(const void *left, const void *right) {
    const ib_named_tensor *a = *(const ib_named_tensor *const *)left;
    const ib_named_tensor *b = *(const ib_named_tensor *const *)right;
    return strcmp(a->name, b->name);
}

/* Checks every tensor and puts pointers to them into file order. */
static ib_status order_tensors(struct image *image, const ib_named_tensor *tensors, size_t count,
                               ib_error *err) {
    image->ordered = calloc(count > 0 ? count : 1, sizeof *image->ordered);
    if (image->ordered == NULL)
        return ib_fail_memory(err);
    image->count = count;
    for (size_t i = 0; i < count; ++i) {
        IB_TRY(check_tensor(&tensors[i], err));
        image->ordered[i] = &tensors[i];
    }
    /* By name first: tensors of one name but two dtypes are not neighbours in file order. */
    qsort(image->ordered, count, sizeof *image->ordered, compare_names);
    for (size_t i = 1; i < count; ++i)
        if (strcmp(image->ordered[i - 1]->name, image->ordered[i]->name) == 0)
            return ib_fail(err, IB_ERROR_USAGE, "two tensors are named %s",
                           image->ordered[i]->name);
    qsort(image->ordered, count, sizeof *image->ordered, compare_tensors);
    return IB_OK;
}

/* A JSON string. jansson answers NULL both for text that is not UTF-8 and when memory runs out;
 * making the string unchecked in between tells one from the other. */
static ib_status json_text(const char *text, json_t **value, ib_error *err) {
    *value = json_string(text);
    if (*value != NULL)
        return IB_OK;
    json_t *unchecked = json_string_nocheck(text);
    if (unchecked == NULL)
        return ib_fail_memory(err);
    json_decref(unchecked);
    *value = json_string(text);
    if (*value != NULL)
        return IB_OK;
    return ib_fail(err, IB_ERROR_USAGE, "a name or text to be saved is not valid UTF-8");
}

static ib_status check_key(const char *key, ib_error *err) {
    json_t *value;
    IB_TRY(json_text(key, &value, err));
    json_decref(value);
    return IB_OK;
}

static ib_status add_metadata(json_t *root, const char *const (*metadata)[2], size_t count,
                              ib_error *err) {
    if (count == 0)
        return IB_OK;
    json_t *object = json_object();
    if (json_object_set_new(root, "__metadata__", object) != 0)
        return ib_fail_memory(err);
    for (size_t i = 0; i < count; ++i) {
        const char *key = metadata[i][0];
        IB_TRY(check_key(key, err));
        if (json_object_get(object, key) != NULL)
            return ib_fail(err, IB_ERROR_USAGE, "two metadata entries are named %s", key);
        json_t *value;
        IB_TRY(json_text(metadata[i][1], &value, err));
        if (json_object_set_new_nocheck(object, key, value) != 0)
            return ib_fail_memory(err);
    }
    return IB_OK;
}

static ib_status add_tensor(json_t *root, const ib_named_tensor *tensor, int64_t begin, int64_t end,
                            ib_error *err) {
    IB_TRY(check_key(tensor->name, err));
    json_t *shape = json_array();
    int failed = shape == NULL;
    for (int i = 0; i < tensor->shape.rank && !failed; ++i)
        failed = json_array_append_new(shape, json_integer(tensor->shape.extent[i])) != 0;
    if (failed) {
        json_decref(shape);
        return ib_fail_memory(err);
    }
    json_t *offsets = json_array();
    json_t *entry = json_object();
    /* The setters take the value over even when they fail, so each is called exactly once. */
    failed = json_object_set_new(entry, "dtype", json_string(ib_dtype_name(tensor->dtype))) != 0;
    failed |= json_object_set_new(entry, "shape", shape) != 0;
    failed |= json_array_append_new(offsets, json_integer(begin)) != 0;
    failed |= json_array_append_new(offsets, json_integer(end)) != 0;
    failed |= json_object_set_new(entry, "data_offsets", offsets) != 0;
    if (failed) {
        json_decref(entry);
        return ib_fail_memory(err);
    }
    if (json_object_set_new_nocheck(root, tensor->name, entry) != 0)
        return ib_fail_memory(err);
    return IB_OK;
}

static ib_status fill_header_object(json_t *root, const struct image *image,
                                    const char *const (*metadata)[2], size_t metadata_count,
                                    ib_error *err) {
    IB_TRY(add_metadata(root, metadata, metadata_count, err));
    int64_t begin = 0;
    for (size_t i = 0; i < image->count; ++i) {
        const ib_named_tensor *tensor = image->ordered[i];
        int64_t end;
        if (__builtin_add_overflow(begin, (int64_t)data_size(tensor), &end))
            return ib_fail(err, IB_ERROR_USAGE, "tensor %s: more than 2^63 bytes in all",
                           tensor->name);
        IB_TRY(add_tensor(root, tensor, begin, end, err));
        begin = end;
    }
    return IB_OK;
}

/* Turns the JSON object into the bytes at the start of the file. jansson keeps the order in which
 * members were added, and its compact form has one spelling for what is written here. */
static ib_status print_header(struct image *image, const json_t *root, ib_error *err) {
    size_t length = json_dumpb(root, NULL, 0, JSON_COMPACT);
    if (length == 0)
        return ib_fail_memory(err);
    size_t padded = (length + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (padded > IB_SAFETENSORS_MAX_HEADER)
        return ib_fail(err, IB_ERROR_USAGE, "a header of %zu bytes is over the format's limit",
                       padded);
    image->header_size = LENGTH_BYTES + padded;
    image->header = malloc(image->header_size);
    if (image->header == NULL)
        return ib_fail_memory(err);
    for (int i = 0; i < LENGTH_BYTES; ++i)
        image->header[i] = (char)((uint64_t)padded >> (8 * i) & 0xFF);
    if (json_dumpb(root, image->header + LENGTH_BYTES, padded, JSON_COMPACT) != length)
        return ib_fail_memory(err);
    memset(image->header + LENGTH_BYTES + length, ' ', padded - length);
    return IB_OK;
}

static ib_status image_open(struct image *image, const ib_named_tensor *tensors, size_t count,
                            const char *const (*metadata)[2], size_t metadata_count,
                            ib_error *err) {
    *image = (struct image){0};
    ib_status status = order_tensors(image, tensors, count, err);
    if (status == IB_OK) {
        json_t *root = json_object();
        if (root == NULL)
            status = ib_fail_memory(err);
        else
            status = fill_header_object(root, image, metadata, metadata_count, err);
        if (status == IB_OK)
            status = print_header(image, root, err);
        json_decref(root);
    }
    if (status != IB_OK)
        image_close(image);
    return status;
}

/* Where the bytes go: a file, a digest, or both; and where bytes come from that are not there. */
struct sink {
    const char *path;
    FILE *stream;
    ib_sha256 *hash;
    const ib_tensor_reader *reader; /* NULL: every tensor has its data */
    const ib_named_tensor *tensors; /* the caller's array */
};

static ib_status put(const struct sink *sink, const void *data, size_t size, ib_error *err) {
    if (size == 0)
        return IB_OK;
    if (sink->stream != NULL && fwrite(data, 1, size, sink->stream) != size)
        return ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot write %s", sink->path);
    if (sink->hash != NULL)
        ib_sha256_update(sink->hash, data, size);
    return IB_OK;
}

/* Memory of its own, given back at once: a run's resident memory must not keep it. */
static ib_status put_read(const struct sink *sink, const ib_named_tensor *tensor, ib_error *err) {
    size_t size = data_size(tensor);
    ib_arena arena;
    IB_TRY(ib_arena_open(size, &arena, err));
    ib_status status = sink->reader->read(sink->reader->context, (size_t)(tensor - sink->tensors),
                                          arena.base, err);
    if (status == IB_OK)
        status = put(sink, arena.base, size, err);
    ib_arena_close(&arena);
    return status;
}

static ib_status put_image(const struct sink *sink, const struct image *image, ib_error *err) {
    IB_TRY(put(sink, image->header, image->header_size, err));
    for (size_t i = 0; i < image->count; ++i) {
        const ib_named_tensor *tensor = image->ordered[i];
        if (tensor->data == NULL && sink->reader != NULL)
            IB_TRY(put_read(sink, tensor, err));
        else
            IB_TRY(put(sink, tensor->data, data_size(tensor), err));
    }
    return IB_OK;
}

static ib_status write_image(const ib_folder *folder, const char *path, const struct image *image,
                             struct sink sink, ib_error *err) {
    ib_atomic_file file;
    IB_TRY(ib_atomic_open_in(&file, folder, path, err));
    sink.path = file.path;
    sink.stream = file.stream;
    ib_status status = put_image(&sink, image, err);
    if (status != IB_OK) {
        ib_atomic_abort(&file);
        return status;
    }
    return ib_atomic_commit(&file, err);
}

static ib_status write_or_hash(const ib_folder *folder, const char *path,
                               const ib_named_tensor *tensors, size_t count,
                               const char *const (*metadata)[2], size_t metadata_count,
                               const ib_tensor_reader *reader, char *hex, ib_error *err) {
    struct image image;
    if (hex != NULL)
        hex[0] = '\0';
    IB_TRY(image_open(&image, tensors, count, metadata, metadata_count, err));
    for (size_t i = 0; reader == NULL && i < count; ++i)
        if (tensors[i].data == NULL && data_size(&tensors[i]) > 0) {
            image_close(&image);
            return ib_fail(err, IB_ERROR_USAGE, "tensor %s has no data", tensors[i].name);
        }
    ib_sha256 hash;
    struct sink sink = {.reader = reader, .tensors = tensors, .hash = hex == NULL ? NULL : &hash};
    ib_sha256_begin(&hash);
    ib_status status =
        path == NULL ? put_image(&sink, &image, err) : write_image(folder, path, &image, sink, err);
    if (hex != NULL && status == IB_OK)
        ib_sha256_end_hex(&hash, hex);
    image_close(&image);
    return status;
}

ib_status ib_safetensors_write_in(const ib_folder *folder, const char *path,
                                  const ib_named_tensor *tensors, size_t count,
                                  const char *const (*metadata)[2], size_t metadata_count,
                                  char hex[IB_SHA256_HEX_SIZE], ib_error *err) {
    return write_or_hash(folder, path, tensors, count, metadata, metadata_count, NULL, hex, err);
}

ib_status ib_safetensors_write(const char *path, const ib_named_tensor *tensors, size_t count,
                               const char *const (*metadata)[2], size_t metadata_count,
                               char hex[IB_SHA256_HEX_SIZE], ib_error *err) {
    return ib_safetensors_write_in(NULL, path, tensors, count, metadata, metadata_count, hex, err);
}

ib_status ib_safetensors_write_read(const ib_folder *folder, const char *path,
                                    const ib_named_tensor *tensors, size_t count,
                                    const ib_tensor_reader *reader, char hex[IB_SHA256_HEX_SIZE],
                                    ib_error *err) {
    return write_or_hash(folder, path, tensors, count, NULL, 0, reader, hex, err);
}

ib_status ib_safetensors_hash(const ib_named_tensor *tensors, size_t count,
                              char hex[IB_SHA256_HEX_SIZE], ib_error *err) {
    return write_or_hash(NULL, NULL, tensors, count, NULL, 0, NULL, hex, err);
}
