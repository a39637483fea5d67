#include "catalog/augmentations/rows.h"

enum { TURN = 1 << 24, ONE = 1 << 30 };

/* Sine and cosine in Q30 of a part of a turn, up to an eighth either way: the series up to the 7th
 * and 8th power. */
static void series(int64_t part, int64_t *sine, int64_t *cosine) {
    int64_t angle = (part * 421657428) >> 20; /* 2 pi in Q26: the angle in Q30 */
    int64_t square = (angle * angle) >> 30;
    int64_t s = ONE - square / 42, c = ONE - square / 56;
    s = ONE - ((square * s) >> 30) / 20;
    s = ONE - ((square * s) >> 30) / 6;
    c = ONE - ((square * c) >> 30) / 30;
    c = ONE - ((square * c) >> 30) / 12;
    *sine = (angle * s) >> 30;
    *cosine = ONE - ((square * c) >> 30) / 2;
}

/* By a multiple of 2^-24 of a turn. */
static void place(const ib_placing *placing, int64_t amount, ib_placement *placement) {
    int64_t part = ib_placing_spread(placing, 0, amount), s, c;
    int64_t quarter = (part + TURN / 8) >> 22;
    series(part - quarter * (TURN / 4), &s, &c);
    int64_t cosine = (c + (1 << 13)) >> 14, sine = (s + (1 << 13)) >> 14;
    for (; (quarter & 3) != 0; --quarter) {
        int64_t kept = cosine;
        cosine = -sine;
        sine = kept;
    }
    placement->xx = placement->yy = cosine;
    placement->xy = sine;
    placement->yx = -sine;
}

const ib_augmentation ib_augmentation_rotate = {
    .name = "rotate",
    .most = 180,
    .unit = TURN / 360.0,
    .place = place,
};
