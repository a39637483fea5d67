/* PNG by libpng, whose errors are jumps: all that is owned lies in one structure outside of the
 * function that they leave. Samples are taken as they are, whatever the file says of gamma. */
#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/import/raster.h"

typedef struct decoding {
    const char *file;
    const uint8_t *data;
    size_t size, at;
    png_structp png;
    png_infop info;
    png_bytep *rows;
    char *problem; /* what libpng said; NULL: nothing, or out of memory */
    int no_memory;
    ib_raster *raster;
    ib_error *err;
} decoding;

static void take_error(png_structp png, png_const_charp text) {
    decoding *d = png_get_error_ptr(png);
    d->problem = strdup(text);
    d->no_memory = d->problem == NULL || strstr(text, "memory") != NULL;
    png_longjmp(png, 1);
}

static void take_warning(png_structp png, png_const_charp text) {
    (void)png, (void)text;
}

static void take_bytes(png_structp png, png_bytep to, size_t size) {
    decoding *d = png_get_io_ptr(png);
    if (size > d->size - d->at)
        png_error(png, "the file ends early");
    memcpy(to, d->data + d->at, size);
    d->at += size;
}

static uint32_t word_at(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The header's own bytes, before libpng has any: width 16, height 20, depth 24, colours 25. */
static ib_status check_header(const decoding *d, ib_image_shape *shape) {
    static const uint8_t BEGINNING[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n',
                                        0,    0,   0,   13,  'I',  'H',  'D',  'R'};
    enum { HEADER = 33, GREY = 0, RGB = 2, PALETTE = 3 };
    const uint8_t *data = d->data;
    if (d->size < HEADER || memcmp(data, BEGINNING, sizeof BEGINNING) != 0)
        return ib_fail(d->err, IB_ERROR_VERIFY, "%s: offset 0: no PNG file", d->file);
    if (data[24] > 8)
        return ib_fail(
            d->err, IB_ERROR_VERIFY,
            "%s: offset 24: %u bits a sample, but pixels are bytes: convert it to 8 bits", d->file,
            data[24]);
    if (data[25] != GREY && data[25] != RGB && data[25] != PALETTE)
        return ib_fail(d->err, IB_ERROR_VERIFY,
                       "%s: offset 25: an image with transparency, whose colours depend on what it "
                       "is put on: flatten it first",
                       d->file);
    if (word_at(data + 16) > IB_RASTER_MOST_SIDE || word_at(data + 20) > IB_RASTER_MOST_SIDE)
        return ib_fail(
            d->err, IB_ERROR_VERIFY,
            "%s: offset 16: %u x %u pixels, where up to %d x %d are read: make it smaller "
            "first",
            d->file, word_at(data + 20), word_at(data + 16), (int)IB_RASTER_MOST_SIDE,
            (int)IB_RASTER_MOST_SIDE);
    *shape = (ib_image_shape){data[25] == GREY ? 1 : 3, word_at(data + 20), word_at(data + 16)};
    return IB_OK;
}

/* libpng jumps out of here; nothing of this function's own is used after that. */
static ib_status decode(decoding *d) {
    if (setjmp(png_jmpbuf(d->png)) != 0)
        return IB_ERROR_VERIFY;
    png_set_read_fn(d->png, d, take_bytes);
    png_set_user_limits(d->png, IB_RASTER_MOST_SIDE, IB_RASTER_MOST_SIDE);
    png_set_keep_unknown_chunks(d->png, PNG_HANDLE_CHUNK_NEVER, NULL, 0);
    png_read_info(d->png, d->info);
    if (png_get_valid(d->png, d->info, PNG_INFO_tRNS) != 0)
        png_error(d->png, "it has a transparent colour: flatten it first");
    png_set_expand(d->png); /* palettes to RGB, 1, 2 and 4 bits to 8 */
    png_set_interlace_handling(d->png);
    png_read_update_info(d->png, d->info);
    if (png_get_rowbytes(d->png, d->info) !=
        (size_t)d->raster->shape.width * d->raster->shape.channels)
        png_error(d->png, "its rows are of another size than its header says");
    png_read_image(d->png, d->rows);
    png_read_end(d->png, NULL);
    return IB_OK;
}

static ib_status prepare(decoding *d, ib_image_shape shape) {
    IB_TRY(ib_raster_make(d->file, shape, d->raster, d->err));
    d->rows = malloc(shape.height * sizeof *d->rows);
    d->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, d, take_error, take_warning);
    if (d->png != NULL)
        d->info = png_create_info_struct(d->png);
    if (d->rows == NULL || d->info == NULL)
        return ib_fail_memory(d->err);
    for (size_t y = 0; y < shape.height; ++y)
        d->rows[y] = d->raster->pixels + y * shape.width * shape.channels;
    return IB_OK;
}

ib_status ib_raster_decode_png(const char *file, const uint8_t *data, size_t size,
                               ib_raster *raster, ib_error *err) {
    decoding d = {.file = file, .data = data, .size = size, .raster = raster, .err = err};
    ib_image_shape shape = {0};
    *raster = (ib_raster){0};
    IB_TRY(check_header(&d, &shape));
    ib_status status = prepare(&d, shape);
    if (status == IB_OK && decode(&d) != IB_OK)
        status = d.no_memory
                     ? ib_fail_memory(err)
                     : ib_fail(err, IB_ERROR_VERIFY, "%s: offset %zu: no whole PNG file: %s", file,
                               d.at, d.problem);
    png_destroy_read_struct(&d.png, &d.info, NULL);
    free(d.rows);
    free(d.problem);
    return status;
}

ib_status ib_raster_encode_png(const ib_raster *raster, uint8_t **file, size_t *size,
                               ib_error *err) {
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = raster->shape.width,
                       .height = raster->shape.height,
                       .format = raster->shape.channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB};
    png_alloc_size_t bytes = PNG_IMAGE_PNG_SIZE_MAX(image);
    *size = 0;
    *file = malloc(bytes);
    if (*file != NULL &&
        png_image_write_to_memory(&image, *file, &bytes, 0, raster->pixels, 0, NULL) != 0) {
        *size = bytes;
        return IB_OK;
    }
    ib_status status =
        *file == NULL ? ib_fail_memory(err)
                      : ib_fail(err, IB_ERROR_RUNTIME, "cannot make a PNG file: %s", image.message);
    free(*file);
    *file = NULL;
    return status;
}
