#include "catalog/optimizers/adamw.h"

#include "update.h"

static float formula(const float *u, int has_momentum, float w, float g, float *exp_avg,
                     float *exp_avg_sq) {
    (void)has_momentum;
    w = ib_settle(exact_fma(-u[IB_ADAMW_DECAY], w, w));
    float rest = u[IB_ADAMW_BETA2_COMPLEMENT];
    *exp_avg = ib_settle(exact_fma(u[IB_ADAMW_BETA1_COMPLEMENT], g - *exp_avg, *exp_avg));
    *exp_avg_sq = settle_average(exact_fma(u[IB_ADAMW_BETA2], *exp_avg_sq, (g * g) * rest));
    float root = exact_fma(exact_sqrt(*exp_avg_sq), u[IB_ADAMW_ROOT_CORRECTION], u[IB_ADAMW_EPS]);
    return ib_settle(exact_fma(-u[IB_ADAMW_STEP_SIZE], ib_settle(*exp_avg / root), w));
}

IB_UPDATE_REFERENCE(adamw)
