/* NumPy's .npz files: zip archives of .npy files, here x_train, y_train, x_test and y_test, as
 * Keras' mnist.npz. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/file.h"
#include "data/import/npy.h"
#include "data/import/readers.h"

/* Where a member of an archive is, by the directory at the archive's end. */
typedef struct member {
    uint32_t method, crc, packed, size, local;
} member;

static uint32_t u16(const uint8_t *p) {
    return p[0] | (uint32_t)p[1] << 8;
}

static uint32_t u32(const uint8_t *p) {
    return u16(p) | u16(p + 2) << 16;
}

static ib_status broken(const char *file, size_t offset, const char *what, ib_error *err) {
    return ib_fail(err, IB_ERROR_VERIFY, "%s: offset %zu: %s: write it again with numpy.savez",
                   file, offset, what);
}

/* The record at the end, behind which a comment may stand. */
static ib_status find_directory(const char *file, const uint8_t *data, size_t size, size_t *offset,
                                size_t *members, ib_error *err) {
    enum { END = 22, MOST_COMMENT = 65535 };
    for (size_t back = END; back <= size && back <= END + MOST_COMMENT; ++back) {
        const uint8_t *end = data + size - back;
        if (u32(end) != 0x06054B50)
            continue;
        *members = u16(end + 10);
        *offset = u32(end + 16);
        if (u16(end + 10) == 0xFFFF || *offset == 0xFFFFFFFF)
            return broken(file, size - back, "an archive of more than 4 GB, which is not read",
                          err);
        return IB_OK;
    }
    return broken(file, size, "no zip archive, or its end is missing", err);
}

/* *found 0: there is no member of that name. */
static ib_status find_member(const char *file, const uint8_t *data, size_t size, const char *name,
                             member *m, int *found, ib_error *err) {
    enum { ENTRY = 46 };
    size_t at = 0, members = 0, length = strlen(name);
    *found = 0;
    IB_TRY(find_directory(file, data, size, &at, &members, err));
    for (size_t i = 0; i < members; ++i) {
        if (at > size || size - at < ENTRY || u32(data + at) != 0x02014B50)
            return broken(file, at, "the archive's directory is damaged", err);
        const uint8_t *entry = data + at;
        size_t named = u16(entry + 28), whole = ENTRY + named + u16(entry + 30) + u16(entry + 32);
        if (whole > size - at)
            return broken(file, at, "the archive's directory is damaged", err);
        if (named == length && memcmp(entry + ENTRY, name, length) == 0) {
            *m = (member){u16(entry + 10), u32(entry + 16), u32(entry + 20), u32(entry + 24),
                          u32(entry + 42)};
            *found = 1;
            return IB_OK;
        }
        at += whole;
    }
    return IB_OK;
}

static ib_status inflate_member(const char *file, size_t at, const uint8_t *packed, const member *m,
                                uint8_t *out, ib_error *err) {
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)packed, /* zlib only reads it */
                       .avail_in = m->packed,
                       .next_out = out,
                       .avail_out = m->size};
    if (inflateInit2(&stream, -15) != Z_OK) /* the largest window, without a header */
        return ib_fail_memory(err);
    int result = inflate(&stream, Z_FINISH);
    size_t made = m->size - stream.avail_out;
    inflateEnd(&stream);
    if (result == Z_MEM_ERROR)
        return ib_fail_memory(err);
    return result == Z_STREAM_END && made == m->size
               ? IB_OK
               : broken(file, at, "the compressed data is damaged or of another size", err);
}

