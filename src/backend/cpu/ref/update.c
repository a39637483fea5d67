/* Optimisers by their definition (NUMERICS.md, after torch.optim). */
#include "reference.h"

/* An average of squares decays; the squares of settled values are at least 2^-80. */
static float settle_average(float state) {
    return ib_settle_below(state, IB_SETTLE_AVERAGE);
}

static float adadelta(const ib_update *u, float w, float g, float *square_avg, float *acc_delta) {
    *square_avg = settle_average(exact_fma(u->rho, *square_avg, (g * g) * u->one_minus_rho));
    float ratio = (*acc_delta + u->eps) / (*square_avg + u->eps);
    float step = ib_settle(exact_sqrt(ib_settle_below(ratio, IB_SETTLE_SQUARE)) * g);
    *acc_delta = settle_average(exact_fma(u->rho, *acc_delta, (step * step) * u->one_minus_rho));
    return ib_settle(exact_fma(-u->lr, step, w));
}

static float sgd(const ib_update *u, float w, float g, float *buffer) {
    if (u->has_momentum)
        g = *buffer = ib_settle(exact_fma(u->momentum, *buffer, g));
    return ib_settle(exact_fma(-u->lr, g, w));
}

static float adam(const ib_update *u, float w, float g, float *exp_avg, float *exp_avg_sq) {
    *exp_avg = ib_settle(exact_fma(u->beta1_complement, g - *exp_avg, *exp_avg));
    *exp_avg_sq = settle_average(exact_fma(u->beta2, *exp_avg_sq, (g * g) * u->beta2_complement));
    float root = exact_fma(exact_sqrt(*exp_avg_sq), u->root_correction, u->eps);
    return ib_settle(exact_fma(-u->step_size, ib_settle(*exp_avg / root), w));
}

void IB_REF(ib_update_weights_run)(ib_cpu *cpu, const ib_update *u, const ib_update_pointers *p) {
    (void)cpu;
    float *w = p->w;
    for (int64_t i = 0; i < u->count; ++i) {
        float *s0 = p->state0 + i, *s1 = p->state1 + i, g = p->dw[i];
        if (u->weight_decay != 0)
            g = ib_settle(exact_fma(u->weight_decay, w[i], g));
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
            *p->bad = u->index < *p->bad ? u->index : *p->bad;
    }
}
