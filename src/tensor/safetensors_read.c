#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_value.h"
#include "tensor/safetensors.h"

enum { LENGTH_BYTES = 8, ALIGNMENT = 8 };

/* A tensor as the header states it: positions relative to the first data byte. */
struct entry {
    const char *name; /* owned by the JSON object */
    ib_dtype dtype;
    ib_shape shape;
    uint64_t begin, end;
};

/* Everything one reading needs, so that checks can name the file. */
struct reader {
    const char *path;
    const ib_contents *contents;
    uint64_t header_size; /* N of the format */
    uint64_t data_size;
    json_t *root;
    struct entry *entries;
    size_t count;
    ib_error *err;
};

static ib_status fail_tensor(const struct reader *reader, const char *name, const char *reason) {
    return ib_fail(reader->err, IB_ERROR_VERIFY, "%s: tensor %s: %s", reader->path, name, reason);
}

/* Bytes 0..8+N: the length and what can be said without parsing. */
static ib_status read_length(struct reader *reader) {
    const ib_contents *file = reader->contents;
    if (file->size < LENGTH_BYTES)
        return ib_fail(reader->err, IB_ERROR_VERIFY,
                       "%s: offset %zu: the file ends inside its 8-byte header length",
                       reader->path, file->size);
    uint64_t length = 0;
    for (int i = 0; i < LENGTH_BYTES; ++i)
        length |= (uint64_t)file->data[i] << (8 * i);
    if (length > IB_SAFETENSORS_MAX_HEADER)
        return ib_fail(reader->err, IB_ERROR_VERIFY,
                       "%s: offset 0: header length %" PRIu64
                       " is over the format's limit of %d: this "
                       "is no safetensors file",
                       reader->path, length, IB_SAFETENSORS_MAX_HEADER);
    if (length > file->size - LENGTH_BYTES)
        return ib_fail(reader->err, IB_ERROR_VERIFY,
                       "%s: offset 0: header length %" PRIu64
                       " goes beyond the end of the file (%zu bytes)",
                       reader->path, length, file->size);
    if (length == 0 || file->data[LENGTH_BYTES] != '{')
        return ib_fail(reader->err, IB_ERROR_VERIFY,
                       "%s: offset 8: the header does not start with '{'", reader->path);
    if (length % ALIGNMENT != 0)
        return ib_fail(reader->err, IB_ERROR_VERIFY,
                       "%s: offset 0: header length %" PRIu64 " is not a multiple of 8",
                       reader->path, length);
    reader->header_size = length;
    reader->data_size = file->size - LENGTH_BYTES - length;
    return IB_OK;
}

static ib_status parse_header(struct reader *reader) {
    ib_json_problem problem;
    const char *text = (const char *)reader->contents->data + LENGTH_BYTES;
    IB_TRY(ib_json_parse(text, reader->header_size, &reader->root, &problem, reader->err));
    if (reader->root == NULL)
        return ib_fail(reader->err, IB_ERROR_VERIFY, "%s: offset %zu: header: %s", reader->path,
                       LENGTH_BYTES + problem.offset, problem.text);
    return IB_OK;
}

static int find_dtype(const char *name, ib_dtype *dtype) {
    static const ib_dtype known[] = {IB_F32, IB_F64, IB_I64, IB_I32, IB_U8};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; ++i)
        if (strcmp(name, ib_dtype_name(known[i])) == 0) {
            *dtype = known[i];
            return 1;
        }
    return 0;
}

static ib_status read_shape(const struct reader *reader, const json_t *shape, struct entry *entry) {
    if (!json_is_array(shape))
        return fail_tensor(reader, entry->name, "shape is not an array");
    if (json_array_size(shape) > IB_MAX_RANK)
        return fail_tensor(reader, entry->name, "more than 4 dimensions");
    entry->shape.rank = (int)json_array_size(shape);
    for (int i = 0; i < entry->shape.rank; ++i) {
        const json_t *extent = json_array_get(shape, (size_t)i);
        if (!json_is_integer(extent) || json_integer_value(extent) < 0)
            return fail_tensor(reader, entry->name,
                               "shape is not made of whole numbers below 10^18");
        entry->shape.extent[i] = json_integer_value(extent);
    }
    return IB_OK;
}

