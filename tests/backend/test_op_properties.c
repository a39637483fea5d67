/* What operations say about each other, on every backend of op_subjects.h, bit for bit: a part of a
 * batch is computed as it is within the whole; sums over the leaves of parts make those of the
 * whole; a normalisation in pieces is the whole one; fused operations are the single ones one after
 * another. */
#include "op_values.h"

/* One convolution over [first, first + n), its gradients into place `part`. */
static void conv_part(struct op_run *run, const ib_conv *whole, const struct conv_values *v,
                      int64_t first, int64_t n, int part) {
    ib_conv c = *whole;
    c.n = n;
    c.node = n < whole->n;
    c.dropout.first_sample = first;
    ib_conv_operands p = conv_operands(run, v, first, part);
    RUN_OP(run, conv_forward, &c, &p);
    RUN_OP(run, conv_backward, &c, &p);
}

/* Rows 0 and 1, the nodes of two parts, into row 2, the root. */
static void add_parts(struct op_run *run, float *rows, int64_t width) {
    ib_tree t = {2, width, .settle = 1};
    ib_tree_operands p = {.rows = run_buffer(run, rows), .sum = run_buffer(run, rows + 2 * width)};
    RUN_OP(run, tree_sum, &t, &p);
}

/* Activations, dropout and gradients of what was read are those of the whole batch, and the halves'
 * weight gradients, as nodes, add up to its own. */
static void check_parts_of_conv(const struct subject *subject, const ib_conv *c, int tiny) {
    struct op_run whole = {0}, parts = {0};
    struct conv_values v, u;
    run_open(&whole, subject->backend);
    take_conv(&whole, c, tiny, &v);
    run_start(&whole);
    conv_part(&whole, c, &v, 0, WHOLE, 0);
    finish(&whole, subject, "whole convolution");
    run_open(&parts, subject->backend);
    take_conv(&parts, c, tiny, &u);
    run_start(&parts);
    conv_part(&parts, c, &u, 0, HALF, 0);
    conv_part(&parts, c, &u, HALF, WHOLE - HALF, 1);
    add_parts(&parts, u.dw, u.weights);
    add_parts(&parts, u.db, u.co16);
    finish(&parts, subject, "parts of a convolution");
    equal(subject, "y of parts", v.y, u.y, WHOLE * v.row);
    if (c->ci > 1)
        equal(subject, "dx of parts", v.dx, u.dx, WHOLE * v.image);
    equal(subject, "dw of parts", v.dw, u.dw + 2 * u.weights, v.weights);
    equal(subject, "db of parts", v.db, u.db + 2 * u.co16, v.co16);
    if (tiny) /* such that nodes which settle would be noticed */
        assert_true(count_unsettled(u.dw, 2 * u.weights) > 0);
    run_close(&whole);
    run_close(&parts);
}

static void parts_of_convolutions(void **state) {
    static const struct {
        int ci, co, kernel, stride, pad, pool;
    } SHAPES[] = {{16, 32, 3, 1, 0, 1}, {3, 10, 2, 1, 1, 1},  {32, 16, 1, 1, 0, 1},
                  {1, 32, 3, 1, 0, 1},  {16, 32, 3, 1, 1, 0}, {20, 128, 3, 2, 1, 0},
                  {1, 16, 3, 1, 1, 0},  {32, 16, 1, 1, 0, 0}};
    (void)state;
    for (size_t s = 0; s < subject_count; ++s)
        for (size_t k = 0; k < 2 * COUNT_OF(SHAPES); ++k) {
            ib_conv c = {.n = WHOLE, .h = 7, .w = 6, .ci = SHAPES[k / 2].ci};
            c.co = SHAPES[k / 2].co;
            c.kh = c.kw = SHAPES[k / 2].kernel;
            c.stride = SHAPES[k / 2].stride;
            c.pad = SHAPES[k / 2].pad;
            c.pool = SHAPES[k / 2].pool;
            c.relu = c.mask_input = 1;
            c.input_scale = 1.0f;
            c.dropout = make_dropout(c.pool ? 25 : 0, 99, 0);
            check_parts_of_conv(&subjects[s], &c, k % 2);
        }
}

