#include "base/arena.h"

#include <errno.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 2 << 20, PAGE = 4096 };

size_t ib_arena_rounded(size_t capacity) {
    return (capacity + PAGE - 1) / PAGE * PAGE;
}

/* Maps size bytes starting on a huge-page boundary: maps one huge page more, gives both ends back.
 * Whole huge pages inside then really become huge; the rest at the end costs only what it uses. */
static uint8_t *map_aligned(size_t size) {
    size_t slack = size >= HUGE_PAGE ? HUGE_PAGE : 0;
    uint8_t *raw =
        mmap(NULL, size + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (raw == MAP_FAILED || slack == 0)
        return raw;
    size_t head = (HUGE_PAGE - (uintptr_t)raw % HUGE_PAGE) % HUGE_PAGE;
    if (head > 0)
        munmap(raw, head);
    if (slack > head)
        munmap(raw + head + size, slack - head);
    madvise(raw + head, size, MADV_HUGEPAGE);
    return raw + head;
}

ib_status ib_arena_open(size_t capacity, ib_arena *arena, ib_error *err) {
    *arena = (ib_arena){0};
    size_t rounded = ib_arena_rounded(capacity);
    if (rounded < capacity || rounded == 0 || rounded > SIZE_MAX / 2)
        return ib_fail(err, IB_ERROR_RUNTIME, "cannot plan %zu bytes of memory", capacity);
    uint8_t *base = map_aligned(rounded);
    if (base == MAP_FAILED)
        return ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot map %zu bytes of memory",
                             rounded);
    *arena = (ib_arena){base, rounded, 0};
    return IB_OK;
}

void ib_arena_close(ib_arena *arena) {
    if (arena->base != NULL)
        munmap(arena->base, arena->capacity);
    *arena = (ib_arena){0};
}

ib_status ib_arena_take(ib_arena *arena, size_t size, void **memory, ib_error *err) {
    size_t cost = ib_arena_cost(size);
    *memory = NULL;
    if (cost < size || cost > arena->capacity - arena->used)
        return ib_fail(err, IB_ERROR_RUNTIME,
                       "memory plan too small: %zu of %zu bytes used, %zu more wanted", arena->used,
                       arena->capacity, size);
    *memory = arena->base + arena->used;
    arena->used += cost;
    return IB_OK;
}
