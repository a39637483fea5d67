/* Linear layers by their definition. */
#include "reference.h"

#include <string.h>

/* sum over k < terms of a[k * a_step] * b[k * b_step]: segments, each a chain, added in order. */
static float dot(const float *a, int64_t a_step, const float *b, int64_t b_step, int64_t terms) {
    float total = 0.0f;
    for (int64_t first = 0; first < terms; first += IB_SEGMENT) {
        float chain = 0.0f;
        for (int64_t k = first; k < terms && k < first + IB_SEGMENT; ++k)
            chain = exact_fma(a[k * a_step], b[k * b_step], chain);
        total = first == 0 ? chain : total + chain;
    }
    return total + 0.0f;
}

void IB_REF(ib_linear_forward_run)(ib_cpu *cpu, const ib_linear *l, const ib_linear_pointers *p) {
    (void)cpu;
    int64_t in16 = ib_pad16(l->in), out16 = ib_pad16(l->out);
    memset(p->y, 0, sizeof(float) * (size_t)(l->n * out16)); /* what pads is +0 */
    for (int64_t n = 0; n < l->n; ++n)
        for (int64_t o = 0; o < l->out; ++o) {
            float y = dot(p->x + n * in16, 1, p->w + o, out16, l->in);
            if (p->b != NULL)
                y = y + p->b[o];
            uint64_t element = (uint64_t)((l->dropout.first_sample + n) * l->out + o);
            p->y[n * out16 + o] = ref_dropout(&l->dropout, element, ref_output(l->relu, y));
        }
}

/* One chain a leaf over its samples; x NULL: the bias, whose factor is 1. */
static float batch_gradient(const ib_linear *l, const float *x, int64_t x_step, const float *dy,
                            int64_t dy_step, float *leaf_sums) {
    int64_t leaves = (l->n + IB_LEAF - 1) / IB_LEAF;
    for (int64_t leaf = 0; leaf < leaves; ++leaf) {
        float chain = 0.0f;
        for (int64_t n = leaf * IB_LEAF; n < l->n && n < (leaf + 1) * IB_LEAF; ++n)
            chain = x == NULL ? chain + dy[n * dy_step]
                              : exact_fma(x[n * x_step], dy[n * dy_step], chain);
        leaf_sums[leaf] = chain;
    }
    return ref_gradient(l->node, IB_REF(ib_leaf_sum)(leaf_sums, 1, leaves));
}

void IB_REF(ib_linear_backward_run)(ib_cpu *cpu, const ib_linear *l, const ib_linear_pointers *p) {
    int64_t in16 = ib_pad16(l->in), out16 = ib_pad16(l->out);
    if (p->dx != NULL)
        memset(p->dx, 0, sizeof(float) * (size_t)(l->n * in16));
    for (int64_t n = 0; p->dx != NULL && n < l->n; ++n)
        for (int64_t i = 0; i < l->in; ++i) {
            float g = dot(p->dy + n * out16, 1, p->w + i * out16, 1, l->out);
            p->dx[n * in16 + i] =
                ref_input_gradient(l->mask_input, p->x[n * in16 + i], g, l->input_scale);
        }
    for (int64_t o = 0; o < l->out; ++o) {
        for (int64_t i = 0; i < l->in; ++i)
            p->dw[i * out16 + o] =
                batch_gradient(l, p->x + i, in16, p->dy + o, out16, cpu->shared_scratch);
        if (p->db != NULL)
            p->db[o] = batch_gradient(l, NULL, 0, p->dy + o, out16, cpu->shared_scratch);
    }
}
