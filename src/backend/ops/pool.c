#include "backend/ops/pool.h"

const char *ib_max_pool_fault(const ib_max_pool *p, ib_direction direction) {
    (void)direction;
    if (!ib_are_sizes(p->n, p->h, p->w, ib_padded(p->channels)) || !ib_is_size(p->kernel) ||
        !ib_is_size(p->stride))
        return "shape out of range";
    if (p->kernel * p->kernel > IB_POOL_TAPS)
        return "a window of more than 225 pixels";
    if (p->pad < 0 || 2 * p->pad > p->kernel)
        return "padding of more than half the window";
    return p->kernel > p->h + 2 * p->pad || p->kernel > p->w + 2 * p->pad
               ? "a window larger than the image"
               : NULL;
}

void ib_max_pool_need(const ib_max_pool *p, ib_direction direction, ib_max_pool_sizes *sizes) {
    int64_t c16 = ib_pad16(p->channels), inputs = p->n * p->h * p->w * c16;
    int64_t outputs = p->n * ib_max_pool_out(p, p->h) * ib_max_pool_out(p, p->w) * c16;
    *sizes = (ib_max_pool_sizes){.argmax = outputs};
    if (direction == IB_FORWARD) {
        sizes->x = inputs;
        sizes->y = outputs;
    } else {
        sizes->dx = inputs;
        sizes->dy = outputs;
        sizes->second = -outputs;
    }
}

double ib_max_pool_macs(const ib_max_pool *p, ib_direction direction) {
    (void)p, (void)direction;
    return 0;
}

const char *ib_mean_fault(const ib_mean *m, ib_direction direction) {
    (void)direction;
    return ib_are_sizes(m->n, m->pixels, ib_padded(m->channels), 1) ? NULL : "shape out of range";
}

void ib_mean_need(const ib_mean *m, ib_direction direction, ib_mean_sizes *sizes) {
    int64_t features = m->n * ib_pad16(m->channels), image = features * m->pixels;
    *sizes = (ib_mean_sizes){0};
    if (direction == IB_FORWARD) {
        sizes->x = image;
        sizes->y = features;
    } else {
        sizes->dx = image;
        sizes->dy = features;
    }
}

double ib_mean_macs(const ib_mean *m, ib_direction direction) {
    (void)m, (void)direction;
    return 0;
}
