/* Batch normalisation and the pools between images against their textbook formulas in binary64: the
 * forward pass itself, and the backward pass against central differences of that formula. On the
 * scalar reference and the best instruction set. The normal quantile of initial weights against its
 * own definition. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/backend.h"
#include "nn/network.h"

static const char *const ISAS[] = {"scalar", "auto"};
enum { RUNS = 2, MOST = 1 << 14, C16 = 32 };

#define STEP 1e-5

/* Random in (-1, 1), the same everywhere. */
static double draw(uint32_t stream, size_t element) {
    ib_rng rng = ib_rng_make(78, IB_STREAM_DIGITS, stream, 5);
    return (double)((int32_t)(ib_rng_word(&rng, element) >> 8) - (1 << 23)) * 0x1p-23;
}

static ib_buffer make(ib_backend *backend, size_t floats, const double *values) {
    ib_buffer buffer;
    assert_int_equal(backend->ops->buffer_create(backend, floats * sizeof(float), &buffer, NULL),
                     IB_OK);
    for (size_t i = 0; i < floats && values != NULL; ++i)
        ((float *)buffer.handle)[i] = (float)values[i];
    return buffer;
}

static float at(const ib_buffer *buffer, size_t i) {
    return ((const float *)buffer->handle)[i];
}

static void near(const char *what, size_t i, double got, double wanted, double scale) {
    if (fabs(got - wanted) > 2e-5 * scale)
        fail_msg("%s[%zu] is %.8g, wanted %.8g", what, i, got, wanted);
}

/* ---- batch normalisation ----------------------------------------------------------------------
 */

/* One problem: n images of `pixels` pixels and `channels` channels, C16 stored. */
struct problem {
    int n, pixels, channels, relu, add, second;
    double x[MOST], extra[MOST], gamma[C16], beta[C16], r[MOST];
};

static size_t count_of(const struct problem *p) {
    return (size_t)(p->n * p->pixels) * C16;
}

/* y of one channel, before the ReLU, by the textbook. */
static void channel(const struct problem *p, int c, double *y, double *mean, double *variance) {
    int rows = p->n * p->pixels;
    double sum = 0, squares = 0;
    for (int i = 0; i < rows; ++i)
        sum += p->x[i * C16 + c];
    for (int i = 0; i < rows; ++i)
        squares += (p->x[i * C16 + c] - sum / rows) * (p->x[i * C16 + c] - sum / rows);
    *mean = sum / rows;
    *variance = squares / rows;
    for (int i = 0; i < rows; ++i)
        y[i] = (p->x[i * C16 + c] - *mean) / sqrt(*variance + 1e-5) * p->gamma[c] + p->beta[c] +
               (p->add ? p->extra[i * C16 + c] : 0);
}

static double objective(const struct problem *p, int c) {
    static double y[MOST];
    double mean, variance, total = 0;
    channel(p, c, y, &mean, &variance);
    for (int i = 0; i < p->n * p->pixels; ++i)
        total += p->r[i * C16 + c] * (p->relu && !(y[i] > 0) ? 0 : y[i]);
    return total;
}

static double difference(struct problem *p, int c, double *value) {
    double old = *value;
    *value = old + STEP;
    double up = objective(p, c);
    *value = old - STEP;
    double down = objective(p, c);
    *value = old;
    return (up - down) / (2 * STEP);
}

static void draw_problem(struct problem *p) {
    static double y[MOST];
    memset(p->x, 0, sizeof p->x);
    memset(p->r, 0, sizeof p->r);
    memset(p->extra, 0, sizeof p->extra);
    memset(p->gamma, 0, sizeof p->gamma);
    memset(p->beta, 0, sizeof p->beta);
    for (int c = 0; c < p->channels; ++c) {
        double mean, variance;
        p->gamma[c] = (float)(1 + 0.5 * draw(1, (size_t)c));
        p->beta[c] = (float)draw(2, (size_t)c);
        for (int i = 0; i < p->n * p->pixels; ++i) {
            size_t e = (size_t)i * C16 + (size_t)c;
            p->x[e] = (float)(draw(3, e) * (c % 3 + 1) + c % 5);
            p->extra[e] = (float)draw(4, e);
        }
        channel(p, c, y, &mean, &variance);
        for (int i = 0; i < p->n * p->pixels; ++i) /* not where the ReLU may change its mind */
            p->r[i * C16 + c] = fabs(y[i]) > 1e-3 ? (float)draw(5, (size_t)i * C16 + (size_t)c) : 0;
    }
}

