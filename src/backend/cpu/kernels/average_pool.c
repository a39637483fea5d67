/* Average pools of images [n][h][w][C16]. Bound by memory and additions: kernel^2 of them an
 * output, a vector of channels at a time. Work items: images. */
#include "kernel.h"
#include "product.h"

struct pool {
    const ib_average_pool *shape;
    const ib_average_pool_pointers *p;
    int64_t c16, oh, ow;
};

static struct pool pool_of(const ib_average_pool *shape, const ib_average_pool_pointers *p) {
    return (struct pool){.shape = shape,
                         .p = p,
                         .c16 = ib_pad16(shape->channels),
                         .oh = ib_average_pool_out(shape, shape->h),
                         .ow = ib_average_pool_out(shape, shape->w)};
}

static int64_t not_below(int64_t value, int64_t least) {
    return value < least ? least : value;
}

/* One window at one vector of channels: a chain over the pixels inside. */
static vf window(const struct pool *b, const float *image, int64_t top, int64_t left, int64_t c) {
    const ib_average_pool *s = b->shape;
    int64_t bottom = smaller(top + s->kernel, s->h), right = smaller(left + s->kernel, s->w);
    vf sum = v_zero();
    for (int64_t y = not_below(top, 0); y < bottom; ++y)
        for (int64_t x = not_below(left, 0); x < right; ++x)
            sum = v_add(sum, v_load(image + (y * s->w + x) * b->c16 + c));
    return v_settle(v_mul(sum, v_set1(s->inverse)));
}

static void forward_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    const struct pool *b = context;
    const ib_average_pool *s = b->shape;
    int64_t image = (int64_t)item;
    const float *x = b->p->x + image * s->h * s->w * b->c16;
    for (int64_t pixel = 0; pixel < b->oh * b->ow; ++pixel) {
        int64_t top = pixel / b->ow * s->stride - s->pad, left = pixel % b->ow * s->stride - s->pad;
        float *y = b->p->y + (image * b->oh * b->ow + pixel) * b->c16;
        for (int64_t c = 0; c < b->c16; c += VL)
            v_store(y + c, window(b, x, top, left, c));
    }
}

static void forward(ib_cpu *cpu, const ib_average_pool *shape, const ib_average_pool_pointers *p) {
    struct pool b = pool_of(shape, p);
    ib_pool_run(cpu->pool, (size_t)shape->n, forward_item, &b);
}

/* The first and the last window over an input row or column. */
static int64_t first_window(const ib_average_pool *s, int64_t at) {
    int64_t before = at + s->pad - s->kernel + 1;
    return before > 0 ? (before + s->stride - 1) / s->stride : 0;
}
static int64_t last_window(const ib_average_pool *s, int64_t at, int64_t count) {
    return smaller((at + s->pad) / s->stride, count - 1);
}

/* One input pixel: a chain over the windows that it lies in. */
static void gather(const struct pool *b, int64_t image, int64_t row, int64_t column, float *dx) {
    const ib_average_pool *s = b->shape;
    int64_t last_y = last_window(s, row, b->oh), last_x = last_window(s, column, b->ow);
    for (int64_t c = 0; c < b->c16; c += VL) {
        vf sum = v_zero();
        for (int64_t oy = first_window(s, row); oy <= last_y; ++oy)
            for (int64_t ox = first_window(s, column); ox <= last_x; ++ox) {
                int64_t at = ((image * b->oh + oy) * b->ow + ox) * b->c16 + c;
                vf g = v_load(b->p->dy + at);
                if (b->p->second != NULL)
                    g = v_settle(v_add(g, v_load(b->p->second + at)));
                sum = v_add(sum, g);
            }
        v_store(dx + c, v_settle(v_mul(sum, v_set1(s->inverse))));
    }
}

static void backward_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    const struct pool *b = context;
    int64_t image = (int64_t)item, h = b->shape->h, w = b->shape->w;
    for (int64_t pixel = 0; pixel < h * w; ++pixel)
        gather(b, image, pixel / w, pixel % w, b->p->dx + (image * h * w + pixel) * b->c16);
}

static void backward(ib_cpu *cpu, const ib_average_pool *shape, const ib_average_pool_pointers *p) {
    struct pool b = pool_of(shape, p);
    ib_pool_run(cpu->pool, (size_t)shape->n, backward_item, &b);
}

IB_ONE_KERNEL(average_pool, IB_KERNEL(ib_average_pool_forward), NULL, forward);
IB_ONE_KERNEL(average_pool, IB_KERNEL(ib_average_pool_backward), NULL, backward);
