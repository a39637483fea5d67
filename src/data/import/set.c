#include "data/import/set.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/philox.h"
#include "data/lock.h"
#include "data/split.h"

/* Step of the Philox stream for the order of each part; lower ones are classes. */
enum { ORDER_STEP = 1 << 16 };

ib_status ib_import_check_label(const char *file, const char *unit, size_t place, int64_t label,
                                ib_error *err) {
    if (label >= 0 && label < IB_MOST_CLASSES)
        return IB_OK;
    return ib_fail(err, IB_ERROR_VERIFY,
                   "%s: %s %zu: label %" PRId64 ", but labels are 0 to %d: number the classes from "
                   "0",
                   file, unit, place, label, (int)IB_MOST_CLASSES - 1);
}

/* ---- adding -------------------------------------------------------------------------------------
 */

/* Of an image as it was read, before anything is made of it. */
static ib_status check_limits(const char *place, ib_image_shape shape, ib_error *err) {
    if (shape.height >= 1 && shape.height <= IB_RASTER_MOST_SIDE && shape.width >= 1 &&
        shape.width <= IB_RASTER_MOST_SIDE && shape.channels >= 1 &&
        shape.channels <= IB_LOCK_MOST_CHANNELS)
        return IB_OK;
    return ib_fail(err, IB_ERROR_VERIFY,
                   "%s: %" PRIu32 " x %" PRIu32 " pixels of %" PRIu32
                   " channels, where 1 x 1 to %d x %d of 1 to %d are read",
                   place, shape.height, shape.width, shape.channels, (int)IB_RASTER_MOST_SIDE,
                   (int)IB_RASTER_MOST_SIDE, (int)IB_LOCK_MOST_CHANNELS);
}

static ib_status check_shape(ib_import_set *set, const char *place, ib_image_shape shape,
                             ib_error *err) {
    const ib_image_shape *first = &set->image;
    if (first->channels == 0) {
        if (shape.height > IB_LOCK_MOST_SIDE || shape.width > IB_LOCK_MOST_SIDE)
            return ib_fail(
                err, IB_ERROR_VERIFY,
                "%s: %" PRIu32 " x %" PRIu32 " pixels of %" PRIu32 " channels, where 1 x "
                "1 to %d x %d of 1 to %d are possible: --resize HxW makes images smaller",
                place, shape.height, shape.width, shape.channels, (int)IB_LOCK_MOST_SIDE,
                (int)IB_LOCK_MOST_SIDE, (int)IB_LOCK_MOST_CHANNELS);
        set->first = strdup(place);
        set->image = shape;
        return set->first == NULL ? ib_fail_memory(err) : IB_OK;
    }
    if (shape.channels != first->channels)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: an image of %" PRIu32 " channels, but that of %s has %" PRIu32
                       ": make all of them grey or all of them coloured",
                       place, shape.channels, set->first, first->channels);
    if (shape.height != first->height || shape.width != first->width)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: %" PRIu32 " x %" PRIu32 " pixels, but the image of %s has %" PRIu32
                       " x %" PRIu32 ": --resize HxW gives all of them one size",
                       place, shape.height, shape.width, set->first, first->height, first->width);
    return IB_OK;
}

static ib_status grow(ib_import_set *set, ib_error *err) {
    size_t each = ib_image_bytes(set->image);
    size_t capacity = set->capacity == 0 ? 256 : 2 * set->capacity;
    if (set->count == IB_LOCK_MOST_IMAGES || capacity > SIZE_MAX / 2 / each)
        return ib_fail(err, IB_ERROR_VERIFY, "%s: more than %d images", set->first,
                       (int)IB_LOCK_MOST_IMAGES);
    uint8_t *pixels = realloc(set->pixels, capacity * each);
    if (pixels == NULL)
        return ib_fail_memory(err);
    set->pixels = pixels;
    uint16_t *labels = realloc(set->labels, capacity * sizeof *labels);
    if (labels == NULL)
        return ib_fail_memory(err);
    set->labels = labels;
    uint8_t *parts = realloc(set->parts, capacity);
    if (parts == NULL)
        return ib_fail_memory(err);
    set->parts = parts;
    set->capacity = capacity;
    return IB_OK;
}

