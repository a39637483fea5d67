/* Backward passes against finite differences of the forward passes, for every kind of layer, on the
 * scalar reference and on the best instruction set; and both must give the same bits.
 *
 * L = sum over outputs of r * y, in binary64, with random r. A layer is piecewise linear in each of
 * x, w and b, so a central difference is exact up to rounding wherever no ReLU or pool changes its
 * mind between the two points; where one does, that element is left out. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/backend.h"

#define DIFFERENCE 0x1p-6f /* on either side */
#define TOLERANCE  3e-4    /* of the greatest gradient of the tensor */

static const char *const ISAS[] = {"scalar", "auto"};
enum { RUNS = 2, PROBES = 150 };

/* One layer under test: its shape, and memory on one backend. */
struct layer {
    const char *name;
    ib_backend *backend;
    const ib_conv *conv; /* or: */
    const ib_linear *linear;
    ib_buffer x, w, b, y, argmax, dy, dx, dw, db;
    float *r;      /* as y */
    float *base_y; /* y at the point itself */
    uint8_t *base_argmax;
};

static float *at(const ib_buffer *buffer) {
    return buffer->handle;
}
static size_t floats(const ib_buffer *buffer) {
    return buffer->bytes / sizeof(float);
}

/* Random in (-1, 1), the same everywhere. */
static float draw(uint32_t stream, size_t element) {
    ib_rng rng = ib_rng_make(77, IB_STREAM_DIGITS, stream, 5);
    return (float)((int32_t)(ib_rng_word(&rng, element) >> 8) - (1 << 23)) * 0x1p-23f;
}

static void make(struct layer *l, ib_buffer *buffer, size_t bytes) {
    assert_int_equal(l->backend->ops->buffer_create(l->backend, bytes, buffer, NULL), IB_OK);
    memset(buffer->handle, 0, bytes);
}

/* ---- logical elements -------------------------------------------------------------------------
 */

static int64_t stored(int64_t channels) {
    return channels == 1 ? 1 : ib_pad16(channels);
}

/* Whether element i of rows of `row` floats is one of the first `used`, the rest being padding. */
static int is_used(size_t i, int64_t row, int64_t used) {
    return (int64_t)i % row < used;
}
static int x_used(const struct layer *l, size_t i) {
    return l->conv != NULL ? is_used(i, stored(l->conv->ci), l->conv->ci)
                           : is_used(i, ib_pad16(l->linear->in), l->linear->in);
}
static int w_used(const struct layer *l, size_t i) {
    if (l->conv != NULL) {
        int64_t co16 = ib_pad16(l->conv->co), ci = stored(l->conv->ci);
        return is_used(i, co16, l->conv->co) && (int64_t)i / co16 % ci < l->conv->ci;
    }
    int64_t out16 = ib_pad16(l->linear->out);
    return is_used(i, out16, l->linear->out) && (int64_t)i / out16 < l->linear->in;
}
static int b_used(const struct layer *l, size_t i) {
    return (int64_t)i < (l->conv != NULL ? l->conv->co : l->linear->out);
}
static int y_used(const struct layer *l, size_t i) {
    if (l->conv == NULL)
        return is_used(i, ib_pad16(l->linear->out), l->linear->out);
    if (!l->conv->pool)
        return is_used(i, ib_pad16(l->conv->co), l->conv->co);
    int64_t features = ib_conv_pooled_features(l->conv);
    return is_used(i, ib_pad16(features), features);
}

/* ---- one layer --------------------------------------------------------------------------------
 */

/* Operands of either pass; an absent buffer is zero. */
static ib_conv_operands conv_operands(const struct layer *l) {
    return (ib_conv_operands){.x = l->x,
                              .w = l->w,
                              .b = l->b,
                              .dy = l->dy,
                              .y = l->y,
                              .dx = l->conv->ci == 1 ? (ib_buffer){0} : l->dx,
                              .dw = l->dw,
                              .db = l->db,
                              .argmax = l->argmax};
}
static ib_linear_operands linear_operands(const struct layer *l) {
    return (ib_linear_operands){.x = l->x,
                                .w = l->w,
                                .b = l->b,
                                .dy = l->dy,
                                .y = l->y,
                                .dx = l->dx,
                                .dw = l->dw,
                                .db = l->db};
}

