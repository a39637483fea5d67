/* Activations, sums, dropout and flattening by their definition. */
#include "reference.h"

#include <string.h>

void IB_REF(ib_relu_forward_run)(ib_cpu *cpu, const ib_elementwise *e,
                                 const ib_elementwise_pointers *p) {
    (void)cpu;
    for (int64_t i = 0; i < e->count; ++i)
        p->y[i] = ref_relu(p->x[i]);
}

void IB_REF(ib_relu_backward_run)(ib_cpu *cpu, const ib_elementwise *e,
                                  const ib_elementwise_pointers *p) {
    (void)cpu;
    for (int64_t i = 0; i < e->count; ++i)
        p->dx[i] = p->y_kept[i] > 0.0f ? p->dy[i] : 0.0f;
}

void IB_REF(ib_add_forward_run)(ib_cpu *cpu, const ib_elementwise *e,
                                const ib_elementwise_pointers *p) {
    (void)cpu;
    for (int64_t i = 0; i < e->count; ++i)
        p->y[i] = ib_settle(p->second != NULL ? p->x[i] + p->second[i] : p->x[i]);
}

/* The logical number of a stored value; -1 for a channel that pads. */
static int64_t logical(const ib_drop *d, int64_t at) {
    int64_t c16 = ib_pad16(d->channels), c = at % c16, pixel = at / c16 % d->pixels;
    int64_t sample = d->dropout.first_sample + at / c16 / d->pixels;
    return c < d->channels ? (sample * d->channels + c) * d->pixels + pixel : -1;
}

static void drop(const ib_drop *d, const float *from, float *to) {
    for (int64_t i = 0; i < d->n * d->pixels * ib_pad16(d->channels); ++i) {
        int64_t element = logical(d, i);
        to[i] = element < 0 ? 0.0f : ref_dropout(&d->dropout, (uint64_t)element, from[i]);
    }
}

void IB_REF(ib_dropout_forward_run)(ib_cpu *cpu, const ib_drop *d, const ib_drop_pointers *p) {
    (void)cpu;
    drop(d, p->x, p->y);
}

void IB_REF(ib_dropout_backward_run)(ib_cpu *cpu, const ib_drop *d, const ib_drop_pointers *p) {
    (void)cpu;
    drop(d, p->dy, p->dx);
}

/* Between [n][pixel][C16] and [n][channel, pixel]; what pads is +0. */
static void flatten(const ib_flatten *f, const float *from, float *to, int back) {
    int64_t c16 = ib_pad16(f->channels), stride = ib_pad16(f->channels * f->pixels);
    memset(to, 0, sizeof(float) * (size_t)(f->n * (back ? f->pixels * c16 : stride)));
    for (int64_t n = 0; n < f->n; ++n)
        for (int64_t pixel = 0; pixel < f->pixels; ++pixel)
            for (int64_t c = 0; c < f->channels; ++c) {
                int64_t image = (n * f->pixels + pixel) * c16 + c;
                int64_t feature = n * stride + c * f->pixels + pixel;
                if (back)
                    to[image] = from[feature];
                else
                    to[feature] = from[image];
            }
}

void IB_REF(ib_flatten_forward_run)(ib_cpu *cpu, const ib_flatten *f,
                                    const ib_flatten_pointers *p) {
    (void)cpu;
    flatten(f, p->x, p->y, 0);
}

void IB_REF(ib_flatten_backward_run)(ib_cpu *cpu, const ib_flatten *f,
                                     const ib_flatten_pointers *p) {
    (void)cpu;
    flatten(f, p->dy, p->dx, 1);
}
