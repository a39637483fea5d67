/* Texts of figures: how wide they are, and what is done where they are wider than their room. */
#include <math.h>
#include <string.h>

#include "report/canvas.h"
#include "report/markup.h"

enum { MAX_LINE = 512 };

/* Hundredths of the font size from the space to the tilde, of DejaVu Sans: others in common use are
 * narrower, so that what has room here has room everywhere. */
static const unsigned char advances[] = {
    32,  40, 46, 84, 64, 95, 78, 27, 39, 39, 50, 84, 32, 36, 32, 34, /* to the slash */
    64,  64, 64, 64, 64, 64, 64, 64, 64, 64, 34, 34, 84, 84, 84, 53, /* 0 to the question mark */
    100, 68, 69, 70, 77, 63, 58, 77, 75, 29, 29, 66, 56, 86, 75, 79, /* @ to O */
    60,  79, 69, 63, 61, 73, 68, 99, 69, 61, 69, 39, 34, 39, 84, 50, /* P to the underscore */
    50,  61, 63, 55, 63, 62, 35, 63, 63, 28, 28, 58, 28, 97, 63, 61, /* the grave accent to o */
    63,  63, 41, 52, 39, 63, 59, 82, 59, 59, 52, 64, 34, 64, 84,     /* p to the tilde */
};

double ib_text_width(const char *text, double size) {
    double sum = 0;
    for (; *text != '\0'; ++text) {
        unsigned char c = (unsigned char)*text;
        if ((c & 0xC0) == 0x80)
            continue;
        if (c >= ' ' && c <= '~')
            sum += advances[c - ' '];
        else if (c < 0x80) /* a control character is drawn as a space */
            sum += advances[0];
        else /* the ellipsis and what lies beyond Europe's alphabets take a square */
            sum += c >= 0xE1 ? 100 : 68;
    }
    return sum / 100 * size;
}

static void write_label(const ib_canvas *canvas, double x, double y, char anchor, int size,
                        const char *colour, const char *text, int upwards) {
    if (text == NULL || *text == '\0' || !isfinite(x) || !isfinite(y))
        return;
    /* The middle of a line lies above its baseline. Only what differs from the root is written. */
    double shift = 0.35 * size;
    FILE *out = canvas->out;
    fputs("<text", out);
    ib_canvas_attribute(canvas, "x", upwards ? x + shift : x);
    ib_canvas_attribute(canvas, "y", upwards ? y : y + shift);
    if (size != IB_FONT)
        fprintf(out, " font-size=\"%d\"", size);
    if (anchor != 'l')
        fprintf(out, " text-anchor=\"%s\"", anchor == 'r' ? "end" : "middle");
    ib_canvas_colour(canvas, "fill", colour);
    if (upwards) {
        fputs(" transform=\"rotate(-90 ", out);
        ib_canvas_length(canvas, x + shift);
        fputc(' ', out);
        ib_canvas_length(canvas, y);
        fputs(")\"", out);
    }
    fputc('>', out);
    ib_write_markup(out, text);
    fputs("</text>\n", out);
}

void ib_canvas_text(const ib_canvas *canvas, double x, double y, char anchor, int size,
                    const char *colour, const char *text) {
    write_label(canvas, x, y, anchor, size, colour, text, 0);
}

static void write_fitted(const ib_canvas *canvas, double x, double y, char anchor, double width,
                         const char *text, int upwards) {
    int size = IB_FONT;
    while (size > IB_LEAST_FONT && ib_text_width(text, size) > width)
        --size;
    if (ib_text_width(text, size) <= width) {
        write_label(canvas, x, y, anchor, size, IB_INK, text, upwards);
        return;
    }
    char cut[MAX_LINE + 8];
    size_t length = 0;
    while (text[length] != '\0' && length + 8 < MAX_LINE) {
        size_t next = length + 1;
        while ((text[next] & 0xC0) == 0x80)
            ++next;
        snprintf(cut, sizeof cut, "%.*s…", (int)next, text);
        if (ib_text_width(cut, size) > width)
            break;
        length = next;
    }
    snprintf(cut, sizeof cut, "%.*s…", (int)length, text);
    write_label(canvas, x, y, anchor, size, IB_INK, cut, upwards);
}

void ib_canvas_fitted(const ib_canvas *canvas, double x, double y, char anchor, double width,
                      const char *text) {
    write_fitted(canvas, x, y, anchor, width, text, 0);
}

void ib_canvas_fitted_upwards(const ib_canvas *canvas, double x, double y, double width,
                              const char *text) {
    write_fitted(canvas, x, y, 'c', width, text, 1);
}

/* The bytes of the line that starts text: up to the last space that fits, else what fits. */
static size_t line_length(const char *text, int size, double width) {
    char line[MAX_LINE];
    size_t space = 0, i = 0;
    while (text[i] != '\0' && i + 8 < sizeof line) {
        size_t next = i + 1;
        while ((text[next] & 0xC0) == 0x80)
            ++next;
        memcpy(line, text, next);
        line[next] = '\0';
        if (i > 0 && text[i] != ' ' && ib_text_width(line, size) > width)
            return space > 0 ? space : i;
        if (text[i] == ' ')
            space = i;
        i = next;
    }
    return i;
}

size_t ib_canvas_wrapped(const ib_canvas *canvas, double x, double y, char anchor, int size,
                         double width, const char *text) {
    char lines[IB_TEXT_LINES][MAX_LINE + 8];
    size_t count = 0;
    while (*text != '\0' && count < IB_TEXT_LINES) {
        size_t length = line_length(text, size, width);
        int last = count + 1 == IB_TEXT_LINES && text[length] != '\0';
        snprintf(lines[count++], sizeof lines[0], "%.*s%s", (int)length, text, last ? "…" : "");
        text += length;
        while (*text == ' ')
            ++text;
    }
    if (canvas != NULL)
        for (size_t i = 0; i < count; ++i)
            ib_canvas_text(canvas, x, y + ((double)i - (double)(count - 1) / 2) * size * 1.25,
                           anchor, size, IB_INK, lines[i]);
    return count;
}
