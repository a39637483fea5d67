#include "data/blocks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/input.h"

/* Images of a batch lie anywhere, so a block is read for about one of them: small, but not so small
 * that its hash (32 bytes) costs memory worth the name. */
enum { BLOCK = 16384 };

struct ib_blocks {
    char *path;
    int fd;
    uint8_t *base;
    size_t size, block, count;
    size_t most, held; /* blocks */
    uint32_t turn;
    uint32_t *turns; /* of each block: when it was asked for last; 0: it is not there */
    size_t hand;     /* goes round in search of one to give up */
    uint8_t (*digests)[IB_SHA256_SIZE];
};

static size_t block_bytes(const ib_blocks *b, size_t index) {
    size_t left = b->size - index * b->block;
    return left < b->block ? left : b->block;
}

static ib_status changed(const ib_blocks *b, size_t index, ib_error *err) {
    return ib_fail(err, IB_ERROR_VERIFY,
                   "%s: offset %zu: the file was changed after it had been verified", b->path,
                   index * b->block);
}

static void digest_of(const void *data, size_t size, uint8_t digest[IB_SHA256_SIZE]) {
    ib_sha256 hash;
    ib_sha256_begin(&hash);
    ib_sha256_update(&hash, data, size);
    ib_sha256_end(&hash, digest);
}

static void give_up(ib_blocks *b, size_t index) {
    madvise(b->base + index * b->block, b->block, MADV_DONTNEED);
    b->turns[index] = 0;
    --b->held;
}

/* One round at most: where all blocks are this turn's, memory has to do. */
static void make_room(ib_blocks *b) {
    for (size_t i = 0; i < b->count && b->held >= b->most; ++i) {
        b->hand = b->hand + 1 < b->count ? b->hand + 1 : 0;
        if (b->turns[b->hand] != 0 && b->turns[b->hand] != b->turn)
            give_up(b, b->hand);
    }
}

static ib_status hold_block(ib_blocks *b, size_t index, ib_error *err) {
    uint8_t digest[IB_SHA256_SIZE], *at = b->base + index * b->block;
    size_t size = block_bytes(b, index), got;
    if (b->turns[index] == 0) {
        make_room(b);
        IB_TRY(ib_read_input(b->fd, b->path, (uint64_t)index * b->block, at, size, &got, err));
        if (got < size)
            return changed(b, index, err);
        digest_of(at, size, digest);
        if (memcmp(digest, b->digests[index], sizeof digest) != 0)
            return changed(b, index, err);
        ++b->held;
    }
    b->turns[index] = b->turn;
    return IB_OK;
}

/* Into the place of the first block, whose own content comes back at the end. */
static ib_status verify(ib_blocks *b, char hex[IB_SHA256_HEX_SIZE], ib_error *err) {
    ib_sha256 whole;
    ib_sha256_begin(&whole);
    for (size_t i = 0; i < b->count; ++i) {
        size_t size = block_bytes(b, i), got;
        IB_TRY(ib_read_input(b->fd, b->path, (uint64_t)i * b->block, b->base, size, &got, err));
        if (got < size)
            return ib_fail(err, IB_ERROR_VERIFY, "%s: the file became shorter while it was read",
                           b->path);
        ib_sha256_update(&whole, b->base, size);
        digest_of(b->base, size, b->digests[i]);
    }
    ib_sha256_end_hex(&whole, hex);
    return hold_block(b, 0, err);
}

static ib_status reserve(ib_blocks *b, ib_error *err) {
    size_t room = b->count * b->block;
    b->turns = calloc(b->count, sizeof *b->turns);
    b->digests = malloc(b->count * sizeof *b->digests);
    if (b->path == NULL || b->turns == NULL || b->digests == NULL)
        return ib_fail_memory(err);
    void *base = mmap(NULL, room, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot map %zu bytes of memory", room);
    b->base = base;
    madvise(base, room, MADV_NOHUGEPAGE); /* a huge page would be there whole for one block of it */
    return IB_OK;
}

ib_status ib_blocks_open(const char *path, size_t size, size_t most_bytes,
                         char hex[IB_SHA256_HEX_SIZE], ib_blocks **blocks, ib_error *err) {
    long page = sysconf(_SC_PAGESIZE);
    size_t found;
    *blocks = NULL;
    hex[0] = '\0';
    ib_blocks *b = calloc(1, sizeof *b);
    if (b == NULL)
        return ib_fail_memory(err);
    b->fd = -1;
    b->turn = 1;
    b->path = strdup(path);
    b->size = size;
    b->block = page > BLOCK ? (size_t)page : BLOCK;
    b->count = size / b->block + 1;
    b->most = most_bytes / b->block;
    ib_status status = reserve(b, err);
    if (status == IB_OK)
        status = ib_open_input(path, SIZE_MAX, &b->fd, &found, err);
    if (status == IB_OK)
        status = verify(b, hex, err);
    if (status == IB_OK)
        *blocks = b;
    else
        ib_blocks_close(b);
    return status;
}

void ib_blocks_close(ib_blocks *b) {
    if (b == NULL)
        return;
    if (b->base != NULL)
        munmap(b->base, b->count * b->block);
    if (b->fd >= 0)
        close(b->fd);
    free(b->path);
    free(b->turns);
    free(b->digests);
    free(b);
}

const uint8_t *ib_blocks_base(const ib_blocks *b) {
    return b->base;
}

void ib_blocks_turn(ib_blocks *b) {
    if (++b->turn == 0) { /* after 2^32 turns: those of long ago must not look like this one */
        for (size_t i = 0; i < b->count; ++i)
            b->turns[i] = b->turns[i] != 0;
        b->turn = 2;
    }
}

ib_status ib_blocks_hold(ib_blocks *b, size_t offset, size_t size, ib_error *err) {
    for (size_t i = offset / b->block; size > 0 && i <= (offset + size - 1) / b->block; ++i)
        if (b->turns[i] != b->turn)
            IB_TRY(hold_block(b, i, err));
    return IB_OK;
}

size_t ib_blocks_capacity(const ib_blocks *b, size_t size) {
    size_t each = (size + b->block - 2) / b->block + 1; /* where it begins worst */
    return b->most / each > 0 ? b->most / each : 1;
}