static void linear_part(struct op_run *run, const ib_linear *whole, const struct linear_values *v,
                        int64_t first, int64_t n, int part) {
    ib_linear l = *whole;
    l.n = n;
    l.node = n < whole->n;
    l.dropout.first_sample = first;
    ib_linear_operands p = {.x = run_buffer(run, v->x + first * v->in16),
                            .w = run_buffer(run, v->w),
                            .b = run_buffer(run, v->b),
                            .dy = run_buffer(run, v->dy + first * v->out16),
                            .y = run_buffer(run, v->y + first * v->out16),
                            .dx = run_buffer(run, v->dx + first * v->in16),
                            .dw = run_buffer(run, v->dw + part * v->in16 * v->out16),
                            .db = run_buffer(run, v->db + part * v->out16)};
    RUN_OP(run, linear_forward, &l, &p);
    RUN_OP(run, linear_backward, &l, &p);
}

static void check_parts_of_linear(const struct subject *subject, int tiny) {
    ib_linear l = {.n = WHOLE, .in = 77, .out = 130, .relu = 1, .mask_input = 1};
    struct op_run whole = {0}, parts = {0};
    struct linear_values v, u;
    l.input_scale = 1.25f;
    l.dropout = make_dropout(50, 98, 0);
    run_open(&whole, subject->backend);
    take_linear(&whole, &l, tiny, &v);
    run_start(&whole);
    linear_part(&whole, &l, &v, 0, WHOLE, 0);
    finish(&whole, subject, "whole linear layer");
    run_open(&parts, subject->backend);
    take_linear(&parts, &l, tiny, &u);
    run_start(&parts);
    linear_part(&parts, &l, &u, 0, HALF, 0);
    linear_part(&parts, &l, &u, HALF, WHOLE - HALF, 1);
    add_parts(&parts, u.dw, u.in16 * u.out16);
    add_parts(&parts, u.db, u.out16);
    finish(&parts, subject, "parts of a linear layer");
    equal(subject, "y of parts", v.y, u.y, WHOLE * v.out16);
    equal(subject, "dx of parts", v.dx, u.dx, WHOLE * v.in16);
    equal(subject, "dw of parts", v.dw, u.dw + 2 * u.in16 * u.out16, v.in16 * v.out16);
    equal(subject, "db of parts", v.db, u.db + 2 * u.out16, v.out16);
    if (tiny)
        assert_true(count_unsettled(u.dw, 2 * u.in16 * u.out16) > 0);
    run_close(&whole);
    run_close(&parts);
}

static void parts_of_linear_layers(void **state) {
    (void)state;
    for (size_t s = 0; s < subject_count; ++s) {
        check_parts_of_linear(&subjects[s], 0);
        check_parts_of_linear(&subjects[s], 1);
    }
}

/* Dropout of a part draws what the whole batch's does there. */
static void parts_of_dropout(void **state) {
    (void)state;
    for (size_t s = 0; s < subject_count; ++s) {
        enum { PIXELS = 9, CHANNELS = 20, STORED = 32, IMAGE = PIXELS * STORED };
        ib_drop d = {.n = WHOLE, .pixels = PIXELS, .channels = CHANNELS};
        struct op_run run = {0};
        d.dropout = make_dropout(50, 97, 0);
        run_open(&run, subjects[s].backend);
        float *x = random_floats(&run, WHOLE * PIXELS, CHANNELS, 31, 1);
        run_seal_inputs(&run);
        float *y = run_floats(&run, WHOLE * IMAGE), *z = run_floats(&run, WHOLE * IMAGE);
        run_start(&run);
        ib_drop_operands p = {.x = run_buffer(&run, x), .y = run_buffer(&run, y)};
        RUN_OP(&run, dropout_forward, &d, &p);
        for (int64_t first = 0; first < WHOLE; first += 8) {
            ib_drop part = d;
            part.n = WHOLE - first < 8 ? WHOLE - first : 8;
            part.dropout.first_sample = first;
            ib_drop_operands q = {.x = run_buffer(&run, x + first * IMAGE),
                                  .y = run_buffer(&run, z + first * IMAGE)};
            RUN_OP(&run, dropout_forward, &part, &q);
        }
        finish(&run, &subjects[s], "dropout");
        equal(&subjects[s], "dropout of parts", y, z, WHOLE * IMAGE);
        run_close(&run);
    }
}

/* ---- normalisation in pieces ------------------------------------------------------------------
 */

enum { PIXELS = 35, CHANNELS = 20, C16 = 32, IMAGE = PIXELS * C16, LEAVES = (WHOLE + 7) / 8 };

