/* Lines, boxes, marks, areas and images as SVG. */
#include "report/canvas.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "base/base64.h"

/* Hundredths of a pixel are below what can be seen, and above what libraries of other machines
 * make of a logarithm: everywhere the same bytes. */
void ib_canvas_length(const ib_canvas *canvas, double length) {
    char text[32];
    const double most = 1e6; /* no drawing is as large */
    double hundredths = round(100 * fmin(fmax(length, -most), most));
    int size = snprintf(text, sizeof text, "%.2f", hundredths == 0 ? 0 : hundredths / 100);
    while (text[size - 1] == '0')
        --size;
    size -= text[size - 1] == '.';
    fwrite(text, 1, (size_t)size, canvas->out);
}

void ib_canvas_attribute(const ib_canvas *canvas, const char *name, double value) {
    fprintf(canvas->out, " %s=\"", name);
    ib_canvas_length(canvas, value);
    fputc('"', canvas->out);
}

/* The root is filled with ink and has no strokes. */
void ib_canvas_colour(const ib_canvas *canvas, const char *paint, const char *colour) {
    int strokes = strcmp(paint, "stroke") == 0, is_value = *colour == '#';
    if (strokes)
        fputs(" fill=\"none\"", canvas->out);
    if (is_value)
        fprintf(canvas->out, " %s=\"%s\"", paint, colour);
    else if (strcmp(colour, IB_INK) != 0)
        fprintf(canvas->out, " class=\"%s\"", colour);
    if (strokes && !is_value)
        fputs(" stroke=\"currentColor\"", canvas->out);
}

static int are_finite(const double *values, size_t count) {
    for (size_t i = 0; i < count; ++i)
        if (!isfinite(values[i]))
            return 0;
    return 1;
}

void ib_canvas_line(const ib_canvas *canvas, double x0, double y0, double x1, double y1,
                    const char *colour, double width, int dashed) {
    const double ends[] = {x0, y0, x1, y1};
    if (!are_finite(ends, 4))
        return;
    fputs("<line", canvas->out);
    ib_canvas_attribute(canvas, "x1", x0);
    ib_canvas_attribute(canvas, "y1", y0);
    ib_canvas_attribute(canvas, "x2", x1);
    ib_canvas_attribute(canvas, "y2", y1);
    ib_canvas_colour(canvas, "stroke", colour);
    ib_canvas_attribute(canvas, "stroke-width", width);
    fputs(dashed ? " stroke-dasharray=\"6 4\"/>\n" : "/>\n", canvas->out);
}

static void write_rect(const ib_canvas *canvas, ib_rect box) {
    ib_canvas_attribute(canvas, "x", box.left);
    ib_canvas_attribute(canvas, "y", box.top);
    ib_canvas_attribute(canvas, "width", fmax(box.right - box.left, 0));
    ib_canvas_attribute(canvas, "height", fmax(box.bottom - box.top, 0));
}

static int is_finite_box(ib_rect box) {
    const double sides[] = {box.left, box.top, box.right, box.bottom};
    return are_finite(sides, 4);
}

void ib_canvas_box(const ib_canvas *canvas, ib_rect box, const char *fill, const char *border) {
    const char *paints[] = {fill, border};
    for (size_t i = 0; i < 2 && is_finite_box(box); ++i) {
        if (paints[i] == NULL)
            continue;
        fputs("<rect", canvas->out);
        write_rect(canvas, box);
        ib_canvas_colour(canvas, i == 0 ? "fill" : "stroke", paints[i]);
        fputs(i == 0 ? "/>\n" : " stroke-width=\"1.5\"/>\n", canvas->out);
    }
}

/* Shapes of about the same area around the origin; their order is that of the series. */
static const char *const shapes[IB_SHAPES] = {
    NULL, /* a circle */
    "m-3.6 -3.6h7.2v7.2h-7.2z",
    "m0 -4.8l4.4 7.4h-8.8z",
    "m0 -5l5 5l-5 5l-5 -5z",
    "m0 4.8l4.4 -7.4h-8.8z",
};

void ib_canvas_mark(const ib_canvas *canvas, double x, double y, const char *colour, int shape) {
    const double at[] = {x, y};
    if (!are_finite(at, 2) || shape < 0)
        return;
    const char *path = shapes[shape % IB_SHAPES];
    FILE *out = canvas->out;
    if (path == NULL) {
        fputs("<circle", out);
        ib_canvas_attribute(canvas, "cx", x);
        ib_canvas_attribute(canvas, "cy", y);
        fputs(" r=\"4\"", out);
    } else {
        fputs("<path d=\"M", out);
        ib_canvas_length(canvas, x);
        fputc(' ', out);
        ib_canvas_length(canvas, y);
        fprintf(out, "%s\"", path);
    }
    int hollow = shape >= IB_SHAPES;
    ib_canvas_colour(canvas, hollow ? "stroke" : "fill", colour);
    fputs(hollow ? " stroke-width=\"1.5\"/>\n" : "/>\n", out);
}

