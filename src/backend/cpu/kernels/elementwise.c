/* Activations and sums, each element by itself; dropout and flattening between layouts. Bound by
 * memory. Work items: 16 KiB of values; images. */
#include "dropout.h"
#include "kernel.h"
#include "product.h"

enum { FLOATS_PER_ITEM = 4096 };

typedef vf element_function(vf a, vf b);

/* y = f(a, b) over count elements. */
struct elements {
    int64_t count;
    const float *a, *b;
    float *y;
    element_function *function;
};

static vf relu_of(vf x, vf unused) {
    (void)unused;
    return v_relu(x);
}
static vf relu_gradient(vf y, vf dy) {
    return v_select(v_gt(y, v_zero()), dy, v_zero());
}
static vf copy_of(vf a, vf unused) {
    (void)unused;
    return v_settle(a);
}
static vf sum_of(vf a, vf b) {
    return v_settle(v_add(a, b));
}

static void elements_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    const struct elements *e = context;
    int64_t begin = (int64_t)item * FLOATS_PER_ITEM;
    int64_t end = smaller(begin + FLOATS_PER_ITEM, e->count);
    for (int64_t i = begin; i < end; i += VL)
        v_store(e->y + i, e->function(v_load(e->a + i), v_load(e->b + i)));
}

static void run_elements(ib_cpu *cpu, const struct elements *e) {
    size_t items = (size_t)((e->count + FLOATS_PER_ITEM - 1) / FLOATS_PER_ITEM);
    ib_pool_run(cpu->pool, items, elements_item, (void *)e);
}

static void relu_forward(ib_cpu *cpu, const ib_elementwise *e, const ib_elementwise_pointers *p) {
    run_elements(cpu, &(struct elements){e->count, p->x, p->x, p->y, relu_of});
}
static void relu_backward(ib_cpu *cpu, const ib_elementwise *e, const ib_elementwise_pointers *p) {
    run_elements(cpu, &(struct elements){e->count, p->y_kept, p->dy, p->dx, relu_gradient});
}
static void add_forward(ib_cpu *cpu, const ib_elementwise *e, const ib_elementwise_pointers *p) {
    if (p->second == NULL)
        run_elements(cpu, &(struct elements){e->count, p->x, p->x, p->y, copy_of});
    else
        run_elements(cpu, &(struct elements){e->count, p->x, p->second, p->y, sum_of});
}

IB_ONE_KERNEL(elementwise, IB_KERNEL(ib_relu_forward), NULL, relu_forward);
IB_ONE_KERNEL(elementwise, IB_KERNEL(ib_relu_backward), NULL, relu_backward);
IB_ONE_KERNEL(elementwise, IB_KERNEL(ib_add_forward), NULL, add_forward);

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
