/* A mean and a deviation for each pixel, over the images that are trained on: what --normalize
 * standard makes of bytes (NUMERICS.md, "Input"), and the file that keeps it beside a model. */
#ifndef IB_DATA_PIXEL_TABLE_H
#define IB_DATA_PIXEL_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/folder.h"
#include "base/sha256.h"
#include "base/status.h"
#include "data/dataset.h"

/* The most images whose sums are exact in 64 bits. */
enum { IB_PIXEL_TABLE_MOST_IMAGES = 1 << 24 };

/* In the order of an image's bytes; deviation is 0 where the pixel was the same in all images. The
 * caller calls ib_pixel_table_close. */
typedef struct ib_pixel_table {
    size_t pixels;
    double *mean, *deviation;        /* one block of memory */
    char sha256[IB_SHA256_HEX_SIZE]; /* of the file */
} ib_pixel_table;

/* Of these images, at least one; more than IB_PIXEL_TABLE_MOST_IMAGES are IB_ERROR_USAGE. On
 * failure *table is zero. */
ib_status ib_pixel_table_make(const ib_dataset *dataset, const uint32_t *indices, size_t count,
                              ib_pixel_table *table, ib_error *err);
void ib_pixel_table_close(ib_pixel_table *table);

/* path: a name in the folder (folder.h), or, folder NULL, a path. */
ib_status ib_pixel_table_write(const ib_pixel_table *table, const ib_folder *folder,
                               const char *path, ib_error *err);
/* Missing, or none of an image of so many bytes: IB_ERROR_VERIFY naming the file. On failure *table
 * is zero. */
ib_status ib_pixel_table_read(const char *path, size_t pixels, ib_pixel_table *table,
                              ib_error *err);
/* "model.normalization.safetensors" of "model.safetensors"; fresh memory, NULL: out of memory. */
char *ib_pixel_table_path(const char *model_path);

/* How many pixels were not the same in all images. */
static inline size_t ib_pixel_table_varying(const ib_pixel_table *table) {
    size_t varying = 0;
    for (size_t k = 0; k < table->pixels; ++k)
        varying += table->deviation[k] > 0;
    return varying;
}

static inline double ib_pixel_table_feature(const ib_pixel_table *table, size_t pixel,
                                            unsigned byte) {
    double deviation = table->deviation[pixel];
    double x = deviation > 0 ? ((double)byte - table->mean[pixel]) / deviation : 0.0;
    return x < 0x1p-40 && x > -0x1p-40 ? 0.0 : x;
}

#endif
