/* Before the definition is frozen: the reductions that GPUs find hardest, as small OpenCL kernels
 * (kernels.cl), give the CPU backend's bits. Inputs hold zeros of both signs and
 * values that are hardly settled. Every test runs twice, the second time on programs that may flush
 * denormals: there are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arrays.h"
#include "backend/cpu/cpu.h"
#include "norm.h"
#include "optimisers.h"
#include "pool.h"

struct test *able(void **state) {
    struct test *t = *state;
    if (t->device.why_not[0] != '\0')
        skip();
    return t;
}

/* ---- pieces shared by layers ---------------------------------------------------------------- */

static ib_dropout dropout_of(int percent) {
    return (ib_dropout){.enabled = percent > 0,
                        .threshold = (uint32_t)(percent * 42949672.96),
                        .scale = (float)(1.0 / (1.0 - percent / 100.0)),
                        .rng =
                            ib_rng_make(0x123456789ABCDEFu, IB_STREAM_DROPOUT, 1, 0x5000000123u)};
}

struct dropout_arguments {
    cl_int enabled;
    cl_uint4 rng;
    cl_uint threshold;
    cl_float scale;
};

static struct dropout_arguments dropout_arguments(const ib_dropout *d) {
    return (struct dropout_arguments){
        d->enabled,
        {.s = {d->rng.key0, d->rng.key1, d->rng.step_low, d->rng.tag}},
        d->threshold,
        d->scale};
}

static int64_t round_up(int64_t n, int64_t to) {
    return (n + to - 1) / to * to;
}

static int64_t segments_of(int64_t terms) {
    return (terms + IB_SEGMENT - 1) / IB_SEGMENT;
}

/* partial[segment][row][column] of rows of a times columns of b. */
static void product(struct test *t, int64_t rows, int64_t columns, int64_t terms, int64_t segments,
                    const struct array *a, int64_t a_row, const struct array *b, int64_t b_term,
                    int64_t b_column, const struct array *partial) {
    static const size_t group[3] = {PRODUCT_TILE, PRODUCT_TILE, 1};
    DEVICE_RUN(&t->device, "product_segments", group, round_up(columns, PRODUCT_TILE),
               round_up(rows, PRODUCT_TILE), segments, ARGUMENT_INT(rows), ARGUMENT_INT(columns),
               ARGUMENT_INT(terms), ARGUMENT(a->gpu), ARGUMENT_INT(a_row), ARGUMENT(b->gpu),
               ARGUMENT_INT(b_term), ARGUMENT_INT(b_column), ARGUMENT(partial->gpu));
}

static void finish_outputs(struct test *t, int64_t rows, int64_t columns, int64_t segments,
                           const struct array *partial, const struct array *b, int relu,
                           const ib_dropout *dropout, const struct array *y, int64_t y_row) {
    struct dropout_arguments d = dropout_arguments(dropout);
    DEVICE_RUN(&t->device, "finish_outputs", NULL, columns, rows, 1, ARGUMENT_INT(rows),
               ARGUMENT_INT(columns), ARGUMENT_INT(segments), ARGUMENT(partial->gpu),
               ARGUMENT(b->gpu), ARGUMENT_INT(relu), ARGUMENT(d.enabled), ARGUMENT(d.rng),
               ARGUMENT(d.threshold), ARGUMENT(d.scale), ARGUMENT(y->gpu), ARGUMENT_INT(y_row));
}

static void finish_gradients(struct test *t, int64_t rows, int64_t columns, int64_t segments,
                             const struct array *partial, int mask, const struct array *x,
                             float scale, const struct array *dx, int64_t dx_row) {
    DEVICE_RUN(&t->device, "finish_gradients", NULL, columns, rows, 1, ARGUMENT_INT(rows),
               ARGUMENT_INT(columns), ARGUMENT_INT(segments), ARGUMENT(partial->gpu),
               ARGUMENT_INT(mask), ARGUMENT(x->gpu), ARGUMENT_FLOAT(scale), ARGUMENT(dx->gpu),
               ARGUMENT_INT(dx_row));
}

