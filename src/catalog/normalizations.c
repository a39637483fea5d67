#include "catalog/normalizations.h"

#include <string.h>

static const ib_normalization NORMALIZATIONS[] = {
    [IB_NORMALIZE_DATASET] = {.name = "dataset", .by_dataset = 1},
    [IB_NORMALIZE_UNIT] = {.name = "unit", .mean = 0.0, .deviation = 1.0},
    [IB_NORMALIZE_HALF] = {.name = "half", .mean = 0.5, .deviation = 0.5},
    [IB_NORMALIZE_RAW] = {.name = "raw", .mean = 0.0, .deviation = 1.0 / 255.0},
    [IB_NORMALIZE_STANDARD] = {.name = "standard", .by_pixel = 1, .mean = 0.0, .deviation = 1.0},
};

const ib_normalization *ib_normalization_at(size_t index) {
    return index < sizeof NORMALIZATIONS / sizeof NORMALIZATIONS[0] ? &NORMALIZATIONS[index] : NULL;
}

const ib_normalization *ib_normalization_find(const char *name) {
    const ib_normalization *row;
    for (size_t i = 0; (row = ib_normalization_at(i)) != NULL; ++i)
        if (strcmp(row->name, name) == 0)
            return row;
    return NULL;
}

void ib_normalization_choose(const ib_normalization *choice, double dataset_mean,
                             double dataset_deviation, double *mean, double *deviation) {
    *mean = choice->by_dataset ? dataset_mean : choice->mean;
    *deviation = choice->by_dataset ? dataset_deviation : choice->deviation;
}