static ib_status read_offsets(const struct reader *reader, const json_t *offsets,
                              struct entry *entry) {
    const json_t *begin = json_array_get(offsets, 0);
    const json_t *end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
        json_integer_value(begin) < 0 || json_integer_value(end) < json_integer_value(begin))
        return fail_tensor(reader, entry->name,
                           "data_offsets is not [begin, end] with 0 <= begin <= end");
    entry->begin = (uint64_t)json_integer_value(begin);
    entry->end = (uint64_t)json_integer_value(end);
    int64_t elements = ib_shape_elements(&entry->shape);
    uint64_t bytes;
    if (elements < 0 ||
        __builtin_mul_overflow((uint64_t)elements, ib_dtype_size(entry->dtype), &bytes))
        return fail_tensor(reader, entry->name, "shape has more than 2^63 bytes");
    if (bytes != entry->end - entry->begin)
        return ib_fail(reader->err, IB_ERROR_VERIFY,
                       "%s: tensor %s: data_offsets span %" PRIu64
                       " bytes, its shape needs %" PRIu64,
                       reader->path, entry->name, entry->end - entry->begin, bytes);
    return IB_OK;
}

static ib_status read_entry(const struct reader *reader, const char *name, const json_t *value,
                            struct entry *entry) {
    *entry = (struct entry){.name = name};
    const json_t *dtype = json_object_get(value, "dtype");
    const json_t *shape = json_object_get(value, "shape");
    const json_t *offsets = json_object_get(value, "data_offsets");
    if (!json_is_object(value) || dtype == NULL || shape == NULL || offsets == NULL ||
        json_object_size(value) != 3)
        return fail_tensor(reader, name, "is not described by dtype, shape and data_offsets alone");
    if (!json_is_string(dtype))
        return fail_tensor(reader, name, "dtype is not a string");
    if (!find_dtype(json_string_value(dtype), &entry->dtype))
        return ib_fail(reader->err, IB_ERROR_VERIFY,
                       "%s: tensor %s: dtype %s is not one of F32, F64, I64, I32, U8", reader->path,
                       name, json_string_value(dtype));
    IB_TRY(read_shape(reader, shape, entry));
    return read_offsets(reader, offsets, entry);
}

static int compare_entries(const void *left, const void *right) {
    const struct entry *a = left;
    const struct entry *b = right;
    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    if (a->end != b->end) /* empty tensors come before the one that starts where they stand */
        return a->end < b->end ? -1 : 1;
    return strcmp(a->name, b->name);
}

/* The tensors must cover the data without gap or overlap, to the last byte of the file. */
static ib_status check_layout(const struct reader *reader) {
    uint64_t expected = 0;
    for (size_t i = 0; i < reader->count; ++i) {
        const struct entry *entry = &reader->entries[i];
        if (entry->begin != expected)
            return ib_fail(reader->err, IB_ERROR_VERIFY,
                           "%s: tensor %s: starts at data offset %" PRIu64 " where %" PRIu64
                           " was expected (%s)",
                           reader->path, entry->name, entry->begin, expected,
                           entry->begin > expected ? "gap" : "overlap");
        if (entry->begin % ib_dtype_size(entry->dtype) != 0)
            return ib_fail(reader->err, IB_ERROR_VERIFY,
                           "%s: tensor %s: data offset %" PRIu64 " is not aligned for %s",
                           reader->path, entry->name, entry->begin, ib_dtype_name(entry->dtype));
        if (entry->end > reader->data_size)
            return ib_fail(reader->err, IB_ERROR_VERIFY,
                           "%s: tensor %s: ends at data offset %" PRIu64 ", the file has %" PRIu64
                           " data bytes (truncated?)",
                           reader->path, entry->name, entry->end, reader->data_size);
        expected = entry->end;
    }
    if (expected != reader->data_size)
        return ib_fail(reader->err, IB_ERROR_VERIFY,
                       "%s: offset %" PRIu64 ": %" PRIu64 " bytes after the last tensor",
                       reader->path, LENGTH_BYTES + reader->header_size + expected,
                       reader->data_size - expected);
    return IB_OK;
}

