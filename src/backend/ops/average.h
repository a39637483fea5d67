/* The moving average of weights (NUMERICS.md, "Averages of weights"). */
#ifndef IB_BACKEND_OPS_AVERAGE_H
#define IB_BACKEND_OPS_AVERAGE_H

#include "backend/operands.h"

/* average moves by share of its way to w. count floats, a multiple of 16; index: of the step among
 * those of the step table, what bad is told. */
typedef struct ib_average {
    int64_t count;
    float share;
    uint32_t index;
} ib_average;

/* bad: one word, lowered to index where an average is not finite. */
#define IB_OPERANDS_average(READ, WRITE)                                                           \
    READ(float, w)                                                                                 \
    WRITE(float, average)                                                                          \
    WRITE(uint32_t, bad)
IB_DECLARE_OPERANDS(average);

#endif
