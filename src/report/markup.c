#include "report/markup.h"

#include <stddef.h>
#include <string.h>

void ib_write_markup_character(FILE *out, char character) {
    unsigned char c = (unsigned char)character;
    if (c == '&')
        fputs("&amp;", out);
    else if (c == '<')
        fputs("&lt;", out);
    else if (c == '>')
        fputs("&gt;", out);
    else if (c == '"')
        fputs("&quot;", out);
    else
        fputc(c < 0x20 || c == 0x7F ? ' ' : c, out);
}

/* The bytes of the character that text starts with; 0: XML allows no such character. */
static size_t character_size(const char *text) {
    unsigned char c = (unsigned char)*text;
    size_t size = c < 0x80 ? 1 : c < 0xC2 ? 0 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : c < 0xF5 ? 4 : 0;
    for (size_t i = 1; i < size; ++i)
        if ((text[i] & 0xC0) != 0x80) /* the end of the text, too */
            return 0;
    unsigned char second = size > 1 ? (unsigned char)text[1] : 0;
    int is_long = (c == 0xE0 && second < 0xA0) || (c == 0xF0 && second < 0x90);
    int is_surrogate = c == 0xED && second > 0x9F, is_beyond = c == 0xF4 && second > 0x8F;
    int is_no_character =
        strncmp(text, "\xEF\xBF\xBE", 3) == 0 || strncmp(text, "\xEF\xBF\xBF", 3) == 0;
    return is_long || is_surrogate || is_beyond || is_no_character ? 0 : size;
}

void ib_write_markup(FILE *out, const char *text) {
    while (*text != '\0') {
        size_t size = character_size(text);
        if (size == 1)
            ib_write_markup_character(out, *text);
        else if (size > 1)
            fwrite(text, 1, size, out);
        else
            fputs("\xEF\xBF\xBD", out); /* the replacement character */
        ++text;
        while ((*text & 0xC0) == 0x80)
            ++text;
    }
}
