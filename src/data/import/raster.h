/* One image as it was read. */
#ifndef IB_DATA_IMPORT_RASTER_H
#define IB_DATA_IMPORT_RASTER_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "catalog/datasets.h"

/* The greatest side of an image that is read, to be made smaller: no file makes us take more memory
 * than four bytes for each pixel of such an image. */
enum { IB_RASTER_MOST_SIDE = 4096 };

/* Rows of pixels, a pixel's channels together. */
typedef struct ib_raster {
    ib_image_shape shape;
    uint8_t *pixels; /* owned; NULL: none */
} ib_raster;

/* Decodes one file's bytes; file names it in messages. Whatever is wrong with it, also a declared
 * size beyond IB_RASTER_MOST_SIDE, before anything is decoded, is IB_ERROR_VERIFY. The caller calls
 * ib_raster_free, also after a failure. */
typedef ib_status ib_raster_decode(const char *file, const uint8_t *data, size_t size,
                                   ib_raster *raster, ib_error *err);
ib_raster_decode ib_raster_decode_png, ib_raster_decode_jpeg, ib_raster_decode_pgm;

/* The raster, of 1 or 3 channels, as a PNG file in fresh memory that the caller frees. */
ib_status ib_raster_encode_png(const ib_raster *raster, uint8_t **file, size_t *size,
                               ib_error *err);

/* Memory for pixels of this shape, after checking it. */
ib_status ib_raster_make(const char *file, ib_image_shape shape, ib_raster *raster, ib_error *err);
void ib_raster_free(ib_raster *raster);

/* Rows become columns. to has room for as many bytes. */
void ib_transpose_image(ib_image_shape shape, const uint8_t *from, uint8_t *to);
/* NUMERICS.md, "Resizing": to has the size of the shape with this height and width. */
void ib_resize_image(ib_image_shape shape, const uint8_t *from, uint32_t height, uint32_t width,
                     uint8_t *to);

#endif
