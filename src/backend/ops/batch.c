#include "backend/ops/batch.h"

const char *ib_load_fault(const ib_load *l, ib_direction direction) {
    (void)direction;
    if (!ib_are_sizes(l->n, l->stride, 1, 1) || !ib_is_size(l->pixels) || l->channels < 1 ||
        l->channels > IB_LOAD_CHANNELS)
        return "shape out of range";
    const ib_augment *a = &l->augment;
    if (a->enabled && (!ib_is_size(a->height) || !ib_is_size(a->width) ||
                       a->height * a->width != l->pixels || a->first_sample < 0))
        return "augmented images of another size";
    int64_t least = l->channels == 1 ? l->pixels : l->pixels * ib_padded(l->channels);
    return l->stride >= least ? NULL : "shape out of range";
}

void ib_load_need(const ib_load *l, ib_direction direction, ib_load_sizes *sizes) {
    (void)direction;
    *sizes = (ib_load_sizes){.order = l->n,
                             .table = (l->by_pixel ? 2 * l->pixels : 256) * l->channels,
                             .x = l->n * l->stride,
                             .labels = -l->n};
}

double ib_load_macs(const ib_load *l, ib_direction direction) {
    (void)l, (void)direction;
    return 0;
}

const char *ib_loss_fault(const ib_loss *l, ib_direction direction) {
    (void)direction;
    return ib_is_size(l->n) && l->classes >= 1 && l->classes <= IB_LOSS_CLASSES
               ? NULL
               : "shape out of range";
}

/* IB_BACKWARD: softmax_nll; IB_FORWARD: classify. evidence: [n][2]. */
void ib_loss_need(const ib_loss *l, ib_direction direction, ib_loss_sizes *sizes) {
    int64_t logits = l->n * ib_pad16(l->classes);
    *sizes = (ib_loss_sizes){.logits = logits};
    if (direction == IB_FORWARD) {
        sizes->labels = l->labelled ? l->n : 0;
        sizes->losses = l->labelled ? -l->n : 0;
        sizes->classes = l->n;
        sizes->evidence = -2 * l->n;
    } else {
        sizes->labels = sizes->losses = l->n;
        sizes->dlogits = -logits;
        sizes->mean = -1;
    }
}

double ib_loss_macs(const ib_loss *l, ib_direction direction) {
    (void)l, (void)direction;
    return 0;
}

const char *ib_tree_fault(const ib_tree *t, ib_direction direction) {
    (void)direction;
    return ib_are_sizes(t->leaves, t->width, 1, 1) && t->width % 16 == 0 ? NULL
                                                                         : "shape out of range";
}

void ib_tree_need(const ib_tree *t, ib_direction direction, ib_tree_sizes *sizes) {
    (void)direction;
    *sizes = (ib_tree_sizes){.rows = t->leaves * t->width, .sum = t->width};
}

double ib_tree_macs(const ib_tree *t, ib_direction direction) {
    (void)t, (void)direction;
    return 0;
}
