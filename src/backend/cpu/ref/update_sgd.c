#include "catalog/optimizers/sgd.h"

#include "update.h"

static float formula(const float *u, int has_momentum, float w, float g, float *buffer,
                     float *unused) {
    (void)unused;
    if (has_momentum) {
        *buffer = ib_settle(exact_fma(u[IB_SGD_MOMENTUM], *buffer, g));
        g = u[IB_SGD_NESTEROV] != 0 ? ib_settle(exact_fma(u[IB_SGD_NESTEROV], *buffer, g))
                                    : *buffer;
    }
    return ib_settle(exact_fma(-u[IB_SGD_LR], g, w));
}

IB_UPDATE_REFERENCE(sgd)
