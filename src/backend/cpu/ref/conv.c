/* Convolution by its definition. */
#include "reference.h"

struct shape {
    int64_t ci, co16, oh, ow, cells, features;
};

static struct shape shape_of(const ib_conv *c) {
    struct shape s;
    s.ci = c->ci == 1 ? 1 : ib_pad16(c->ci);
    s.co16 = ib_pad16(c->co);
    s.oh = ib_conv_out_h(c);
    s.ow = ib_conv_out_w(c);
    s.cells = (s.oh / 2) * (s.ow / 2);
    s.features = ib_pad16(c->co * s.cells);
    return s;
}

/* The input at a tap: +0 in the padding. */
static float input_at(const ib_conv *c, const struct shape *s, const float *x, int64_t n, int64_t y,
                      int64_t left, int64_t ci) {
    if (y < 0 || y >= c->h || left < 0 || left >= c->w)
        return 0.0f;
    return x[((n * c->h + y) * c->w + left) * s->ci + ci];
}

/* One output: segments of IB_SEGMENT terms (ky, kx, ci), each a chain, added in order; +0; bias. */
static float output(const ib_conv *c, const struct shape *s, const ib_conv_pointers *p, int64_t n,
                    int64_t oy, int64_t ox, int64_t co) {
    float total = 0.0f, chain = 0.0f;
    int64_t term = 0, terms = c->kh * c->kw * s->ci;
    for (int64_t ky = 0; ky < c->kh; ++ky)
        for (int64_t kx = 0; kx < c->kw; ++kx)
            for (int64_t ci = 0; ci < s->ci; ++ci) {
                float x = input_at(c, s, p->x, n, oy * c->stride + ky - c->pad,
                                   ox * c->stride + kx - c->pad, ci);
                float w = p->w[((ky * c->kw + kx) * s->ci + ci) * s->co16 + co];
                chain = exact_fma(x, w, chain);
                if (++term % IB_SEGMENT == 0 || term == terms) {
                    total = term <= IB_SEGMENT ? chain : total + chain;
                    chain = 0.0f;
                }
            }
    float y = (total + 0.0f) + p->b[co];
    return c->relu || c->pool ? ref_relu(y) : y;
}

void IB_REF(ib_conv_forward)(ib_cpu *cpu, const ib_conv *c, const ib_conv_pointers *p) {
    (void)cpu;
    struct shape s = shape_of(c);
    for (int64_t n = 0; n < c->n; ++n) {
        if (!c->pool) {
            for (int64_t pixel = 0; pixel < s.oh * s.ow; ++pixel)
                for (int64_t co = 0; co < s.co16; ++co)
                    p->y[(n * s.oh * s.ow + pixel) * s.co16 + co] =
                        output(c, &s, p, n, pixel / s.ow, pixel % s.ow, co);
            continue;
        }
        for (int64_t cell = 0; cell < s.cells; ++cell)
            for (int64_t co = 0; co < c->co; ++co) {
                int64_t cy = cell / (s.ow / 2), cx = cell % (s.ow / 2);
                float best = output(c, &s, p, n, 2 * cy, 2 * cx, co);
                int position = 0;
                for (int q = 1; q < 4; ++q) {
                    float candidate = output(c, &s, p, n, 2 * cy + q / 2, 2 * cx + q % 2, co);
                    if (candidate > best) {
                        best = candidate;
                        position = q;
                    }
                }
                int64_t feature = co * s.cells + cell;
                p->argmax[(n * s.cells + cell) * s.co16 + co] = (uint8_t)position;
                p->y[n * s.features + feature] =
                    ref_dropout(&c->dropout, (uint64_t)(n * c->co * s.cells + feature), best);
            }
    }
}

/* The gradient of output pixel (oy, ox), before ReLU: with pooling, that of its cell if it won. */
static float gradient_at(const ib_conv *c, const struct shape *s, const ib_conv_pointers *p,
                         int64_t n, int64_t oy, int64_t ox, int64_t co) {
    if (!c->pool)
        return p->dy[((n * s->oh + oy) * s->ow + ox) * s->co16 + co];
    int64_t cy = oy / 2, cx = ox / 2;
    if (cy >= s->oh / 2 || cx >= s->ow / 2 || co >= c->co)
        return 0.0f;
    int64_t cell = cy * (s->ow / 2) + cx;
    if (p->argmax[(n * s->cells + cell) * s->co16 + co] != oy % 2 * 2 + ox % 2)
        return 0.0f;
    return p->dy[n * s->features + co * s->cells + cell];
}