void leaf_tree(struct test *t, int64_t weights, int64_t groups, int64_t groups_in_leaf, int settles,
               const struct array *partial, const struct array *sums) {
    DEVICE_RUN(&t->device, "leaf_tree", NULL, weights, 1, 1, ARGUMENT_INT(groups),
               ARGUMENT_INT(groups_in_leaf), ARGUMENT_INT(settles), ARGUMENT(partial->gpu),
               ARGUMENT(sums->gpu));
}

/* ---- linear layers -------------------------------------------------------------------------- */

struct linear_case {
    int n, in, out, relu, dropout;
    enum fill fill;
};

static const struct linear_case LINEAR_CASES[] = {
    {64, 9216, 128, 1, 50, PLAIN}, {64, 128, 10, 0, 0, PLAIN}, {17, 1153, 100, 1, 25, WILD},
    {17, 9216, 20, 0, 0, TINY},    {7, 1153, 33, 0, 0, TINY},  {7, 577, 130, 1, 25, VANISH},
    {7, 100, 1153, 1, 0, WILD},    {64, 1153, 10, 0, 0, WILD}, {25, 40, 70, 0, 0, VANISH},
};

struct linear {
    ib_linear shape;
    int64_t in16, out16, leaves;
    struct array *x, *w, *b, *y, *dy, *dx, *dw, *db;
};

/* The operands of a layer and the CPU's results. */
static struct linear linear_on_cpu(struct test *t, const struct linear_case *c) {
    struct linear l = {.shape = {.n = c->n,
                                 .in = c->in,
                                 .out = c->out,
                                 .relu = c->relu,
                                 .dropout = dropout_of(c->dropout),
                                 .mask_input = 1,
                                 .input_scale = 1.25f},
                       .in16 = ib_pad16(c->in),
                       .out16 = ib_pad16(c->out),
                       .leaves = (c->n + IB_LEAF - 1) / IB_LEAF};
    ib_error err = {0};
    l.x = drawn(t, "x", c->n, c->in, l.in16, c->fill);
    l.w = drawn_blocks(t, "w", 1, c->in, l.in16, c->out, l.out16, c->fill);
    l.b = drawn(t, "b", 1, c->out, l.out16, c->fill);
    l.dy = drawn(t, "dy", c->n, c->out, l.out16, c->fill);
    l.y = zeros(t, "linear y", c->n * l.out16);
    l.dx = zeros(t, "linear dx", c->n * l.in16);
    l.dw = zeros(t, "linear dw", l.in16 * l.out16);
    l.db = zeros(t, "linear db", l.out16);
    ib_linear_operands p = {.x = l.x->cpu,
                            .w = l.w->cpu,
                            .b = l.b->cpu,
                            .dy = l.dy->cpu,
                            .y = l.y->cpu,
                            .dx = l.dx->cpu,
                            .dw = l.dw->cpu,
                            .db = l.db->cpu};
    must(ib_plan_linear_forward(t->backend, &l.shape, &err), &err);
    must(ib_plan_linear_backward(t->backend, &l.shape, &err), &err);
    must(ib_linear_forward(t->backend, &l.shape, &p, &err), &err);
    must(ib_linear_backward(t->backend, &l.shape, &p, &err), &err);
    return l;
}

/* terms_in_segment: IB_SEGMENT, but for a program spoilt by another one. */
static void linear_forward(struct test *t, const struct linear *l, int64_t terms_in_segment) {
    const ib_linear *s = &l->shape;
    int64_t segments = (s->in + terms_in_segment - 1) / terms_in_segment;
    struct array *partial = zeros(t, "partial", segments * s->n * s->out);
    product(t, s->n, s->out, s->in, segments, l->x, l->in16, l->w, l->out16, 1, partial);
    finish_outputs(t, s->n, s->out, segments, partial, l->b, s->relu, &s->dropout, l->y, l->out16);
}

