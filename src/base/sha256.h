/* SHA-256 through libcrypto. */
#ifndef IB_BASE_SHA256_H
#define IB_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define IB_SHA256_HEX_SIZE 65 /* 64 lower-case hex digits and a NUL */

typedef struct ib_sha256 ib_sha256; /* one running digest */

ib_status ib_sha256_begin(ib_sha256 **hash, ib_error *err);
ib_status ib_sha256_update(ib_sha256 *hash, const void *data, size_t size, ib_error *err);
/* Writes the digest and frees the handle, also on failure. hash may be NULL (then hex is ""). */
ib_status ib_sha256_end(ib_sha256 *hash, char hex[IB_SHA256_HEX_SIZE], ib_error *err);

ib_status ib_sha256_bytes(const void *data, size_t size, char hex[IB_SHA256_HEX_SIZE],
                          ib_error *err);
ib_status ib_sha256_file(const char *path, char hex[IB_SHA256_HEX_SIZE], ib_error *err);

#endif