static void forward(struct layer *l) {
    if (l->conv != NULL) {
        ib_conv_operands p = conv_operands(l);
        assert_int_equal(ib_conv_forward(l->backend, l->conv, &p, NULL), IB_OK);
    } else {
        ib_linear_operands p = linear_operands(l);
        assert_int_equal(ib_linear_forward(l->backend, l->linear, &p, NULL), IB_OK);
    }
}

static void backward(struct layer *l) {
    if (l->conv != NULL) {
        ib_conv_operands p = conv_operands(l);
        assert_int_equal(ib_conv_backward(l->backend, l->conv, &p, NULL), IB_OK);
    } else {
        ib_linear_operands p = linear_operands(l);
        assert_int_equal(ib_linear_backward(l->backend, l->linear, &p, NULL), IB_OK);
    }
}

static double objective(const struct layer *l) {
    double total = 0;
    for (size_t i = 0; i < floats(&l->y); ++i)
        total += (double)l->r[i] * (double)at(&l->y)[i];
    return total;
}

/* Whether a ReLU or pool decides otherwise than at the point itself. */
static int changed_its_mind(const struct layer *l) {
    int relu = l->conv != NULL ? l->conv->relu || l->conv->pool : l->linear->relu;
    for (size_t i = 0; relu && i < floats(&l->y); ++i)
        if ((at(&l->y)[i] > 0) != (l->base_y[i] > 0))
            return 1;
    return l->argmax.bytes > 0 && memcmp(l->argmax.handle, l->base_argmax, l->argmax.bytes) != 0;
}

static float output_scale(const struct layer *l) {
    const ib_dropout *d = l->conv != NULL ? &l->conv->dropout : &l->linear->dropout;
    return d->enabled ? d->scale : 1.0f;
}

static void open_layer(struct layer *l, const char *isa) {
    const ib_backend_options options = {"cpu", isa, 2};
    assert_int_equal(ib_backend_open(&options, &l->backend, NULL), IB_OK);
    if (l->conv != NULL) {
        const ib_conv *c = l->conv;
        int64_t oh = ib_conv_out_h(c), ow = ib_conv_out_w(c), co16 = ib_pad16(c->co);
        int64_t outputs = c->pool ? ib_pad16(ib_conv_pooled_features(c)) : oh * ow * co16;
        assert_int_equal(ib_plan_conv_forward(l->backend, c, NULL), IB_OK);
        assert_int_equal(ib_plan_conv_backward(l->backend, c, NULL), IB_OK);
        make(l, &l->x, (size_t)(c->n * c->h * c->w * stored(c->ci)) * sizeof(float));
        make(l, &l->w, (size_t)(c->kh * c->kw * stored(c->ci) * co16) * sizeof(float));
        make(l, &l->b, (size_t)co16 * sizeof(float));
        make(l, &l->y, (size_t)(c->n * outputs) * sizeof(float));
        if (c->pool)
            make(l, &l->argmax, (size_t)(c->n * (oh / 2) * (ow / 2) * co16));
    } else {
        const ib_linear *f = l->linear;
        assert_int_equal(ib_plan_linear_forward(l->backend, f, NULL), IB_OK);
        assert_int_equal(ib_plan_linear_backward(l->backend, f, NULL), IB_OK);
        make(l, &l->x, (size_t)(f->n * ib_pad16(f->in)) * sizeof(float));
        make(l, &l->w, (size_t)(ib_pad16(f->in) * ib_pad16(f->out)) * sizeof(float));
        make(l, &l->b, (size_t)ib_pad16(f->out) * sizeof(float));
        make(l, &l->y, (size_t)(f->n * ib_pad16(f->out)) * sizeof(float));
    }
    make(l, &l->dy, l->y.bytes);
    make(l, &l->dx, l->x.bytes);
    make(l, &l->dw, l->w.bytes);
    make(l, &l->db, l->b.bytes);
    l->r = calloc(floats(&l->y), sizeof(float));
    l->base_y = calloc(floats(&l->y), sizeof(float));
    l->base_argmax = calloc(l->argmax.bytes + 1, 1);
    assert_true(l->r != NULL && l->base_y != NULL && l->base_argmax != NULL);
}

