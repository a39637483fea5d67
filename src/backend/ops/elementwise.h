/* Operations on each element by itself: activations and sums; and those that only move values. */
#ifndef IB_BACKEND_OPS_ELEMENTWISE_H
#define IB_BACKEND_OPS_ELEMENTWISE_H

#include "backend/operands.h"

/* Forward y = f(x), or f(x, second) (an addition without a second: x); backward dx = f'(y, dy). dx
 * may be dy, y may be x. A function's parameter, where it has one: slope. */
typedef struct ib_elementwise {
    int64_t count; /* a multiple of 16 */
    float parameter;
} ib_elementwise;

#define IB_OPERANDS_elementwise(READ, WRITE)                                                       \
    READ(float, x)                                                                                 \
    READ(float, second)                                                                            \
    READ(float, y_kept)                                                                            \
    READ(float, dy)                                                                                \
    WRITE(float, y)                                                                                \
    WRITE(float, dx)
IB_DECLARE_OPERANDS(elementwise);

/* Images [n][pixels][C16], or features with pixels = 1: dropout of each value by its logical
 * number sample * channels * pixels + channel * pixels + pixel. Backward: what was kept is scaled
 * alike. dx may be dy, y may be x. */
typedef struct ib_drop {
    int64_t n, pixels, channels;
    ib_dropout dropout;
} ib_drop;

#define IB_OPERANDS_drop(READ, WRITE)                                                              \
    READ(float, x)                                                                                 \
    READ(float, dy)                                                                                \
    WRITE(float, y)                                                                                \
    WRITE(float, dx)
IB_DECLARE_OPERANDS(drop);

/* Images [n][pixels][C16] to features [n][pad16(channels * pixels)] in the order channel, pixel,
 * and back. */
typedef struct ib_flatten {
    int64_t n, pixels, channels;
} ib_flatten;

#define IB_OPERANDS_flatten(READ, WRITE)                                                           \
    READ(float, x)                                                                                 \
    READ(float, dy)                                                                                \
    WRITE(float, y)                                                                                \
    WRITE(float, dx)
IB_DECLARE_OPERANDS(flatten);

#endif
