/* Pools between images by their definition: the overlapping max-pool (3x3, stride 2, padding 1) and
 * the mean over pixels. Images: [n][h][w][C16]. */
#include "reference.h"

enum { TAPS = 9 };

void IB_REF(ib_pool_forward)(ib_cpu *cpu, const ib_pool3 *pool, const float *x, float *y,
                             uint8_t *argmax) {
    (void)cpu;
    int64_t c16 = ib_pad16(pool->channels), oh = ib_pool3_out(pool->h), ow = ib_pool3_out(pool->w);
    for (int64_t i = 0; i < pool->n * oh * ow * c16; ++i) {
        int64_t c = i % c16, ox = i / c16 % ow, oy = i / c16 / ow % oh, n = i / c16 / ow / oh;
        int best = -1;
        float greatest = 0.0f;
        for (int tap = 0; tap < TAPS; ++tap) {
            int64_t row = 2 * oy - 1 + tap / 3, column = 2 * ox - 1 + tap % 3;
            if (row < 0 || row >= pool->h || column < 0 || column >= pool->w)
                continue;
            float value = x[((n * pool->h + row) * pool->w + column) * c16 + c];
            if (best < 0 || value > greatest) {
                best = tap;
                greatest = value;
            }
        }
        y[i] = greatest;
        argmax[i] = (uint8_t)best;
    }
}

void IB_REF(ib_pool_backward)(ib_cpu *cpu, const ib_pool3 *pool, const uint8_t *argmax,
                              const float *dy, const float *second, float *dx) {
    (void)cpu;
    int64_t c16 = ib_pad16(pool->channels), oh = ib_pool3_out(pool->h), ow = ib_pool3_out(pool->w);
    for (int64_t i = 0; i < pool->n * pool->h * pool->w * c16; ++i) {
        int64_t c = i % c16, column = i / c16 % pool->w, row = i / c16 / pool->w % pool->h;
        int64_t n = i / c16 / pool->w / pool->h;
        float sum = 0.0f;
        for (int64_t oy = row / 2; oy <= (row + 1) / 2 && oy < oh; ++oy)
            for (int64_t ox = column / 2; ox <= (column + 1) / 2 && ox < ow; ++ox) {
                int64_t o = ((n * oh + oy) * ow + ox) * c16 + c;
                int64_t tap = (row - (2 * oy - 1)) * 3 + column - (2 * ox - 1);
                if (argmax[o] == tap)
                    sum = sum + ref_reader_gradient(dy[o], second != NULL ? second + o : NULL);
            }
        dx[i] = ib_settle(sum);
    }
}

void IB_REF(ib_mean_forward)(ib_cpu *cpu, int64_t n, int64_t pixels, int64_t channels,
                             float inverse, const float *x, float *y) {
    (void)cpu;
    int64_t c16 = ib_pad16(channels);
    for (int64_t i = 0; i < n * c16; ++i) {
        float sum = 0.0f;
        for (int64_t pixel = 0; pixel < pixels; ++pixel)
            sum = sum + x[(i / c16 * pixels + pixel) * c16 + i % c16];
        y[i] = ib_settle(sum * inverse);
    }
}

void IB_REF(ib_mean_backward)(ib_cpu *cpu, int64_t n, int64_t pixels, int64_t channels,
                              float inverse, const float *dy, float *dx) {
    (void)cpu;
    int64_t c16 = ib_pad16(channels);
    for (int64_t i = 0; i < n * pixels * c16; ++i)
        dx[i] = ib_settle(dy[i / c16 / pixels * c16 + i % c16] * inverse);
}
