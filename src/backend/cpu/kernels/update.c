/* One optimiser step over a tensor, as NUMERICS.md, "Optimisers", has it term by term (after
 * torch.optim). Bound by memory: 3 reads and 2 or 3 writes of 4 bytes a weight. Work items: 16 KiB
 * of weights. */
#include "kernel.h"
#include "product.h"

enum { FLOATS_PER_ITEM = 4096 };

struct update {
    const ib_update *u;
    const ib_update_pointers *p;
    int bad;
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
    int64_t end = smaller(begin + FLOATS_PER_ITEM, u->count);
    vf bad = v_zero();
    for (int64_t i = begin; i < end; i += VL) {
        vf w = v_load(t->p->w + i), g = v_load(t->p->dw + i);
        float *state0 = t->p->state0 + i, *state1 = t->p->state1 + i;
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
        v_store(t->p->w + i, w);
        bad = v_fma(w, v_zero(), bad); /* 0 * w is NaN for an infinite or NaN weight only */
    }
    if (v_any(v_ne(bad, v_zero())))
        __atomic_store_n(&t->bad, 1, __ATOMIC_RELAXED);
}

static void update_weights(ib_cpu *cpu, const ib_update *u, const ib_update_pointers *p) {
    struct update t = {u, p, 0};
    ib_pool_run(cpu->pool, (size_t)((u->count + FLOATS_PER_ITEM - 1) / FLOATS_PER_ITEM),
                update_item, &t);
    if (t.bad && u->index < *p->bad)
        *p->bad = u->index;
}

IB_ONE_KERNEL(update, IB_KERNEL(ib_update_weights), NULL, update_weights);
