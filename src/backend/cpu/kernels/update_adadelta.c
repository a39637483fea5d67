#include "catalog/optimizers/adadelta.h"

#include "update.h"

static inline vf formula(const float *u, int has_momentum, vf w, vf g, float *square_avg,
                         float *acc_delta) {
    (void)has_momentum;
    vf rho = v_set1(u[IB_ADADELTA_RHO]), rest = v_set1(u[IB_ADADELTA_ONE_MINUS_RHO]);
    vf eps = v_set1(u[IB_ADADELTA_EPS]);
    vf average = v_settle_average(v_fma(rho, v_load(square_avg), v_mul(v_mul(g, g), rest)));
    vf delta = v_load(acc_delta);
    vf root = v_sqrt(v_settle_square(v_div(v_add(delta, eps), v_add(average, eps))));
    vf step = v_settle(v_mul(root, g));
    v_store(square_avg, average);
    v_store(acc_delta, v_settle_average(v_fma(rho, delta, v_mul(v_mul(step, step), rest))));
    return v_settle(v_fma(v_set1(-u[IB_ADADELTA_LR]), step, w));
}

IB_UPDATE_KERNEL(adadelta)
