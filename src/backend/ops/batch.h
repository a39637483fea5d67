/* What a batch begins and ends with: its images, the loss, what was predicted; and sums over it. */
#ifndef IB_BACKEND_OPS_BATCH_H
#define IB_BACKEND_OPS_BATCH_H

#include "backend/operands.h"
#include "catalog/augmentations.h"

enum { IB_LOAD_CHANNELS = 16 }; /* the most an image has */

/* Images order[0..n) of the attached data, which callers know to be there, and their labels:
 * x[i][p][c] = table[c][byte], or, by_pixel, settle((byte - table[0][p][c]) * table[1][p][c]),
 * the byte being that of the augmented image. pixels a channel; stride: floats of one image in x.
 * channels 1: [pixels]; more: [pixels][C16]. */
typedef struct ib_load {
    int64_t n, pixels, channels, stride;
    int by_pixel;
    ib_augment augment; /* enabled: of pixels = height * width; the step in rng is that of the
                           backend's current step */
} ib_load;

/* table: [channels][256], or [2][pixels][channels]. */
#define IB_OPERANDS_load(READ, WRITE)                                                              \
    READ(uint32_t, order)                                                                          \
    READ(float, table)                                                                             \
    WRITE(float, x)                                                                                \
    WRITE(uint16_t, labels)
IB_DECLARE_OPERANDS(load);

enum { IB_LOSS_CLASSES = 1000 };

/* How much of a target all classes share (NUMERICS.md, "Loss"). */
typedef struct ib_smoothing {
    float share; /* of each class; 0: no smoothing, and the others are not looked at */
    float rest;  /* of the label besides */
    float label; /* both: the label's target */
} ib_smoothing;

/* softmax_nll: losses[n] = -log softmax(logits)[label]; dlogits = (softmax - onehot) * inverse_n,
 * or both with a smoothed target; mean = leaf-tree sum of losses * inverse_n. classify: losses, and
 * for each sample the first greatest class, its logit and the label's (+0 without labels). logits:
 * [n][C16]. A label that is not below classes makes its loss NaN; callers check labels before. */
typedef struct ib_loss {
    int64_t n, classes;
    float inverse_n; /* 1 / the global batch */
    int labelled;    /* classify: there are labels; else they and losses are not looked at */
    ib_smoothing smoothing; /* softmax_nll's */
} ib_loss;

#define IB_OPERANDS_loss(READ, WRITE)                                                              \
    READ(float, logits)                                                                            \
    READ(uint16_t, labels)                                                                         \
    WRITE(float, losses)                                                                           \
    WRITE(float, dlogits)                                                                          \
    WRITE(float, mean)                                                                             \
    WRITE(uint16_t, classes)                                                                       \
    WRITE(float, evidence)
IB_DECLARE_OPERANDS(loss);

/* Sums rows[0..leaves) of width values each by the leaf tree, ended by +0; settle: then that, as a
 * gradient's root. */
typedef struct ib_tree {
    int64_t leaves, width; /* width: a multiple of 16 */
    int settle;
} ib_tree;

#define IB_OPERANDS_tree(READ, WRITE)                                                              \
    READ(float, rows)                                                                              \
    WRITE(float, sum)
IB_DECLARE_OPERANDS(tree);

#endif