static void linear_input_gradient(struct test *t, const struct linear *l) {
    const ib_linear *s = &l->shape;
    int64_t segments = segments_of(s->out);
    struct array *partial = zeros(t, "partial", segments * s->n * s->in);
    product(t, s->n, s->in, s->out, segments, l->dy, l->out16, l->w, 1, l->out16, partial);
    finish_gradients(t, s->n, s->in, segments, partial, 1, l->x, s->input_scale, l->dx, l->in16);
}

/* Weight gradients and after them, in the row past the weights, the bias's. */
static struct array *linear_weight_gradient(struct test *t, const struct linear *l) {
    const ib_linear *s = &l->shape;
    int64_t weights = (s->in + 1) * l->out16;
    struct array *partial = zeros(t, "partial", l->leaves * weights);
    struct array *sums = zeros(t, "sums", weights);
    DEVICE_RUN(&t->device, "linear_leaves", NULL, l->out16, s->in + 1, l->leaves,
               ARGUMENT_INT(s->n), ARGUMENT_INT(s->in), ARGUMENT(l->x->gpu), ARGUMENT_INT(l->in16),
               ARGUMENT(l->dy->gpu), ARGUMENT_INT(l->out16), ARGUMENT(partial->gpu));
    leaf_tree(t, weights, l->leaves, 1, 1, partial, sums);
    return sums;
}

static void linear_layers(void **state) {
    struct test *t = able(state);
    for (size_t i = 0; i < sizeof LINEAR_CASES / sizeof LINEAR_CASES[0]; ++i) {
        struct linear l = linear_on_cpu(t, &LINEAR_CASES[i]);
        linear_forward(t, &l, IB_SEGMENT);
        compare(t, l.y);
        linear_input_gradient(t, &l);
        compare(t, l.dx);
        struct array *sums = linear_weight_gradient(t, &l);
        l.dw->bytes = (size_t)(l.shape.in * l.out16) * sizeof(float);
        compare_at(t, l.dw, sums, 0);
        compare_at(t, l.db, sums, l.shape.in * l.out16);
        arrays_drop(t);
    }
}

/* ---- convolutions --------------------------------------------------------------------------- */

struct conv_case {
    int n, size, ci, co, kernel, pad, relu, pool, dropout;
    enum fill fill;
    int stride; /* 0: 1, and a bias and the mask of what made x; else neither */
};

static const struct conv_case CONV_CASES[] = {
    /* the CNN's: groups of one sample */
    {9, 26, 32, 64, 3, 0, 1, 1, 25, PLAIN, 0},
    {17, 28, 1, 32, 3, 0, 1, 0, 0, PLAIN, 0},
    {17, 10, 32, 64, 3, 0, 1, 1, 50, WILD, 0}, /* eight */
    {23, 16, 16, 16, 3, 0, 1, 1, 25, TINY, 0}, /* four */
    {15, 22, 16, 16, 3, 0, 1, 1, 0, WILD, 0},  /* two */
    {64, 8, 16, 32, 3, 1, 1, 0, 0, PLAIN, 0},
    {7, 8, 80, 20, 3, 1, 0, 0, 0, WILD, 0},
    {7, 9, 20, 80, 3, 1, 1, 1, 25, TINY, 0},
    {17, 6, 64, 70, 3, 0, 0, 0, 0, VANISH, 0},
    {9, 9, 32, 32, 5, 2, 1, 1, 50, PLAIN, 0},
    {3, 8, 48, 16, 3, 0, 1, 1, 0, WILD, 0},
    {3, 7, 32, 80, 3, 0, 1, 1, 25, PLAIN, 0},
    /* a ResNet's: strides */
    {9, 28, 1, 64, 7, 3, 0, 0, 0, PLAIN, 2},
    {9, 7, 64, 80, 3, 1, 0, 0, 0, PLAIN, 2},
    {17, 4, 48, 64, 1, 0, 0, 0, 0, WILD, 2},
    {8, 2, 64, 64, 3, 1, 0, 0, 0, TINY, 2},
    {7, 9, 16, 20, 3, 1, 0, 0, 0, VANISH, 2},
    /* samples of two stretches, and of three */
    {9, 34, 16, 16, 2, 0, 1, 0, 0, PLAIN, 0},
    {2, 93, 1, 16, 5, 2, 0, 0, 0, TINY, 2},
};

