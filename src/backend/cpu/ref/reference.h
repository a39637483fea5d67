/* The scalar reference: every operation of NUMERICS.md as plain loops, one thread, one chain after
 * another. It is what the fast kernels are compared with, bit for bit, and `--isa scalar`. */
#ifndef IB_CPU_REFERENCE_H
#define IB_CPU_REFERENCE_H

#include "../cpu.h"
#include "exact_math.h"

#if IB_REF_HARDWARE_FMA
#define IB_REF(name) name##_ref
#else
#define IB_REF(name) name##_ref_soft
#endif

/* The reference of each operation: ib_<operation>_run_ref, ib_<operation>_run_ref_soft. */
#define IB_OPERATION(name, kind, direction)                                                        \
    void IB_REF(ib_##name##_run)(ib_cpu * cpu, const ib_##kind *shape,                             \
                                 const ib_##kind##_pointers *p);
#include "backend/operations.inc"
#undef IB_OPERATION

void IB_REF(ib_conv_scratch)(const ib_conv *conv, size_t *per_thread, size_t *shared);

/* Sums of `leaves` values, stride floats apart, by the leaf tree; ended by adding +0. */
float IB_REF(ib_leaf_sum)(const float *leaf, int64_t stride, int64_t leaves);

static inline float ref_relu(float x) {
    return x > 0.0f ? x : 0.0f;
}

/* The gradient before the activation that made x. */
static inline float ref_mask(float x, float gradient, float scale) {
    return x > 0.0f ? (gradient + 0.0f) * scale : 0.0f;
}

/* What a layer hands back: masked, or the plain sum. */
static inline float ref_input_gradient(int mask, float x, float gradient, float scale) {
    return mask ? ref_mask(x, gradient, scale) : gradient + 0.0f;
}

static inline float ref_dropout(const ib_dropout *dropout, uint64_t element, float y) {
    if (!dropout->enabled)
        return y;
    return ib_rng_word(&dropout->rng, element) < dropout->threshold ? 0.0f : y * dropout->scale;
}

#endif
