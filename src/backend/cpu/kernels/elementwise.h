/* An operation on each element by itself, from a function of vectors that says what becomes of one:
 *   static inline vf function(vf a, vf b, vf parameter)   parameter: the shape's, in every lane
 * IB_ELEMENTWISE_KERNEL(operation, y, function, a, b) makes its list, ib_<operation>; y, a and b
 * are operands; a b that is not given counts as +0. Bound by memory. Work items: 16 KiB of values.
 */
#ifndef IB_CPU_ELEMENTWISE_H
#define IB_CPU_ELEMENTWISE_H

#include "kernel.h"
#include "product.h"

enum { IB_FLOATS_PER_ITEM = 4096 };

struct elements {
    int64_t count;
    float parameter;
    const float *a, *b;
    float *y;
};

static inline void run_elements(ib_cpu *cpu, ib_work *item, const struct elements *e) {
    size_t items = (size_t)((e->count + IB_FLOATS_PER_ITEM - 1) / IB_FLOATS_PER_ITEM);
    ib_pool_run(cpu->pool, items, item, (void *)e);
}

#define IB_ELEMENTWISE_KERNEL(operation, result, function, first, other)                           \
    static void operation##_item(void *context, size_t item, unsigned thread) {                    \
        (void)thread;                                                                              \
        const struct elements *e = context;                                                        \
        int64_t begin = (int64_t)item * IB_FLOATS_PER_ITEM;                                        \
        int64_t end = smaller(begin + IB_FLOATS_PER_ITEM, e->count);                               \
        vf parameter = v_set1(e->parameter);                                                       \
        for (int64_t i = begin; i < end; i += VL)                                                  \
            v_store(e->y + i, function(v_load(e->a + i),                                           \
                                       e->b != NULL ? v_load(e->b + i) : v_zero(), parameter));    \
    }                                                                                              \
    static void operation(ib_cpu *cpu, const ib_elementwise *e,                                    \
                          const ib_elementwise_pointers *p) {                                      \
        run_elements(cpu, operation##_item,                                                        \
                     &(struct elements){e->count, e->parameter, p->first, p->other, p->result});   \
    }                                                                                              \
    IB_ONE_KERNEL(elementwise, IB_KERNEL(ib_##operation), NULL, operation);

#endif