/* As in kernels.cl. */
struct conv_shape {
    cl_int n, h, w, ci, oh, ow, co, kh, kw, stride, pad, group, stretches;
};

struct conv {
    ib_conv shape;
    int64_t ci16, co16, pixels, cells, features, features16, taps;
    struct array *x, *w, *b, *y, *argmax, *dy, *dx, *dw, *db;
};

static struct conv conv_on_cpu(struct test *t, const struct conv_case *c) {
    struct conv v = {.shape = {.n = c->n,
                               .h = c->size,
                               .w = c->size,
                               .ci = c->ci,
                               .co = c->co,
                               .kh = c->kernel,
                               .kw = c->kernel,
                               .stride = c->stride > 0 ? c->stride : 1,
                               .pad = c->pad,
                               .relu = c->relu,
                               .pool = c->pool,
                               .dropout = dropout_of(c->dropout),
                               .mask_input = c->stride == 0,
                               .input_scale = 1.0f}};
    ib_conv *s = &v.shape;
    ib_error err = {0};
    v.ci16 = c->ci == 1 ? 1 : ib_pad16(c->ci);
    v.co16 = ib_pad16(c->co);
    v.pixels = ib_conv_out_h(s) * ib_conv_out_w(s);
    v.cells = (ib_conv_out_h(s) / 2) * (ib_conv_out_w(s) / 2);
    v.features = ib_conv_pooled_features(s);
    v.features16 = ib_pad16(v.features);
    v.taps = s->kh * s->kw;
    v.x = drawn(t, "x", s->n * s->h * s->w, s->ci, v.ci16, c->fill);
    v.w = drawn_blocks(t, "w", v.taps, s->ci, v.ci16, s->co, v.co16, c->fill);
    /* without a bias: the device adds +0 */
    v.b = c->stride > 0 ? zeros(t, "b", v.co16) : drawn(t, "b", 1, s->co, v.co16, c->fill);
    if (s->pool) {
        v.dy = drawn(t, "dy", s->n, v.features, v.features16, c->fill);
        v.y = zeros(t, "conv y", s->n * v.features16);
    } else {
        v.dy = drawn(t, "dy", s->n * v.pixels, s->co, v.co16, c->fill);
        v.y = zeros(t, "conv y", s->n * v.pixels * v.co16);
    }
    v.argmax = zeros(t, "argmax", s->n * v.cells * v.co16 / 4 + 1); /* bytes */
    v.dx = zeros(t, "conv dx", s->n * s->h * s->w * v.ci16);
    v.dw = zeros(t, "conv dw", v.taps * v.ci16 * v.co16);
    v.db = zeros(t, "conv db", v.co16);
    const ib_buffer none = {0};
    ib_conv_operands p = {.x = v.x->cpu,
                          .w = v.w->cpu,
                          .b = s->mask_input ? v.b->cpu : none,
                          .dy = v.dy->cpu,
                          .y = v.y->cpu,
                          .dx = s->ci > 1 ? v.dx->cpu : none,
                          .dw = v.dw->cpu,
                          .db = s->mask_input ? v.db->cpu : none,
                          .argmax = s->pool ? v.argmax->cpu : none};
    must(ib_plan_conv_forward(t->backend, s, &err), &err);
    must(ib_plan_conv_backward(t->backend, s, &err), &err);
    must(ib_conv_forward(t->backend, s, &p, &err), &err);
    must(ib_conv_backward(t->backend, s, &p, &err), &err);
    return v;
}

static struct array *conv_shape(struct test *t, const struct conv *v) {
    const ib_conv *s = &v->shape;
    struct conv_shape shape = {(cl_int)s->n,
                               (cl_int)s->h,
                               (cl_int)s->w,
                               (cl_int)v->ci16,
                               (cl_int)ib_conv_out_h(s),
                               (cl_int)ib_conv_out_w(s),
                               (cl_int)v->co16,
                               (cl_int)s->kh,
                               (cl_int)s->kw,
                               (cl_int)s->stride,
                               (cl_int)s->pad,
                               (cl_int)ib_samples_per_chain(v->pixels),
                               (cl_int)ib_chain_stretches(v->pixels)};
    return array_of(t, "shape", &shape, sizeof shape);
}

