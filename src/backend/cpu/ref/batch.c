/* A batch's images, what is predicted for them, and sums over leaves, by their definition. */
#include "reference.h"

/* A byte of the image as it is; beyond its edges 0. */
static int64_t byte_at(const ib_load *l, const uint8_t *image, int64_t y, int64_t x, int64_t c) {
    int64_t h = l->augment.height, w = l->augment.width;
    return y < 0 || y >= h || x < 0 || x >= w ? 0 : image[(y * w + x) * l->channels + c];
}

/* A byte of the augmented image: between four of the image as it is. */
static uint8_t augmented(const ib_load *l, const ib_placement *p, const uint8_t *image,
                         int64_t pixel, int64_t c) {
    int64_t h = l->augment.height, w = l->augment.width, row = pixel / w, column = pixel % w;
    int64_t in_row = row - p->cut_row, in_column = column - p->cut_column;
    if (in_row >= 0 && in_row < p->cut_side && in_column >= 0 && in_column < p->cut_side)
        return 0;
    int64_t u = 2 * column + 1 - w - 2 * p->shift_x, v = 2 * row + 1 - h - 2 * p->shift_y;
    int64_t x = (((p->xx * u + p->xy * v + (w - 1) * 65536) >> 1) + 128) >> 8;
    int64_t y = (((p->yx * u + p->yy * v + (h - 1) * 65536) >> 1) + 128) >> 8;
    int64_t left = x >> 8, top = y >> 8, fx = x & 255, fy = y & 255;
    int64_t above =
        (256 - fx) * byte_at(l, image, top, left, c) + fx * byte_at(l, image, top, left + 1, c);
    int64_t below = (256 - fx) * byte_at(l, image, top + 1, left, c) +
                    fx * byte_at(l, image, top + 1, left + 1, c);
    return (uint8_t)(((256 - fy) * above + fy * below + 32768) >> 16);
}

void IB_REF(ib_load_batch_run)(ib_cpu *cpu, const ib_load *l, const ib_load_pointers *p) {
    int64_t stored = l->channels == 1 ? 1 : ib_pad16(l->channels);
    const ib_augment *a = &l->augment;
    for (int64_t n = 0; n < l->n; ++n) {
        const uint8_t *image = ib_cpu_image(cpu, p->order[n]);
        ib_placement placement = {0};
        if (a->enabled)
            placement = ib_augment_place(a, (uint64_t)(a->first_sample + n));
        for (int64_t i = 0; i < l->pixels * l->channels; ++i) {
            int64_t pixel = i / l->channels, c = i % l->channels;
            uint8_t byte = a->enabled ? augmented(l, &placement, image, pixel, c) : image[i];
            p->x[n * l->stride + pixel * stored + c] =
                l->by_pixel ? ib_settle(((float)byte - p->table[i]) *
                                        p->table[l->pixels * l->channels + i])
                            : p->table[256 * c + byte];
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
