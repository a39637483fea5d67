/* log-softmax and negative log-likelihood. */
#include "reference.h"

/* exp(x) for x <= 0 and settled, +0 below -27.5: exp(-27.5) is 0x1.40ep-40, so that what comes out
 * is settled by construction. */
static float cut_exp(float x) {
    return x < -27.5f ? 0.0f : exact_exp(x);
}

void IB_REF(ib_softmax_nll)(int64_t n, int64_t classes, float inverse_n, const float *logits,
                            const uint8_t *labels, float *losses, float *dlogits, float *total) {
    int64_t stride = ib_pad16(classes);
    for (int64_t i = 0; i < n; ++i) {
        const float *z = logits + i * stride;
        float top = z[0], sum = 0.0f, e[256];
        for (int64_t j = 1; j < classes; ++j)
            top = z[j] > top ? z[j] : top;
        for (int64_t j = 0; j < classes; ++j) {
            e[j] = cut_exp(ib_settle(z[j] - top));
            sum = sum + e[j];
        }
        losses[i] = exact_log(sum) - (z[labels[i]] - top);
        if (dlogits == NULL)
            continue;
        for (int64_t j = 0; j < stride; ++j) {
            float p = j < classes ? e[j] / sum - (j == labels[i] ? 1.0f : 0.0f) : 0.0f;
            dlogits[i * stride + j] = ib_settle(p * inverse_n);
        }
    }
    if (total == NULL)
        return;
    /* The leaf tree as a binary counter of partial sums (leaf_tree.h). */
    float stack[IB_MAX_LEAF_LEVELS];
    int64_t leaves = (n + IB_LEAF - 1) / IB_LEAF;
    for (int64_t leaf = 0; leaf < leaves; ++leaf) {
        float chain = 0.0f;
        for (int64_t i = leaf * IB_LEAF; i < n && i < (leaf + 1) * IB_LEAF; ++i)
            chain = chain + losses[i];
        int level = 0;
        for (; (leaf >> level) & 1; ++level)
            chain = stack[level] + chain;
        stack[level] = chain;
    }
    float sum = 0.0f;
    int first = 1;
    for (int level = 0; level < IB_MAX_LEAF_LEVELS; ++level)
        if ((leaves >> level) & 1) {
            sum = first ? stack[level] : stack[level] + sum;
            first = 0;
        }
    *total = sum + 0.0f;
}
