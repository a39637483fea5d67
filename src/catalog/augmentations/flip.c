#include "catalog/augmentations/rows.h"

/* Left and right, for every second image on average. */
static void place(const ib_placing *placing, int64_t amount, ib_placement *placement) {
    (void)amount;
    if (ib_rng_below(&placing->rng, placing->element, 2) == 0)
        return;
    placement->xx = -placement->xx;
    placement->xy = -placement->xy;
}

const ib_augmentation ib_augmentation_flip = {
    .name = "flip",
    .place = place,
};
