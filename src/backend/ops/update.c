#include "backend/ops/update.h"

static int states(const ib_update *u) {
    return u->kind != IB_SGD ? 2 : u->has_momentum ? 1 : 0;
}

const char *ib_update_fault(const ib_update *u, ib_direction direction) {
    (void)direction;
    return u->count >= 16 && u->count % 16 == 0 && u->count <= (int64_t)1 << 46
               ? NULL
               : "shape out of range";
}

void ib_update_need(const ib_update *u, ib_direction direction, ib_update_sizes *sizes) {
    (void)direction;
    *sizes = (ib_update_sizes){.dw = u->count, .w = u->count, .bad = 1};
    sizes->state0 = states(u) > 0 ? u->count : 0;
    sizes->state1 = states(u) > 1 ? u->count : 0;
}

double ib_update_macs(const ib_update *u, ib_direction direction) {
    (void)u, (void)direction;
    return 0;
}
