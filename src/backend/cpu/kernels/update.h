/* One optimiser step over a tensor, as NUMERICS.md, "Optimisers", has it term by term (after
 * torch.optim). Bound by memory: 3 reads and 2 or 3 writes of 4 bytes a weight. Work items: 16 KiB
 * of weights. Included once, after
 *   formula(u, w, g, state0, state1)   a vector's new weights; states are loaded and stored by it
 * where u are the scalars and g the gradient, decay included. Makes ib_update_<name>. */
#ifndef IB_CPU_UPDATE_H
#define IB_CPU_UPDATE_H

#include "kernel.h"
#include "product.h"

enum { FLOATS_PER_ITEM = 4096 };

struct update {
    const ib_update *u;
    const ib_update_pointers *p;
    int bad;
};

static inline vf formula(const float *u, int has_momentum, vf w, vf g, float *state0,
                         float *state1);

static void update_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    struct update *t = context;
    const ib_update_scalars *u = &t->u->scalars;
    int64_t begin = (int64_t)item * FLOATS_PER_ITEM;
    int64_t end = smaller(begin + FLOATS_PER_ITEM, t->u->count);
    vf bad = v_zero();
    for (int64_t i = begin; i < end; i += VL) {
        vf w = v_load(t->p->w + i), g = v_load(t->p->dw + i);
        if (u->decay != 0)
            g = v_settle(v_fma(v_set1(u->decay), w, g));
        w = formula(u->of, u->has_momentum, w, g, t->p->state0 + i, t->p->state1 + i);
        v_store(t->p->w + i, w);
        bad = v_fma(w, v_zero(), bad); /* 0 * w is NaN for an infinite or NaN weight only */
    }
    if (v_any(v_ne(bad, v_zero())))
        __atomic_store_n(&t->bad, 1, __ATOMIC_RELAXED);
}

static void update(ib_cpu *cpu, const ib_update *u, const ib_update_pointers *p) {
    struct update t = {u, p, 0};
    size_t items = (size_t)((u->count + FLOATS_PER_ITEM - 1) / FLOATS_PER_ITEM);
    ib_pool_run(cpu->pool, items, update_item, &t);
    if (t.bad && u->index < *p->bad)
        *p->bad = u->index;
}

#define IB_UPDATE_KERNEL(name)                                                                     \
    void IB_KERNEL(ib_update_##name)(ib_cpu * cpu, const ib_update *u,                             \
                                     const ib_update_pointers *p);                                 \
    void IB_KERNEL(ib_update_##name)(ib_cpu * cpu, const ib_update *u,                             \
                                     const ib_update_pointers *p) {                                \
        update(cpu, u, p);                                                                         \
    }

#endif