/* What a part of the batch does between exchanges; leaves of all parts lie side by side. */
static ib_norm_part_operands norm_piece(const struct op_run *run, const struct norm_memory *m,
                                        int64_t first, float *leaves, float *running,
                                        float *saved) {
    int64_t at = first * IMAGE;
    return (ib_norm_part_operands){.x = run_buffer(run, m->x + at),
                                   .gamma = run_buffer(run, m->gamma),
                                   .beta = run_buffer(run, m->beta),
                                   .add = run_buffer(run, m->add + at),
                                   .dy = run_buffer(run, m->dy + at),
                                   .second = run_buffer(run, m->second + at),
                                   .y_kept = run_buffer(run, m->y + at),
                                   .totals = run_buffer(run, m->totals),
                                   .totals2 = run_buffer(run, m->totals2),
                                   .leaves = run_buffer(run, leaves + first / 8 * 2 * C16),
                                   .running = run_buffer(run, running),
                                   .saved = run_buffer(run, saved),
                                   .y = run_buffer(run, m->y + at),
                                   .g = run_buffer(run, m->g + at),
                                   .dx = run_buffer(run, m->dx + at),
                                   .dgamma = run_buffer(run, m->gradients),
                                   .dbeta = run_buffer(run, m->gradients + C16)};
}

/* Calls an operation for samples [0, cut) and [cut, WHOLE); the second part has running and saved
 * statistics of its own, as another process would. */
#define ON_PARTS(operation)                                                                        \
    do {                                                                                           \
        ib_norm part = s;                                                                          \
        part.n = cut;                                                                              \
        ib_norm_part_operands p_ = norm_piece(&run, &m, 0, leaves, m.running, m.saved);            \
        RUN_OP(&run, operation, &part, &p_);                                                       \
        if (cut == WHOLE)                                                                          \
            break;                                                                                 \
        part.n = WHOLE - cut;                                                                      \
        p_ = norm_piece(&run, &m, cut, leaves, running, saved);                                    \
        RUN_OP(&run, operation, &part, &p_);                                                       \
    } while (0)

static void sum_leaves(struct op_run *run, const float *leaves, float *totals) {
    ib_tree t = {LEAVES, 2 * C16};
    ib_tree_operands p = {.rows = run_buffer(run, leaves), .sum = run_buffer(run, totals)};
    RUN_OP(run, tree_sum, &t, &p);
}

static void check_norm_pieces(const struct subject *subject, int64_t cut) {
    static const struct norm_case CASE = {WHOLE, PIXELS, CHANNELS, 1, 1, 1, PLAIN};
    ib_norm s = {WHOLE, PIXELS, CHANNELS, 1, 1, 0, 0, 0.1f, 1e-5f};
    struct op_run whole = {0}, run = {0};
    struct norm_memory w, m;
    ib_norm_scalars(&s, WHOLE);
    run_open(&whole, subject->backend);
    take_norm_parts(&CASE, &s, 5, &whole, &w);
    run_start(&whole);
    ib_norm_operands p = {.x = run_buffer(&whole, w.x),
                          .gamma = run_buffer(&whole, w.gamma),
                          .beta = run_buffer(&whole, w.beta),
                          .add = run_buffer(&whole, w.add),
                          .dy = run_buffer(&whole, w.dy),
                          .second = run_buffer(&whole, w.second),
                          .y_kept = run_buffer(&whole, w.y),
                          .running = run_buffer(&whole, w.running),
                          .saved = run_buffer(&whole, w.saved),
                          .y = run_buffer(&whole, w.y),
                          .g = run_buffer(&whole, w.g),
                          .dx = run_buffer(&whole, w.dx),
                          .dgamma = run_buffer(&whole, w.gradients),
                          .dbeta = run_buffer(&whole, w.gradients + C16)};
    RUN_OP(&whole, norm_forward, &s, &p);
    RUN_OP(&whole, norm_backward, &s, &p);
    finish(&whole, subject, "normalisation");
    run_open(&run, subject->backend);
    take_norm_parts(&CASE, &s, 5, &run, &m);
    float *running = run_floats(&run, 2 * C16), *saved = run_floats(&run, IB_SAVED_COUNT * C16);
    memcpy(running, m.running, 2 * C16 * sizeof *running);
    float *leaves = m.leaves;
    run_start(&run);
    ON_PARTS(norm_sums);
    sum_leaves(&run, leaves, m.totals);
    ON_PARTS(norm_deviations);
    sum_leaves(&run, leaves, m.totals2);
    ON_PARTS(norm_apply);
    leaves = m.back_leaves;
    ON_PARTS(norm_gradients);
    sum_leaves(&run, leaves, m.totals);
    ON_PARTS(norm_input);
    finish(&run, subject, "normalisation in pieces");
    equal(subject, "y in pieces", w.y, m.y, WHOLE * IMAGE);
    equal(subject, "running statistics", w.running, m.running, 2 * C16);
    if (cut < WHOLE)
        equal(subject, "the other part's running statistics", w.running, running, 2 * C16);
    equal(subject, "saved", w.saved, m.saved, IB_SAVED_COUNT * C16);
    equal(subject, "g in pieces", w.g, m.g, WHOLE * IMAGE);
    equal(subject, "dx in pieces", w.dx, m.dx, WHOLE * IMAGE);
    equal(subject, "dgamma, dbeta", w.gradients, m.gradients, 2 * C16);
    run_close(&whole);
    run_close(&run);
}

