/* Convolution by its definition. Chains of neighbouring outputs advance side by side, so that the
 * reference can serve in tests of whole runs; each chain still sees its own terms in order. */
#include <string.h>

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

/* `width` dot products side by side: segments of IB_SEGMENT terms, each a chain, added in order. */
struct dots {
    float *chain, *total;
    int64_t width, term;
};

static void dots_begin(struct dots *d) {
    memset(d->chain, 0, sizeof(float) * (size_t)d->width);
    d->term = 0;
}

static void dots_close_segment(struct dots *d) {
    int first = d->term <= IB_SEGMENT;
    for (int64_t i = 0; i < d->width; ++i) {
        d->total[i] = first ? d->chain[i] : d->total[i] + d->chain[i];
        d->chain[i] = 0.0f;
    }
}

/* The next term of every dot product: x times its own factor. */
static void dots_term(struct dots *d, float x, const float *factors) {
    float *chain = d->chain;
    for (int64_t i = 0; i < d->width; ++i)
        chain[i] = exact_fma(x, factors[i], chain[i]);
    if (++d->term % IB_SEGMENT == 0)
        dots_close_segment(d);
}

static const float *dots_end(struct dots *d) {
    if (d->term % IB_SEGMENT != 0)
        dots_close_segment(d);
    return d->total;
}

/* The input at a tap: +0 in the padding. */
static float input_at(const ib_conv *c, const struct shape *s, const float *x, int64_t n, int64_t y,
                      int64_t left, int64_t ci) {
    if (y < 0 || y >= c->h || left < 0 || left >= c->w)
        return 0.0f;
    return x[((n * c->h + y) * c->w + left) * s->ci + ci];
}

/* ---- forward ----------------------------------------------------------------------------------
 */

/* All channels of one output pixel: terms (ky, kx, ci); +0; bias; ReLU. */
static void output_pixel(const ib_conv *c, const struct shape *s, const ib_conv_pointers *p,
                         struct dots *dots, int64_t n, int64_t oy, int64_t ox, float *y) {
    dots_begin(dots);
    for (int64_t ky = 0; ky < c->kh; ++ky)
        for (int64_t kx = 0; kx < c->kw; ++kx)
            for (int64_t ci = 0; ci < s->ci; ++ci)
                dots_term(dots,
                          input_at(c, s, p->x, n, oy * c->stride + ky - c->pad,
                                   ox * c->stride + kx - c->pad, ci),
                          p->w + ((ky * c->kw + kx) * s->ci + ci) * s->co16);
    const float *sum = dots_end(dots);
    for (int64_t co = 0; co < s->co16; ++co) {
        float value = sum[co] + 0.0f;
        if (p->b != NULL)
            value = value + p->b[co];
        y[co] = ref_output(c->relu || c->pool, value);
    }
}

/* One 2x2 cell: the first greatest in scan order, then dropout. */
static void output_cell(const ib_conv *c, const struct shape *s, const ib_conv_pointers *p,
                        struct dots *dots, int64_t n, int64_t cell, float *four) {
    int64_t cy = cell / (s->ow / 2), cx = cell % (s->ow / 2);
    for (int q = 0; q < 4; ++q)
        output_pixel(c, s, p, dots, n, 2 * cy + q / 2, 2 * cx + q % 2, four + q * s->co16);
    for (int64_t co = 0; co < c->co; ++co) {
        int best = 0;
        for (int q = 1; q < 4; ++q)
            if (four[q * s->co16 + co] > four[best * s->co16 + co])
                best = q;
        int64_t feature = co * s->cells + cell;
        p->argmax[(n * s->cells + cell) * s->co16 + co] = (uint8_t)best;
        p->y[n * s->features + feature] = ref_dropout(
            &c->dropout, (uint64_t)((c->dropout.first_sample + n) * c->co * s->cells + feature),
            four[best * s->co16 + co]);
    }
}

/* ---- scratch ----------------------------------------------------------------------------------
 */

struct scratch {
    struct dots dots;
    float *four;     /* [4][widest] */
    float *gradient; /* [n][oh][ow][co16], before ReLU */
    float *turned;   /* [tap][co16][ci] */
    float *leaves;   /* [leaf][co16] */
    float *group;    /* [co16] */
};

