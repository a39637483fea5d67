#include "data/idx.h"

#include <inttypes.h>

/* Unsigned bytes, 16-bit numbers; the last byte counts the dimensions. */
enum { MAGIC = 0x800, WIDE_MAGIC = 0xB00 };

static uint32_t read_u32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void write_u32(uint8_t *p, uint32_t value) {
    for (int i = 0; i < 4; ++i)
        p[i] = (uint8_t)(value >> (24 - 8 * i));
}

static unsigned dimensions(ib_image_shape image, ib_idx_kind kind) {
    return kind != IB_IDX_IMAGES ? 1 : image.channels == 1 ? 3 : 4;
}

static uint32_t magic_number(ib_image_shape image, ib_idx_kind kind) {
    return (kind == IB_IDX_WIDE_LABELS ? WIDE_MAGIC : MAGIC) + dimensions(image, kind);
}

static ib_status check_labels(const char *file, const ib_dataset_info *info, const ib_idx *idx,
                              ib_error *err) {
    uint32_t last = info->first_label + info->classes - 1;
    unsigned bytes = ib_dataset_label_bytes(info);
    for (size_t i = 0; i < idx->count; ++i) {
        const unsigned label = ib_idx_label(idx->values, bytes, i);
        if (label > last)
            return ib_fail(err, IB_ERROR_VERIFY,
                           "%s: offset %zu: label %u of image %zu is above %" PRIu32, file,
                           IB_IDX_LABEL_HEADER + i * bytes, label, i, last);
        if (label < info->first_label)
            return ib_fail(err, IB_ERROR_VERIFY,
                           "%s: offset %zu: label %u of image %zu is below %" PRIu32, file,
                           IB_IDX_LABEL_HEADER + i * bytes, label, i, info->first_label);
    }
    return IB_OK;
}

static ib_status check_image(const char *file, const uint8_t *data, ib_image_shape wanted,
                             ib_error *err) {
    uint32_t rows = read_u32(data + 8), columns = read_u32(data + 12);
    if (rows != wanted.height || columns != wanted.width)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: offset 8: images of %" PRIu32 " x %" PRIu32 " pixels, wanted %" PRIu32
                       " x %" PRIu32,
                       file, rows, columns, wanted.height, wanted.width);
    if (wanted.channels > 1 && read_u32(data + 16) != wanted.channels)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: offset 16: images of %" PRIu32 " channels, wanted %" PRIu32, file,
                       read_u32(data + 16), wanted.channels);
    return IB_OK;
}

ib_status ib_idx_parse(const char *file, const uint8_t *data, size_t size,
                       const ib_dataset_info *info, ib_idx_kind kind, ib_idx *idx, ib_error *err) {
    int images = kind == IB_IDX_IMAGES;
    unsigned label_bytes = ib_dataset_label_bytes(info);
    if (!images && label_bytes > 1)
        kind = IB_IDX_WIDE_LABELS;
    size_t header = 4 + 4 * (size_t)dimensions(info->image, kind);
    *idx = (ib_idx){0};
    if (size < 4)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: offset %zu: the file ends within the magic number", file, size);
    uint32_t magic = read_u32(data);
    if (magic != magic_number(info->image, kind))
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: offset 0: magic number %" PRIu32
                       ", but an idx file of %s%s has %" PRIu32,
                       file, magic, images && info->image.channels > 1 ? "coloured " : "",
                       images ? "images" : "labels", magic_number(info->image, kind));
    if (size < header)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: offset %zu: the file ends within its header of %zu bytes", file, size,
                       header);
    uint32_t count = read_u32(data + 4);
    if (images)
        IB_TRY(check_image(file, data, info->image, err));
    /* below 2^32 * 2^31 + 20: cannot overflow */
    uint64_t wanted =
        header + (uint64_t)count * (images ? ib_image_bytes(info->image) : label_bytes);
    if (wanted != size)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: offset 4: the header promises %" PRIu32 " %s, which is %" PRIu64
                       " bytes, but the file has %zu",
                       file, count, images ? "images" : "labels", wanted, size);
    *idx = (ib_idx){count, data + header};
    if (images)
        return IB_OK;
    ib_status status = check_labels(file, info, idx, err);
    if (status != IB_OK)
        *idx = (ib_idx){0};
    return status;
}

size_t ib_idx_write_header(uint8_t *out, ib_image_shape image, ib_idx_kind kind, uint32_t count) {
    unsigned extents = dimensions(image, kind);
    const uint32_t values[] = {magic_number(image, kind), count, image.height, image.width,
                               image.channels};
    for (size_t i = 0; i <= extents; ++i)
        write_u32(out + 4 * i, values[i]);
    return 4 + 4 * (size_t)extents;
}
