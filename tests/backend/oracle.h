/* Convolution and linear layers straight from NUMERICS.md, sections 2 to 6: one output after
 * another, each by its own list of terms. Shares nothing with src/backend but the shapes; fma is
 * libm's. Slow: what checks the reference that all else is compared with. */
#ifndef TESTS_BACKEND_ORACLE_H
#define TESTS_BACKEND_ORACLE_H

#include <math.h>

#include "backend/backend.h"
#include "base/philox.h"

/* Section 2: segments of 576 terms. */
struct oracle_dot {
    float total, chain;
    int64_t terms;
};

static inline void oracle_term(struct oracle_dot *d, float a, float b) {
    if (d->terms > 0 && d->terms % 576 == 0) {
        d->total = d->terms == 576 ? d->chain : d->total + d->chain;
        d->chain = 0.0f;
    }
    d->chain = fmaf(a, b, d->chain);
    ++d->terms;
}
static inline float oracle_dot_end(const struct oracle_dot *d) {
    return (d->terms <= 576 ? d->chain : d->total + d->chain) + 0.0f;
}

/* Section 1. */
static inline float oracle_settle(float x) {
    return fabsf(x) < 0x1p-40f ? 0.0f : x;
}
static inline float oracle_relu(float x) {
    return x >= 0x1p-40f ? x : 0.0f;
}

/* Section 3: terms arrive sample by sample, `pixels` a sample. */
struct oracle_batch {
    int64_t pixels, samples_per_group, sample;
    int64_t terms, chains; /* of the sample, of the leaf */
    float chain, leaf, leaves[64];
};

static inline void oracle_batch_begin(struct oracle_batch *b, int64_t pixels) {
    *b = (struct oracle_batch){.pixels = pixels, .samples_per_group = 8};
    while (b->samples_per_group > 1 && b->samples_per_group * pixels > 1024)
        b->samples_per_group /= 2;
}
static inline void oracle_batch_close(struct oracle_batch *b) {
    b->leaf = b->chains++ == 0 ? b->chain : b->leaf + b->chain;
    b->chain = 0.0f;
}
static inline void oracle_batch_term(struct oracle_batch *b, float a, float g) {
    b->chain = fmaf(a, g, b->chain);
    if (++b->terms % 1024 == 0 && b->terms < b->pixels)
        oracle_batch_close(b);
}
/* After a sample's last term. */
static inline void oracle_batch_next(struct oracle_batch *b, int last) {
    int64_t in_leaf = b->sample % 8, done = in_leaf + 1;
    if (done % b->samples_per_group == 0 || last)
        oracle_batch_close(b);
    b->leaves[b->sample / 8] = b->leaf;
    b->terms = 0;
    if (++b->sample % 8 == 0)
        b->chains = 0;
}
static inline float oracle_tree(const float *leaves, int64_t count) {
    int64_t half = 1;
    if (count == 1)
        return leaves[0];
    while (half * 2 < count)
        half *= 2;
    return oracle_tree(leaves, half) + oracle_tree(leaves + half, count - half);
}
static inline float oracle_batch_end(const struct oracle_batch *b) {
    return oracle_settle(oracle_tree(b->leaves, (b->sample + 7) / 8) + 0.0f);
}

/* Section 6. */
/* features: of a sample. */
static inline float oracle_dropout(const ib_dropout *d, int64_t features, int64_t element,
                                   float y) {
    element += d->first_sample * features;
    if (d->enabled && ib_rng_word(&d->rng, (uint64_t)element) < d->threshold)
        return 0.0f;
    return d->enabled ? y * d->scale : y;
}
static inline float oracle_mask(int mask, float x, float g, float scale) {
    if (!mask)
        return oracle_settle(g);
    return x > 0 ? oracle_settle(g) * scale : 0.0f;
}

struct oracle_tensors {
    const float *x, *w, *b, *dy;
    float *y, *dx, *dw, *db;
    uint8_t *argmax;
};

/* ---- convolution
 * --------------------------------------------------------------------------------- */

static inline int64_t oracle_stored(int64_t ci) {
    return ci == 1 ? 1 : ib_pad16(ci);
}