static size_t cut(const ib_conv *c, float *memory, struct scratch *t) {
    struct shape s = shape_of(c);
    size_t widest = (size_t)(s.co16 > s.ci ? s.co16 : s.ci);
    size_t gradient = (size_t)(c->n * s.oh * s.ow * s.co16);
    size_t turned = (size_t)(c->kh * c->kw * s.co16 * s.ci);
    size_t leaves = (size_t)((c->n + IB_LEAF - 1) / IB_LEAF * s.co16);
    if (t != NULL) {
        t->dots = (struct dots){.chain = memory, .total = memory + widest};
        t->four = memory + 2 * widest;
        t->gradient = t->four + 4 * widest;
        t->turned = t->gradient + gradient;
        t->leaves = t->turned + turned;
        t->group = t->leaves + leaves;
    }
    return 6 * widest + gradient + turned + leaves + (size_t)s.co16;
}

void IB_REF(ib_conv_scratch)(const ib_conv *c, size_t *per_thread, size_t *shared) {
    *per_thread = 0;
    *shared = cut(c, NULL, NULL);
}

void IB_REF(ib_conv_forward_run)(ib_cpu *cpu, const ib_conv *c, const ib_conv_pointers *p) {
    struct shape s = shape_of(c);
    struct scratch t;
    cut(c, cpu->shared_scratch, &t);
    t.dots.width = s.co16;
    if (c->pool) /* what pads the features is +0 */
        memset(p->y, 0, sizeof(float) * (size_t)(c->n * s.features));
    for (int64_t n = 0; n < c->n; ++n)
        if (c->pool)
            for (int64_t cell = 0; cell < s.cells; ++cell)
                output_cell(c, &s, p, &t.dots, n, cell, t.four);
        else
            for (int64_t pixel = 0; pixel < s.oh * s.ow; ++pixel)
                output_pixel(c, &s, p, &t.dots, n, pixel / s.ow, pixel % s.ow,
                             p->y + (n * s.oh * s.ow + pixel) * s.co16);
}

/* ---- backward ---------------------------------------------------------------------------------
 */

/* The gradient of every output pixel: with pooling, that of its cell where it won. */
static const float *output_gradient(const ib_conv *c, const struct shape *s,
                                    const ib_conv_pointers *p, float *dense) {
    if (!c->pool)
        return p->dy;
    memset(dense, 0, sizeof(float) * (size_t)(c->n * s->oh * s->ow * s->co16));
    for (int64_t n = 0; n < c->n; ++n)
        for (int64_t cell = 0; cell < s->cells; ++cell)
            for (int64_t co = 0; co < c->co; ++co) {
                int q = p->argmax[(n * s->cells + cell) * s->co16 + co];
                int64_t oy = 2 * (cell / (s->ow / 2)) + q / 2,
                        ox = 2 * (cell % (s->ow / 2)) + q % 2;
                dense[((n * s->oh + oy) * s->ow + ox) * s->co16 + co] =
                    p->dy[n * s->features + co * s->cells + cell];
            }
    return dense;
}

/* All channels of one input pixel's gradient: terms (oy, ox, co) ascending, that is, (ky, kx)
 * descending; absent output pixels count as terms, so that segments fall as in a forward
 * convolution with the flipped kernel. */
static void input_pixel(const ib_conv *c, const struct shape *s, const float *gradient,
                        struct scratch *t, int64_t n, int64_t y, int64_t x, const float *input,
                        float *dx) {
    static const float ABSENT = 0.0f;
    dots_begin(&t->dots);
    for (int64_t ky = c->kh - 1; ky >= 0; --ky)
        for (int64_t kx = c->kw - 1; kx >= 0; --kx) {
            int64_t oy = y + c->pad - ky, ox = x + c->pad - kx;
            int present = oy >= 0 && ox >= 0 && oy % c->stride == 0 && ox % c->stride == 0 &&
                          oy / c->stride < s->oh && ox / c->stride < s->ow;
            const float *g = &ABSENT;
            if (present)
                g = gradient + ((n * s->oh + oy / c->stride) * s->ow + ox / c->stride) * s->co16;
            for (int64_t co = 0; co < s->co16; ++co)
                dots_term(&t->dots, present ? g[co] : ABSENT,
                          t->turned + ((ky * c->kw + kx) * s->co16 + co) * s->ci);
        }
    const float *sum = dots_end(&t->dots);
    for (int64_t ci = 0; ci < s->ci; ++ci)
        dx[ci] = ref_input_gradient(c->mask_input, input[ci], sum[ci], c->input_scale);
}

