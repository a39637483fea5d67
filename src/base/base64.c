#include "base/base64.h"

#include <string.h>

static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void ib_base64_encode(const uint8_t *data, size_t size, char *text) {
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t group = (uint32_t)data[i] << 16;
        if (left > 1)
            group |= (uint32_t)data[i + 1] << 8;
        if (left > 2)
            group |= data[i + 2];
        *text++ = DIGITS[group >> 18];
        *text++ = DIGITS[group >> 12 & 63];
        *text++ = left > 1 ? DIGITS[group >> 6 & 63] : '=';
        *text++ = left > 2 ? DIGITS[group & 63] : '=';
    }
    *text = '\0';
}

/* -1: no digit. */
static int value_of(char c) {
    const char *found = c == '\0' ? NULL : strchr(DIGITS, c);
    return found == NULL ? -1 : (int)(found - DIGITS);
}

int ib_base64_decode(const char *text, uint8_t *data, size_t size) {
    if (strlen(text) != ib_base64_length(size))
        return 0;
    for (size_t i = 0; i < size; i += 3, text += 4) {
        size_t bytes = size - i < 3 ? size - i : 3;
        uint32_t group = 0;
        for (size_t k = 0; k < 4; ++k) {
            int digit = k <= bytes ? value_of(text[k]) : text[k] == '=' ? 0 : -1;
            if (digit < 0)
                return 0;
            group = group << 6 | (uint32_t)digit;
        }
        for (size_t k = 0; k < bytes; ++k)
            data[i + k] = (uint8_t)(group >> (16 - 8 * k));
        if ((group & ((1u << (24 - 8 * bytes)) - 1)) != 0)
            return 0; /* bits that no encoder writes */
    }
    return 1;
}
