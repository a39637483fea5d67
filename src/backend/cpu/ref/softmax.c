/* log-softmax and negative log-likelihood. */
#include "reference.h"

/* exp(x) for x <= 0 and settled, +0 below -27.5: exp(-27.5) is 0x1.40ep-40, so that what comes out
 * is settled by construction. */
static float cut_exp(float x) {
    return x < -27.5f ? 0.0f : exact_exp(x);
}

/* The sum of losses by leaves: a chain of additions in each, then the tree. */
static float loss_sum(const float *losses, int64_t first, int64_t leaves, int64_t n) {
    if (leaves > 1) {
        int64_t left = 1;
        while (2 * left < leaves)
            left *= 2;
        float sum = loss_sum(losses, first, left, n);
        return sum + loss_sum(losses, first + left * IB_LEAF, leaves - left, n);
    }
    float chain = 0.0f;
    for (int64_t i = first; i < n && i < first + IB_LEAF; ++i)
        chain = chain + losses[i];
    return chain;
}

/* A sample's loss against a target that all classes have a share of; logs: log(S). */
static float smoothed_loss(const ib_smoothing *t, const float *z, int64_t classes, float top,
                           float logs, float plain) {
    float all = 0.0f;
    for (int64_t j = 0; j < classes; ++j)
        all = all + (logs - (z[j] - top));
    return ib_settle(exact_fma(t->share, all, t->rest * plain));
}

void IB_REF(ib_softmax_nll_run)(ib_cpu *cpu, const ib_loss *l, const ib_loss_pointers *p) {
    (void)cpu;
    int64_t n = l->n, classes = l->classes, stride = ib_pad16(classes);
    const ib_smoothing *t = &l->smoothing;
    float share = t->share, hit = share != 0 ? t->label : 1.0f;
    for (int64_t i = 0; i < n; ++i) {
        const float *z = p->logits + i * stride;
        float top = z[0], sum = 0.0f, e[IB_LOSS_CLASSES];
        for (int64_t j = 1; j < classes; ++j)
            top = z[j] > top ? z[j] : top;
        for (int64_t j = 0; j < classes; ++j) {
            e[j] = cut_exp(ib_settle(z[j] - top));
            sum = sum + e[j];
        }
        float logs = exact_log(sum), loss = logs - (z[p->labels[i]] - top);
        p->losses[i] = share != 0 ? smoothed_loss(t, z, classes, top, logs, loss) : loss;
        if (p->dlogits == NULL)
            continue;
        for (int64_t j = 0; j < stride; ++j) {
            float g = j < classes ? e[j] / sum - (j == p->labels[i] ? hit : share) : 0.0f;
            p->dlogits[i * stride + j] = ib_settle(g * l->inverse_n);
        }
    }
    if (p->mean != NULL)
        *p->mean = (loss_sum(p->losses, 0, (n + IB_LEAF - 1) / IB_LEAF, n) + 0.0f) * l->inverse_n;
}