/* One input gradient: terms (oy, ox, co) ascending, that is, (ky, kx) descending; segments cut as in
 * a forward convolution with the flipped kernel, absent output pixels counting as terms. */
static float input_gradient(const ib_conv *c, const struct shape *s, const ib_conv_pointers *p,
                            int64_t n, int64_t y, int64_t x, int64_t ci) {
    float total = 0.0f, chain = 0.0f;
    int64_t term = 0, terms = c->kh * c->kw * s->co16;
    for (int64_t ky = c->kh - 1; ky >= 0; --ky)
        for (int64_t kx = c->kw - 1; kx >= 0; --kx)
            for (int64_t co = 0; co < s->co16; ++co) {
                int64_t oy = y + c->pad - ky, ox = x + c->pad - kx;
                float g = 0.0f;
                if (oy >= 0 && ox >= 0 && oy % c->stride == 0 && ox % c->stride == 0 &&
                    oy / c->stride < s->oh && ox / c->stride < s->ow)
                    g = gradient_at(c, s, p, n, oy / c->stride, ox / c->stride, co);
                float w = p->w[((ky * c->kw + kx) * s->ci + ci) * s->co16 + co];
                chain = exact_fma(g, w, chain);
                if (++term % IB_SEGMENT == 0 || term == terms) {
                    total = term <= IB_SEGMENT ? chain : total + chain;
                    chain = 0.0f;
                }
            }
    return total;
}

/* One weight gradient of one leaf: a chain over the output pixels (sample, oy, ox) of each group of
 * samples, groups added in order. tap < 0: the bias, whose factor is 1. */
static float leaf_gradient(const ib_conv *c, const struct shape *s, const ib_conv_pointers *p,
                           int64_t leaf, int64_t tap, int64_t ci, int64_t co) {
    int64_t begin = leaf * IB_LEAF, end = begin + IB_LEAF < c->n ? begin + IB_LEAF : c->n;
    int64_t group = ib_samples_per_chain(s->oh * s->ow);
    float total = 0.0f;
    for (int64_t from = begin; from < end; from += group) {
        float chain = 0.0f;
        for (int64_t n = from; n < end && n < from + group; ++n)
            for (int64_t oy = 0; oy < s->oh; ++oy)
                for (int64_t ox = 0; ox < s->ow; ++ox) {
                    float g = gradient_at(c, s, p, n, oy, ox, co);
                    if (tap < 0) {
                        chain = chain + g;
                        continue;
                    }
                    float x = input_at(c, s, p->x, n, oy * c->stride + tap / c->kw - c->pad,
                                       ox * c->stride + tap % c->kw - c->pad, ci);
                    chain = exact_fma(g, x, chain);
                }
        total = from == begin ? chain : total + chain;
    }
    return total;
}

static float batch_gradient(const ib_conv *c, const struct shape *s, const ib_conv_pointers *p,
                            float *leaf_sums, int64_t tap, int64_t ci, int64_t co) {
    int64_t leaves = (c->n + IB_LEAF - 1) / IB_LEAF;
    for (int64_t leaf = 0; leaf < leaves; ++leaf)
        leaf_sums[leaf] = leaf_gradient(c, s, p, leaf, tap, ci, co);
    return IB_REF(ib_leaf_sum)(leaf_sums, 1, leaves);
}

void IB_REF(ib_conv_backward)(ib_cpu *cpu, const ib_conv *c, const ib_conv_pointers *p) {
    struct shape s = shape_of(c);
    if (p->dx != NULL)
        for (int64_t pixel = 0; pixel < c->n * c->h * c->w; ++pixel)
            for (int64_t ci = 0; ci < s.ci; ++ci) {
                int64_t n = pixel / (c->h * c->w), y = pixel / c->w % c->h, x = pixel % c->w;
                int64_t at = pixel * s.ci + ci;
                p->dx[at] = ref_mask(p->x[at], input_gradient(c, &s, p, n, y, x, ci),
                                     c->input_scale);
            }
    float *leaf_sums = cpu->shared_scratch;
    for (int64_t tap = -1; tap < c->kh * c->kw; ++tap)
        for (int64_t ci = 0; ci < (tap < 0 ? 1 : s.ci); ++ci)
            for (int64_t co = 0; co < c->co; ++co) {
                float sum = batch_gradient(c, &s, p, leaf_sums, tap, ci, co);
                if (tap < 0)
                    p->db[co] = sum;
                else
                    p->dw[(tap * s.ci + ci) * s.co16 + co] = sum;
            }
}