static void check_norm(struct problem *p, const char *isa) {
    static double halves[2][MOST], ones[2 * C16], y[MOST];
    const ib_backend_options options = {"cpu", isa, 2};
    ib_backend *backend;
    size_t count = count_of(p);
    assert_int_equal(ib_backend_open(&options, &backend, NULL), IB_OK);
    for (size_t i = 0; i < count; ++i) {
        halves[1][i] = p->second ? (float)draw(6, i) * (p->r[i] != 0) : 0;
        halves[0][i] = p->r[i] - halves[1][i];
    }
    for (size_t i = 0; i < C16; ++i)
        ones[i] = 0, ones[C16 + i] = 1;
    ib_norm norm = {.n = p->n,
                    .pixels = p->pixels,
                    .channels = p->channels,
                    .training = 1,
                    .relu = p->relu,
                    .momentum = 0.1f,
                    .eps = 1e-5f};
    ib_norm_scalars(&norm, p->n);
    ib_buffer x = make(backend, count, p->x), extra = make(backend, count, p->extra);
    ib_buffer gamma = make(backend, C16, p->gamma), beta = make(backend, C16, p->beta);
    ib_buffer running = make(backend, 2 * C16, ones), saved = make(backend, 4 * C16, NULL);
    ib_buffer out = make(backend, count, NULL), dy = make(backend, count, halves[0]);
    ib_buffer second = make(backend, count, halves[1]), g = make(backend, count, NULL);
    ib_buffer dx = make(backend, count, NULL), dgamma = make(backend, C16, NULL);
    ib_buffer dbeta = make(backend, C16, NULL);
    int keeps = p->add || p->second;
    const ib_buffer none = {0};
    ib_norm_operands forward = {.x = x,
                                .gamma = gamma,
                                .beta = beta,
                                .running = running,
                                .saved = saved,
                                .add = p->add ? extra : none,
                                .y = out};
    ib_norm_operands backward = {.x = x,
                                 .saved = saved,
                                 .y_kept = p->add ? out : none,
                                 .dy = dy,
                                 .second = p->second ? second : none,
                                 .g = keeps ? g : none,
                                 .dx = dx,
                                 .dgamma = dgamma,
                                 .dbeta = dbeta};
    assert_int_equal(ib_plan_norm_forward(backend, &norm, NULL), IB_OK);
    assert_int_equal(ib_plan_norm_backward(backend, &norm, NULL), IB_OK);
    assert_int_equal(ib_norm_forward(backend, &norm, &forward, NULL), IB_OK);
    assert_int_equal(ib_norm_backward(backend, &norm, &backward, NULL), IB_OK);
    for (int c = 0; c < p->channels; ++c) {
        double mean, variance, rows = p->n * p->pixels;
        channel(p, c, y, &mean, &variance);
        near("running mean", (size_t)c, (double)at(&running, (size_t)c), 0.1 * mean, 1);
        near("running variance", (size_t)c, (double)at(&running, (size_t)C16 + (size_t)c),
             0.9 + 0.1 * variance * rows / (rows - 1), 1);
        near("dgamma", (size_t)c, (double)at(&dgamma, (size_t)c), difference(p, c, &p->gamma[c]),
             10);
        near("dbeta", (size_t)c, (double)at(&dbeta, (size_t)c), difference(p, c, &p->beta[c]), 10);
        for (int i = 0; i < p->n * p->pixels; ++i) {
            size_t e = (size_t)i * C16 + (size_t)c;
            near("y", e, (double)at(&out, e), p->relu && !(y[i] > 0) ? 0 : y[i], 4);
            if (i % 3 == 0)
                near("dx", e, (double)at(&dx, e), difference(p, c, &p->x[e]), 4);
            if (p->add && i % 3 == 0)
                near("g", e, (double)at(&g, e), difference(p, c, &p->extra[e]), 1);
        }
    }
    for (size_t i = 0; i < count; ++i)
        if ((int)(i % C16) >= p->channels && (at(&out, i) != 0 || at(&dx, i) != 0))
            fail_msg("padding %zu is not 0", i);
    ib_buffer *buffers[] = {&x,  &extra,  &gamma, &beta, &running, &saved, &out,
                            &dy, &second, &g,     &dx,   &dgamma,  &dbeta};
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; ++i)
        backend->ops->buffer_destroy(backend, buffers[i]);
    ib_backend_close(backend);
}

