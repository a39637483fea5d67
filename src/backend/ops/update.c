#include "backend/ops/update.h"

const char *ib_update_fault(const ib_update *u, ib_direction direction) {
    (void)direction;
    return u->count >= 16 && u->count % 16 == 0 && u->count <= (int64_t)1 << 46
               ? NULL
               : "shape out of range";
}

void ib_update_need(const ib_update *u, ib_direction direction, ib_update_sizes *sizes) {
    (void)direction;
    *sizes = (ib_update_sizes){.dw = u->count, .w = u->count, .bad = 1};
    int states = ib_optimizer_states(u->kind, u->scalars.has_momentum);
    sizes->state0 = states > 0 ? u->count : 0;
    sizes->state1 = states > 1 ? u->count : 0;
}

double ib_update_macs(const ib_update *u, ib_direction direction) {
    (void)u, (void)direction;
    return 0;
}
