/* A batch's images, what is predicted for them, and sums over leaves, by their definition. */
#include "reference.h"

void IB_REF(ib_load_batch_run)(ib_cpu *cpu, const ib_load *l, const ib_load_pointers *p) {
    int64_t stored = l->channels == 1 ? 1 : ib_pad16(l->channels);
    for (int64_t n = 0; n < l->n; ++n) {
        const uint8_t *image = ib_cpu_image(cpu, p->order[n]);
        for (int64_t i = 0; i < l->pixels * l->channels; ++i) {
            int64_t pixel = i / l->channels, c = i % l->channels;
            p->x[n * l->stride + pixel * stored + c] =
                l->by_pixel ? ib_settle(((float)image[i] - p->table[i]) *
                                        p->table[l->pixels * l->channels + i])
                            : p->table[256 * c + image[i]];
        }
        if (p->labels != NULL && cpu->data.labels != NULL)
            p->labels[n] = cpu->data.labels[p->order[n]];
    }
}

void IB_REF(ib_classify_run)(ib_cpu *cpu, const ib_loss *l, const ib_loss_pointers *p) {
    int64_t stride = ib_pad16(l->classes);
    for (int64_t n = 0; n < l->n; ++n) {
        const float *z = p->logits + n * stride;
        int64_t best = 0;
        for (int64_t j = 1; j < l->classes; ++j)
            if (z[j] > z[best])
                best = j;
        p->classes[n] = (uint16_t)best;
        if (p->evidence != NULL) {
            p->evidence[2 * n] = z[best];
            p->evidence[2 * n + 1] = l->labelled ? z[p->labels[n]] : 0.0f;
        }
    }
    if (!l->labelled || p->losses == NULL)
        return;
    ib_loss_pointers losses = {.logits = p->logits, .labels = p->labels, .losses = p->losses};
    IB_REF(ib_softmax_nll_run)(cpu, l, &losses);
}

void IB_REF(ib_tree_sum_run)(ib_cpu *cpu, const ib_tree *t, const ib_tree_pointers *p) {
    (void)cpu;
    for (int64_t i = 0; i < t->width; ++i)
        p->sum[i] = ref_gradient(!t->settle, IB_REF(ib_leaf_sum)(p->rows + i, t->width, t->leaves));
}