/* Outputs that stride 1 would have along one side. */
static int64_t spread_side(const ib_conv *s) {
    return s->h + 2 * s->pad - s->kh + 1;
}

/* The convolution whose forward pass is v's input gradient, spread by the stride. */
static struct array *turned_shape(struct test *t, const struct conv *v) {
    const ib_conv *s = &v->shape;
    struct conv_shape shape = {(cl_int)s->n,
                               (cl_int)spread_side(s),
                               (cl_int)spread_side(s),
                               (cl_int)v->co16,
                               (cl_int)s->h,
                               (cl_int)s->w,
                               (cl_int)v->ci16,
                               (cl_int)s->kh,
                               (cl_int)s->kw,
                               1,
                               (cl_int)(s->kh - 1 - s->pad),
                               1,
                               1};
    return array_of(t, "turned shape", &shape, sizeof shape);
}

static struct array *conv_segments(struct test *t, const struct array *shape, int64_t n,
                                   int64_t pixels, int64_t channels, int64_t segments,
                                   const struct array *x, const struct array *w) {
    struct array *partial = zeros(t, "partial", segments * n * pixels * channels);
    DEVICE_RUN(&t->device, "conv_segments", NULL, channels, pixels, n * segments,
               ARGUMENT(shape->gpu), ARGUMENT_INT(segments), ARGUMENT(x->gpu), ARGUMENT(w->gpu),
               ARGUMENT(partial->gpu));
    return partial;
}

static void conv_forward(struct test *t, const struct conv *v, const struct array *shape) {
    const ib_conv *s = &v->shape;
    const ib_dropout none = {0};
    int64_t segments = segments_of(v->taps * v->ci16), rows = s->n * v->pixels;
    struct array *partial = conv_segments(t, shape, s->n, v->pixels, v->co16, segments, v->x, v->w);
    struct array *pixels = s->pool ? zeros(t, "pixels", rows * v->co16) : v->y;
    finish_outputs(t, rows, v->co16, segments, partial, v->b, s->relu || s->pool, &none, pixels,
                   v->co16);
    if (s->pool) {
        struct dropout_arguments d = dropout_arguments(&s->dropout);
        DEVICE_RUN(&t->device, "pool_outputs", NULL, s->co, v->cells, s->n, ARGUMENT(shape->gpu),
                   ARGUMENT(pixels->gpu), ARGUMENT(d.enabled), ARGUMENT(d.rng),
                   ARGUMENT(d.threshold), ARGUMENT(d.scale), ARGUMENT(v->y->gpu),
                   ARGUMENT_INT(v->features16), ARGUMENT(v->argmax->gpu));
    }
}

/* The gradient of every output pixel. */
static struct array *pixel_gradients(struct test *t, const struct conv *v,
                                     const struct array *shape) {
    if (!v->shape.pool)
        return v->dy;
    struct array *gradient = zeros(t, "gradient", v->shape.n * v->pixels * v->co16);
    DEVICE_RUN(&t->device, "unpool_gradients", NULL, v->shape.co, v->pixels, v->shape.n,
               ARGUMENT(shape->gpu), ARGUMENT(v->dy->gpu), ARGUMENT_INT(v->features16),
               ARGUMENT(v->argmax->gpu), ARGUMENT(gradient->gpu));
    return gradient;
}