/* The member's content, fresh memory. */
static ib_status unpack(const char *file, const uint8_t *data, size_t size, const member *m,
                        uint8_t **out, ib_error *err) {
    enum { LOCAL = 30, MOST_RATIO = 1032, STORED = 0, DEFLATED = 8 };
    *out = NULL;
    if (m->local > size || size - m->local < LOCAL || u32(data + m->local) != 0x04034B50)
        return broken(file, m->local, "a member of the archive is not where it should be", err);
    size_t at = (size_t)m->local + LOCAL + u16(data + m->local + 26) + u16(data + m->local + 28);
    if (at > size || m->packed > size - at)
        return broken(file, m->local, "the archive ends within a member", err);
    if ((m->method != STORED && m->method != DEFLATED) ||
        (m->method == STORED && m->packed != m->size))
        return broken(file, m->local, "a member is neither stored nor deflated", err);
    if (m->size / MOST_RATIO > m->packed) /* deflate cannot do that: it is a lie */
        return broken(file, m->local, "a member promises more than its bytes can hold", err);
    *out = malloc((size_t)m->size + 1);
    if (*out == NULL)
        return ib_fail_memory(err);
    ib_status status = IB_OK;
    if (m->method == STORED)
        memcpy(*out, data + at, m->size);
    else
        status = inflate_member(file, at, data + at, m, *out, err);
    if (status == IB_OK && crc32_z(0, *out, m->size) != m->crc)
        status = broken(file, at, "a member has not the checksum that the archive says", err);
    return status;
}

/* One array of the archive; *name, *bytes: fresh memory that array's values are in. */
static ib_status read_array(const char *file, const ib_import_content *content, const char *key,
                            char **name, uint8_t **bytes, ib_npy *array, int *found,
                            ib_error *err) {
    member m = {0};
    char *entry = ib_format("%s.npy", key);
    ib_status status = entry == NULL
                           ? ib_fail_memory(err)
                           : find_member(file, content->data, content->size, entry, &m, found, err);
    *name = status == IB_OK ? ib_format("%s: %s", file, entry) : NULL;
    free(entry);
    if (status != IB_OK || !*found)
        return status;
    if (*name == NULL)
        return ib_fail_memory(err);
    IB_TRY(unpack(file, content->data, content->size, &m, bytes, err));
    return ib_npy_parse(*name, *bytes, m.size, array, err);
}

static ib_status read_part(const char *file, const ib_import_content *content,
                           const char *const keys[2], ib_import_part part, ib_import_set *set,
                           ib_error *err) {
    char *names[2] = {NULL};
    uint8_t *bytes[2] = {NULL};
    ib_npy arrays[2] = {{0}};
    int found[2] = {0};
    ib_status status = IB_OK;
    for (int i = 0; status == IB_OK && i < 2; ++i)
        status =
            read_array(file, content, keys[i], &names[i], &bytes[i], &arrays[i], &found[i], err);
    if (status == IB_OK && found[0] != found[1])
        status = ib_fail(err, IB_ERROR_VERIFY, "%s: it has %s, but no %s", file,
                         keys[found[0] ? 0 : 1], keys[found[0] ? 1 : 0]);
    if (status == IB_OK && found[0])
        status = ib_npy_add(names[0], &arrays[0], names[1], &arrays[1], part, set, err);
    for (int i = 0; i < 2; ++i) {
        free(names[i]);
        free(bytes[i]);
    }
    return status;
}

static ib_status read_archive(const char *file, ib_import_set *set, ib_error *err) {
    static const char *const KEYS[][2] = {{"x_train", "y_train"}, {"x_test", "y_test"}, {"x", "y"}};
    static const ib_import_part PARTS[] = {IB_PART_TRAIN, IB_PART_TEST, IB_PART_TRAIN};
    ib_import_content content;
    size_t before = set->count;
    ib_status status = ib_import_content_open(file, &content, err);
    for (size_t i = 0; status == IB_OK && i < 3; ++i)
        status = read_part(file, &content, KEYS[i], PARTS[i], set, err);
    if (status == IB_OK && set->count == before)
        status = ib_fail(err, IB_ERROR_VERIFY,
                         "%s: no arrays x_train and y_train, or x and y: write it with "
                         "numpy.savez(file, x_train=..., y_train=..., x_test=..., y_test=...)",
                         file);
    ib_import_content_close(&content);
    return status;
}

ib_status ib_import_npz(const ib_import_source *source, ib_import_set *set, int *found,
                        ib_error *err) {
    for (size_t i = 0; i < source->count; ++i) {
        if (!ib_import_has_suffix(source->files[i].name, ".npz"))
            continue;
        *found = 1;
        IB_TRY(read_archive(source->files[i].path, set, err));
    }
    return IB_OK;
}
