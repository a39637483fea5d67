/* Optimisers by their definition (NUMERICS.md, after torch.optim). */
#include "reference.h"

static float settle(float state) {
    return 0x1p-100f > (state < 0 ? -state : state) ? 0.0f : state;
}

static float adadelta(const ib_update *u, float w, float g, float *square_avg, float *acc_delta) {
    *square_avg = settle(exact_fma(u->rho, *square_avg, (g * g) * u->one_minus_rho));
    float step = exact_sqrt((*acc_delta + u->eps) / (*square_avg + u->eps)) * g;
    *acc_delta = settle(exact_fma(u->rho, *acc_delta, (step * step) * u->one_minus_rho));
    return exact_fma(-u->lr, step, w);
}

static float sgd(const ib_update *u, float w, float g, float *buffer) {
    if (u->has_momentum)
        g = *buffer = settle(exact_fma(u->momentum, *buffer, g));
    return exact_fma(-u->lr, g, w);
}

static float adam(const ib_update *u, float w, float g, float *exp_avg, float *exp_avg_sq) {
    *exp_avg = settle(exact_fma(u->beta1_complement, g - *exp_avg, *exp_avg));
    *exp_avg_sq = settle(exact_fma(u->beta2, *exp_avg_sq, (g * g) * u->beta2_complement));
    float root = exact_fma(exact_sqrt(*exp_avg_sq), u->root_correction, u->eps);
    return exact_fma(-u->step_size, *exp_avg / root, w);
}

void IB_REF(ib_update)(ib_cpu *cpu, const ib_update *u, int64_t count, float *w, const float *dw,
                       float *state0, float *state1, int *finite) {
    (void)cpu;
    for (int64_t i = 0; i < count; ++i) {
        float *s0 = state0 == NULL ? NULL : state0 + i, *s1 = state1 == NULL ? NULL : state1 + i;
        float g = u->weight_decay != 0 ? exact_fma(u->weight_decay, w[i], dw[i]) : dw[i];
        switch (u->kind) {
        case IB_ADADELTA:
            w[i] = adadelta(u, w[i], g, s0, s1);
            break;
        case IB_SGD:
            w[i] = sgd(u, w[i], g, s0);
            break;
        case IB_ADAM:
            w[i] = adam(u, w[i], g, s0, s1);
            break;
        }
        if (!(w[i] - w[i] == 0.0f))
            *finite = 0;
    }
}
