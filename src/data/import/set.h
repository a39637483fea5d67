/* The images that an import has read so far, in memory, and what becomes of them. */
#ifndef IB_DATA_IMPORT_SET_H
#define IB_DATA_IMPORT_SET_H

#include "data/import/import.h"
#include "data/import/raster.h"

typedef enum ib_import_part { IB_PART_TRAIN, IB_PART_TEST, IB_PARTS } ib_import_part;

/* Zero-initialise but for options. The caller calls ib_import_set_free. */
typedef struct ib_import_set {
    const ib_import_options *options;
    ib_image_shape image; /* of all images; no channels: there is none yet */
    char *first;          /* where the first image is from, for messages */
    uint8_t *pixels;      /* [count][image bytes] */
    uint16_t *labels;
    uint8_t *parts; /* ib_import_part */
    size_t count, capacity;
    size_t read[IB_PARTS];     /* images of each part */
    char **class_names;        /* owned; NULL: classes are numbers */
    size_t class_count;        /* 0 until ib_import_finish where classes are numbers */
    int by_class;              /* the images came class by class: their order is shuffled */
    uint32_t first_label;      /* what was subtracted from all labels: 0 or 1 */
    uint32_t *order[IB_PARTS]; /* by ib_import_finish: the images of each part */
    size_t counts[IB_PARTS];
    double mean, deviation;
} ib_import_set;

/* Adds one image, transposed and resized as the options want it. place says where it is from ("file
 * f: offset 8"). Another size than the images before is IB_ERROR_VERIFY. */
ib_status ib_import_add(ib_import_set *set, const char *place, ib_import_part part,
                        ib_image_shape shape, const uint8_t *pixels, int64_t label, ib_error *err);
/* Many of one shape, from one file whose first pixel is at that offset. labels: count of them. */
ib_status ib_import_add_all(ib_import_set *set, const char *file, size_t offset,
                            ib_import_part part, ib_image_shape shape, const uint8_t *pixels,
                            const int64_t *labels, size_t count, ib_error *err);
/* A label that is none of IB_MOST_CLASSES is IB_ERROR_VERIFY naming the place. */
ib_status ib_import_check_label(const char *file, const char *unit, size_t place, int64_t label,
                                ib_error *err);
/* Takes a copy of a class's name; they are added in the order of the classes. */
ib_status ib_import_add_class(ib_import_set *set, const char *file, const char *name,
                              ib_error *err);

/* Cuts off the test images, orders both parts, counts classes and takes mean and deviation, by
 * NUMERICS.md, "Imported images". */
ib_status ib_import_finish(ib_import_set *set, ib_error *err);
void ib_import_set_free(ib_import_set *set);

#endif
