#include "backend/ops/elementwise.h"

const char *ib_elementwise_fault(const ib_elementwise *e, ib_direction direction) {
    (void)direction;
    return e->count >= 16 && e->count % 16 == 0 && e->count <= (int64_t)1 << 46
               ? NULL
               : "shape out of range";
}

void ib_elementwise_need(const ib_elementwise *e, ib_direction direction,
                         ib_elementwise_sizes *sizes) {
    *sizes = (ib_elementwise_sizes){0};
    if (direction == IB_FORWARD) {
        sizes->x = sizes->y = e->count;
        sizes->second = -e->count;
    } else {
        sizes->dy = sizes->dx = sizes->y_kept = e->count;
        sizes->x = -e->count;
    }
}

double ib_elementwise_macs(const ib_elementwise *e, ib_direction direction) {
    (void)e, (void)direction;
    return 0;
}

const char *ib_drop_fault(const ib_drop *d, ib_direction direction) {
    (void)direction;
    return ib_are_sizes(d->n, d->pixels, ib_padded(d->channels), 1) ? NULL : "shape out of range";
}

void ib_drop_need(const ib_drop *d, ib_direction direction, ib_drop_sizes *sizes) {
    int64_t count = d->n * d->pixels * ib_pad16(d->channels);
    *sizes = (ib_drop_sizes){0};
    if (direction == IB_FORWARD)
        sizes->x = sizes->y = count;
    else
        sizes->dy = sizes->dx = count;
}

double ib_drop_macs(const ib_drop *d, ib_direction direction) {
    (void)d, (void)direction;
    return 0;
}

const char *ib_flatten_fault(const ib_flatten *f, ib_direction direction) {
    (void)direction;
    return ib_are_sizes(f->n, f->pixels, ib_padded(f->channels), 1) ? NULL : "shape out of range";
}

void ib_flatten_need(const ib_flatten *f, ib_direction direction, ib_flatten_sizes *sizes) {
    int64_t image = f->n * f->pixels * ib_pad16(f->channels);
    int64_t features = f->n * ib_pad16(f->pixels * f->channels);
    *sizes = (ib_flatten_sizes){0};
    if (direction == IB_FORWARD) {
        sizes->x = image;
        sizes->y = features;
    } else {
        sizes->dy = features;
        sizes->dx = image;
    }
}

double ib_flatten_macs(const ib_flatten *f, ib_direction direction) {
    (void)f, (void)direction;
    return 0;
}