static void close_layer(struct layer *l) {
    ib_buffer *buffers[] = {&l->x, &l->w, &l->b, &l->y, &l->argmax, &l->dy, &l->dx, &l->dw, &l->db};
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; ++i)
        l->backend->ops->buffer_destroy(l->backend, buffers[i]);
    ib_backend_close(l->backend);
    free(l->r);
    free(l->base_y);
    free(l->base_argmax);
}

/* x is what a ReLU and a dropout of scale input_scale leave: half of it zero. */
static void fill_and_run(struct layer *l) {
    float input_scale = l->conv != NULL ? l->conv->input_scale : l->linear->input_scale;
    for (size_t i = 0; i < floats(&l->x); ++i) {
        float u = draw(0, i);
        at(&l->x)[i] = x_used(l, i) && u > 0 ? (u + 0.05f) * input_scale : 0.0f;
    }
    for (size_t i = 0; i < floats(&l->w); ++i)
        at(&l->w)[i] = w_used(l, i) ? draw(1, i) : 0.0f;
    for (size_t i = 0; i < floats(&l->b); ++i)
        at(&l->b)[i] = b_used(l, i) ? draw(2, i) : 0.0f;
    forward(l);
    memcpy(l->base_y, at(&l->y), l->y.bytes);
    if (l->argmax.bytes > 0)
        memcpy(l->base_argmax, l->argmax.handle, l->argmax.bytes);
    int relu = l->conv != NULL ? l->conv->relu || l->conv->pool : l->linear->relu;
    for (size_t i = 0; i < floats(&l->y); ++i) {
        l->r[i] = y_used(l, i) ? draw(3, i) : 0.0f;
        at(&l->dy)[i] = relu && !(l->base_y[i] > 0) ? 0.0f : l->r[i] * output_scale(l);
    }
    backward(l);
}

/* Compares gradient with differences in `value`; returns the worst error, as a part of TOLERANCE.
 */
static double compare(struct layer *l, const char *what, ib_buffer *value,
                      const ib_buffer *gradient, int (*used)(const struct layer *, size_t),
                      float scale) {
    size_t count = floats(value), tried = 0, skipped = 0;
    size_t stride = count / PROBES + 1;
    double greatest = 0, worst = 0;
    for (size_t i = 0; i < count; ++i)
        greatest = fmax(greatest, fabs((double)at(gradient)[i]));
    assert_true(greatest > 0);
    for (size_t i = 0; i < count; ++i) {
        if (!used(l, i)) {
            if (at(gradient)[i] != 0)
                fail_msg("%s, %s: padding %zu of the gradient is %g", l->name, what, i,
                         (double)at(gradient)[i]);
            continue;
        }
        /* An odd stride walks through all channels and taps. */
        if (i % (stride | 1) != 0)
            continue;
        ++tried;
        float old = at(value)[i];
        if (value == &l->x && !(old > 0)) {
            if (at(gradient)[i] != 0)
                fail_msg("%s, %s: element %zu, cut off by its ReLU, has gradient %g", l->name, what,
                         i, (double)at(gradient)[i]);
            continue;
        }
        float up = old + DIFFERENCE * scale, down = old - DIFFERENCE * scale;
        at(value)[i] = up;
        forward(l);
        double high = objective(l);
        int kink = changed_its_mind(l);
        at(value)[i] = down;
        forward(l);
        double low = objective(l);
        kink |= changed_its_mind(l);
        at(value)[i] = old;
        if (kink) {
            ++skipped;
            continue;
        }
        /* dL/du of the activation u = x / scale that the input's ReLU and dropout scaled. */
        double expected = (high - low) / ((double)up - (double)down) * (double)scale;
        double error = fabs((double)at(gradient)[i] - expected) / greatest;
        worst = fmax(worst, error / TOLERANCE);
        if (error > TOLERANCE)
            fail_msg("%s on %s, %s: element %zu is %.7g, differences say %.7g", l->name,
                     l->backend->info.isa, what, i, (double)at(gradient)[i], expected);
    }
    if (tried == 0 || skipped * 2 > tried)
        fail_msg("%s, %s: %zu of %zu elements left out", l->name, what, skipped, tried);
    forward(l);
    return worst;
}