static void normalisation_in_pieces(void **state) {
    static const int64_t CUTS[] = {WHOLE, 8, 16};
    (void)state;
    for (size_t s = 0; s < subject_count; ++s)
        for (size_t k = 0; k < COUNT_OF(CUTS); ++k)
            check_norm_pieces(&subjects[s], CUTS[k]);
}

/* ---- fused operations -------------------------------------------------------------------------
 */

/* conv, relu, max-pool, dropout, flatten: one operation, or five each way. */
static void check_fused_conv(const struct subject *subject, const ib_conv *fused, int percent) {
    int64_t oh = ib_conv_out_h(fused), ow = ib_conv_out_w(fused), co = fused->co;
    int64_t cells = (oh / 2) * (ow / 2), co16 = ib_pad16(co), n = fused->n;
    int64_t image = n * oh * ow * co16, pooled = n * cells * co16, row = ib_pad16(co * cells);
    ib_conv c = *fused, bare = *fused;
    struct op_run run = {0}, single = {0};
    struct conv_values v, u;
    c.dropout = make_dropout(percent, 96, 0);
    c.dropout.first_sample = 16;
    bare.relu = bare.pool = 0;
    run_open(&run, subject->backend);
    take_conv(&run, &c, 0, &v);
    run_start(&run);
    ib_conv_operands p = conv_operands(&run, &v, 0, 0);
    RUN_OP(&run, conv_forward, &c, &p);
    finish(&run, subject, "fused convolution");

    run_open(&single, subject->backend);
    take_conv(&single, &c, 0, &u);
    float *plain = run_floats(&single, image), *relu = run_floats(&single, image);
    float *cell = run_floats(&single, pooled), *kept = run_floats(&single, pooled);
    float *d_kept = run_floats(&single, pooled), *d_cell = run_floats(&single, pooled);
    float *d_relu = run_floats(&single, image), *d_plain = run_floats(&single, image);
    float *masked = run_floats(&single, n * row), *fused_dx = run_floats(&single, n * u.image);
    for (int64_t i = 0; i < n * row; ++i) /* what the reader of a fused convolution hands back */
        masked[i] = v.y[i] > 0 ? u.dy[i] * (c.dropout.enabled ? c.dropout.scale : 1.0f) : 0.0f;
    run_start(&single);
    ib_conv_operands q = conv_operands(&single, &u, 0, 0);
    q.y = run_buffer(&single, plain);
    RUN_OP(&single, conv_forward, &bare, &q);
    ib_elementwise e = {image, 0};
    ib_elementwise_operands activation = {.x = run_buffer(&single, plain),
                                          .y = run_buffer(&single, relu),
                                          .y_kept = run_buffer(&single, relu),
                                          .dy = run_buffer(&single, d_relu),
                                          .dx = run_buffer(&single, d_plain)};
    RUN_OP(&single, relu_forward, &e, &activation);
    ib_max_pool pool = {n, oh, ow, co, 2, 2, 0};
    ib_max_pool_operands pools = {.x = run_buffer(&single, relu),
                                  .y = run_buffer(&single, cell),
                                  .argmax = run_buffer(&single, u.argmax),
                                  .dy = run_buffer(&single, d_cell),
                                  .dx = run_buffer(&single, d_relu)};
    RUN_OP(&single, max_pool_forward, &pool, &pools);
    ib_drop drop = {n, cells, co, c.dropout};
    ib_drop_operands drops = {.x = run_buffer(&single, cell),
                              .y = run_buffer(&single, kept),
                              .dy = run_buffer(&single, d_kept),
                              .dx = run_buffer(&single, d_cell)};
    RUN_OP(&single, dropout_forward, &drop, &drops);
    ib_flatten flat = {n, cells, co};
    ib_flatten_operands flats = {.x = run_buffer(&single, kept),
                                 .y = run_buffer(&single, u.y),
                                 .dy = run_buffer(&single, u.dy),
                                 .dx = run_buffer(&single, d_kept)};
    RUN_OP(&single, flatten_forward, &flat, &flats);
    RUN_OP(&single, flatten_backward, &flat, &flats);
    RUN_OP(&single, dropout_backward, &drop, &drops);
    RUN_OP(&single, max_pool_backward, &pool, &pools);
    RUN_OP(&single, relu_backward, &e, &activation);
    q.dy = run_buffer(&single, d_plain);
    RUN_OP(&single, conv_backward, &bare, &q);
    /* The fused backward pass, from the mask that its reader applies. */
    float *const fused_dw = u.dw + u.weights, *const fused_db = u.db + u.co16;
    q.dy = run_buffer(&single, masked);
    q.dx = run_buffer(&single, fused_dx);
    q.dw = run_buffer(&single, fused_dw);
    q.db = run_buffer(&single, fused_db);
    RUN_OP(&single, conv_backward, &c, &q);
    finish(&single, subject, "single operations");
    equal(subject, "fused y", u.y, v.y, n * row);
    equal(subject, "fused dx", u.dx, fused_dx, n * u.image);
    equal(subject, "fused dw", u.dw, fused_dw, u.weights);
    equal(subject, "fused db", u.db, fused_db, u.co16);
    run_close(&run);
    run_close(&single);
}

