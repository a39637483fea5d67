#include "data/import/raster.h"

#include <inttypes.h>
#include <stdlib.h>

ib_status ib_raster_make(const char *file, ib_image_shape shape, ib_raster *raster, ib_error *err) {
    *raster = (ib_raster){.shape = shape};
    if (shape.height == 0 || shape.width == 0)
        return ib_fail(err, IB_ERROR_VERIFY, "%s: an image without pixels: leave it out", file);
    if (shape.height > IB_RASTER_MOST_SIDE || shape.width > IB_RASTER_MOST_SIDE)
        return ib_fail(
            err, IB_ERROR_VERIFY,
            "%s: %" PRIu32 " x %" PRIu32 " pixels, where up to %d x %d are read: make it "
            "smaller first",
            file, shape.height, shape.width, (int)IB_RASTER_MOST_SIDE, (int)IB_RASTER_MOST_SIDE);
    raster->pixels = malloc(ib_image_bytes(shape));
    return raster->pixels == NULL ? ib_fail_memory(err) : IB_OK;
}

void ib_raster_free(ib_raster *raster) {
    free(raster->pixels);
    *raster = (ib_raster){0};
}

void ib_transpose_image(ib_image_shape shape, const uint8_t *from, uint8_t *to) {
    for (size_t y = 0; y < shape.height; ++y)
        for (size_t x = 0; x < shape.width; ++x)
            for (size_t c = 0; c < shape.channels; ++c)
                to[(x * shape.height + y) * shape.channels + c] =
                    from[(y * shape.width + x) * shape.channels + c];
}

/* How much of [low, high) lies in [index * step, (index + 1) * step). */
static uint64_t overlap(uint64_t index, uint64_t step, uint64_t low, uint64_t high) {
    uint64_t begin = index * step > low ? index * step : low;
    uint64_t end = (index + 1) * step < high ? (index + 1) * step : high;
    return end - begin;
}

/* One new pixel covers shape.height x shape.width of a grid in which an old one covers
 * height x width: all areas are whole numbers, and their sum is shape.height * shape.width. */
static uint8_t mean_of_area(ib_image_shape shape, const uint8_t *from, uint64_t height,
                            uint64_t width, uint64_t y, uint64_t x, size_t channel) {
    const uint64_t area = (uint64_t)shape.height * shape.width;
    uint64_t low[2] = {y * shape.height, x * shape.width};
    uint64_t high[2] = {low[0] + shape.height, low[1] + shape.width}, sum = 0;
    for (uint64_t r = low[0] / height; r * height < high[0]; ++r) {
        uint64_t row = 0;
        for (uint64_t c = low[1] / width; c * width < high[1]; ++c)
            row += overlap(c, width, low[1], high[1]) *
                   from[(r * shape.width + c) * shape.channels + channel];
        sum += overlap(r, height, low[0], high[0]) * row;
    }
    return (uint8_t)((2 * sum + area) / (2 * area));
}

void ib_resize_image(ib_image_shape shape, const uint8_t *from, uint32_t height, uint32_t width,
                     uint8_t *to) {
    for (uint64_t y = 0; y < height; ++y)
        for (uint64_t x = 0; x < width; ++x)
            for (size_t c = 0; c < shape.channels; ++c)
                *to++ = mean_of_area(shape, from, height, width, y, x, c);
}
