/* One optimiser step (NUMERICS.md, "Optimisers"). */
#ifndef IB_BACKEND_OPS_UPDATE_H
#define IB_BACKEND_OPS_UPDATE_H

#include "backend/operands.h"
#include "experiment/config.h"

/* Scalars are computed in binary64 and rounded once. count floats, a multiple of 16; index: of the
 * step among those of the step table, what bad is told. */
typedef struct ib_update {
    ib_optimizer_kind kind;
    int has_momentum;
    float lr, weight_decay;
    float momentum;                                  /* sgd */
    float rho, one_minus_rho;                        /* adadelta */
    float beta1_complement, beta2, beta2_complement; /* adam */
    float step_size;                                 /* adam: lr / (1 - beta1^t) */
    float root_correction;                           /* adam: 1 / sqrt(1 - beta2^t) */
    float eps;
    int64_t count;
    uint32_t index;
} ib_update;

/* state1 is unused by sgd, state0 too without momentum. bad: one word, lowered to index where an
 * updated weight is not finite. */
#define IB_OPERANDS_update(READ, WRITE)                                                            \
    READ(float, dw)                                                                                \
    WRITE(float, w)                                                                                \
    WRITE(float, state0)                                                                           \
    WRITE(float, state1)                                                                           \
    WRITE(uint32_t, bad)
IB_DECLARE_OPERANDS(update);

#define IB_NEVER_BAD UINT32_MAX

#endif
