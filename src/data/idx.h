/* The idx format of the MNIST family: a big-endian header, then unsigned bytes. Images of one
 * channel have the dimensions count, height, width; of several, count, height, width, channels.
 * Labels of more than 256 classes are 16-bit numbers, big-endian (idx's type 0x0B). */
#ifndef IB_DATA_IDX_H
#define IB_DATA_IDX_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "catalog/datasets.h"

typedef enum ib_idx_kind { IB_IDX_LABELS, IB_IDX_IMAGES, IB_IDX_WIDE_LABELS } ib_idx_kind;

enum { IB_IDX_LABEL_HEADER = 8, IB_IDX_MOST_HEADER = 20 };

/* A checked view into the caller's bytes. */
typedef struct ib_idx {
    uint32_t count;
    const uint8_t *values; /* count images, or count labels */
} ib_idx;

/* Checks the header, the exact length and, for labels, every value, by shape, classes and first
 * label of the data set; kind is IB_IDX_LABELS for labels of either width. file names the source in
 * messages. Anything wrong is IB_ERROR_VERIFY with the offset. */
ib_status ib_idx_parse(const char *file, const uint8_t *data, size_t size,
                       const ib_dataset_info *info, ib_idx_kind kind, ib_idx *idx, ib_error *err);

/* The index-th of labels of so many bytes each. */
static inline unsigned ib_idx_label(const uint8_t *values, unsigned bytes, size_t index) {
    return bytes == 1 ? values[index]
                      : (unsigned)values[2 * index] << 8 | (unsigned)values[2 * index + 1];
}

/* Writes the header, at most IB_IDX_MOST_HEADER bytes, and says how many. */
size_t ib_idx_write_header(uint8_t *out, ib_image_shape image, ib_idx_kind kind, uint32_t count);

#endif
