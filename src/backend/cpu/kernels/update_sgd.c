#include "catalog/optimizers/sgd.h"

#include "update.h"

static inline vf formula(const float *u, int has_momentum, vf w, vf g, float *buffer,
                         float *unused) {
    (void)unused;
    if (has_momentum) {
        vf m = v_settle(v_fma(v_set1(u[IB_SGD_MOMENTUM]), v_load(buffer), g));
        v_store(buffer, m);
        g = u[IB_SGD_NESTEROV] != 0 ? v_settle(v_fma(v_set1(u[IB_SGD_NESTEROV]), m, g)) : m;
    }
    return v_settle(v_fma(v_set1(-u[IB_SGD_LR]), g, w));
}

IB_UPDATE_KERNEL(sgd)