static ib_status read_entries(struct reader *reader) {
    size_t members = json_object_size(reader->root);
    reader->entries = calloc(members > 0 ? members : 1, sizeof *reader->entries);
    if (reader->entries == NULL)
        return ib_fail_memory(reader->err);
    const char *name;
    json_t *value;
    json_object_foreach(reader->root, name, value) {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        if (name[0] == '\0')
            return ib_fail(reader->err, IB_ERROR_VERIFY, "%s: a tensor has an empty name",
                           reader->path);
        IB_TRY(read_entry(reader, name, value, &reader->entries[reader->count]));
        ++reader->count;
    }
    qsort(reader->entries, reader->count, sizeof *reader->entries, compare_entries);
    return check_layout(reader);
}

/* Copies a text to *cursor and moves it on: names live behind the array that points to them. */
static char *store(char **cursor, const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = memcpy(*cursor, text, size);
    *cursor += size;
    return copy;
}

static ib_status store_tensors(const struct reader *reader, ib_safetensors *file) {
    size_t size = reader->count * sizeof *file->tensors + 1;
    for (size_t i = 0; i < reader->count; ++i)
        size += strlen(reader->entries[i].name) + 1;
    file->tensors = malloc(size);
    if (file->tensors == NULL)
        return ib_fail_memory(reader->err);
    char *cursor = (char *)(file->tensors + reader->count);
    const uint8_t *data = reader->contents->data + LENGTH_BYTES + reader->header_size;
    for (size_t i = 0; i < reader->count; ++i) {
        const struct entry *entry = &reader->entries[i];
        file->tensors[i] = (ib_named_tensor){store(&cursor, entry->name), entry->dtype,
                                             entry->shape, data + entry->begin};
    }
    file->count = reader->count;
    return IB_OK;
}

static ib_status store_metadata(const struct reader *reader, ib_safetensors *file) {
    json_t *metadata = json_object_get(reader->root, "__metadata__");
    if (metadata == NULL)
        return IB_OK;
    if (!json_is_object(metadata))
        return ib_fail(reader->err, IB_ERROR_VERIFY, "%s: __metadata__ is not an object",
                       reader->path);
    size_t count = json_object_size(metadata);
    size_t size = count * sizeof *file->metadata + 1;
    const char *key;
    json_t *value;
    json_object_foreach(metadata, key, value) {
        if (!json_is_string(value))
            return ib_fail(reader->err, IB_ERROR_VERIFY, "%s: __metadata__: %s is not a string",
                           reader->path, key);
        size += strlen(key) + json_string_length(value) + 2;
    }
    file->metadata = malloc(size);
    if (file->metadata == NULL)
        return ib_fail_memory(reader->err);
    char *cursor = (char *)(file->metadata + count);
    json_object_foreach(metadata, key, value) {
        file->metadata[file->metadata_count][0] = store(&cursor, key);
        file->metadata[file->metadata_count][1] = store(&cursor, json_string_value(value));
        ++file->metadata_count;
    }
    return IB_OK;
}

static ib_status read_all(struct reader *reader, ib_safetensors *file) {
    IB_TRY(read_length(reader));
    IB_TRY(parse_header(reader));
    IB_TRY(read_entries(reader));
    IB_TRY(store_tensors(reader, file));
    return store_metadata(reader, file);
}

ib_status ib_safetensors_parse(const ib_contents *contents, ib_safetensors *file, ib_error *err) {
    *file = (ib_safetensors){.path = contents->path};
    struct reader reader = {.path = contents->path, .contents = contents, .err = err};
    ib_status status = read_all(&reader, file);
    json_decref(reader.root);
    free(reader.entries);
    if (status != IB_OK)
        ib_safetensors_close(file);
    return status;
}

ib_status ib_safetensors_open(const char *path, ib_safetensors *file, ib_error *err) {
    ib_contents contents;
    *file = (ib_safetensors){0};
    IB_TRY(ib_contents_open(path, IB_MODEL_FILE_MOST, &contents, err));
    ib_status status = ib_safetensors_parse(&contents, file, err);
    if (status == IB_OK)
        file->own = contents;
    else
        ib_contents_close(&contents);
    return status;
}

void ib_safetensors_close(ib_safetensors *file) {
    free(file->tensors);
    free(file->metadata);
    ib_contents_close(&file->own);
    *file = (ib_safetensors){0};
}

const ib_named_tensor *ib_safetensors_find(const ib_safetensors *file, const char *name) {
    for (size_t i = 0; i < file->count; ++i)
        if (strcmp(file->tensors[i].name, name) == 0)
            return &file->tensors[i];
    return NULL;
}