/* Goes on with the chains of one row of weight gradients, all channels, over the output pixels
 * [first, last) of one sample. tap < 0: the bias, factor 1. */
static void row_terms(const ib_conv *c, const struct shape *s, const ib_conv_pointers *p,
                      const float *gradient, float *chain, int64_t n, int64_t first, int64_t last,
                      int64_t tap, int64_t ci) {
    for (int64_t pixel = first; pixel < last; ++pixel) {
        const float *g = gradient + (n * s->oh * s->ow + pixel) * s->co16;
        float x = 1.0f;
        if (tap >= 0)
            x = input_at(c, s, p->x, n, pixel / s->ow * c->stride + tap / c->kw - c->pad,
                         pixel % s->ow * c->stride + tap % c->kw - c->pad, ci);
        for (int64_t co = 0; co < s->co16; ++co)
            chain[co] = exact_fma(x, g[co], chain[co]);
    }
}

/* One row of weight gradients, all channels, of one leaf: a chain for each group of samples, or for
 * each stretch of a large one's pixels, added in order. */
static void leaf_row(const ib_conv *c, const struct shape *s, const ib_conv_pointers *p,
                     const float *gradient, float *chain, int64_t leaf, int64_t tap, int64_t ci,
                     float *row) {
    int64_t begin = leaf * IB_LEAF, end = begin + IB_LEAF < c->n ? begin + IB_LEAF : c->n;
    int64_t pixels = s->oh * s->ow, group = ib_samples_per_chain(pixels), chains = 0;
    for (int64_t from = begin; from < end; from += group)
        for (int64_t first = 0; first < pixels; first += IB_CHAIN_PIXELS) {
            int64_t last = first + IB_CHAIN_PIXELS < pixels ? first + IB_CHAIN_PIXELS : pixels;
            memset(chain, 0, sizeof(float) * (size_t)s->co16);
            for (int64_t n = from; n < end && n < from + group; ++n)
                row_terms(c, s, p, gradient, chain, n, first, last, tap, ci);
            for (int64_t co = 0; co < s->co16; ++co)
                row[co] = chains == 0 ? chain[co] : row[co] + chain[co];
            ++chains;
        }
}

static void weight_row(const ib_conv *c, const struct shape *s, const ib_conv_pointers *p,
                       const float *gradient, struct scratch *t, int64_t tap, int64_t ci,
                       float *to) {
    int64_t leaves = (c->n + IB_LEAF - 1) / IB_LEAF;
    for (int64_t leaf = 0; leaf < leaves; ++leaf)
        leaf_row(c, s, p, gradient, t->group, leaf, tap, ci, t->leaves + leaf * s->co16);
    for (int64_t co = 0; co < s->co16; ++co)
        to[co] = ref_gradient(c->node, IB_REF(ib_leaf_sum)(t->leaves + co, s->co16, leaves));
}

void IB_REF(ib_conv_backward_run)(ib_cpu *cpu, const ib_conv *c, const ib_conv_pointers *p) {
    struct shape s = shape_of(c);
    struct scratch t;
    cut(c, cpu->shared_scratch, &t);
    const float *gradient = output_gradient(c, &s, p, t.gradient);
    int64_t taps = c->kh * c->kw;
    for (int64_t tap = 0; tap < taps; ++tap)
        for (int64_t ci = 0; ci < s.ci; ++ci)
            for (int64_t co = 0; co < s.co16; ++co)
                t.turned[(tap * s.co16 + co) * s.ci + ci] = p->w[(tap * s.ci + ci) * s.co16 + co];
    t.dots.width = s.ci;
    for (int64_t pixel = 0; p->dx != NULL && pixel < c->n * c->h * c->w; ++pixel)
        input_pixel(c, &s, gradient, &t, pixel / (c->h * c->w), pixel / c->w % c->h, pixel % c->w,
                    p->x + pixel * s.ci, p->dx + pixel * s.ci);
    for (int64_t tap = 0; tap < taps; ++tap)
        for (int64_t ci = 0; ci < s.ci; ++ci)
            weight_row(c, &s, p, gradient, &t, tap, ci, p->dw + (tap * s.ci + ci) * s.co16);
    if (p->db != NULL)
        weight_row(c, &s, p, gradient, &t, -1, 0, p->db);
}
