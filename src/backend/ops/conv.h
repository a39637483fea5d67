/* Convolutions (NUMERICS.md, "Convolution"). */
#ifndef IB_BACKEND_OPS_CONV_H
#define IB_BACKEND_OPS_CONV_H

#include "backend/operands.h"

/* y = conv(x, w) + b; relu: then ReLU. pool: then 2x2 max-pool of stride 2 (odd rest dropped),
 * dropout, and output as features. x: [n][h][w][ci].
 *
 * Backward: dy is the gradient before the output's ReLU and dropout; with pool: of the features,
 * placed by argmax. dx (absent for the first layer) with mask_input comes out as the gradient
 * before the activation that made x: x > 0 ? dx * input_scale : +0. dw, db: leaf-tree sums over the
 * batch, settled; with node: not settled, because the batch is one node of a tree that tree_sum
 * goes on with (8 * 2^k samples from a multiple of them, or the last ones). An x that is not finite
 * may be reported as IB_ERROR_DIVERGED, naming the layer. */
typedef struct ib_conv {
    int64_t n, h, w, ci, co;
    int64_t kh, kw, stride, pad;
    int relu, pool;
    ib_dropout dropout;
    int mask_input; /* 1: dx is masked by the activation that made x; 0: it is the plain gradient */
    float input_scale;  /* of the dropout that made x; 1 without. Used with mask_input only */
    int node;           /* 1: dw, db are a node of the tree, where ranks share a batch */
    int dw_begins_zero; /* 1: dw of taps that meet no pixel is +0 already and need not be written */
} ib_conv;

/* b, db absent: no bias (not with pool). argmax (pool only): [n][cell][C16], position 0..3 of the
 * first greatest. */
#define IB_OPERANDS_conv(READ, WRITE)                                                              \
    READ(float, x)                                                                                 \
    READ(float, w)                                                                                 \
    READ(float, b)                                                                                 \
    READ(float, dy)                                                                                \
    WRITE(float, y)                                                                                \
    WRITE(float, dx)                                                                               \
    WRITE(float, dw)                                                                               \
    WRITE(float, db)                                                                               \
    WRITE(uint8_t, argmax)
IB_DECLARE_OPERANDS(conv);

static inline int64_t ib_conv_out_h(const ib_conv *c) {
    return (c->h + 2 * c->pad - c->kh) / c->stride + 1;
}
static inline int64_t ib_conv_out_w(const ib_conv *c) {
    return (c->w + 2 * c->pad - c->kw) / c->stride + 1;
}
/* Features a pooled convolution writes for each image. */
static inline int64_t ib_conv_pooled_features(const ib_conv *c) {
    return c->co * (ib_conv_out_h(c) / 2) * (ib_conv_out_w(c) / 2);
}

#endif