/* A spot that is not finite breaks the line. */
static void write_spots(const ib_canvas *canvas, const ib_spot *spots, size_t count) {
    int draws = 0;
    for (size_t i = 0; i < count; ++i) {
        const double at[] = {spots[i].x, spots[i].y};
        if (!are_finite(at, 2)) {
            draws = 0;
            continue;
        }
        fputc(draws ? 'L' : 'M', canvas->out);
        ib_canvas_length(canvas, spots[i].x);
        fputc(' ', canvas->out);
        ib_canvas_length(canvas, spots[i].y);
        draws = 1;
    }
}

void ib_canvas_polyline(const ib_canvas *canvas, const ib_spot *spots, size_t count,
                        const char *colour, int dashed) {
    if (count < 2)
        return;
    fputs("<path d=\"", canvas->out);
    write_spots(canvas, spots, count);
    fputc('"', canvas->out);
    ib_canvas_colour(canvas, "stroke", colour);
    fprintf(canvas->out, " stroke-width=\"2\" stroke-linejoin=\"round\"%s/>\n",
            dashed ? " stroke-dasharray=\"6 4\"" : "");
}

void ib_canvas_area(const ib_canvas *canvas, const ib_spot *spots, size_t count,
                    const char *colour) {
    if (count < 3)
        return;
    fputs("<path d=\"", canvas->out);
    write_spots(canvas, spots, count);
    fputs("z\" fill-opacity=\"0.18\"", canvas->out);
    ib_canvas_colour(canvas, "fill", colour);
    fputs("/>\n", canvas->out);
}

/* ---- images: as PNG files without compression, whose bytes would be the library's -------------
 */

static uint8_t *put_word(uint8_t *at, uint32_t word) {
    for (int shift = 24; shift >= 0; shift -= 8)
        *at++ = (uint8_t)(word >> shift);
    return at;
}

/* The chunk's bytes lie at its place already, 8 bytes on. */
static uint8_t *end_chunk(uint8_t *chunk, const char kind[5], size_t size) {
    memcpy(put_word(chunk, (uint32_t)size), kind, 4);
    return put_word(chunk + 8 + size, (uint32_t)crc32(0, chunk + 4, (uInt)(size + 4)));
}

/* size bytes as a zlib stream of stored blocks; returns its size. */
static size_t store(uint8_t *stream, const uint8_t *data, size_t size) {
    enum { BLOCK = 65535 };
    uint8_t *at = stream;
    *at++ = 0x78, *at++ = 0x01;
    for (size_t done = 0; done < size;) {
        size_t block = size - done < BLOCK ? size - done : BLOCK;
        *at++ = done + block == size;
        *at++ = (uint8_t)block, *at++ = (uint8_t)(block >> 8);
        *at++ = (uint8_t)~block, *at++ = (uint8_t)(~block >> 8);
        memcpy(at, data + done, block);
        at += block;
        done += block;
    }
    return (size_t)(put_word(at, (uint32_t)adler32(1, data, (uInt)size)) - stream);
}

/* Fresh memory; NULL: out of memory. */
static uint8_t *make_png(const unsigned char *pixels, size_t width, size_t height, size_t *size) {
    size_t bytes = height * (width + 1); /* each row begins with its filter: none */
    uint8_t *rows = calloc(bytes, 1), *png = malloc(bytes + bytes / 65535 * 5 + 128), *at = png;
    if (rows == NULL || png == NULL) {
        free(rows);
        free(png);
        return NULL;
    }
    for (size_t y = 0; y < height; ++y)
        memcpy(rows + y * (width + 1) + 1, pixels + y * width, width);
    static const uint8_t signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
    static const uint8_t grey[5] = {8, 0, 0, 0, 0}; /* bits, colour type, methods */
    memcpy(at, signature, sizeof signature);
    at += sizeof signature;
    memcpy(put_word(put_word(at + 8, (uint32_t)width), (uint32_t)height), grey, sizeof grey);
    at = end_chunk(at, "IHDR", 13);
    at = end_chunk(at, "IDAT", store(at + 8, rows, bytes));
    at = end_chunk(at, "IEND", 0);
    *size = (size_t)(at - png);
    free(rows);
    return png;
}

void ib_canvas_image(const ib_canvas *canvas, ib_rect box, const unsigned char *pixels,
                     size_t width, size_t height) {
    const size_t most = 1 << 14; /* of a side: what follows cannot overflow */
    size_t size = 0;
    if (width == 0 || height == 0 || width > most || height > most || !is_finite_box(box))
        return;
    uint8_t *png = make_png(pixels, width, height, &size);
    char *text = png != NULL ? malloc(ib_base64_length(size) + 1) : NULL;
    if (text != NULL) {
        ib_base64_encode(png, size, text);
        fputs("<image", canvas->out);
        write_rect(canvas, box);
        fprintf(canvas->out, " href=\"data:image/png;base64,%s\"/>\n", text);
    } else {
        *canvas->failed = 1;
    }
    free(text);
    free(png);
}
