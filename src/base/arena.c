#include "base/arena.h"

#include <errno.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 2 << 20, PAGE = 4096 };

size_t ib_arena_rounded(size_t capacity) {
    size_t unit = capacity >= HUGE_PAGE ? HUGE_PAGE : PAGE;
    return (capacity + unit - 1) / unit * unit;
}

ib_status ib_arena_open(size_t capacity, ib_arena *arena, ib_error *err) {
    *arena = (ib_arena){0};
    size_t rounded = ib_arena_rounded(capacity);
    if (rounded < capacity || rounded == 0)
        return ib_fail(err, IB_ERROR_RUNTIME, "cannot plan %zu bytes of memory", capacity);
    void *base = mmap(NULL, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED)
        return ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot map %zu bytes of memory", rounded);
    if (rounded >= HUGE_PAGE)
        madvise(base, rounded, MADV_HUGEPAGE);
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
