/* A file that memory does not hold whole: blocks of it come as they are asked for, each checked
 * against the hash that it had when the whole was verified. Their addresses are those that the
 * whole would have, so whoever reads pixels needs not know. */
#ifndef IB_DATA_BLOCKS_H
#define IB_DATA_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

#include "base/sha256.h"
#include "base/status.h"

typedef struct ib_blocks ib_blocks;

/* Reads the file once, for hex and the hash of each block; most_bytes of blocks are kept, or one
 * turn's if these are more. The first block is there. The caller calls ib_blocks_close. */
ib_status ib_blocks_open(const char *path, size_t size, size_t most_bytes,
                         char hex[IB_SHA256_HEX_SIZE], ib_blocks **blocks, ib_error *err);
void ib_blocks_close(ib_blocks *blocks); /* NULL: nothing */

/* Where the file would begin; only what was held in this turn may be read. */
const uint8_t *ib_blocks_base(const ib_blocks *blocks);
/* A new turn: what was held before may be given up. */
void ib_blocks_turn(ib_blocks *blocks);
/* Makes bytes readable until the next turn. A block that is not as it was when the file was
 * verified is IB_ERROR_VERIFY. */
ib_status ib_blocks_hold(ib_blocks *blocks, size_t offset, size_t size, ib_error *err);
/* How many stretches of that size, wherever they lie, a turn can hold within most_bytes. */
size_t ib_blocks_capacity(const ib_blocks *blocks, size_t size);

#endif
