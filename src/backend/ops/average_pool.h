/* Average pools (NUMERICS.md, "Activations, pooling, dropout"). */
#ifndef IB_BACKEND_OPS_AVERAGE_POOL_H
#define IB_BACKEND_OPS_AVERAGE_POOL_H

#include "backend/operands.h"

/* Means of windows of images [n][h][w][C16]; kernel x kernel, padding counting as +0 (PyTorch's
 * count_include_pad). inverse: 1 / kernel^2. Backward: the gradient of y is dy, or dy + second. */
typedef struct ib_average_pool {
    int64_t n, h, w, channels;
    int64_t kernel, stride, pad;
    float inverse;
} ib_average_pool;

#define IB_OPERANDS_average_pool(READ, WRITE)                                                      \
    READ(float, x)                                                                                 \
    READ(float, dy)                                                                                \
    READ(float, second)                                                                            \
    WRITE(float, y)                                                                                \
    WRITE(float, dx)
IB_DECLARE_OPERANDS(average_pool);

static inline int64_t ib_average_pool_out(const ib_average_pool *p, int64_t in) {
    return (in + 2 * p->pad - p->kernel) / p->stride + 1;
}

#endif