static void normalisations(void **state) {
    (void)state;
    static struct problem p;
    for (int kind = 0; kind < 8; ++kind)
        for (int run = 0; run < RUNS; ++run) {
            p = (struct problem){.n = 3 + 4 * kind,
                                 .pixels = 1 + kind % 4 * 3,
                                 .channels = 20,
                                 .relu = kind & 1,
                                 .add = kind >> 1 & 1,
                                 .second = kind >> 2 & 1};
            draw_problem(&p);
            check_norm(&p, ISAS[run]);
        }
}

/* ---- pools ------------------------------------------------------------------------------------
 */

/* A max-pool of any window, then the mean over what is left, both ways. */
static void check_pools(const char *isa, const ib_max_pool *pool) {
    static double x[MOST], r[MOST];
    const ib_backend_options options = {"cpu", isa, 2};
    ib_backend *backend;
    int n = (int)pool->n, h = (int)pool->h, w = (int)pool->w, kernel = (int)pool->kernel;
    int oh = (int)ib_max_pool_out(pool, h), ow = (int)ib_max_pool_out(pool, w), pixels = oh * ow;
    size_t inputs = (size_t)(n * h * w) * C16, outputs = (size_t)(n * pixels) * C16;
    assert_true(inputs <= MOST && outputs <= MOST);
    assert_int_equal(ib_backend_open(&options, &backend, NULL), IB_OK);
    for (size_t i = 0; i < inputs; ++i)
        x[i] = (float)draw(7, i);
    for (size_t i = 0; i < (size_t)n * C16; ++i)
        r[i] = (float)draw(8, i);
    ib_buffer in = make(backend, inputs, x), out = make(backend, outputs, NULL);
    ib_buffer argmax = make(backend, outputs / 4, NULL),
              means = make(backend, (size_t)n * C16, NULL);
    ib_buffer dmeans = make(backend, (size_t)n * C16, r), dout = make(backend, outputs, NULL);
    ib_buffer dx = make(backend, inputs, NULL);
    const ib_mean mean_shape = {n, pixels, C16, (float)(1.0 / pixels)};
    const ib_max_pool_operands pooled = {.x = in, .y = out, .argmax = argmax, .dy = dout, .dx = dx};
    const ib_mean_operands mean_forward = {.x = out, .y = means};
    const ib_mean_operands mean_backward = {.dy = dmeans, .dx = dout};
    assert_int_equal(ib_plan_max_pool_forward(backend, pool, NULL), IB_OK);
    assert_int_equal(ib_plan_max_pool_backward(backend, pool, NULL), IB_OK);
    assert_int_equal(ib_plan_mean_forward(backend, &mean_shape, NULL), IB_OK);
    assert_int_equal(ib_plan_mean_backward(backend, &mean_shape, NULL), IB_OK);
    assert_int_equal(ib_max_pool_forward(backend, pool, &pooled, NULL), IB_OK);
    assert_int_equal(ib_mean_forward(backend, &mean_shape, &mean_forward, NULL), IB_OK);
    assert_int_equal(ib_mean_backward(backend, &mean_shape, &mean_backward, NULL), IB_OK);
    assert_int_equal(ib_max_pool_backward(backend, pool, &pooled, NULL), IB_OK);
    static double wanted[MOST];
    memset(wanted, 0, sizeof wanted);
    for (int i = 0; i < n; ++i)
        for (int c = 0; c < C16; ++c) {
            double mean = 0;
            for (int o = 0; o < pixels; ++o) {
                size_t best = 0;
                double greatest = -HUGE_VAL;
                for (int tap = 0; tap < kernel * kernel; ++tap) {
                    int row = o / ow * (int)pool->stride - (int)pool->pad + tap / kernel;
                    int column = o % ow * (int)pool->stride - (int)pool->pad + tap % kernel;
                    if (row < 0 || row >= h || column < 0 || column >= w)
                        continue;
                    size_t e = (size_t)((i * h + row) * w + column) * C16 + (size_t)c;
                    if (x[e] <= greatest)
                        continue;
                    greatest = x[e];
                    best = e;
                }
                mean += greatest / pixels;
                wanted[best] += r[i * C16 + c] / pixels;
            }
            near("mean", (size_t)c, (double)at(&means, (size_t)i * C16 + (size_t)c), mean, 1);
        }
    for (size_t i = 0; i < inputs; ++i)
        near("dx of the pool", i, (double)at(&dx, i), wanted[i], 1);
    ib_buffer *buffers[] = {&in, &out, &argmax, &means, &dmeans, &dout, &dx};
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; ++i)
        backend->ops->buffer_destroy(backend, buffers[i]);
    ib_backend_close(backend);
}