static void check_layer(const char *name, const ib_conv *conv, const ib_linear *linear) {
    struct layer layers[RUNS];
    double worst = 0;
    for (int run = 0; run < RUNS; ++run) {
        struct layer *l = &layers[run];
        *l = (struct layer){.name = name, .conv = conv, .linear = linear};
        open_layer(l, ISAS[run]);
        fill_and_run(l);
        for (size_t i = 0; i < floats(&l->y); ++i)
            if (!y_used(l, i) && at(&l->y)[i] != 0)
                fail_msg("%s on %s: padding %zu of the output is %g", name, l->backend->info.isa, i,
                         (double)at(&l->y)[i]);
        float input_scale = conv != NULL ? conv->input_scale : linear->input_scale;
        worst = fmax(worst, compare(l, "weight", &l->w, &l->dw, w_used, 1.0f));
        worst = fmax(worst, compare(l, "bias", &l->b, &l->db, b_used, 1.0f));
        if (conv == NULL || conv->ci > 1)
            worst = fmax(worst, compare(l, "input", &l->x, &l->dx, x_used, input_scale));
    }
    const struct layer *a = &layers[0], *b = &layers[1];
    if (memcmp(at(&a->y), at(&b->y), a->y.bytes) != 0 ||
        memcmp(at(&a->dw), at(&b->dw), a->dw.bytes) != 0 ||
        memcmp(at(&a->db), at(&b->db), a->db.bytes) != 0 ||
        memcmp(at(&a->dx), at(&b->dx), a->dx.bytes) != 0)
        fail_msg("%s: %s and %s differ", name, a->backend->info.isa, b->backend->info.isa);
    print_message("%-28s within %.2f of the tolerance\n", name, worst);
    for (int run = 0; run < RUNS; ++run)
        close_layer(&layers[run]);
}

/* ---- cases ------------------------------------------------------------------------------------
 */

static const ib_dropout DROPOUT = {
    .enabled = 1, .threshold = 0x60000000u, .scale = 1.6f, .rng = {1, 0, 0, 2u << 24}};

static void test_conv(void **state) {
    (void)state;
    static const struct {
        const char *name;
        ib_conv conv;
    } CASES[] = {
        {"3x3, one input channel",
         {.n = 3, .h = 6, .w = 7, .ci = 1, .co = 5, .kh = 3, .kw = 3, .stride = 1}},
        {"3x3, one channel, relu, pad",
         {.n = 2,
          .h = 5,
          .w = 5,
          .ci = 1,
          .co = 17,
          .kh = 3,
          .kw = 3,
          .stride = 1,
          .pad = 1,
          .relu = 1}},
        {"3x3", {.n = 2, .h = 6, .w = 5, .ci = 4, .co = 6, .kh = 3, .kw = 3, .stride = 1}},
        {"1x1", {.n = 2, .h = 3, .w = 4, .ci = 18, .co = 3, .kh = 1, .kw = 1, .stride = 1}},
        {"1x1, stride 2",
         {.n = 2, .h = 5, .w = 4, .ci = 3, .co = 5, .kh = 1, .kw = 1, .stride = 2}},
        {"5x5, pad 2",
         {.n = 1, .h = 6, .w = 6, .ci = 2, .co = 3, .kh = 5, .kw = 5, .stride = 1, .pad = 2}},
        {"3x3, stride 2, a row over",
         {.n = 2,
          .h = 8,
          .w = 7,
          .ci = 3,
          .co = 20,
          .kh = 3,
          .kw = 3,
          .stride = 2,
          .pad = 1,
          .relu = 1}},
        {"2x3, stride 3, pad 1",
         {.n = 2, .h = 9, .w = 11, .ci = 2, .co = 4, .kh = 2, .kw = 3, .stride = 3, .pad = 1}},
        {"7x7, stride 2, pad 3, ci 1",
         {.n = 1, .h = 12, .w = 12, .ci = 1, .co = 4, .kh = 7, .kw = 7, .stride = 2, .pad = 3}},
        {"3x3 of 64, over a segment",
         {.n = 1, .h = 4, .w = 4, .ci = 64, .co = 16, .kh = 3, .kw = 3, .stride = 1}},
        {"3x3 to 80, 9 samples",
         {.n = 9,
          .h = 4,
          .w = 4,
          .ci = 2,
          .co = 80,
          .kh = 3,
          .kw = 3,
          .stride = 1,
          .relu = 1,
          .input_scale = 2.0f}},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; ++i) {
        ib_conv conv = CASES[i].conv;
        conv.mask_input = 1;
        if (conv.input_scale == 0)
            conv.input_scale = 1.0f;
        check_layer(CASES[i].name, &conv, NULL);
    }
}

