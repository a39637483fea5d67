/* Decompression of gzip data with a bounded result. */
#ifndef IB_DATA_GUNZIP_H
#define IB_DATA_GUNZIP_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Whether the bytes start like a gzip file; no idx file does. */
int ib_is_gzip(const uint8_t *data, size_t size);

/* Decompresses all of data into fresh memory (the caller frees *out). Truncated, corrupt or
 * followed by other bytes, or more than max_bytes of output: IB_ERROR_VERIFY naming file and the
 * offset in the compressed data. */
ib_status ib_gunzip(const char *file, const uint8_t *data, size_t size, size_t max_bytes,
                    uint8_t **out, size_t *out_size, ib_error *err);

#endif