static inline float oracle_pixel(const ib_conv *c, const struct oracle_tensors *t, int64_t n,
                                 int64_t oy, int64_t ox, int64_t co) {
    struct oracle_dot dot = {0};
    int64_t channels = oracle_stored(c->ci);
    for (int64_t ky = 0; ky < c->kh; ++ky)
        for (int64_t kx = 0; kx < c->kw; ++kx)
            for (int64_t ci = 0; ci < channels; ++ci) {
                int64_t y = oy * c->stride + ky - c->pad, x = ox * c->stride + kx - c->pad;
                int inside = y >= 0 && y < c->h && x >= 0 && x < c->w;
                oracle_term(&dot, inside ? t->x[((n * c->h + y) * c->w + x) * channels + ci] : 0.0f,
                            t->w[((ky * c->kw + kx) * channels + ci) * ib_pad16(c->co) + co]);
            }
    float y = oracle_dot_end(&dot);
    if (t->b != NULL)
        y = y + t->b[co];
    return c->relu ? oracle_relu(y) : oracle_settle(y);
}

static inline void oracle_conv_forward(const ib_conv *c, const struct oracle_tensors *t) {
    int64_t oh = ib_conv_out_h(c), ow = ib_conv_out_w(c), co16 = ib_pad16(c->co);
    int64_t ph = oh / 2, pw = ow / 2, features = c->co * ph * pw;
    for (int64_t n = 0; n < c->n; ++n)
        for (int64_t co = 0; co < c->co; ++co) {
            for (int64_t i = 0; i < oh * ow && !c->pool; ++i)
                t->y[(n * oh * ow + i) * co16 + co] = oracle_pixel(c, t, n, i / ow, i % ow, co);
            for (int64_t i = 0; i < ph * pw && c->pool; ++i) {
                float best = oracle_pixel(c, t, n, i / pw * 2, i % pw * 2, co);
                uint8_t position = 0;
                for (uint8_t q = 1; q < 4; ++q) {
                    float other = oracle_pixel(c, t, n, i / pw * 2 + q / 2, i % pw * 2 + q % 2, co);
                    if (other > best)
                        best = other, position = q;
                }
                int64_t feature = co * ph * pw + i;
                t->argmax[(n * ph * pw + i) * co16 + co] = position;
                t->y[n * ib_pad16(features) + feature] =
                    oracle_dropout(&c->dropout, features, n * features + feature, best);
            }
        }
}

/* The gradient of an output pixel. */
static inline float oracle_gradient(const ib_conv *c, const struct oracle_tensors *t, int64_t n,
                                    int64_t oy, int64_t ox, int64_t co) {
    int64_t oh = ib_conv_out_h(c), ow = ib_conv_out_w(c), ph = oh / 2, pw = ow / 2;
    if (!c->pool)
        return t->dy[((n * oh + oy) * ow + ox) * ib_pad16(c->co) + co];
    if (oy / 2 >= ph || ox / 2 >= pw)
        return 0.0f;
    int64_t cell = oy / 2 * pw + ox / 2;
    if (t->argmax[(n * ph * pw + cell) * ib_pad16(c->co) + co] != oy % 2 * 2 + ox % 2)
        return 0.0f;
    return t->dy[n * ib_pad16(c->co * ph * pw) + co * ph * pw + cell];
}

static inline float oracle_input_gradient(const ib_conv *c, const struct oracle_tensors *t,
                                          int64_t n, int64_t y, int64_t x, int64_t ci) {
    struct oracle_dot dot = {0};
    int64_t channels = oracle_stored(c->ci);
    for (int64_t up = 0; up < c->kh; ++up)
        for (int64_t left = 0; left < c->kw; ++left)
            for (int64_t co = 0; co < ib_pad16(c->co); ++co) {
                int64_t ky = c->kh - 1 - up, kx = c->kw - 1 - left;
                int64_t sy = y + c->pad - ky, sx = x + c->pad - kx;
                int there = co < c->co && sy >= 0 && sx >= 0 && sy % c->stride == 0 &&
                            sx % c->stride == 0 && sy / c->stride < ib_conv_out_h(c) &&
                            sx / c->stride < ib_conv_out_w(c);
                oracle_term(&dot,
                            there ? oracle_gradient(c, t, n, sy / c->stride, sx / c->stride, co)
                                  : 0.0f,
                            t->w[((ky * c->kw + kx) * channels + ci) * ib_pad16(c->co) + co]);
            }
    return oracle_dot_end(&dot);
}

