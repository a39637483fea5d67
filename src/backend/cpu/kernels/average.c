/* The moving average of weights. Bound by memory: 2 reads and a write of 4 bytes a weight. Work
 * items: 16 KiB of weights. */
#include "kernel.h"
#include "product.h"

enum { FLOATS_PER_ITEM = 4096 };

struct average {
    const ib_average *a;
    const ib_average_pointers *p;
    int bad;
};

static void average_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    struct average *t = context;
    int64_t begin = (int64_t)item * FLOATS_PER_ITEM;
    int64_t end = smaller(begin + FLOATS_PER_ITEM, t->a->count);
    vf share = v_set1(t->a->share), bad = v_zero();
    for (int64_t i = begin; i < end; i += VL) {
        vf e = v_load(t->p->average + i);
        e = v_settle(v_fma(share, v_sub(v_load(t->p->w + i), e), e));
        v_store(t->p->average + i, e);
        bad = v_fma(e, v_zero(), bad); /* 0 * e is NaN for an infinite or NaN average only */
    }
    if (v_any(v_ne(bad, v_zero())))
        __atomic_store_n(&t->bad, 1, __ATOMIC_RELAXED);
}

static void average_weights(ib_cpu *cpu, const ib_average *a, const ib_average_pointers *p) {
    struct average t = {a, p, 0};
    size_t items = (size_t)((a->count + FLOATS_PER_ITEM - 1) / FLOATS_PER_ITEM);
    ib_pool_run(cpu->pool, items, average_item, &t);
    if (t.bad && a->index < *p->bad)
        *p->bad = a->index;
}

IB_ONE_KERNEL(average, IB_KERNEL(ib_average_weights), NULL, average_weights);
