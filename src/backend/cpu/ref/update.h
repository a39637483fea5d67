/* Optimisers by their definition (NUMERICS.md, after torch.optim): update_<name>.c each. Included
 * once, after
 *   formula(u, has_momentum, w, g, state0, state1)   a weight's new value; the states are moved
 * Makes ib_update_<name>. */
#ifndef IB_CPU_REF_UPDATE_H
#define IB_CPU_REF_UPDATE_H

#include "reference.h"

/* An average of squares decays; the squares of settled values are at least 2^-80. */
static inline float settle_average(float state) {
    return ib_settle_below(state, IB_SETTLE_AVERAGE);
}

#define IB_UPDATE_REFERENCE(name)                                                                  \
    void IB_REF(ib_update_##name)(const ib_update *u, const ib_update_pointers *p);                \
    void IB_REF(ib_update_##name)(const ib_update *u, const ib_update_pointers *p) {               \
        const ib_update_scalars *s = &u->scalars;                                                  \
        for (int64_t i = 0; i < u->count; ++i) {                                                   \
            float g = p->dw[i];                                                                    \
            if (s->decay != 0)                                                                     \
                g = ib_settle(exact_fma(s->decay, p->w[i], g));                                    \
            p->w[i] = formula(s->of, s->has_momentum, p->w[i], g, p->state0 + i, p->state1 + i);   \
            if (!(p->w[i] - p->w[i] == 0.0f) && u->index < *p->bad)                                \
                *p->bad = u->index;                                                                \
        }                                                                                          \
    }

#endif