static void pools(void **state) {
    (void)state;
    static const ib_max_pool CASES[] = {
        /* n, h, w, channels, kernel, stride, pad: a ResNet's */
        {3, 7, 7, C16, 3, 2, 1},
        {2, 6, 9, C16, 3, 2, 1},
        {1, 1, 1, C16, 3, 2, 1},
        {9, 2, 3, C16, 3, 2, 1},
        /* windows side by side, rows and columns left over, gaps, all overlaps */
        {2, 6, 8, C16, 2, 2, 0},
        {2, 7, 5, C16, 2, 2, 0},
        {2, 8, 9, C16, 2, 3, 0},
        {2, 6, 7, C16, 3, 1, 1},
        {2, 9, 8, C16, 5, 2, 2},
        {1, 4, 4, C16, 4, 1, 2},
        {2, 5, 5, C16, 1, 1, 0},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; ++i)
        for (int run = 0; run < RUNS; ++run)
            check_pools(ISAS[run], &CASES[i]);
}

/* ---- initial weights --------------------------------------------------------------------------
 */

/* All 2^24 probabilities that can be drawn, against the distribution function itself. */
static void quantiles(void **state) {
    (void)state;
    double worst = 0, before = -HUGE_VAL;
    const int whole = getenv("ISOBIT_EXHAUSTIVE") != NULL;
    for (uint32_t t = 0; t < 1u << 24; t += whole ? 1 : 61) {
        double p = ((double)t + 0.5) * 0x1p-24, z = ib_normal_quantile(p);
        /* one Newton step from z, in the tail that loses nothing */
        double tail = 0.5 * erfc(fabs(z) / sqrt(2.0)), least = p < 0.5 ? p : 1 - p;
        double density = exp(-z * z / 2) / 2.50662827463100050242;
        double error = fabs(tail - least) / density;
        worst = fmax(worst, error / fmax(fabs(z), 1e-3));
        assert_true(z > before);
        before = z;
    }
    print_message("normal quantile: greatest relative error %.3g\n", worst);
    assert_true(worst < 2e-7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normalisations),
        cmocka_unit_test(pools),
        cmocka_unit_test(quantiles),
    };
    return cmocka_run_group_tests_name("norm gradients", tests, NULL, NULL);
}
