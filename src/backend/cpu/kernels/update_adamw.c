#include "catalog/optimizers/adamw.h"

#include "update.h"

static inline vf formula(const float *u, int has_momentum, vf w, vf g, float *exp_avg,
                         float *exp_avg_sq) {
    (void)has_momentum;
    w = v_settle(v_fma(v_set1(-u[IB_ADAMW_DECAY]), w, w));
    vf m = v_load(exp_avg), v = v_load(exp_avg_sq);
    vf rest = v_set1(u[IB_ADAMW_BETA2_COMPLEMENT]);
    m = v_settle(v_fma(v_set1(u[IB_ADAMW_BETA1_COMPLEMENT]), v_sub(g, m), m));
    v = v_settle_average(v_fma(v_set1(u[IB_ADAMW_BETA2]), v, v_mul(v_mul(g, g), rest)));
    v_store(exp_avg, m);
    v_store(exp_avg_sq, v);
    vf root = v_fma(v_sqrt(v), v_set1(u[IB_ADAMW_ROOT_CORRECTION]), v_set1(u[IB_ADAMW_EPS]));
    return v_settle(v_fma(v_set1(-u[IB_ADAMW_STEP_SIZE]), v_settle(v_div(m, root)), w));
}

IB_UPDATE_KERNEL(adamw)
