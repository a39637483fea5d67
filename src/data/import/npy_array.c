#include "data/import/npy.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

/* ---- the header ---------------------------------------------------------------------------------
 */

/* A Python dictionary, {'descr': '<u2', 'fortran_order': False, 'shape': (2, 3), }: what is behind
 * 'key': in the text that ends at end; NULL: it is not there. */
static const char *value_of(const char *text, const char *end, const char *key) {
    size_t length = strlen(key);
    for (; (size_t)(end - text) >= length + 3; ++text) {
        if ((text[0] != '\'' && text[0] != '"') || strncmp(text + 1, key, length) != 0 ||
            text[length + 1] != text[0])
            continue;
        for (text += length + 2; text < end && (*text == ' ' || *text == ':'); ++text) {
        }
        return text;
    }
    return NULL;
}

static int take_type(const char *text, const char *end, ib_npy *array) {
    if (text == NULL || end - text < 5 || (text[0] != '\'' && text[0] != '"'))
        return 0;
    const char *type = text + 1;
    array->big_endian = *type == '>';
    type += strchr("|<>=", *type) != NULL && *type != '\0';
    array->is_signed = type[0] == 'i';
    array->value_bytes = (unsigned)(type[1] - '0');
    return (type[0] == 'i' || type[0] == 'u') && type[2] == text[0] &&
           (type[1] == '1' || type[1] == '2' || type[1] == '4' || type[1] == '8');
}

static int take_shape(const char *text, const char *end, ib_npy *array) {
    if (text == NULL || text >= end || *text != '(')
        return 0;
    for (++text; text < end && *text != ')';) {
        size_t extent = 0, digits = 0;
        for (; text < end && *text == ' '; ++text) {
        }
        for (; text < end && *text >= '0' && *text <= '9' && digits < 12; ++text, ++digits)
            extent = 10 * extent + (size_t)(*text - '0');
        if (digits == 0 || array->dimensions == 4)
            return 0;
        array->extents[array->dimensions++] = extent;
        text += text < end && *text == ',';
        for (; text < end && *text == ' '; ++text) {
        }
    }
    return text < end && array->dimensions > 0;
}

static ib_status take_header(const char *file, const char *text, const char *end, ib_npy *array,
                             ib_error *err) {
    const char *order = value_of(text, end, "fortran_order");
    if (!take_type(value_of(text, end, "descr"), end, array))
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: offset 0: not an array of whole numbers: images are uint8, labels any "
                       "integers (x.astype('uint8'))",
                       file);
    if (order == NULL || end - order < 5 || strncmp(order, "False", 5) != 0)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: offset 0: the array is in Fortran's order: save "
                       "numpy.ascontiguousarray(x)",
                       file);
    if (!take_shape(value_of(text, end, "shape"), end, array))
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: offset 0: the array's shape is not one of 1 to 4 dimensions", file);
    return IB_OK;
}

ib_status ib_npy_parse(const char *file, const uint8_t *data, size_t size, ib_npy *array,
                       ib_error *err) {
    static const char MAGIC[] = "\x93NUMPY";
    enum { SHORT_HEADER = 10, LONG_HEADER = 12 };
    *array = (ib_npy){0};
    if (size < LONG_HEADER || memcmp(data, MAGIC, 6) != 0 || data[6] < 1 || data[6] > 3)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: offset 0: no .npy file of format 1 to 3: write it with numpy.save",
                       file);
    size_t text = data[6] == 1 ? SHORT_HEADER : LONG_HEADER;
    size_t length = (size_t)data[8] | (size_t)data[9] << 8;
    if (data[6] > 1)
        length |= (size_t)data[10] << 16 | (size_t)data[11] << 24;
    if (length > size - text)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: offset %zu: the file ends within its header: get it again", file, size);
    array->offset = text + length;
    array->values = data + array->offset;
    IB_TRY(take_header(file, (const char *)data + text, (const char *)array->values, array, err));
    array->count = 1;
    for (unsigned d = 0; d < array->dimensions; ++d) {
        if (array->extents[d] != 0 && array->count > SIZE_MAX / 16 / array->extents[d])
            return ib_fail(err, IB_ERROR_VERIFY,
                           "%s: offset 0: the shape promises more than a file can hold", file);
        array->count *= array->extents[d];
    }
    if (array->count * array->value_bytes != size - array->offset)
        return ib_fail(
            err, IB_ERROR_VERIFY,
            "%s: offset %zu: the header promises %zu bytes behind it, but there are %zu: "
            "the file was cut or changed, get it again",
            file, array->offset, array->count * array->value_bytes, size - array->offset);
    return IB_OK;
}

/* ---- images and labels --------------------------------------------------------------------------
 */

/* What does not fit into 63 bits is no label: INT64_MAX. */
static int64_t value_at(const ib_npy *array, size_t index) {
    const uint8_t *p = array->values + index * array->value_bytes;
    uint64_t value = 0;
    for (unsigned i = 0; i < array->value_bytes; ++i)
        value = value << 8 | p[array->big_endian ? i : array->value_bytes - 1 - i];
    unsigned unused = 64 - 8 * array->value_bytes;
    if (array->is_signed && value >> (8 * array->value_bytes - 1) != 0)
        return (int64_t)(value << unused) / (int64_t)((uint64_t)1 << unused);
    return value > INT64_MAX ? INT64_MAX : (int64_t)value;
}

static ib_status read_labels(const char *file, const ib_npy *labels, size_t count,
                             int64_t **numbers, ib_error *err) {
    int flat = labels->dimensions == 1 || (labels->dimensions == 2 && labels->extents[1] == 1);
    if (!flat || labels->extents[0] != count)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: offset 0: labels of shape (%zu%s, but there are %zu images: it takes "
                       "one number an image",
                       file, labels->extents[0], flat ? ",)" : ", ...)", count);
    *numbers = malloc((count + 1) * sizeof **numbers);
    if (*numbers == NULL)
        return ib_fail_memory(err);
    ib_status status = IB_OK;
    for (size_t i = 0; status == IB_OK && i < count; ++i) {
        (*numbers)[i] = value_at(labels, i);
        status = ib_import_check_label(file, "offset", labels->offset + i * labels->value_bytes,
                                       (*numbers)[i], err);
    }
    return status;
}

ib_status ib_npy_add(const char *images_file, const ib_npy *images, const char *labels_file,
                     const ib_npy *labels, ib_import_part part, ib_import_set *set, ib_error *err) {
    if (images->value_bytes != 1 || images->is_signed || images->dimensions < 3)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: offset 0: images are uint8 of shape (count, height, width) or (count, "
                       "height, width, channels)",
                       images_file);
    for (unsigned d = 1; d < images->dimensions; ++d)
        if (images->extents[d] == 0 || images->extents[d] > IB_RASTER_MOST_SIDE)
            return ib_fail(err, IB_ERROR_VERIFY,
                           "%s: offset 0: images of %zu pixels or channels in a row, where 1 to %d "
                           "are read",
                           images_file, images->extents[d], (int)IB_RASTER_MOST_SIDE);
    ib_image_shape shape = {images->dimensions == 4 ? (uint32_t)images->extents[3] : 1,
                            (uint32_t)images->extents[1], (uint32_t)images->extents[2]};
    int64_t *numbers = NULL;
    ib_status status = read_labels(labels_file, labels, images->extents[0], &numbers, err);
    if (status == IB_OK)
        status = ib_import_add_all(set, images_file, images->offset, part, shape, images->values,
                                   numbers, images->extents[0], err);
    free(numbers);
    return status;
}
