/* ReLU and sums, each element by itself; dropout and flattening between layouts, an image a work
 * item. Bound by memory. */
#include "elementwise.h"

#include "dropout.h"

static inline vf relu_of(vf x, vf unused, vf parameter) {
    (void)unused, (void)parameter;
    return v_relu(x);
}
static inline vf relu_gradient(vf y, vf dy, vf parameter) {
    (void)parameter;
    return v_select(v_gt(y, v_zero()), dy, v_zero());
}
static inline vf sum_of(vf a, vf b, vf parameter) {
    (void)parameter;
    return v_settle(v_add(a, b));
}

IB_ELEMENTWISE_KERNEL(relu_forward, y, relu_of, x, x)
IB_ELEMENTWISE_KERNEL(relu_backward, dx, relu_gradient, y_kept, dy)
IB_ELEMENTWISE_KERNEL(add_forward, y, sum_of, x, second)

/* ---- dropout ----------------------------------------------------------------------------------
 */

struct drop {
    const ib_drop *shape;
    const float *from;
    float *to;
    float **scratch;
};

static void drop_row(const struct drop *d, uint64_t first, int64_t count, float *row) {
    if (d->shape->dropout.enabled)
        dropout_row(&d->shape->dropout, first, count, row);
}

/* One image: its values in logical order go through dropout_row, a channel of pixels at a time. */
static void drop_item(void *context, size_t item, unsigned thread) {
    const struct drop *d = context;
    int64_t pixels = d->shape->pixels, channels = d->shape->channels, c16 = ib_pad16(channels);
    int64_t image = (int64_t)item, sample = d->shape->dropout.first_sample + image;
    const float *from = d->from + image * pixels * c16;
    float *to = d->to + image * pixels * c16, *row = d->scratch[thread];
    for (int64_t pixel = 0; pixel < pixels; ++pixel)
        for (int64_t c = channels; c < c16; ++c)
            to[pixel * c16 + c] = 0.0f;
    if (pixels == 1) {
        for (int64_t c = 0; c < channels; ++c)
            to[c] = from[c];
        drop_row(d, (uint64_t)(sample * channels), channels, to);
        return;
    }
    for (int64_t c = 0; c < channels; ++c) {
        for (int64_t pixel = 0; pixel < pixels; ++pixel)
            row[pixel] = from[pixel * c16 + c];
        drop_row(d, (uint64_t)((sample * channels + c) * pixels), pixels, row);
        for (int64_t pixel = 0; pixel < pixels; ++pixel)
            to[pixel * c16 + c] = row[pixel];
    }
}

static void drop_scratch(const ib_drop *d, size_t *per_thread, size_t *shared) {
    *per_thread = (size_t)d->pixels;
    *shared = 0;
}

static void dropout_forward(ib_cpu *cpu, const ib_drop *shape, const ib_drop_pointers *p) {
    struct drop d = {shape, p->x, p->y, cpu->thread_scratch};
    ib_pool_run(cpu->pool, (size_t)shape->n, drop_item, &d);
}
static void dropout_backward(ib_cpu *cpu, const ib_drop *shape, const ib_drop_pointers *p) {
    struct drop d = {shape, p->dy, p->dx, cpu->thread_scratch};
    ib_pool_run(cpu->pool, (size_t)shape->n, drop_item, &d);
}

IB_ONE_KERNEL(drop, IB_KERNEL(ib_dropout_forward), drop_scratch, dropout_forward);
IB_ONE_KERNEL(drop, IB_KERNEL(ib_dropout_backward), drop_scratch, dropout_backward);

/* ---- flattening -------------------------------------------------------------------------------
 */

struct flatten {
    const ib_flatten *shape;
    const float *from;
    float *to;
};

static void flatten_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    const struct flatten *f = context;
    int64_t pixels = f->shape->pixels, channels = f->shape->channels, c16 = ib_pad16(channels);
    const float *image = f->from + (int64_t)item * pixels * c16;
    float *features = f->to + (int64_t)item * ib_pad16(channels * pixels);
    for (int64_t i = channels * pixels; i < ib_pad16(channels * pixels); ++i)
        features[i] = 0.0f;
    for (int64_t pixel = 0; pixel < pixels; ++pixel)
        for (int64_t c = 0; c < channels; ++c)
            features[c * pixels + pixel] = image[pixel * c16 + c];
}

static void unflatten_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    const struct flatten *f = context;
    int64_t pixels = f->shape->pixels, channels = f->shape->channels, c16 = ib_pad16(channels);
    const float *features = f->from + (int64_t)item * ib_pad16(channels * pixels);
    float *image = f->to + (int64_t)item * pixels * c16;
    for (int64_t pixel = 0; pixel < pixels; ++pixel) {
        for (int64_t c = 0; c < channels; ++c)
            image[pixel * c16 + c] = features[c * pixels + pixel];
        for (int64_t c = channels; c < c16; ++c)
            image[pixel * c16 + c] = 0.0f;
    }
}

static void flatten_forward(ib_cpu *cpu, const ib_flatten *shape, const ib_flatten_pointers *p) {
    struct flatten f = {shape, p->x, p->y};
    ib_pool_run(cpu->pool, (size_t)shape->n, flatten_item, &f);
}
static void flatten_backward(ib_cpu *cpu, const ib_flatten *shape, const ib_flatten_pointers *p) {
    struct flatten f = {shape, p->dy, p->dx};
    ib_pool_run(cpu->pool, (size_t)shape->n, unflatten_item, &f);
}

IB_ONE_KERNEL(flatten, IB_KERNEL(ib_flatten_forward), NULL, flatten_forward);
IB_ONE_KERNEL(flatten, IB_KERNEL(ib_flatten_backward), NULL, flatten_backward);
