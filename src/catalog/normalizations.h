/* What pixels become before the first layer: (v / 255 - mean) / deviation, or by a mean and a
 * deviation for each pixel (data/pixel_table.h). One row a choice. */
#ifndef IB_CATALOG_NORMALIZATIONS_H
#define IB_CATALOG_NORMALIZATIONS_H

#include <stddef.h>

typedef enum ib_normalize_kind {
    IB_NORMALIZE_DATASET,
    IB_NORMALIZE_UNIT,
    IB_NORMALIZE_HALF,
    IB_NORMALIZE_RAW,
    IB_NORMALIZE_STANDARD
} ib_normalize_kind;

typedef struct ib_normalization {
    const char *name;
    int by_dataset; /* mean and deviation are the data set's */
    int by_pixel;   /* a table of them is the training images'; mean and deviation mean nothing */
    double mean, deviation;
} ib_normalization;

/* The index-th choice, which is that of the kind with this number; NULL past the end. */
const ib_normalization *ib_normalization_at(size_t index);
/* By name, NULL when there is none. */
const ib_normalization *ib_normalization_find(const char *name);
/* What the choice makes of a data set's mean and deviation. */
void ib_normalization_choose(const ib_normalization *choice, double dataset_mean,
                             double dataset_deviation, double *mean, double *deviation);

#endif
