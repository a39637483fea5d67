/* Pools between images [n][h][w][C16]: 3x3 max of stride 2 and padding 1, and the mean over pixels.
 * Bound by memory (the max-pool reads 1.6 MB and writes 0.5 MB at batch 32). Work items: images. */
#include "../cpu.h"
#include "product.h"

enum { TAPS = 9 };

struct pool {
    const ib_pool3 *shape;
    const float *x, *dy, *second;
    float *y, *dx;
    uint8_t *argmax;
    const uint8_t *chosen;
    int64_t c16, oh, ow;
};

static struct pool pool_of(const ib_pool3 *shape) {
    return (struct pool){.shape = shape,
                         .c16 = ib_pad16(shape->channels),
                         .oh = ib_pool3_out(shape->h),
                         .ow = ib_pool3_out(shape->w)};
}

/* One window at one vector of channels: the first greatest of the taps inside. */
static void window(const struct pool *b, const float *image, int64_t oy, int64_t ox, int64_t c,
                   float *y, uint8_t *argmax) {
    vf best = v_zero();
    vi position = vi_set1(-1);
    for (int tap = 0; tap < TAPS; ++tap) {
        int64_t row = 2 * oy - 1 + tap / 3, column = 2 * ox - 1 + tap % 3;
        if (row < 0 || row >= b->shape->h || column < 0 || column >= b->shape->w)
            continue;
        vf value = v_load(image + (row * b->shape->w + column) * b->c16 + c);
        vmask better = v_or(vi_eq(position, vi_set1(-1)), v_gt(value, best));
        best = v_select(better, value, best);
        position = vi_select(better, vi_set1(tap), position);
    }
    v_store(y, best);
    vi_store_bytes(argmax, position);
}

static void forward_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    const struct pool *b = context;
    int64_t image = (int64_t)item;
    const float *x = b->x + image * b->shape->h * b->shape->w * b->c16;
    for (int64_t pixel = 0; pixel < b->oh * b->ow; ++pixel) {
        int64_t at = (image * b->oh * b->ow + pixel) * b->c16;
        for (int64_t c = 0; c < b->c16; c += VL)
            window(b, x, pixel / b->ow, pixel % b->ow, c, b->y + at + c, b->argmax + at + c);
    }
}

void IB_KERNEL(ib_pool_forward)(ib_cpu *cpu, const ib_pool3 *pool, const float *x, float *y,
                                uint8_t *argmax);
void IB_KERNEL(ib_pool_forward)(ib_cpu *cpu, const ib_pool3 *pool, const float *x, float *y,
                                uint8_t *argmax) {
    struct pool b = pool_of(pool);
    b.x = x;
    b.y = y;
    b.argmax = argmax;
    ib_pool_run(cpu->pool, (size_t)pool->n, forward_item, &b);
}

/* One input pixel: what the up to four windows over it that chose it hand back. */
static void gather(const struct pool *b, int64_t image, int64_t row, int64_t column, int64_t c,
                   float *dx) {
    vf sum = v_zero();
    for (int64_t oy = row / 2; oy <= (row + 1) / 2 && oy < b->oh; ++oy)
        for (int64_t ox = column / 2; ox <= (column + 1) / 2 && ox < b->ow; ++ox) {
            int64_t at = ((image * b->oh + oy) * b->ow + ox) * b->c16 + c;
            int32_t tap = (int32_t)((row - (2 * oy - 1)) * 3 + column - (2 * ox - 1));
            vf g = v_load(b->dy + at);
            if (b->second != NULL)
                g = v_settle(v_add(g, v_load(b->second + at)));
            vmask chose = vi_eq(vi_load_bytes(b->chosen + at), vi_set1(tap));
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
            gather(b, image, pixel / w, pixel % w, c, b->dx + (image * h * w + pixel) * b->c16 + c);
}

void IB_KERNEL(ib_pool_backward)(ib_cpu *cpu, const ib_pool3 *pool, const uint8_t *argmax,
                                 const float *dy, const float *second, float *dx);
void IB_KERNEL(ib_pool_backward)(ib_cpu *cpu, const ib_pool3 *pool, const uint8_t *argmax,
                                 const float *dy, const float *second, float *dx) {
    struct pool b = pool_of(pool);
    b.chosen = argmax;
    b.dy = dy;
    b.second = second;
    b.dx = dx;
    ib_pool_run(cpu->pool, (size_t)pool->n, backward_item, &b);
}

/* ---- mean over pixels -------------------------------------------------------------------------
 */

struct mean {
    int64_t pixels, c16;
    float inverse;
    const float *from;
    float *to;
};

static void mean_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    const struct mean *m = context;
    const float *x = m->from + (int64_t)item * m->pixels * m->c16;
    for (int64_t c = 0; c < m->c16; c += VL) {
        vf sum = v_zero();
        for (int64_t pixel = 0; pixel < m->pixels; ++pixel)
            sum = v_add(sum, v_load(x + pixel * m->c16 + c));
        v_store(m->to + (int64_t)item * m->c16 + c, v_settle(v_mul(sum, v_set1(m->inverse))));
    }
}

void IB_KERNEL(ib_mean_forward)(ib_cpu *cpu, int64_t n, int64_t pixels, int64_t channels,
                                float inverse, const float *x, float *y);
void IB_KERNEL(ib_mean_forward)(ib_cpu *cpu, int64_t n, int64_t pixels, int64_t channels,
                                float inverse, const float *x, float *y) {
    struct mean m = {pixels, ib_pad16(channels), inverse, x, y};
    ib_pool_run(cpu->pool, (size_t)n, mean_item, &m);
}

static void spread_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    const struct mean *m = context;
    float *dx = m->to + (int64_t)item * m->pixels * m->c16;
    for (int64_t c = 0; c < m->c16; c += VL) {
        vf g = v_settle(v_mul(v_load(m->from + (int64_t)item * m->c16 + c), v_set1(m->inverse)));
        for (int64_t pixel = 0; pixel < m->pixels; ++pixel)
            v_store(dx + pixel * m->c16 + c, g);
    }
}

void IB_KERNEL(ib_mean_backward)(ib_cpu *cpu, int64_t n, int64_t pixels, int64_t channels,
                                 float inverse, const float *dy, float *dx);
void IB_KERNEL(ib_mean_backward)(ib_cpu *cpu, int64_t n, int64_t pixels, int64_t channels,
                                 float inverse, const float *dy, float *dx) {
    struct mean m = {pixels, ib_pad16(channels), inverse, dy, dx};
    ib_pool_run(cpu->pool, (size_t)n, spread_item, &m);
}
