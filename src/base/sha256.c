#include "base/sha256.h"

#include <string.h>
#include <unistd.h>

#include "base/input.h"
#include "base/sha256_blocks.h"

void ib_sha256_begin(ib_sha256 *hash) {
    static const uint32_t START[8] = {0x6A09E667u, 0xBB67AE85u, 0x3C6EF372u, 0xA54FF53Au,
                                      0x510E527Fu, 0x9B05688Cu, 0x1F83D9ABu, 0x5BE0CD19u};
    hash->blocks = ib_sha256_has_instructions() ? ib_sha256_instructions : ib_sha256_portable;
    memcpy(hash->state, START, sizeof START);
    hash->length = 0;
}

void ib_sha256_update(ib_sha256 *hash, const void *data, size_t size) {
    const uint8_t *from = data;
    size_t used = hash->length % IB_SHA256_BLOCK;
    hash->length += size;
    if (used > 0) {
        size_t room = IB_SHA256_BLOCK - used, part = size < room ? size : room;
        memcpy(hash->block + used, from, part);
        if (part < room)
            return;
        hash->blocks(hash->state, hash->block, 1);
        from += part;
        size -= part;
    }
    size_t whole = size / IB_SHA256_BLOCK;
    if (whole > 0)
        hash->blocks(hash->state, from, whole);
    if (size % IB_SHA256_BLOCK > 0)
        memcpy(hash->block, from + whole * IB_SHA256_BLOCK, size % IB_SHA256_BLOCK);
}

void ib_sha256_end(ib_sha256 *hash, uint8_t digest[IB_SHA256_SIZE]) {
    static const uint8_t PADDING[IB_SHA256_BLOCK] = {0x80};
    uint64_t bits = hash->length * 8;
    uint8_t length[8];
    for (int i = 0; i < 8; ++i)
        length[i] = (uint8_t)(bits >> (56 - 8 * i));
    size_t used = hash->length % IB_SHA256_BLOCK;
    ib_sha256_update(hash, PADDING, (used < 56 ? 56 : 120) - used);
    ib_sha256_update(hash, length, sizeof length);
    for (int i = 0; i < IB_SHA256_SIZE; ++i)
        digest[i] = (uint8_t)(hash->state[i / 4] >> (24 - 8 * (i % 4)));
}

void ib_sha256_end_hex(ib_sha256 *hash, char hex[IB_SHA256_HEX_SIZE]) {
    static const char DIGITS[] = "0123456789abcdef";
    uint8_t digest[IB_SHA256_SIZE];
    ib_sha256_end(hash, digest);
    for (int i = 0; i < IB_SHA256_SIZE; ++i) {
        hex[2 * i] = DIGITS[digest[i] >> 4];
        hex[2 * i + 1] = DIGITS[digest[i] & 15];
    }
    hex[2 * IB_SHA256_SIZE] = '\0';
}

void ib_sha256_bytes(const void *data, size_t size, char hex[IB_SHA256_HEX_SIZE]) {
    ib_sha256 hash;
    ib_sha256_begin(&hash);
    ib_sha256_update(&hash, data, size);
    ib_sha256_end_hex(&hash, hex);
}

ib_status ib_sha256_open_file(int fd, const char *path, uint64_t *bytes,
                              char hex[IB_SHA256_HEX_SIZE], ib_error *err) {
    uint8_t part[1 << 16];
    size_t got = sizeof part;
    ib_sha256 hash;
    hex[0] = '\0';
    ib_sha256_begin(&hash);
    for (*bytes = 0; got == sizeof part; *bytes += got) {
        IB_TRY(ib_read_input(fd, path, *bytes, part, sizeof part, &got, err));
        ib_sha256_update(&hash, part, got);
    }
    ib_sha256_end_hex(&hash, hex);
    return IB_OK;
}

ib_status ib_sha256_file(const char *path, char hex[IB_SHA256_HEX_SIZE], ib_error *err) {
    uint64_t bytes;
    int fd;
    hex[0] = '\0';
    IB_TRY(ib_open_input(path, SIZE_MAX, &fd, NULL, err));
    ib_status status = ib_sha256_open_file(fd, path, &bytes, hex, err);
    close(fd);
    return status;
}
