/* The idx format of the MNIST family: a big-endian header, then unsigned bytes. */
#ifndef IB_DATA_IDX_H
#define IB_DATA_IDX_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* The values are the files' magic numbers. */
typedef enum ib_idx_kind { IB_IDX_LABELS = 2049, IB_IDX_IMAGES = 2051 } ib_idx_kind;

enum { IB_IDX_LABEL_HEADER = 8, IB_IDX_IMAGE_HEADER = 16 };

/* A checked view into the caller's bytes. */
typedef struct ib_idx {
    uint32_t count;
    const uint8_t *values; /* count images of 784 bytes, or count labels */
} ib_idx;

/* Checks the header, the exact length and, for labels, every value. file names the source in
 * messages. Anything wrong is IB_ERROR_VERIFY with the offset. */
ib_status ib_idx_parse(const char *file, const uint8_t *data, size_t size, ib_idx_kind kind,
                       ib_idx *idx, ib_error *err);

/* Writes IB_IDX_LABEL_HEADER or IB_IDX_IMAGE_HEADER bytes, for 28 x 28 images. */
void ib_idx_write_header(uint8_t *out, ib_idx_kind kind, uint32_t count);

#endif
