/* Linear layers (NUMERICS.md, "Linear layers"). */
#ifndef IB_BACKEND_OPS_LINEAR_H
#define IB_BACKEND_OPS_LINEAR_H

#include "backend/operands.h"

/* y = x w + b; relu, dropout: then those. Backward as ib_conv. */
typedef struct ib_linear {
    int64_t n, in, out;
    int relu;
    ib_dropout dropout;
    int mask_input;
    float input_scale;
    int node;
} ib_linear;

/* b, db absent: no bias. */
#define IB_OPERANDS_linear(READ, WRITE)                                                            \
    READ(float, x)                                                                                 \
    READ(float, w)                                                                                 \
    READ(float, b)                                                                                 \
    READ(float, dy)                                                                                \
    WRITE(float, y)                                                                                \
    WRITE(float, dx)                                                                               \
    WRITE(float, dw)                                                                               \
    WRITE(float, db)
IB_DECLARE_OPERANDS(linear);

#endif
