/* idx files as MNIST and its relatives have them: EMNIST's too, whose images are transposed, and
 * QMNIST's, whose labels are rows of 32-bit numbers. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "data/import/readers.h"

/* A checked idx file; values are big-endian. */
typedef struct idx_view {
    unsigned dimensions, value_bytes;
    int is_signed;
    uint32_t extents[4];
    const uint8_t *values;
    size_t offset; /* of the values */
} idx_view;

static uint32_t word_at(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static ib_status parse(const char *file, const uint8_t *data, size_t size, idx_view *view,
                       ib_error *err) {
    *view = (idx_view){0};
    if (size < 4)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: offset %zu: the file ends within the magic number: get it again", file,
                       size);
    const unsigned type = data[2], dimensions = data[3];
    if (data[0] != 0 || data[1] != 0 || dimensions < 1 || dimensions > 4 ||
        (type != 0x08 && type != 0x09 && type != 0x0B && type != 0x0C))
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: offset 0: magic number 0x%08" PRIx32
                       ", but idx files of bytes or whole numbers of 1 to 4 dimensions begin with "
                       "0x000008.. to 0x00000c..",
                       file, word_at(data));
    view->dimensions = dimensions;
    view->value_bytes = type == 0x0B ? 2 : type == 0x0C ? 4 : 1;
    view->is_signed = type != 0x08;
    view->offset = 4 + 4 * (size_t)dimensions;
    if (size < view->offset)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: offset %zu: the file ends within its header of %zu bytes: get it again",
                       file, size, view->offset);
    size_t wanted = view->value_bytes;
    for (unsigned d = 0; d < dimensions; ++d) {
        view->extents[d] = word_at(data + 4 + 4 * d);
        if (view->extents[d] != 0 && wanted > SIZE_MAX / 2 / view->extents[d])
            return ib_fail(err, IB_ERROR_VERIFY,
                           "%s: offset %u: the header promises more than a file can hold", file,
                           4 + 4 * d);
        wanted *= view->extents[d];
    }
    view->values = data + view->offset;
    if (wanted != size - view->offset)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: offset 4: the header promises %zu bytes behind it, but there are %zu: "
                       "the file was cut or changed, get it again",
                       file, wanted, size - view->offset);
    return IB_OK;
}

static int64_t value_at(const idx_view *view, size_t index) {
    const uint8_t *p = view->values + index * view->value_bytes;
    switch (view->value_bytes) {
    case 1:
        return view->is_signed ? (int8_t)p[0] : p[0];
    case 2:
        return (int16_t)(uint16_t)(p[0] << 8 | p[1]);
    default:
        return (int32_t)word_at(p);
    }
}

static ib_status check_images(const char *file, const idx_view *view, ib_image_shape *shape,
                              ib_error *err) {
    if (view->value_bytes != 1 || view->is_signed || view->dimensions < 3)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: offset 0: images are unsigned bytes of 3 dimensions (count, height, "
                       "width) or 4 (and channels)",
                       file);
    *shape = (ib_image_shape){view->dimensions == 4 ? view->extents[3] : 1, view->extents[1],
                              view->extents[2]};
    return IB_OK;
}

/* Labels may be rows, the first number of which is the class. */
static ib_status read_labels(const char *file, const idx_view *view, size_t count, int64_t **labels,
                             ib_error *err) {
    const size_t columns = view->dimensions == 2 ? view->extents[1] : 1;
    *labels = NULL;
    if (view->dimensions > 2 || columns == 0)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: offset 0: labels have 1 dimension, or 2 the first column of which is "
                       "the class",
                       file);
    if (view->extents[0] != count)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: offset 4: %" PRIu32 " labels, but there are %zu images: are both files "
                       "of one set?",
                       file, view->extents[0], count);
    *labels = malloc((count + 1) * sizeof **labels);
    if (*labels == NULL)
        return ib_fail_memory(err);
    ib_status status = IB_OK;
    for (size_t i = 0; status == IB_OK && i < count; ++i) {
        (*labels)[i] = value_at(view, i * columns);
        status = ib_import_check_label(
            file, "offset", view->offset + i * columns * view->value_bytes, (*labels)[i], err);
    }
    return status;
}

static ib_status read_pair(const ib_import_file *images, const ib_import_file *labels,
                           ib_import_part part, ib_import_set *set, ib_error *err) {
    ib_import_content pixels = {0}, classes = {0};
    idx_view of_pixels = {0}, of_classes = {0};
    ib_image_shape shape = {0};
    int64_t *numbers = NULL;
    ib_status status = ib_import_content_open(images->path, &pixels, err);
    if (status == IB_OK)
        status = ib_import_content_open(labels->path, &classes, err);
    if (status == IB_OK)
        status = parse(images->path, pixels.data, pixels.size, &of_pixels, err);
    if (status == IB_OK)
        status = check_images(images->path, &of_pixels, &shape, err);
    if (status == IB_OK)
        status = parse(labels->path, classes.data, classes.size, &of_classes, err);
    if (status == IB_OK)
        status = read_labels(labels->path, &of_classes, of_pixels.extents[0], &numbers, err);
    if (status == IB_OK)
        status = ib_import_add_all(set, images->path, of_pixels.offset, part, shape,
                                   of_pixels.values, numbers, of_pixels.extents[0], err);
    free(numbers);
    ib_import_content_close(&classes);
    ib_import_content_close(&pixels);
    return status;
}

static int is_idx(const char *name) {
    const char *at = strstr(name, "idx");
    return at != NULL && at[3] >= '1' && at[3] <= '4';
}

/* files[part][0]: images, [1]: labels. */
static ib_status find_files(const ib_import_source *source, const ib_import_file *files[2][2],
                            int *found, ib_error *err) {
    for (size_t i = 0; i < source->count; ++i) {
        const ib_import_file *file = &source->files[i];
        if (!is_idx(file->name))
            continue;
        *found = 1;
        int labels = strstr(file->name, "label") != NULL;
        if (!labels && strstr(file->name, "image") == NULL)
            return ib_fail(err, IB_ERROR_VERIFY,
                           "%s: neither 'images' nor 'labels' is in the name: rename it as "
                           "train-images-idx3-ubyte is called",
                           file->path);
        const ib_import_file **place = &files[ib_import_part_of(file->name)][labels];
        if (*place != NULL)
            return ib_fail(err, IB_ERROR_VERIFY,
                           "%s and %s are both %s of one part: name the files of one set only",
                           (*place)->path, file->path, labels ? "labels" : "images");
        *place = file;
    }
    return IB_OK;
}

ib_status ib_import_idx(const ib_import_source *source, ib_import_set *set, int *found,
                        ib_error *err) {
    const ib_import_file *files[2][2] = {{NULL}};
    IB_TRY(find_files(source, files, found, err));
    for (int part = 0; part < IB_PARTS; ++part) {
        const ib_import_file **pair = files[part];
        if (pair[0] == NULL && pair[1] == NULL)
            continue;
        if (pair[0] == NULL || pair[1] == NULL)
            return ib_fail(err, IB_ERROR_VERIFY, "%s: there are no %s beside it: name both files",
                           pair[0] == NULL ? pair[1]->path : pair[0]->path,
                           pair[0] == NULL ? "images" : "labels");
        IB_TRY(read_pair(pair[0], pair[1], (ib_import_part)part, set, err));
    }
    return IB_OK;
}
