/* Pools between images by their definition: max-pool and the mean over pixels. Images:
 * [n][h][w][C16]. */
#include "reference.h"

void IB_REF(ib_max_pool_forward_run)(ib_cpu *cpu, const ib_max_pool *pool,
                                     const ib_max_pool_pointers *p) {
    (void)cpu;
    int64_t c16 = ib_pad16(pool->channels);
    int64_t oh = ib_max_pool_out(pool, pool->h), ow = ib_max_pool_out(pool, pool->w);
    for (int64_t i = 0; i < pool->n * oh * ow * c16; ++i) {
        int64_t c = i % c16, ox = i / c16 % ow, oy = i / c16 / ow % oh, n = i / c16 / ow / oh;
        int64_t best = -1;
        float greatest = 0.0f;
        for (int64_t tap = 0; tap < pool->kernel * pool->kernel; ++tap) {
            int64_t row = oy * pool->stride - pool->pad + tap / pool->kernel;
            int64_t column = ox * pool->stride - pool->pad + tap % pool->kernel;
            if (row < 0 || row >= pool->h || column < 0 || column >= pool->w)
                continue;
            float value = p->x[((n * pool->h + row) * pool->w + column) * c16 + c];
            if (best < 0 || value > greatest) {
                best = tap;
                greatest = value;
            }
        }
        p->y[i] = greatest;
        p->argmax[i] = (uint8_t)best;
    }
}

void IB_REF(ib_max_pool_backward_run)(ib_cpu *cpu, const ib_max_pool *pool,
                                      const ib_max_pool_pointers *p) {
    (void)cpu;
    int64_t c16 = ib_pad16(pool->channels);
    int64_t oh = ib_max_pool_out(pool, pool->h), ow = ib_max_pool_out(pool, pool->w);
    for (int64_t i = 0; i < pool->n * pool->h * pool->w * c16; ++i) {
        int64_t c = i % c16, column = i / c16 % pool->w, row = i / c16 / pool->w % pool->h;
        int64_t n = i / c16 / pool->w / pool->h;
        float sum = 0.0f;
        for (int64_t oy = 0; oy < oh; ++oy)
            for (int64_t ox = 0; ox < ow; ++ox) {
                int64_t y = row - (oy * pool->stride - pool->pad);
                int64_t x = column - (ox * pool->stride - pool->pad);
                int64_t o = ((n * oh + oy) * ow + ox) * c16 + c;
                if (y >= 0 && y < pool->kernel && x >= 0 && x < pool->kernel &&
                    p->argmax[o] == y * pool->kernel + x)
                    sum = sum +
                          ref_reader_gradient(p->dy[o], p->second != NULL ? p->second + o : NULL);
            }
        p->dx[i] = ib_settle(sum);
    }
}

void IB_REF(ib_mean_forward_run)(ib_cpu *cpu, const ib_mean *m, const ib_mean_pointers *p) {
    (void)cpu;
    int64_t c16 = ib_pad16(m->channels);
    for (int64_t i = 0; i < m->n * c16; ++i) {
        float sum = 0.0f;
        for (int64_t pixel = 0; pixel < m->pixels; ++pixel)
            sum = sum + p->x[(i / c16 * m->pixels + pixel) * c16 + i % c16];
        p->y[i] = ib_settle(sum * m->inverse);
    }
}

void IB_REF(ib_mean_backward_run)(ib_cpu *cpu, const ib_mean *m, const ib_mean_pointers *p) {
    (void)cpu;
    int64_t c16 = ib_pad16(m->channels);
    for (int64_t i = 0; i < m->n * m->pixels * c16; ++i)
        p->dx[i] = ib_settle(p->dy[i / c16 / m->pixels * c16 + i % c16] * m->inverse);
}