static ib_status append(ib_import_set *set, const char *place, ib_import_part part,
                        ib_image_shape shape, const uint8_t *pixels, int64_t label, ib_error *err) {
    IB_TRY(check_shape(set, place, shape, err));
    if (set->count == set->capacity)
        IB_TRY(grow(set, err));
    size_t each = ib_image_bytes(shape);
    memcpy(set->pixels + set->count * each, pixels, each);
    set->labels[set->count] = (uint16_t)label;
    set->parts[set->count] = (uint8_t)part;
    ++set->count;
    ++set->read[part];
    return IB_OK;
}

ib_status ib_import_add(ib_import_set *set, const char *place, ib_import_part part,
                        ib_image_shape shape, const uint8_t *pixels, int64_t label, ib_error *err) {
    const uint32_t *resize = set->options->resize;
    ib_raster turned = {0}, sized = {0};
    ib_status status = check_limits(place, shape, err);
    if (status == IB_OK && set->options->transpose) {
        ib_image_shape other = {shape.channels, shape.width, shape.height};
        status = ib_raster_make(place, other, &turned, err);
        if (status == IB_OK)
            ib_transpose_image(shape, pixels, turned.pixels);
        shape = other;
        pixels = turned.pixels;
    }
    if (status == IB_OK && resize[0] > 0) {
        ib_image_shape other = {shape.channels, resize[0], resize[1]};
        status = ib_raster_make(place, other, &sized, err);
        if (status == IB_OK)
            ib_resize_image(shape, pixels, resize[0], resize[1], sized.pixels);
        shape = other;
        pixels = sized.pixels;
    }
    if (status == IB_OK)
        status = append(set, place, part, shape, pixels, label, err);
    ib_raster_free(&turned);
    ib_raster_free(&sized);
    return status;
}

ib_status ib_import_add_all(ib_import_set *set, const char *file, size_t offset,
                            ib_import_part part, ib_image_shape shape, const uint8_t *pixels,
                            const int64_t *labels, size_t count, ib_error *err) {
    size_t each = ib_image_bytes(shape);
    char *place = ib_format("%s: offset %zu", file, offset);
    ib_status status = place == NULL ? ib_fail_memory(err) : IB_OK;
    for (size_t i = 0; status == IB_OK && i < count; ++i)
        status = ib_import_add(set, place, part, shape, pixels + i * each, labels[i], err);
    free(place);
    return status;
}

ib_status ib_import_add_class(ib_import_set *set, const char *file, const char *name,
                              ib_error *err) {
    if (set->class_count == IB_MOST_CLASSES)
        return ib_fail(err, IB_ERROR_VERIFY, "%s: more than %d classes", file,
                       (int)IB_MOST_CLASSES);
    if (name[0] == '\0' || strlen(name) > IB_LOCK_MOST_CLASS_NAME)
        return ib_fail(err, IB_ERROR_VERIFY, "%s: the name of a class has 1 to %d bytes", file,
                       (int)IB_LOCK_MOST_CLASS_NAME);
    char **names = realloc(set->class_names, (set->class_count + 1) * sizeof *names);
    if (names == NULL)
        return ib_fail_memory(err);
    set->class_names = names;
    names[set->class_count] = strdup(name);
    return names[set->class_count++] == NULL ? ib_fail_memory(err) : IB_OK;
}

/* ---- what becomes of them -----------------------------------------------------------------------
 */

static ib_status count_classes(ib_import_set *set, ib_error *err) {
    unsigned least = UINT16_MAX, most = 0;
    for (size_t i = 0; i < set->count; ++i) {
        least = set->labels[i] < least ? set->labels[i] : least;
        most = set->labels[i] > most ? set->labels[i] : most;
    }
    if (set->class_names == NULL) {
        set->first_label = least == 1;
        for (size_t i = 0; set->first_label > 0 && i < set->count; ++i)
            --set->labels[i];
        set->class_count = most - set->first_label + 1;
    }
    if (set->class_count < 2)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: all images have the same label, but there must be 2 to %d classes",
                       set->first, (int)IB_MOST_CLASSES);
    return IB_OK;
}

