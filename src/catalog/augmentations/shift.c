#include "catalog/augmentations/rows.h"

/* By whole pixels, so that nothing is blurred. */
static void place(const ib_placing *placing, int64_t amount, ib_placement *placement) {
    placement->shift_x = ib_placing_spread(placing, 0, amount);
    placement->shift_y = ib_placing_spread(placing, 1, amount);
}

const ib_augmentation ib_augmentation_shift = {
    .name = "shift",
    .most = 1024,
    .whole = 1,
    .unit = 1,
    .place = place,
};
