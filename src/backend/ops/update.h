/* One optimiser step (NUMERICS.md, "Optimisers"). */
#ifndef IB_BACKEND_OPS_UPDATE_H
#define IB_BACKEND_OPS_UPDATE_H

#include "backend/operands.h"
#include "catalog/optimizers.h"

/* count floats, a multiple of 16; index: of the step among those of the step table, what bad is
 * told. */
typedef struct ib_update {
    ib_optimizer_kind kind;
    ib_update_scalars scalars;
    int64_t count;
    uint32_t index;
} ib_update;

/* state0, state1: as many as the optimiser has. bad: one word, lowered to index where an
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