/* Of each class the first in a shuffled order become test images. */
static ib_status cut_off_test(ib_import_set *set, ib_error *err) {
    uint32_t *members = malloc((set->count + 1) * sizeof *members);
    if (members == NULL)
        return ib_fail_memory(err);
    for (size_t c = 0; c < set->class_count; ++c) {
        size_t n = 0;
        for (size_t i = 0; i < set->count; ++i)
            if (set->labels[i] == c)
                members[n++] = (uint32_t)i;
        ib_shuffle(members, n, 0, IB_STREAM_IMPORT, c);
        size_t share = (size_t)((double)n * set->options->test_share);
        if (share == 0 && n > 1)
            share = 1;
        for (size_t k = 0; k < share; ++k)
            set->parts[members[k]] = IB_PART_TEST;
        set->read[IB_PART_TRAIN] -= share;
        set->read[IB_PART_TEST] += share;
    }
    free(members);
    return IB_OK;
}

static ib_status order_part(ib_import_set *set, ib_import_part part, ib_error *err) {
    uint32_t *order = malloc((set->read[part] + 1) * sizeof *order);
    if (order == NULL)
        return ib_fail_memory(err);
    set->order[part] = order;
    for (size_t i = 0; i < set->count; ++i)
        if (set->parts[i] == part)
            order[set->counts[part]++] = (uint32_t)i;
    if (set->by_class)
        ib_shuffle(order, set->counts[part], 0, IB_STREAM_IMPORT, ORDER_STEP + (uint64_t)part);
    return IB_OK;
}

static double rounded(double value) {
    return floor(value * 10000.0 + 0.5) / 10000.0;
}

static ib_status measure(ib_import_set *set, ib_error *err) {
    size_t each = ib_image_bytes(set->image);
    uint64_t sum = 0, squares = 0;
    for (size_t i = 0; i < set->counts[IB_PART_TRAIN]; ++i) {
        const uint8_t *pixels = set->pixels + set->order[IB_PART_TRAIN][i] * each;
        for (size_t k = 0; k < each; ++k) {
            sum += pixels[k];
            squares += (uint64_t)pixels[k] * pixels[k];
        }
    }
    double count = (double)set->counts[IB_PART_TRAIN] * (double)each;
    double mean = (double)sum / count, variance = (double)squares / count - mean * mean;
    set->mean = rounded(mean / 255.0);
    set->deviation = rounded(sqrt(variance > 0 ? variance : 0) / 255.0);
    if (set->deviation <= 0)
        return ib_fail(err, IB_ERROR_VERIFY, "%s: all pixels of the training images are the same",
                       set->first);
    return IB_OK;
}

ib_status ib_import_finish(ib_import_set *set, ib_error *err) {
    const double share = set->options->test_share;
    if (set->count == 0)
        return ib_fail(err, IB_ERROR_VERIFY, "there are no images to import");
    if (set->read[IB_PART_TEST] == 0 && share <= 0)
        return ib_fail(
            err, IB_ERROR_USAGE,
            "%s: there are no test images: name them too, or give --test-share X to take "
            "a part of the images for testing",
            set->first);
    if (set->read[IB_PART_TEST] > 0 && share > 0)
        return ib_fail(err, IB_ERROR_USAGE,
                       "%s: there are %zu test images already: leave --test-share out", set->first,
                       set->read[IB_PART_TEST]);
    IB_TRY(count_classes(set, err));
    if (share > 0)
        IB_TRY(cut_off_test(set, err));
    if (set->read[IB_PART_TRAIN] == 0 || set->read[IB_PART_TEST] == 0)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: %zu training images and %zu test images: both "
                       "are needed",
                       set->first, set->read[IB_PART_TRAIN], set->read[IB_PART_TEST]);
    IB_TRY(order_part(set, IB_PART_TRAIN, err));
    IB_TRY(order_part(set, IB_PART_TEST, err));
    return measure(set, err);
}

void ib_import_set_free(ib_import_set *set) {
    for (size_t i = 0; set->class_names != NULL && i < set->class_count; ++i)
        free(set->class_names[i]);
    free(set->class_names);
    free(set->first);
    free(set->pixels);
    free(set->labels);
    free(set->parts);
    free(set->order[IB_PART_TRAIN]);
    free(set->order[IB_PART_TEST]);
    *set = (ib_import_set){0};
}