static void test_pooled_conv(void **state) {
    (void)state;
    static const struct {
        const char *name;
        ib_conv conv;
    } CASES[] = {
        {"pooled 3x3, ci 1",
         {.n = 2, .h = 8, .w = 8, .ci = 1, .co = 6, .kh = 3, .kw = 3, .stride = 1}},
        {"pooled 3x3, lists", /* conv_sparse.c */
         {.n = 2, .h = 7, .w = 9, .ci = 5, .co = 16, .kh = 3, .kw = 3, .stride = 1}},
        {"pooled 3x3, lists, odd, 32",
         {.n = 2, .h = 9, .w = 8, .ci = 32, .co = 32, .kh = 3, .kw = 3, .stride = 1}},
        {"pooled 3x3, lists, 9 images",
         {.n = 9, .h = 6, .w = 6, .ci = 2, .co = 16, .kh = 3, .kw = 3, .stride = 1}},
        {"pooled 3x3, dense",
         {.n = 2, .h = 7, .w = 8, .ci = 3, .co = 5, .kh = 3, .kw = 3, .stride = 1}},
        {"pooled 3x3, pad 1",
         {.n = 2, .h = 5, .w = 6, .ci = 3, .co = 16, .kh = 3, .kw = 3, .stride = 1, .pad = 1}},
        {"pooled 3x3, stride 2",
         {.n = 2, .h = 11, .w = 9, .ci = 3, .co = 16, .kh = 3, .kw = 3, .stride = 2}},
        {"pooled 5x5", {.n = 2, .h = 9, .w = 10, .ci = 2, .co = 7, .kh = 5, .kw = 5, .stride = 1}},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; ++i)
        for (int dropout = 0; dropout < 2; ++dropout) {
            ib_conv conv = CASES[i].conv;
            conv.mask_input = 1;
            conv.relu = conv.pool = 1;
            conv.input_scale = 1.0f;
            if (dropout)
                conv.dropout = DROPOUT;
            check_layer(CASES[i].name, &conv, NULL);
        }
}

static void test_linear(void **state) {
    (void)state;
    static const struct {
        const char *name;
        ib_linear linear;
    } CASES[] = {
        {"linear 37 to 5", {.n = 3, .in = 37, .out = 5}},
        {"linear 1 to 1", {.n = 1, .in = 1, .out = 1}},
        {"linear 16 to 16, relu", {.n = 8, .in = 16, .out = 16, .relu = 1}},
        {"linear 50 to 33, relu", {.n = 17, .in = 50, .out = 33, .relu = 1}},
        {"linear 1100 to 70", {.n = 9, .in = 1100, .out = 70, .input_scale = 1.25f}},
        {"linear 20 to 129, dropout",
         {.n = 10,
          .in = 20,
          .out = 129,
          .relu = 1,
          .dropout =
              {.enabled = 1, .threshold = 0x80000000u, .scale = 2.0f, .rng = {3, 0, 0, 2u << 24}},
          .input_scale = 2.0f}},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; ++i) {
        ib_linear linear = CASES[i].linear;
        linear.mask_input = 1;
        if (linear.input_scale == 0)
            linear.input_scale = 1.0f;
        check_layer(CASES[i].name, NULL, &linear);
    }
}

