/* Files that grow row by row. Each row carries a short hash of itself and of all rows before it, so
 * that damage is told, and where it begins, also while the file still grows. */
#ifndef IB_BASE_CHAIN_H
#define IB_BASE_CHAIN_H

#include <stddef.h>
#include <stdint.h>

#include "base/sha256.h"
#include "base/status.h"

enum { IB_CHAIN_DIGITS = 16 };

/* What a file holds up to a place. */
typedef struct ib_prefix {
    uint64_t bytes;
    char sha256[IB_SHA256_HEX_SIZE];
} ib_prefix;

/* The first 8 bytes of the digest so far, as little-endian; the digest goes on. */
uint64_t ib_chain_word(const ib_sha256 *hash);
void ib_chain_prefix(const ib_sha256 *hash, ib_prefix *prefix);

/* Takes in a line of JSON with its line break and without a chain, and writes the member that the
 * line must end with instead of "}\n" into tail. */
enum { IB_CHAIN_TAIL = 10 + IB_CHAIN_DIGITS + 4 };
void ib_chain_seal_line(ib_sha256 *hash, const char *line, size_t size, char tail[IB_CHAIN_TAIL]);

/* Whether the file begins with that prefix: IB_ERROR_VERIFY where it is shorter or another.
 * first_misfit names the offset from which rows do not fit: prefix->bytes where all of them do.
 * *hash: of the prefix. */
typedef size_t ib_first_misfit(const uint8_t *data, size_t size);
ib_status ib_prefix_check(const char *path, const ib_prefix *prefix, ib_first_misfit *first_misfit,
                          ib_sha256 *hash, ib_error *err);
/* Of lines, where the first begins whose chain is not that of what it and those before it say. A
 * last one without its line break is still being written, or cut off by a kill, and not looked at.
 */
size_t ib_chain_first_misfit(const uint8_t *data, size_t size);

#endif
