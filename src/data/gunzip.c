#include "data/gunzip.h"

#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

int ib_is_gzip(const uint8_t *data, size_t size) {
    return size >= 2 && data[0] == 0x1F && data[1] == 0x8B;
}

/* One round of input and output per call, because zlib counts both in 32 bits. */
static uInt at_most(size_t size) {
    return size < UINT_MAX ? (uInt)size : UINT_MAX;
}

static ib_status inflate_all(z_stream *stream, const char *file, const uint8_t *data, size_t size,
                             size_t max_bytes, uint8_t *out, size_t *out_size, ib_error *err) {
    size_t in_used = 0, out_used = 0;
    for (;;) {
        stream->next_in = (Bytef *)data + in_used; /* zlib only reads it */
        stream->avail_in = at_most(size - in_used);
        stream->next_out = out + out_used;
        stream->avail_out = at_most(max_bytes + 1 - out_used);
        uInt in_given = stream->avail_in, out_given = stream->avail_out;
        int result = inflate(stream, Z_NO_FLUSH);
        uInt in_taken = in_given - stream->avail_in, out_made = out_given - stream->avail_out;
        in_used += in_taken;
        out_used += out_made;

        if (out_used > max_bytes)
            return ib_fail(err, IB_ERROR_VERIFY,
                           "%s: offset %zu: decompresses to more than the %zu bytes wanted", file,
                           in_used, max_bytes);
        if (result == Z_MEM_ERROR)
            return ib_fail_memory(err);
        if (result == Z_STREAM_END) {
            if (in_used == size)
                break;
            /* RFC 1952: a gzip file may have several members, one after the other */
            if (!ib_is_gzip(data + in_used, size - in_used) || inflateReset(stream) != Z_OK)
                return ib_fail(err, IB_ERROR_VERIFY,
                               "%s: offset %zu: %zu bytes of something else after the gzip data",
                               file, in_used, size - in_used);
        } else if (in_used == size && (result == Z_OK || result == Z_BUF_ERROR)) {
            return ib_fail(err, IB_ERROR_VERIFY,
                           "%s: offset %zu: the gzip data ends early; the file is truncated", file,
                           in_used);
        } else if (result != Z_OK || (in_taken == 0 && out_made == 0)) {
            return ib_fail(err, IB_ERROR_VERIFY, "%s: offset %zu: corrupt gzip data: %s", file,
                           in_used, stream->msg != NULL ? stream->msg : zError(result));
        }
    }
    *out_size = out_used;
    return IB_OK;
}

ib_status ib_gunzip(const char *file, const uint8_t *data, size_t size, size_t max_bytes,
                    uint8_t **out, size_t *out_size, ib_error *err) {
    *out = NULL;
    *out_size = 0;
    uint8_t *bytes = malloc(max_bytes + 1); /* one more, to see an excess */
    if (bytes == NULL)
        return ib_fail_memory(err);
    z_stream stream = {0};
    if (inflateInit2(&stream, 15 + 16) != Z_OK) { /* 15: the largest window; + 16: gzip only */
        free(bytes);
        return ib_fail_memory(err);
    }
    ib_status status = inflate_all(&stream, file, data, size, max_bytes, bytes, out_size, err);
    inflateEnd(&stream);
    if (status != IB_OK) {
        free(bytes);
        return status;
    }
    *out = bytes;
    return IB_OK;
}