static struct array *conv_weight_gradient(struct test *t, const struct conv *v,
                                          const struct array *shape, const struct array *gradient) {
    int64_t group = ib_samples_per_chain(v->pixels), stretches = ib_chain_stretches(v->pixels);
    int64_t groups = (v->shape.n + group - 1) / group * stretches;
    int64_t weights = (v->taps * v->ci16 + 1) * v->co16;
    struct array *partial = zeros(t, "partial", groups * weights);
    struct array *sums = zeros(t, "sums", weights);
    DEVICE_RUN(&t->device, "conv_groups", NULL, v->co16, v->taps * v->ci16 + 1, groups,
               ARGUMENT(shape->gpu), ARGUMENT(v->x->gpu), ARGUMENT(gradient->gpu),
               ARGUMENT(partial->gpu));
    leaf_tree(t, weights, groups, IB_LEAF / group * stretches, 1, partial, sums);
    return sums;
}

static void conv_input_gradient(struct test *t, const struct conv *v, const struct array *shape,
                                const struct array *gradient) {
    const ib_conv *s = &v->shape;
    int64_t segments = segments_of(v->taps * v->co16), pixels = s->h * s->w;
    const struct array *spread = gradient;
    if (s->stride > 1) {
        int64_t side = spread_side(s);
        spread = zeros(t, "spread", s->n * side * side * v->co16);
        DEVICE_RUN(&t->device, "spread_gradients", NULL, v->co16, side * side, s->n,
                   ARGUMENT(shape->gpu), ARGUMENT_INT(side), ARGUMENT(gradient->gpu),
                   ARGUMENT(spread->gpu));
    }
    struct array *turned = zeros(t, "turned", v->taps * v->co16 * v->ci16);
    DEVICE_RUN(&t->device, "turn_weights", NULL, v->ci16, v->co16, v->taps, ARGUMENT(shape->gpu),
               ARGUMENT(v->w->gpu), ARGUMENT(turned->gpu));
    struct array *partial =
        conv_segments(t, turned_shape(t, v), s->n, pixels, v->ci16, segments, spread, turned);
    finish_gradients(t, s->n * pixels, v->ci16, segments, partial, s->mask_input, v->x,
                     s->input_scale, v->dx, v->ci16);
}

static void convolutions(void **state) {
    struct test *t = able(state);
    for (size_t i = 0; i < sizeof CONV_CASES / sizeof CONV_CASES[0]; ++i) {
        struct conv v = conv_on_cpu(t, &CONV_CASES[i]);
        struct array *shape = conv_shape(t, &v);
        conv_forward(t, &v, shape);
        compare(t, v.y);
        if (v.shape.pool)
            compare(t, v.argmax);
        struct array *gradient = pixel_gradients(t, &v, shape);
        struct array *sums = conv_weight_gradient(t, &v, shape, gradient);
        compare_at(t, v.dw, sums, 0);
        if (v.shape.mask_input)
            compare_at(t, v.db, sums, v.taps * v.ci16 * v.co16);
        if (v.shape.ci > 1) {
            conv_input_gradient(t, &v, shape, gradient);
            compare(t, v.dx);
        }
        arrays_drop(t);
    }
}

/* ---- would we notice? ----------------------------------------------------------------------- */

static const struct linear_case NOTICED = {64, 1153, 64, 0, 0, PLAIN};
static const struct linear_case SETTLING = {9, 20, 64, 0, 0, TINY};

/* The words of y that differ when the program is built so. */
static size_t outputs_off(struct test *t, const struct linear_case *c, int segment,
                          enum spoil spoil) {
    device_build(&t->device, segment, spoil);
    struct linear l = linear_on_cpu(t, c);
    linear_forward(t, &l, segment);
    size_t different = differences(t, l.y, l.y, 0, 0);
    arrays_drop(t);
    return different;
}

static size_t weight_gradients_off(struct test *t, enum spoil spoil) {
    device_build(&t->device, IB_SEGMENT, spoil);
    struct linear l = linear_on_cpu(t, &NOTICED);
    struct array *sums = linear_weight_gradient(t, &l);
    l.dw->bytes = (size_t)(l.shape.in * l.out16) * sizeof(float);
    size_t different = differences(t, l.dw, sums, 0, 0);
    arrays_drop(t);
    return different;
}

