/* Pools between images (NUMERICS.md, "Activations, pooling, dropout"). */
#ifndef IB_BACKEND_OPS_POOL_H
#define IB_BACKEND_OPS_POOL_H

#include "backend/operands.h"

enum { IB_POOL_TAPS = 225 }; /* an argmax is a byte */

/* Max-pool of images [n][h][w][C16]; kernel x kernel, at most IB_POOL_TAPS. argmax: [n][oh][ow]
 * [C16], tap of the first greatest in scan order. Backward: the gradient of y is dy, or dy +
 * second. */
typedef struct ib_max_pool {
    int64_t n, h, w, channels;
    int64_t kernel, stride, pad;
} ib_max_pool;

#define IB_OPERANDS_max_pool(READ, WRITE)                                                          \
    READ(float, x)                                                                                 \
    READ(float, dy)                                                                                \
    READ(float, second)                                                                            \
    WRITE(float, y)                                                                                \
    WRITE(float, dx)                                                                               \
    WRITE(uint8_t, argmax)
IB_DECLARE_OPERANDS(max_pool);

static inline int64_t ib_max_pool_out(const ib_max_pool *p, int64_t in) {
    return (in + 2 * p->pad - p->kernel) / p->stride + 1;
}

/* Means over pixels: x [n][pixels][C16] to features y [n][C16], and back. */
typedef struct ib_mean {
    int64_t n, pixels, channels;
    float inverse; /* 1 / pixels */
} ib_mean;

#define IB_OPERANDS_mean(READ, WRITE)                                                              \
    READ(float, x)                                                                                 \
    READ(float, dy)                                                                                \
    WRITE(float, y)                                                                                \
    WRITE(float, dx)
IB_DECLARE_OPERANDS(mean);

#endif
