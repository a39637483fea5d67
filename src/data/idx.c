#include "data/idx.h"

#include <inttypes.h>

#include "data/dataset.h"

static uint32_t read_u32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void write_u32(uint8_t *p, uint32_t value) {
    for (int i = 0; i < 4; ++i)
        p[i] = (uint8_t)(value >> (24 - 8 * i));
}

static ib_status check_labels(const char *file, const ib_idx *idx, ib_error *err) {
    for (size_t i = 0; i < idx->count; ++i)
        if (idx->values[i] >= IB_CLASSES)
            return ib_fail(err, IB_ERROR_VERIFY,
                           "%s: offset %zu: label %u of image %zu is above %d", file,
                           IB_IDX_LABEL_HEADER + i, idx->values[i], i, IB_CLASSES - 1);
    return IB_OK;
}

ib_status ib_idx_parse(const char *file, const uint8_t *data, size_t size, ib_idx_kind kind,
                       ib_idx *idx, ib_error *err) {
    int images = kind == IB_IDX_IMAGES;
    size_t header = images ? IB_IDX_IMAGE_HEADER : IB_IDX_LABEL_HEADER;
    *idx = (ib_idx){0};
    if (size < 4)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: offset %zu: the file ends within the magic number", file, size);
    uint32_t magic = read_u32(data);
    if (magic != (uint32_t)kind)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: offset 0: magic number %" PRIu32 ", but an idx file of %s has %d", file,
                       magic, images ? "images" : "labels", (int)kind);
    if (size < header)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: offset %zu: the file ends within its header of %zu bytes", file, size,
                       header);
    uint32_t count = read_u32(data + 4);
    uint64_t item = 1;
    if (images) {
        uint32_t rows = read_u32(data + 8), columns = read_u32(data + 12);
        if (rows != IB_IMAGE_SIDE || columns != IB_IMAGE_SIDE)
            return ib_fail(err, IB_ERROR_VERIFY,
                           "%s: offset 8: images of %" PRIu32 " x %" PRIu32
                           " pixels, wanted %d x %d",
                           file, rows, columns, IB_IMAGE_SIDE, IB_IMAGE_SIDE);
        item = IB_IMAGE_PIXELS;
    }
    /* below 2^32 * 784 + 16: cannot overflow */
    uint64_t wanted = header + count * item;
    if (wanted != size)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: offset 4: the header promises %" PRIu32 " %s, which is %" PRIu64
                       " bytes, but the file has %zu",
                       file, count, images ? "images" : "labels", wanted, size);
    *idx = (ib_idx){count, data + header};
    if (images)
        return IB_OK;
    ib_status status = check_labels(file, idx, err);
    if (status != IB_OK)
        *idx = (ib_idx){0};
    return status;
}

void ib_idx_write_header(uint8_t *out, ib_idx_kind kind, uint32_t count) {
    write_u32(out, (uint32_t)kind);
    write_u32(out + 4, count);
    if (kind == IB_IDX_IMAGES) {
        write_u32(out + 8, IB_IMAGE_SIDE);
        write_u32(out + 12, IB_IMAGE_SIDE);
    }
}
