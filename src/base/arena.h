/* One block of zeroed memory, handed out front to back and freed at once. Planned before a run so
 * that the training step allocates nothing. */
#ifndef IB_BASE_ARENA_H
#define IB_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct ib_arena {
    uint8_t *base;
    size_t capacity;
    size_t used;
} ib_arena;

/* Reserves capacity bytes, rounded up to pages, on huge pages where it is large. Zeroed by the
 * kernel; pages that are never touched cost no memory. */
ib_status ib_arena_open(size_t capacity, ib_arena *arena, ib_error *err);
void ib_arena_close(ib_arena *arena);
/* What ib_arena_open makes of a capacity. */
size_t ib_arena_rounded(size_t capacity);

/* size bytes, 64-byte aligned, zeroed. The arena keeps ownership. Fails when the plan was short. */
ib_status ib_arena_take(ib_arena *arena, size_t size, void **memory, ib_error *err);

/* Bytes one ib_arena_take of this size uses up, for planning. */
static inline size_t ib_arena_cost(size_t size) {
    return (size + 63) / 64 * 64 + 64; /* the extra line breaks up 4 KiB aliasing */
}

#endif
