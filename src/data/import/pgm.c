/* Portable graymaps in bytes (P5). */
#include <inttypes.h>
#include <string.h>

#include "data/import/raster.h"

/* A number of the header, behind white space and comments; 0: there is none, or one beyond 65,535.
 */
static int take_number(const uint8_t *data, size_t size, size_t *at, uint32_t *number) {
    *number = 0;
    for (; *at < size && (strchr(" \t\r\n", data[*at]) != NULL || data[*at] == '#'); ++*at)
        if (data[*at] == '#')
            while (*at + 1 < size && data[*at] != '\n')
                ++*at;
    size_t begin = *at;
    for (; *at < size && data[*at] >= '0' && data[*at] <= '9' && *number <= UINT16_MAX; ++*at)
        *number = 10 * *number + (uint32_t)(data[*at] - '0');
    return *at > begin && *number <= UINT16_MAX;
}

ib_status ib_raster_decode_pgm(const char *file, const uint8_t *data, size_t size,
                               ib_raster *raster, ib_error *err) {
    size_t at = 2;
    uint32_t width, height, most;
    *raster = (ib_raster){0};
    if (size < 2 || data[0] != 'P' || data[1] != '5')
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: offset 0: no PGM file of bytes (P5): convert it to PNG", file);
    if (!take_number(data, size, &at, &width) || !take_number(data, size, &at, &height) ||
        !take_number(data, size, &at, &most) || at == size)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: offset %zu: the header is not width, height and greatest value: the "
                       "file was cut or changed",
                       file, at);
    if (most != 255)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: offset %zu: the greatest value is %" PRIu32
                       ", but only 255 is read: convert it to 8 bits a pixel",
                       file, at, most);
    IB_TRY(ib_raster_make(file, (ib_image_shape){1, height, width}, raster, err));
    size_t bytes = (size_t)height * width;
    if (size - ++at != bytes) /* one white space ends the header */
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: offset %zu: %zu bytes of pixels, but the header promises %zu: the file "
                       "was cut or changed",
                       file, at, size - at, bytes);
    memcpy(raster->pixels, data + at, bytes);
    return IB_OK;
}
