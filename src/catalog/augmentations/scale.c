#include "catalog/augmentations/rows.h"

/* By a factor around 1: sources lie nearer to the middle where it is greater. */
static void place(const ib_placing *placing, int64_t amount, ib_placement *placement) {
    int64_t factor = 65536 + ib_placing_spread(placing, 0, amount);
    int64_t inverse = ((int64_t)1 << 32) / factor;
    placement->xx = (placement->xx * inverse) >> 16;
    placement->xy = (placement->xy * inverse) >> 16;
    placement->yx = (placement->yx * inverse) >> 16;
    placement->yy = (placement->yy * inverse) >> 16;
}

const ib_augmentation ib_augmentation_scale = {
    .name = "scale",
    .most = 0.9,
    .unit = 65536,
    .place = place,
};