static void fused_convolutions(void **state) {
    static const ib_conv SHAPES[] = {
        {.n = 9, .h = 8, .w = 9, .ci = 16, .co = 32, .kh = 3, .kw = 3, .pad = 0},
        {.n = 12, .h = 6, .w = 7, .ci = 20, .co = 10, .kh = 3, .kw = 2, .pad = 1},
        {.n = 2, .h = 11, .w = 11, .ci = 3, .co = 6, .kh = 5, .kw = 5, .pad = 2},
    };
    (void)state;
    for (size_t s = 0; s < subject_count; ++s)
        for (size_t k = 0; k < COUNT_OF(SHAPES); ++k)
            for (int mask = 0; mask < 2; ++mask) {
                ib_conv c = SHAPES[k];
                c.stride = c.relu = c.pool = 1;
                c.mask_input = mask;
                c.input_scale = 1.25f;
                check_fused_conv(&subjects[s], &c, mask ? 0 : 25);
            }
}

/* linear, relu, dropout. */
static void fused_linear_layers(void **state) {
    (void)state;
    for (size_t s = 0; s < subject_count; ++s) {
        ib_linear l = {.n = 9, .in = 50, .out = 70, .relu = 1, .mask_input = 1, .input_scale = 1};
        ib_linear bare = l;
        struct op_run run = {0};
        struct linear_values v;
        bare.relu = 0;
        l.dropout = make_dropout(50, 95, 0);
        l.dropout.first_sample = 8;
        run_open(&run, subjects[s].backend);
        take_linear(&run, &l, 0, &v);
        int64_t count = l.n * v.out16;
        float *plain = run_floats(&run, count), *relu = run_floats(&run, count);
        float *kept = run_floats(&run, count);
        run_start(&run);
        ib_linear_operands p = {.x = run_buffer(&run, v.x),
                                .w = run_buffer(&run, v.w),
                                .b = run_buffer(&run, v.b),
                                .y = run_buffer(&run, v.y)};
        RUN_OP(&run, linear_forward, &l, &p);
        p.y = run_buffer(&run, plain);
        RUN_OP(&run, linear_forward, &bare, &p);
        ib_elementwise e = {count, 0};
        ib_elementwise_operands activation = {.x = run_buffer(&run, plain),
                                              .y = run_buffer(&run, relu)};
        RUN_OP(&run, relu_forward, &e, &activation);
        ib_drop drop = {l.n, 1, l.out, l.dropout};
        ib_drop_operands drops = {.x = run_buffer(&run, relu), .y = run_buffer(&run, kept)};
        RUN_OP(&run, dropout_forward, &drop, &drops);
        finish(&run, &subjects[s], "linear layer");
        equal(&subjects[s], "fused linear layer", kept, v.y, count);
        run_close(&run);
    }
}

