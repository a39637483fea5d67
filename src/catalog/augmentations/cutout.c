#include "catalog/augmentations/rows.h"

/* A square around any pixel. */
static void place(const ib_placing *placing, int64_t amount, ib_placement *placement) {
    int64_t row = ib_rng_below(&placing->rng, placing->element, (uint32_t)placing->height);
    int64_t column = ib_rng_below(&placing->rng, placing->element + 1, (uint32_t)placing->width);
    placement->cut_row = row - amount / 2;
    placement->cut_column = column - amount / 2;
    placement->cut_side = amount;
}

const ib_augmentation ib_augmentation_cutout = {
    .name = "cutout",
    .most = 1024,
    .whole = 1,
    .unit = 1,
    .place = place,
};
