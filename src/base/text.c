#include "base/text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

size_t ib_utf8_length(const char *text, size_t size) {
    const unsigned char *at = (const unsigned char *)text;
    size_t length = size == 0      ? 0
                    : at[0] < 0x80 ? 1
                    : at[0] < 0xC2 ? 0
                    : at[0] < 0xE0 ? 2
                    : at[0] < 0xF0 ? 3
                    : at[0] < 0xF5 ? 4
                                   : 0;
    if (length > size)
        return 0;
    for (size_t i = 1; i < length; ++i)
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    if (length >= 3 && ((at[0] == 0xE0 && at[1] < 0xA0) || (at[0] == 0xED && at[1] > 0x9F) ||
                        (at[0] == 0xF0 && at[1] < 0x90) || (at[0] == 0xF4 && at[1] > 0x8F)))
        return 0;
    return length;
}

size_t ib_text_shown(const char *text, size_t size) {
    size_t length = ib_utf8_length(text, size);
    unsigned char first = length > 0 ? (unsigned char)text[0] : 0;
    if (length == 1)
        return (first >= 0x20 && first != 0x7F) || first == '\n' || first == '\t';
    if (length == 2 && first == 0xC2 && (unsigned char)text[1] < 0xA0)
        return 0; /* U+0080 to U+009F command, too */
    return length;
}

void ib_text_escape(unsigned char byte, char shown[IB_TEXT_ESCAPE]) {
    static const char DIGITS[] = "0123456789abcdef";
    const char text[IB_TEXT_ESCAPE] = {'\\', 'x', DIGITS[byte >> 4], DIGITS[byte & 15], '\0'};
    memcpy(shown, text, sizeof text);
}

/* Whom a URL names, in front of its host, may hold a password. */
static void drop_user(char *text) {
    for (char *at = text; (at = strstr(at, "://")) != NULL;) {
        at += 3;
        size_t length = strcspn(at, "/?# \n\t'\"");
        char *sign = memrchr(at, '@', length);
        if (sign != NULL)
            memmove(at, sign + 1, strlen(sign + 1) + 1);
    }
}

char *ib_text_safe(const char *text) {
    size_t size = strlen(text), used = 0;
    if (size > (SIZE_MAX - 1) / (IB_TEXT_ESCAPE - 1))
        return NULL;
    char *safe = malloc(size * (IB_TEXT_ESCAPE - 1) + 1);
    if (safe == NULL)
        return NULL;
    for (size_t at = 0, length; at < size; at += length) {
        length = ib_text_shown(text + at, size - at);
        if (length > 0) {
            memcpy(safe + used, text + at, length);
            used += length;
        } else {
            length = 1;
            ib_text_escape((unsigned char)text[at], safe + used);
            used += IB_TEXT_ESCAPE - 1;
        }
    }
    safe[used] = '\0';
    drop_user(safe);
    return safe;
}
