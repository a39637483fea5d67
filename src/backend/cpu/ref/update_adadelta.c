#include "catalog/optimizers/adadelta.h"

#include "update.h"

static float formula(const float *u, int has_momentum, float w, float g, float *square_avg,
                     float *acc_delta) {
    (void)has_momentum;
    float rho = u[IB_ADADELTA_RHO], rest = u[IB_ADADELTA_ONE_MINUS_RHO], eps = u[IB_ADADELTA_EPS];
    *square_avg = settle_average(exact_fma(rho, *square_avg, (g * g) * rest));
    float quotient = (*acc_delta + eps) / (*square_avg + eps);
    float step = ib_settle(exact_sqrt(ib_settle_below(quotient, IB_SETTLE_SQUARE)) * g);
    *acc_delta = settle_average(exact_fma(rho, *acc_delta, (step * step) * rest));
    return ib_settle(exact_fma(-u[IB_ADADELTA_LR], step, w));
}

IB_UPDATE_REFERENCE(adadelta)
