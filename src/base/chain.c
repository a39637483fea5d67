#include "base/chain.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/input.h"

static const char MEMBER[] = ",\"chain\":\"";
static const char END[] = "\"}\n";

uint64_t ib_chain_word(const ib_sha256 *hash) {
    ib_sha256 copy = *hash;
    uint8_t digest[IB_SHA256_SIZE];
    uint64_t word = 0;
    ib_sha256_end(&copy, digest);
    for (int i = 7; i >= 0; --i)
        word = word << 8 | digest[i];
    return word;
}

void ib_chain_prefix(const ib_sha256 *hash, ib_prefix *prefix) {
    ib_sha256 copy = *hash;
    prefix->bytes = hash->length;
    ib_sha256_end_hex(&copy, prefix->sha256);
}

/* What a line ends with after the given bytes have been taken in. */
static void write_tail(const ib_sha256 *hash, char tail[IB_CHAIN_TAIL]) {
    snprintf(tail, IB_CHAIN_TAIL, "%s%016" PRIx64 "%s", MEMBER, ib_chain_word(hash), END);
}

void ib_chain_seal_line(ib_sha256 *hash, const char *line, size_t size, char tail[IB_CHAIN_TAIL]) {
    ib_sha256_update(hash, line, size - 2); /* without "}\n" */
    write_tail(hash, tail);
    ib_sha256_update(hash, tail, IB_CHAIN_TAIL - 1);
}

/* Takes in a line that has been read. 0: it has another chain, or none. */
static int take_line(ib_sha256 *hash, const char *line, size_t size) {
    const size_t length = IB_CHAIN_TAIL - 1;
    char tail[IB_CHAIN_TAIL];
    if (size < length)
        return 0;
    ib_sha256_update(hash, line, size - length);
    write_tail(hash, tail);
    ib_sha256_update(hash, line + size - length, length);
    return memcmp(line + size - length, tail, length) == 0;
}

size_t ib_chain_first_misfit(const uint8_t *data, size_t size) {
    const char *text = (const char *)data, *end;
    ib_sha256 hash;
    ib_sha256_begin(&hash);
    for (size_t offset = 0; offset < size; offset = (size_t)(end - text) + 1) {
        end = memchr(text + offset, '\n', size - offset);
        if (end == NULL)
            return size;
        if (!take_line(&hash, text + offset, (size_t)(end - text) + 1 - offset))
            return offset;
    }
    return size;
}

ib_status ib_prefix_check(const char *path, const ib_prefix *prefix, ib_first_misfit *first_misfit,
                          ib_sha256 *hash, ib_error *err) {
    ib_contents file;
    ib_prefix found;
    ib_sha256_begin(hash);
    if (prefix->bytes == 0)
        return IB_OK;
    if (!ib_path_exists(path))
        return ib_fail(err, IB_ERROR_VERIFY, "%s is missing", path);
    IB_TRY(ib_contents_open(path, IB_RECORDED_MOST, &file, err));
    ib_status status = IB_OK;
    if (file.size < prefix->bytes) {
        status = ib_fail(err, IB_ERROR_VERIFY,
                         "%s has %zu bytes, but the checkpoint was written after %" PRIu64
                         ": what is between is missing",
                         path, file.size, prefix->bytes);
    } else {
        ib_sha256_update(hash, file.data, (size_t)prefix->bytes);
        ib_chain_prefix(hash, &found);
        if (strcmp(found.sha256, prefix->sha256) != 0) {
            size_t offset = first_misfit(file.data, (size_t)prefix->bytes);
            status = ib_fail(err, IB_ERROR_VERIFY,
                             "%s, offset %zu: it was changed: up to offset %" PRIu64
                             " it is not what it was when the checkpoint was written",
                             path, offset < prefix->bytes ? offset : 0, prefix->bytes);
        }
    }
    ib_contents_close(&file);
    return status;
}
