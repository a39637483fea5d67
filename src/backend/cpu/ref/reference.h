/* The scalar reference: every operation of NUMERICS.md as plain loops, one thread, one chain after
 * another. It is what the fast kernels are compared with, bit for bit, and `--isa scalar`. */
#ifndef IB_CPU_REFERENCE_H
#define IB_CPU_REFERENCE_H

#include "../cpu.h"
#include "base/settle.h"
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

/* Settles as well: relu(settle(x)) is relu(x). */
static inline float ref_relu(float x) {
    return x >= 0x1p-40f ? x : 0.0f;
}

/* A layer's output: settled, by the ReLU where it has one. */
static inline float ref_output(int relu, float x) {
    return relu ? ref_relu(x) : ib_settle(x);
}

/* What a layer hands back: the settled sum, or that before the activation that made x. The scale is
 * at least 1, so that a settled gradient stays settled. */
static inline float ref_input_gradient(int mask, float x, float gradient, float scale) {
    float settled = ib_settle(gradient);
    if (!mask)
        return settled;
    return x > 0.0f ? settled * scale : 0.0f;
}

/* The end of a gradient's leaf sum: at the tree's root it settles, at a node it does not. */
static inline float ref_gradient(int node, float sum) {
    return node ? sum : ib_settle(sum);
}

/* The gradient of a value with one or two readers. */
static inline float ref_reader_gradient(float dy, const float *second) {
    return second != NULL ? ib_settle(dy + *second) : dy;
}

static inline float ref_dropout(const ib_dropout *dropout, uint64_t element, float y) {
    if (!dropout->enabled)
        return y;
    return ib_rng_word(&dropout->rng, element) < dropout->threshold ? 0.0f : y * dropout->scale;
}

#endif
