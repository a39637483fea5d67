#include "backend/ops/average_pool.h"

const char *ib_average_pool_fault(const ib_average_pool *p, ib_direction direction) {
    (void)direction;
    if (!ib_are_sizes(p->n, p->h, p->w, ib_padded(p->channels)) || !ib_is_size(p->kernel) ||
        !ib_is_size(p->stride))
        return "shape out of range";
    if (p->kernel > 255)
        return "a window of more than 255 x 255 pixels";
    if (!(p->inverse > 0))
        return "no factor for the mean";
    if (p->pad < 0 || 2 * p->pad > p->kernel)
        return "padding of more than half the window";
    return p->kernel > p->h + 2 * p->pad || p->kernel > p->w + 2 * p->pad
               ? "a window larger than the image"
               : NULL;
}

void ib_average_pool_need(const ib_average_pool *p, ib_direction direction,
                          ib_average_pool_sizes *sizes) {
    int64_t c16 = ib_pad16(p->channels), inputs = p->n * p->h * p->w * c16;
    int64_t outputs = p->n * ib_average_pool_out(p, p->h) * ib_average_pool_out(p, p->w) * c16;
    *sizes = (ib_average_pool_sizes){0};
    if (direction == IB_FORWARD) {
        sizes->x = inputs;
        sizes->y = outputs;
    } else {
        sizes->dx = inputs;
        sizes->dy = outputs;
        sizes->second = -outputs;
    }
}

double ib_average_pool_macs(const ib_average_pool *p, ib_direction direction) {
    (void)p, (void)direction;
    return 0;
}
