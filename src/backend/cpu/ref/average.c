/* The moving average of weights by its definition. */
#include "reference.h"

void IB_REF(ib_average_weights_run)(ib_cpu *cpu, const ib_average *a,
                                    const ib_average_pointers *p) {
    (void)cpu;
    for (int64_t i = 0; i < a->count; ++i) {
        float e = ib_settle(exact_fma(a->share, p->w[i] - p->average[i], p->average[i]));
        p->average[i] = e;
        if (!(e - e == 0.0f) && a->index < *p->bad)
            *p->bad = a->index;
    }
}
