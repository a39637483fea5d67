/* What may be done to a training image on its way into a batch (NUMERICS.md, "Augmentation"): one
 * constant row each. What becomes of a sample is a function of the seed, the step and its place in
 * the batch, in integers alone. */
#ifndef IB_CATALOG_AUGMENTATIONS_H
#define IB_CATALOG_AUGMENTATIONS_H

#include <stddef.h>
#include <stdint.h>

#include "base/philox.h"
#include "base/status.h"

typedef enum ib_augmentation_kind {
#define IB_AUGMENTATION(id, name) IB_AUGMENT_##id,
#include "catalog/augmentations.inc"
#undef IB_AUGMENTATION
    IB_AUGMENTATIONS
} ib_augmentation_kind;

/* Where the pixels of one image come from. An output pixel's doubled distance from the image's
 * middle, less the doubled shift, is taken through the matrix (Q16) to that of its source. */
typedef struct ib_placement {
    int64_t shift_x, shift_y;              /* pixels */
    int64_t xx, xy, yx, yy;                /* source x = xx * x + xy * y, ... */
    int64_t cut_row, cut_column, cut_side; /* a square that becomes 0; it may stick out */
} ib_placement;

/* An image's size, and what its numbers are drawn from: words of two elements a sample. */
typedef struct ib_placing {
    int64_t height, width;
    ib_rng rng;
    uint64_t element;
} ib_placing;

typedef struct ib_augmentation {
    const char *name;
    double most; /* the greatest value; 0: it has none */
    int whole;   /* values are integers */
    double unit; /* an amount is the value times this, rounded to an integer */
    void (*place)(const ib_placing *placing, int64_t amount, ib_placement *placement);
} ib_augmentation;

/* What a batch is told. All zero: images stay as they are. */
typedef struct ib_augment {
    int enabled;
    int64_t height, width;
    int64_t amount[IB_AUGMENTATIONS]; /* 0: not this one */
    int64_t first_sample;             /* position in the global batch of the first */
    ib_rng rng;                       /* of stream AUGMENT and the step, sub 0 */
} ib_augment;

/* "flip,shift=2" as amounts, and in its one form: in the order of the rows, numbers in their
 * shortest form. Fresh memory; text and canonical may be NULL. What is not one is IB_ERROR_USAGE,
 * said of given_as. */
ib_status ib_augment_parse(const char *text, const char *given_as, int64_t amount[IB_AUGMENTATIONS],
                           char **canonical, ib_error *err);
/* The placement of a sample of the global batch. */
ib_placement ib_augment_place(const ib_augment *augment, uint64_t sample);

/* Uniform in [-limit, limit]: of the sample's first or second (0, 1) word. */
static inline int64_t ib_placing_spread(const ib_placing *p, uint64_t which, int64_t limit) {
    return (int64_t)ib_rng_below(&p->rng, p->element + which, (uint32_t)(2 * limit + 1)) - limit;
}

#endif