/* The same kernels with one rule broken differ, each in its own way. */
static void wrong_orders_are_noticed(void **state) {
    struct test *t = able(state);
    assert_int_equal(outputs_off(t, &NOTICED, IB_SEGMENT, SPOIL_NONE), 0);
    assert_int_not_equal(outputs_off(t, &NOTICED, IB_SEGMENT, SPOIL_UNFUSED), 0);
    assert_int_not_equal(outputs_off(t, &NOTICED, IB_SEGMENT, SPOIL_UNORDERED), 0);
    assert_int_not_equal(outputs_off(t, &NOTICED, IB_SEGMENT - 64, SPOIL_NONE), 0);
    assert_int_equal(outputs_off(t, &SETTLING, IB_SEGMENT, SPOIL_NONE), 0);
    assert_int_not_equal(outputs_off(t, &SETTLING, IB_SEGMENT, SPOIL_UNSETTLED), 0);
    assert_int_equal(weight_gradients_off(t, SPOIL_NONE), 0);
    assert_int_not_equal(weight_gradients_off(t, SPOIL_UNFUSED), 0);
    assert_int_not_equal(weight_gradients_off(t, SPOIL_NO_TREE), 0);
}

/* Whether the device flushes is its own affair; the other tests show that it makes no difference.
 */
static void denormals(void **state) {
    struct test *t = able(state);
    const float normal = 0x1p-126f;
    const cl_uint denormal = 0x00400000u; /* 2^-127 */
    struct array *a = array_of(t, "normal", &normal, sizeof normal);
    struct array *b = array_of(t, "denormal", &denormal, sizeof denormal);
    struct array *c = zeros(t, "lost", 1);
    cl_uint lost = 4;
    DEVICE_RUN(&t->device, "denormals", NULL, 1, 1, 1, ARGUMENT(a->gpu), ARGUMENT(b->gpu),
               ARGUMENT(c->gpu));
    device_read(&t->device, c->gpu, &lost, sizeof lost);
    print_message("%s: %s denormal results, %s denormal operands\n",
                  t->device.flush ? "-cl-denorms-are-zero" : "as it is",
                  lost & 1 ? "flushes" : "keeps", lost & 2 ? "flushes" : "keeps");
    assert_in_range(lost, 0, 3);
}

/* ---- fixtures ------------------------------------------------------------------------------- */

static int group_open(void **state) {
    const ib_backend_options options = {"cpu", "auto", 2};
    static struct test t;
    ib_error err = {0};
    *state = &t;
    if (ib_backend_open(&options, &t.backend, &err) != IB_OK) {
        print_error("%s\n", ib_error_text(&err));
        return -1;
    }
    device_open(&t.device);
    if (t.device.why_not[0] != '\0')
        printf("skipped: %s\n", t.device.why_not);
    else
        printf("opencl: %s\n", t.device.name);
    return 0;
}

static int group_close(void **state) {
    struct test *t = *state;
    device_close(&t->device);
    ib_backend_close(t->backend);
    return 0;
}

static int open_as(struct test *t, int flush) {
    t->device.flush = flush;
    if (t->device.why_not[0] == '\0')
        device_build(&t->device, IB_SEGMENT, SPOIL_NONE);
    return 0;
}

static int test_open(void **state) {
    return open_as(*state, 0);
}

/* Built with -cl-denorms-are-zero. */
static int test_open_flushing(void **state) {
    return open_as(*state, 1);
}

static int test_close(void **state) {
    arrays_drop(*state);
    return 0;
}

#define BOTH_WAYS(test)                                                                            \
    cmocka_unit_test_setup_teardown(test, test_open, test_close),                                  \
        cmocka_unit_test_setup_teardown(test, test_open_flushing, test_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        BOTH_WAYS(denormals),
        BOTH_WAYS(linear_layers),
        BOTH_WAYS(convolutions),
        BOTH_WAYS(normalisations),
        BOTH_WAYS(max_pools),
        BOTH_WAYS(optimisers),
        cmocka_unit_test_setup_teardown(wrong_orders_are_noticed, test_open, test_close),
    };
    return cmocka_run_group_tests(tests, group_open, group_close);
}
