#include "report/markup.h"

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

void ib_write_markup(FILE *out, const char *text) {
    for (; *text != '\0'; ++text)
        ib_write_markup_character(out, *text);
}
