/* Base64 (RFC 4648) with padding, as JSON holds images. */
#ifndef IB_BASE_BASE64_H
#define IB_BASE_BASE64_H

#include <stddef.h>
#include <stdint.h>

/* Characters for so many bytes, without the NUL. */
static inline size_t ib_base64_length(size_t bytes) {
    return (bytes + 2) / 3 * 4;
}

/* text: ib_base64_length(size) + 1. */
void ib_base64_encode(const uint8_t *data, size_t size, char *text);
/* Exactly size bytes from a text of exactly ib_base64_length(size) characters; 0: it is not. */
int ib_base64_decode(const char *text, uint8_t *data, size_t size);

#endif