/* n samples of so many classes: l->x are logits, l->dx their gradients, y holds losses, argmax
 * labels, db the mean. */
static void run_softmax(struct layer *l, int64_t n, int64_t classes, int gradients) {
    ib_loss loss = {n, classes, (float)(1.0 / (double)n)};
    ib_loss_operands p = {.logits = l->x, .labels = l->argmax, .losses = l->y};
    if (gradients) {
        p.dlogits = l->dx;
        p.mean = l->db;
    }
    assert_int_equal(ib_softmax_nll(l->backend, &loss, &p, NULL), IB_OK);
}

/* The difference of fourth order of one sample's loss in one logit. */
static double loss_difference(struct layer *l, int64_t n, int64_t classes, int64_t i,
                              float *logit) {
    const float h = 0x1p-4f, old = *logit;
    float moved[5];
    for (int k = -2; k <= 2; ++k) {
        *logit = old + (float)k * h;
        run_softmax(l, n, classes, 0);
        moved[k + 2] = at(&l->y)[i];
    }
    *logit = old;
    double first = (double)moved[3] - (double)moved[1];
    double second = (double)moved[4] - (double)moved[0];
    return (8 * first - second) / (12 * (double)h) / (double)n;
}

/* The loss is smooth: such a difference, and the value itself against binary64. */
static void check_softmax(const char *isa, int64_t n, int64_t classes, float spread) {
    const ib_backend_options options = {"cpu", isa, 2};
    struct layer l = {0};
    assert_int_equal(ib_backend_open(&options, &l.backend, NULL), IB_OK);
    int64_t row = ib_pad16(classes);
    make(&l, &l.x, (size_t)(n * row) * sizeof(float));
    make(&l, &l.dx, l.x.bytes);
    make(&l, &l.y, (size_t)n * sizeof(float));
    make(&l, &l.argmax, (size_t)n * sizeof(uint16_t));
    make(&l, &l.db, sizeof(float));
    uint16_t *labels = l.argmax.handle;
    for (int64_t i = 0; i < n; ++i) {
        labels[i] = (uint16_t)(i * 7 % classes);
        for (int64_t j = 0; j < classes; ++j)
            at(&l.x)[i * row + j] = spread * draw(4, (size_t)(i * row + j));
    }
    run_softmax(&l, n, classes, 1);
    double sum = 0, mean = (double)at(&l.db)[0];
    for (int64_t i = 0; i < n; ++i) {
        float *z = at(&l.x) + i * row;
        double exps = 0;
        for (int64_t j = 0; j < classes; ++j)
            exps += exp((double)z[j]);
        double loss = log(exps) - (double)z[labels[i]];
        assert_true(fabs(loss - (double)at(&l.y)[i]) <= 1e-6 * (1 + (double)spread));
        sum += loss;
        for (int64_t j = 0; j < row; ++j) {
            double gradient = (double)at(&l.dx)[i * row + j];
            if (j >= classes) {
                assert_true(gradient == 0);
                continue;
            }
            double expected = loss_difference(&l, n, classes, i, z + j);
            if (fabs(expected - gradient) * (double)n > 5e-6 * (1 + (double)spread))
                fail_msg("softmax of %d on %s: gradient %.7g, differences say %.7g", (int)classes,
                         isa, gradient, expected);
        }
    }
    assert_true(fabs(sum / (double)n - mean) <= 1e-6 * fabs(mean));
    close_layer(&l);
}

static void test_softmax(void **state) {
    (void)state;
    for (int run = 0; run < RUNS; ++run) {
        check_softmax(ISAS[run], 19, 10, 3.0f);
        check_softmax(ISAS[run], 8, 17, 8.0f);
        check_softmax(ISAS[run], 1, 2, 1.0f);
        check_softmax(ISAS[run], 3, 100, 0.5f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conv),
        cmocka_unit_test(test_pooled_conv),
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_softmax),
    };
    return cmocka_run_group_tests_name("gradients", tests, NULL, NULL);
}
