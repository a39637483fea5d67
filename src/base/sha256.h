/* SHA-256 (FIPS 180-4), by the CPU's instructions where it has them. Nothing is allocated and
 * nothing can fail but reading a file. */
#ifndef IB_BASE_SHA256_H
#define IB_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { IB_SHA256_SIZE = 32, IB_SHA256_BLOCK = 64 };
#define IB_SHA256_HEX_SIZE 65 /* 64 lower-case hex digits and a NUL */

/* Takes whole blocks in. */
typedef void ib_sha256_blocks(uint32_t state[8], const uint8_t *data, size_t blocks);

/* One running digest; a copy is a digest of its own, which may go on differently. */
typedef struct ib_sha256 {
    ib_sha256_blocks *blocks; /* as this machine does it */
    uint32_t state[8];
    uint64_t length; /* bytes so far */
    uint8_t block[IB_SHA256_BLOCK];
} ib_sha256;

void ib_sha256_begin(ib_sha256 *hash);
void ib_sha256_update(ib_sha256 *hash, const void *data, size_t size);
/* The digest of all so far; the hash is used up. */
void ib_sha256_end(ib_sha256 *hash, uint8_t digest[IB_SHA256_SIZE]);
void ib_sha256_end_hex(ib_sha256 *hash, char hex[IB_SHA256_HEX_SIZE]);

void ib_sha256_bytes(const void *data, size_t size, char hex[IB_SHA256_HEX_SIZE]);
ib_status ib_sha256_file(const char *path, char hex[IB_SHA256_HEX_SIZE], ib_error *err);
/* Of a file that is open for reading, from its beginning; path is for messages. */
ib_status ib_sha256_open_file(int fd, const char *path, uint64_t *bytes,
                              char hex[IB_SHA256_HEX_SIZE], ib_error *err);

#endif
