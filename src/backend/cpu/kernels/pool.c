/* Pools between images [n][h][w][C16]: max-pool and the mean over pixels. Bound by memory (the
 * ResNets' max-pool reads 1.6 MB and writes 0.5 MB at batch 32). Work items: images. */
#include "kernel.h"
#include "product.h"

struct pool {
    const ib_max_pool *shape;
    const ib_max_pool_pointers *p;
    int64_t c16, oh, ow;
};

static struct pool pool_of(const ib_max_pool *shape, const ib_max_pool_pointers *p) {
    return (struct pool){.shape = shape,
                         .p = p,
                         .c16 = ib_pad16(shape->channels),
                         .oh = ib_max_pool_out(shape, shape->h),
                         .ow = ib_max_pool_out(shape, shape->w)};
}

/* One window at one vector of channels: the first greatest of the taps inside. */
static void window(const struct pool *b, const float *image, int64_t oy, int64_t ox, int64_t c,
                   float *y, uint8_t *argmax) {
    const ib_max_pool *s = b->shape;
    vf best = v_zero();
    vi position = vi_set1(-1);
    for (int64_t ky = 0; ky < s->kernel; ++ky)
        for (int64_t kx = 0; kx < s->kernel; ++kx) {
            int64_t row = oy * s->stride - s->pad + ky, column = ox * s->stride - s->pad + kx;
            if (row < 0 || row >= s->h || column < 0 || column >= s->w)
                continue;
            vf value = v_load(image + (row * s->w + column) * b->c16 + c);
            vmask better = v_or(vi_eq(position, vi_set1(-1)), v_gt(value, best));
            best = v_select(better, value, best);
            position = vi_select(better, vi_set1((int32_t)(ky * s->kernel + kx)), position);
        }
    v_store(y, best);
    vi_store_bytes(argmax, position);
}

static void forward_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    const struct pool *b = context;
    int64_t image = (int64_t)item;
    const float *x = b->p->x + image * b->shape->h * b->shape->w * b->c16;
    for (int64_t pixel = 0; pixel < b->oh * b->ow; ++pixel) {
        int64_t at = (image * b->oh * b->ow + pixel) * b->c16;
        for (int64_t c = 0; c < b->c16; c += VL)
            window(b, x, pixel / b->ow, pixel % b->ow, c, b->p->y + at + c, b->p->argmax + at + c);
    }
}

static void max_pool_forward(ib_cpu *cpu, const ib_max_pool *shape, const ib_max_pool_pointers *p) {
    struct pool b = pool_of(shape, p);
    ib_pool_run(cpu->pool, (size_t)shape->n, forward_item, &b);
}

/* The first and the last window over an input row or column. */
static int64_t first_window(const ib_max_pool *s, int64_t at) {
    int64_t before = at + s->pad - s->kernel + 1;
    return before > 0 ? (before + s->stride - 1) / s->stride : 0;
}
static int64_t last_window(const ib_max_pool *s, int64_t at, int64_t count) {
    return smaller((at + s->pad) / s->stride, count - 1);
}

/* One input pixel: what the windows over it that chose it hand back. */
static void gather(const struct pool *b, int64_t image, int64_t row, int64_t column, int64_t c,
                   float *dx) {
    const ib_max_pool *s = b->shape;
    int64_t last_y = last_window(s, row, b->oh), last_x = last_window(s, column, b->ow);
    vf sum = v_zero();
    for (int64_t oy = first_window(s, row); oy <= last_y; ++oy)
        for (int64_t ox = first_window(s, column); ox <= last_x; ++ox) {
            int64_t at = ((image * b->oh + oy) * b->ow + ox) * b->c16 + c;
            int64_t tap =
                (row - (oy * s->stride - s->pad)) * s->kernel + column - (ox * s->stride - s->pad);
            vf g = v_load(b->p->dy + at);
            if (b->p->second != NULL)
                g = v_settle(v_add(g, v_load(b->p->second + at)));
            vmask chose = vi_eq(vi_load_bytes(b->p->argmax + at), vi_set1((int32_t)tap));
            sum = v_add(sum, v_select(chose, g, v_zero()));
        }
    v_store(dx, v_settle(sum));
}

static void backward_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    const struct pool *b = context;
    int64_t image = (int64_t)item, h = b->shape->h, w = b->shape->w;
    for (int64_t pixel = 0; pixel < h * w; ++pixel)
        for (int64_t c = 0; c < b->c16; c += VL)
            gather(b, image, pixel / w, pixel % w, c,
                   b->p->dx + (image * h * w + pixel) * b->c16 + c);
}

static void max_pool_backward(ib_cpu *cpu, const ib_max_pool *shape,
                              const ib_max_pool_pointers *p) {
    struct pool b = pool_of(shape, p);
    ib_pool_run(cpu->pool, (size_t)shape->n, backward_item, &b);
}

IB_ONE_KERNEL(max_pool, IB_KERNEL(ib_max_pool_forward), NULL, max_pool_forward);
IB_ONE_KERNEL(max_pool, IB_KERNEL(ib_max_pool_backward), NULL, max_pool_backward);

/* ---- mean over pixels -------------------------------------------------------------------------
 */

struct mean {
    const ib_mean *shape;
    const ib_mean_pointers *p;
    int64_t c16;
};

static void mean_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    const struct mean *m = context;
    const float *x = m->p->x + (int64_t)item * m->shape->pixels * m->c16;
    for (int64_t c = 0; c < m->c16; c += VL) {
        vf sum = v_zero();
        for (int64_t pixel = 0; pixel < m->shape->pixels; ++pixel)
            sum = v_add(sum, v_load(x + pixel * m->c16 + c));
        v_store(m->p->y + (int64_t)item * m->c16 + c,
                v_settle(v_mul(sum, v_set1(m->shape->inverse))));
    }
}

static void mean_forward(ib_cpu *cpu, const ib_mean *shape, const ib_mean_pointers *p) {
    struct mean m = {shape, p, ib_pad16(shape->channels)};
    ib_pool_run(cpu->pool, (size_t)shape->n, mean_item, &m);
}

static void spread_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    const struct mean *m = context;
    float *dx = m->p->dx + (int64_t)item * m->shape->pixels * m->c16;
    for (int64_t c = 0; c < m->c16; c += VL) {
        vf g = v_load(m->p->dy + (int64_t)item * m->c16 + c);
        g = v_settle(v_mul(g, v_set1(m->shape->inverse)));
        for (int64_t pixel = 0; pixel < m->shape->pixels; ++pixel)
            v_store(dx + pixel * m->c16 + c, g);
    }
}

static void mean_backward(ib_cpu *cpu, const ib_mean *shape, const ib_mean_pointers *p) {
    struct mean m = {shape, p, ib_pad16(shape->channels)};
    ib_pool_run(cpu->pool, (size_t)shape->n, spread_item, &m);
}

IB_ONE_KERNEL(mean, IB_KERNEL(ib_mean_forward), NULL, mean_forward);
IB_ONE_KERNEL(mean, IB_KERNEL(ib_mean_backward), NULL, mean_backward);
