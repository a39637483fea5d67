/* NumPy's arrays. */
#ifndef IB_DATA_IMPORT_NPY_H
#define IB_DATA_IMPORT_NPY_H

#include "data/import/set.h"

/* A checked view into the caller's bytes, row by row. */
typedef struct ib_npy {
    unsigned dimensions, value_bytes;
    int is_signed, big_endian;
    size_t extents[4];
    size_t count; /* values */
    const uint8_t *values;
    size_t offset; /* of the values */
} ib_npy;

/* A .npy file of whole numbers with up to 4 dimensions; anything else is IB_ERROR_VERIFY. */
ib_status ib_npy_parse(const char *file, const uint8_t *data, size_t size, ib_npy *array,
                       ib_error *err);
/* Adds images [count][height][width] or [count][height][width][channels] of unsigned bytes with
 * their labels, [count] or [count][1] of whole numbers. */
ib_status ib_npy_add(const char *images_file, const ib_npy *images, const char *labels_file,
                     const ib_npy *labels, ib_import_part part, ib_import_set *set, ib_error *err);

#endif