/* batch-norm, add, relu; with two readers. */
static void fused_normalisations(void **state) {
    static const struct norm_case CASE = {WHOLE, PIXELS, CHANNELS, 1, 1, 1, PLAIN};
    (void)state;
    for (size_t s = 0; s < subject_count; ++s) {
        ib_norm fused = {WHOLE, PIXELS, CHANNELS, 1, 1, 0, 0, 0.1f, 1e-5f};
        struct op_run run = {0};
        struct norm_memory m;
        int64_t count = WHOLE * IMAGE;
        ib_norm_scalars(&fused, WHOLE);
        ib_norm bare = fused;
        bare.relu = 0;
        run_open(&run, subjects[s].backend);
        take_norm_parts(&CASE, &fused, 6, &run, &m);
        float *plain = run_floats(&run, count), *sum = run_floats(&run, count);
        float *relu = run_floats(&run, count), *both = run_floats(&run, count);
        float *g = run_floats(&run, count), *dx = run_floats(&run, count);
        float *running = run_floats(&run, 2 * C16), *gradients = run_floats(&run, 2 * C16);
        memcpy(running, m.running, 2 * C16 * sizeof *running);
        run_start(&run);
        ib_norm_operands p = {.x = run_buffer(&run, m.x),
                              .gamma = run_buffer(&run, m.gamma),
                              .beta = run_buffer(&run, m.beta),
                              .add = run_buffer(&run, m.add),
                              .dy = run_buffer(&run, m.dy),
                              .second = run_buffer(&run, m.second),
                              .y_kept = run_buffer(&run, m.y),
                              .running = run_buffer(&run, m.running),
                              .saved = run_buffer(&run, m.saved),
                              .y = run_buffer(&run, m.y),
                              .g = run_buffer(&run, m.g),
                              .dx = run_buffer(&run, m.dx),
                              .dgamma = run_buffer(&run, m.gradients),
                              .dbeta = run_buffer(&run, m.gradients + C16)};
        RUN_OP(&run, norm_forward, &fused, &p);
        RUN_OP(&run, norm_backward, &fused, &p);
        ib_norm_operands q = p;
        q.add = q.second = q.y_kept = q.g = (ib_buffer){0};
        q.running = run_buffer(&run, running);
        q.y = run_buffer(&run, plain);
        RUN_OP(&run, norm_forward, &bare, &q);
        ib_elementwise e = {count, 0};
        ib_elementwise_operands add = {.x = run_buffer(&run, plain),
                                       .second = run_buffer(&run, m.add),
                                       .y = run_buffer(&run, sum)};
        RUN_OP(&run, add_forward, &e, &add);
        ib_elementwise_operands activation = {.x = run_buffer(&run, sum),
                                              .y = run_buffer(&run, relu)};
        RUN_OP(&run, relu_forward, &e, &activation);
        ib_elementwise_operands readers = {.x = run_buffer(&run, m.dy),
                                           .second = run_buffer(&run, m.second),
                                           .y = run_buffer(&run, both)};
        RUN_OP(&run, add_forward, &e, &readers);
        ib_elementwise_operands back = {.y_kept = run_buffer(&run, relu),
                                        .dy = run_buffer(&run, both),
                                        .dx = run_buffer(&run, g)};
        RUN_OP(&run, relu_backward, &e, &back);
        q.dy = run_buffer(&run, g);
        q.dx = run_buffer(&run, dx);
        q.dgamma = run_buffer(&run, gradients);
        q.dbeta = run_buffer(&run, gradients + C16);
        RUN_OP(&run, norm_backward, &bare, &q);
        finish(&run, &subjects[s], "normalisation");
        equal(&subjects[s], "fused normalisation", relu, m.y, count);
        equal(&subjects[s], "its running statistics", running, m.running, 2 * C16);
        equal(&subjects[s], "its g", g, m.g, count);
        equal(&subjects[s], "its dx", dx, m.dx, count);
        equal(&subjects[s], "its dgamma, dbeta", gradients, m.gradients, 2 * C16);
        run_close(&run);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_of_convolutions), cmocka_unit_test(parts_of_linear_layers),
        cmocka_unit_test(parts_of_dropout),      cmocka_unit_test(normalisation_in_pieces),
        cmocka_unit_test(fused_convolutions),    cmocka_unit_test(fused_linear_layers),
        cmocka_unit_test(fused_normalisations),
    };
    ib_fp_enter();
    return cmocka_run_group_tests_name("properties", tests, open_subjects, close_subjects);
}