/* ci < 0: the bias. */
static inline float oracle_weight_gradient(const ib_conv *c, const struct oracle_tensors *t,
                                           int64_t ky, int64_t kx, int64_t ci, int64_t co) {
    struct oracle_batch sum;
    int64_t oh = ib_conv_out_h(c), ow = ib_conv_out_w(c);
    oracle_batch_begin(&sum, oh * ow);
    for (int64_t n = 0; n < c->n; ++n) {
        for (int64_t i = 0; i < oh * ow; ++i) {
            int64_t y = i / ow * c->stride + ky - c->pad, x = i % ow * c->stride + kx - c->pad;
            int inside = y >= 0 && y < c->h && x >= 0 && x < c->w;
            float g = oracle_gradient(c, t, n, i / ow, i % ow, co);
            float from = ci < 0   ? 1.0f
                         : inside ? t->x[((n * c->h + y) * c->w + x) * oracle_stored(c->ci) + ci]
                                  : 0.0f;
            oracle_batch_term(&sum, from, g);
        }
        oracle_batch_next(&sum, n + 1 == c->n);
    }
    return oracle_batch_end(&sum);
}

static inline void oracle_conv_backward(const ib_conv *c, const struct oracle_tensors *t) {
    int64_t channels = oracle_stored(c->ci), co16 = ib_pad16(c->co);
    for (int64_t i = 0; t->dx != NULL && i < c->n * c->h * c->w; ++i)
        for (int64_t ci = 0; ci < channels; ++ci)
            t->dx[i * channels + ci] = oracle_mask(
                c->mask_input, t->x[i * channels + ci],
                oracle_input_gradient(c, t, i / (c->h * c->w), i / c->w % c->h, i % c->w, ci),
                c->input_scale);
    for (int64_t co = 0; co < c->co; ++co) {
        if (t->db != NULL)
            t->db[co] = oracle_weight_gradient(c, t, 0, 0, -1, co);
        for (int64_t tap = 0; tap < c->kh * c->kw; ++tap)
            for (int64_t ci = 0; ci < c->ci; ++ci)
                t->dw[(tap * channels + ci) * co16 + co] =
                    oracle_weight_gradient(c, t, tap / c->kw, tap % c->kw, ci, co);
    }
}

/* ---- linear
 * --------------------------------------------------------------------------------------- */

static inline void oracle_linear_forward(const ib_linear *l, const struct oracle_tensors *t) {
    int64_t in16 = ib_pad16(l->in), out16 = ib_pad16(l->out);
    for (int64_t n = 0; n < l->n; ++n)
        for (int64_t o = 0; o < l->out; ++o) {
            struct oracle_dot dot = {0};
            for (int64_t i = 0; i < l->in; ++i)
                oracle_term(&dot, t->x[n * in16 + i], t->w[i * out16 + o]);
            float y = oracle_dot_end(&dot);
            if (t->b != NULL)
                y = y + t->b[o];
            t->y[n * out16 + o] = oracle_dropout(&l->dropout, l->out, n * l->out + o,
                                                 l->relu ? oracle_relu(y) : oracle_settle(y));
        }
}

static inline void oracle_linear_backward(const ib_linear *l, const struct oracle_tensors *t) {
    int64_t in16 = ib_pad16(l->in), out16 = ib_pad16(l->out);
    for (int64_t n = 0; n < l->n; ++n)
        for (int64_t i = 0; i < l->in; ++i) {
            struct oracle_dot dot = {0};
            for (int64_t o = 0; o < l->out; ++o)
                oracle_term(&dot, t->dy[n * out16 + o], t->w[i * out16 + o]);
            t->dx[n * in16 + i] = oracle_mask(l->mask_input, t->x[n * in16 + i],
                                              oracle_dot_end(&dot), l->input_scale);
        }
    for (int64_t o = 0; o < l->out; ++o)
        for (int64_t i = t->db != NULL ? -1 : 0; i < l->in; ++i) {
            struct oracle_batch sum;
            oracle_batch_begin(&sum, 1);
            for (int64_t n = 0; n < l->n; ++n) {
                oracle_batch_term(&sum, i < 0 ? 1.0f : t->x[n * in16 + i], t->dy[n * out16 + o]);
                oracle_batch_next(&sum, n + 1 == l->n);
            }
            *(i < 0 ? &t->db[o] : &t->dw[i * out16 + o]) = oracle_batch_end(&sum);
        }
}

#endif
