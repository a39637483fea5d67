/* One optimiser step over a tensor, as NUMERICS.md, "Optimisers", has it term by term (after
 * torch.optim). Bound by memory: 3 reads and 2 or 3 writes of 4 bytes a weight. Work items: 16 KiB
 * of weights. */
#include "../cpu.h"
#include "product.h"

enum { FLOATS_PER_ITEM = 4096 };

struct update {
    const ib_update *u;
    int64_t count;
    float *w, *state0, *state1;
    const float *dw;
    int finite;
};

static inline vf adadelta(const ib_update *u, vf w, vf g, float *square_avg, float *acc_delta) {
    vf rho = v_set1(u->rho), rest = v_set1(u->one_minus_rho), eps = v_set1(u->eps);
    vf average = v_settle_average(v_fma(rho, v_load(square_avg), v_mul(v_mul(g, g), rest)));
    vf delta = v_load(acc_delta);
    vf root = v_sqrt(v_settle_square(v_div(v_add(delta, eps), v_add(average, eps))));
    vf step = v_settle(v_mul(root, g));
    v_store(square_avg, average);
    v_store(acc_delta, v_settle_average(v_fma(rho, delta, v_mul(v_mul(step, step), rest))));
    return v_settle(v_fma(v_set1(-u->lr), step, w));
}

static inline vf sgd(const ib_update *u, vf w, vf g, float *buffer) {
    if (u->has_momentum) {
        g = v_settle(v_fma(v_set1(u->momentum), v_load(buffer), g));
        v_store(buffer, g);
    }
    return v_settle(v_fma(v_set1(-u->lr), g, w));
}

static inline vf adam(const ib_update *u, vf w, vf g, float *exp_avg, float *exp_avg_sq) {
    vf m = v_load(exp_avg), v = v_load(exp_avg_sq);
    vf rest = v_set1(u->beta2_complement);
    m = v_settle(v_fma(v_set1(u->beta1_complement), v_sub(g, m), m));
    v = v_settle_average(v_fma(v_set1(u->beta2), v, v_mul(v_mul(g, g), rest)));
    v_store(exp_avg, m);
    v_store(exp_avg_sq, v);
    vf root = v_fma(v_sqrt(v), v_set1(u->root_correction), v_set1(u->eps));
    return v_settle(v_fma(v_set1(-u->step_size), v_settle(v_div(m, root)), w));
}

static void update_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    struct update *t = context;
    const ib_update *u = t->u;
    int64_t begin = (int64_t)item * FLOATS_PER_ITEM;
    int64_t end = smaller(begin + FLOATS_PER_ITEM, t->count);
    vf bad = v_zero();
    for (int64_t i = begin; i < end; i += VL) {
        vf w = v_load(t->w + i), g = v_load(t->dw + i);
        float *state0 = t->state0 == NULL ? NULL : t->state0 + i;
        float *state1 = t->state1 == NULL ? NULL : t->state1 + i;
        if (u->weight_decay != 0)
            g = v_settle(v_fma(v_set1(u->weight_decay), w, g));
        switch (u->kind) {
        case IB_ADADELTA:
            w = adadelta(u, w, g, state0, state1);
            break;
        case IB_SGD:
            w = sgd(u, w, g, state0);
            break;
        case IB_ADAM:
            w = adam(u, w, g, state0, state1);
            break;
        }
        v_store(t->w + i, w);
        bad = v_fma(w, v_zero(), bad); /* 0 * w is NaN for an infinite or NaN weight only */
    }
    if (v_any(v_ne(bad, v_zero())))
        __atomic_store_n(&t->finite, 0, __ATOMIC_RELAXED);
}

void IB_KERNEL(ib_update)(ib_cpu *cpu, const ib_update *u, int64_t count, float *w, const float *dw,
                          float *state0, float *state1, int *finite);
void IB_KERNEL(ib_update)(ib_cpu *cpu, const ib_update *u, int64_t count, float *w, const float *dw,
                          float *state0, float *state1, int *finite) {
    struct update t = {u, count, w, state0, state1, dw, 1};
    ib_pool_run(cpu->pool, (size_t)((count + FLOATS_PER_ITEM - 1) / FLOATS_PER_ITEM), update_item,
                &t);
    if (!t.finite)
        *finite = 0;
}
