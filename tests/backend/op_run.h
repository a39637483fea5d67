/* Runs one operation case on one kernel table: inputs from the case's number alone, guarded
 * buffers, outputs to compare or hash. Used by test_ops.c and numerics/numerics.c. */
#ifndef TESTS_BACKEND_OP_RUN_H
#define TESTS_BACKEND_OP_RUN_H

#include "op_memory.h"

/* ---- operations --------------------------------------------------------------------------------
 */

static inline ib_conv conv_of_case(const struct conv_case *k, uint64_t salt) {
    ib_conv c = {.n = k->n,
                 .h = k->h,
                 .w = k->w,
                 .ci = k->ci,
                 .co = k->co,
                 .kh = k->kh,
                 .kw = k->kw,
                 .stride = k->stride,
                 .pad = k->pad,
                 .relu = k->relu,
                 .pool = k->pool};
    c.mask_input = 1;
    c.input_scale = salt % 2 == 0 ? 1.0f : (float)(1.0 / 0.75);
    c.dropout = make_dropout(k->dropout, salt,
                             k->pool ? (uint64_t)(k->n * ib_conv_pooled_features(&c)) : 0);
    return c;
}

/* Multiply-adds of forward and backward, padding included. */
static inline double conv_case_macs(const struct conv_case *k) {
    ib_conv c = conv_of_case(k, 0);
    double ci = k->ci == 1 ? 1 : (double)ib_pad16(k->ci);
    double outputs = (double)(c.n * ib_conv_out_h(&c) * ib_conv_out_w(&c));
    double inputs = k->ci == 1 ? 0 : (double)(c.n * c.h * c.w);
    return (2 * outputs + inputs) * (double)(c.kh * c.kw) * ci * (double)ib_pad16(c.co);
}

/* bare: without bias and without the mask of what made x, as between batch normalisations. */
static inline void run_conv(const struct conv_case *k, int bare, uint64_t salt,
                            const ib_cpu_kernels *kernels, ib_pool *pool, struct op_run *run) {
    ib_conv c = conv_of_case(k, salt);
    c.mask_input = !bare;
    int64_t ci = c.ci == 1 ? 1 : ib_pad16(c.ci), co = ib_pad16(c.co), taps = c.kh * c.kw;
    int64_t inputs = c.n * c.h * c.w, outputs = c.n * ib_conv_out_h(&c) * ib_conv_out_w(&c);
    int64_t features = c.pool ? ib_conv_pooled_features(&c) : 0;
    int64_t cells = c.n * (ib_conv_out_h(&c) / 2) * (ib_conv_out_w(&c) / 2);
    int64_t rows = c.pool ? c.n : outputs, columns = c.pool ? features : c.co;
    int64_t stride = ib_pad16(columns);
    *run = (struct op_run){0};

    float *x = run_floats(run, inputs * ci), *w = run_floats(run, taps * ci * co);
    float *b = run_floats(run, co), *dy = run_floats(run, rows * stride);
    fill_floats(x, 1, inputs, inputs, c.ci, ci, salt * 16 + 1, k->fill, 1);
    if (k->fill == FLAT)
        flatten_pixels(x, c.n, c.h, c.w, ci);
    fill_floats(w, taps, c.ci, ci, c.co, co, salt * 16 + 2, k->fill, 0);
    fill_floats(b, 1, 1, 1, c.co, co, salt * 16 + 3, k->fill, 0);
    fill_floats(dy, 1, rows, rows, columns, stride, salt * 16 + 4, k->fill, 0);
    run_seal_inputs(run);

    float *y = run_floats(run, rows * stride), *dx = NULL;
    float *dw = run_floats(run, taps * ci * co), *db = bare ? NULL : run_floats(run, co);
    fill_garbage(y, 1, rows, rows, columns, stride);
    fill_garbage(dw, taps, c.ci, ci, c.co, co);
    if (!bare)
        fill_garbage(db, 1, 1, 1, c.co, co);
    run_output(run, "y", y, 1);
    uint8_t *argmax = NULL;
    if (c.pool) {
        argmax = run_take(run, (size_t)(cells * co))->data;
        for (int64_t i = 0; i < cells; ++i)
            memset(argmax + i * co, 0xFF, (size_t)c.co);
        run_output(run, "argmax", argmax, 0);
    }
    if (c.ci > 1) {
        dx = run_floats(run, inputs * ci);
        fill_garbage(dx, 1, inputs, inputs, ci, ci);
        run_output(run, "dx", dx, 1);
    }
    run_output(run, "dw", dw, 1);
    if (!bare)
        run_output(run, "db", db, 1);

    size_t per_thread, shared;
    struct machine m;
    kernels->conv_scratch(&c, &per_thread, &shared);
    machine_open(&m, kernels, pool, per_thread, shared);
    ib_conv_pointers forward = {.x = x, .w = w, .b = bare ? NULL : b, .y = y, .argmax = argmax};
    kernels->conv_forward(&m.cpu, &c, &forward);
    ib_conv_pointers back = {
        .x = x, .w = w, .dy = dy, .dx = dx, .dw = dw, .db = db, .argmax = argmax};
    kernels->conv_backward(&m.cpu, &c, &back);
    run_check_buffers(run, machine_close(&m));
}

static inline double linear_case_macs(const struct linear_case *k) {
    return 3.0 * k->n * (double)ib_pad16(k->in) * (double)ib_pad16(k->out);
}

static inline void run_linear(const struct linear_case *k, uint64_t salt,
                              const ib_cpu_kernels *kernels, ib_pool *pool, struct op_run *run) {
    ib_linear l = {.n = k->n, .in = k->in, .out = k->out, .relu = k->relu};
    l.mask_input = 1;
    l.input_scale = salt % 2 == 0 ? 1.0f : (float)(1.0 / 0.75);
    l.dropout = make_dropout(k->dropout, salt, (uint64_t)(l.n * l.out));
    int64_t in = ib_pad16(l.in), out = ib_pad16(l.out);
    *run = (struct op_run){0};

    float *x = run_floats(run, l.n * in), *w = run_floats(run, in * out);
    float *b = run_floats(run, out), *dy = run_floats(run, l.n * out);
    fill_floats(x, 1, l.n, l.n, l.in, in, salt * 16 + 1, k->fill, 1);
    fill_floats(w, 1, l.in, in, l.out, out, salt * 16 + 2, k->fill, 0);
    fill_floats(b, 1, 1, 1, l.out, out, salt * 16 + 3, k->fill, 0);
    fill_floats(dy, 1, l.n, l.n, l.out, out, salt * 16 + 4, k->fill, 0);
    run_seal_inputs(run);

    float *y = run_floats(run, l.n * out), *dx = run_floats(run, l.n * in);
    float *dw = run_floats(run, in * out), *db = run_floats(run, out);
    fill_garbage(y, 1, l.n, l.n, l.out, out);
    fill_garbage(dx, 1, l.n, l.n, l.in, in);
    fill_garbage(dw, 1, l.in, in, l.out, out);
    fill_garbage(db, 1, 1, 1, l.out, out);
    run_output(run, "y", y, 1);
    run_output(run, "dx", dx, 1);
    run_output(run, "dw", dw, 1);
    run_output(run, "db", db, 1);

    size_t per_thread, shared;
    struct machine m;
    kernels->linear_scratch(&l, &per_thread, &shared);
    machine_open(&m, kernels, pool, per_thread, shared);
    ib_linear_pointers forward = {.x = x, .w = w, .b = b, .y = y};
    kernels->linear_forward(&m.cpu, &l, &forward);
    ib_linear_pointers back = {.x = x, .w = w, .dy = dy, .dx = dx, .dw = dw, .db = db};
    kernels->linear_backward(&m.cpu, &l, &back);
    run_check_buffers(run, machine_close(&m));
}

static inline void run_softmax(const struct softmax_case *k, uint64_t salt,
                               const ib_cpu_kernels *kernels, ib_pool *pool, struct op_run *run) {
    (void)pool;
    int64_t n = k->n, classes = k->classes, stride = ib_pad16(classes);
    *run = (struct op_run){0};
    float *logits = run_floats(run, n * stride);
    uint8_t *labels = run_take(run, (size_t)n)->data;
    ib_rng rng = ib_rng_make(salt, (enum ib_stream)0xEE, 1, 0);
    for (int64_t i = 0; i < n; ++i) {
        labels[i] = (uint8_t)ib_rng_below(&rng, (uint64_t)(i * 300), (uint32_t)classes);
        for (int64_t j = 0; j < classes; ++j) {
            uint32_t word = ib_rng_word(&rng, (uint64_t)(i * 300 + j + 1));
            float logit = ib_settle(((float)(word >> 8) * 0x1p-23f - 1.0f) * k->spread);
            if (k->spread == 0x1p-40f) /* neighbours: their exp would meet 2^-127 inside */
                logit = k->spread * (1.0f + (float)(word >> 30) * 0x1p-23f);
            if (k->spread == 32.0f) /* just above where exp is cut */
                logit = j == 0 ? 32.0f : 5.0f - (float)j * 0.01f;
            logits[i * stride + j] = logit;
        }
    }
    run_seal_inputs(run);
    float *losses = run_floats(run, n), *dlogits = run_floats(run, n * stride);
    float *total = run_floats(run, 1);
    fill_garbage(losses, 1, 1, 1, n, n);
    fill_garbage(dlogits, 1, n, n, stride, stride);
    run_output(run, "losses", losses, 1);
    run_settles(run, 0);
    run_output(run, "dlogits", dlogits, 1);
    run_output(run, "total", total, 1);
    run_settles(run, 0);
    kernels->softmax_nll(n, classes, (float)(1.0 / (double)n), logits, labels, losses, dlogits,
                         total);
    run_check_buffers(run, 1);
}

static inline void run_update(const struct update_case *k, uint64_t salt,
                              const ib_cpu_kernels *kernels, ib_pool *pool, struct op_run *run) {
    ib_update u = {.kind = k->kind,
                   .has_momentum = k->momentum != 0,
                   .lr = 0.7f,
                   .weight_decay = k->weight_decay,
                   .momentum = k->momentum,
                   .rho = 0.9f,
                   .one_minus_rho = (float)(1.0 - 0.9),
                   .beta1_complement = (float)(1.0 - 0.9),
                   .beta2 = (float)0.999,
                   .beta2_complement = (float)(1.0 - 0.999),
                   .step_size = 0.0037f,
                   .root_correction = 4.2f,
                   .eps = k->kind == IB_ADAM ? 1e-8f : 1e-6f};
    if (k->at_bounds) {
        u.lr = u.step_size = u.one_minus_rho = u.beta1_complement = u.beta2_complement = 0x1p-40f;
        u.rho = u.beta2 = 0x1p-20f;
        u.root_correction = 1.0f;
        u.eps = k->kind == IB_ADAM ? 1e-30f : 1e-20f;
    }
    int64_t count = k->count;
    *run = (struct op_run){0};
    float *dw = run_floats(run, count);
    fill_floats(dw, 1, 1, 1, count, count, salt * 16 + 1, k->fill, 0);
    run_seal_inputs(run);
    float *w = run_floats(run, count), *state0 = NULL, *state1 = NULL;
    fill_floats(w, 1, 1, 1, count, count, salt * 16 + 2, k->fill, 0);
    run_output(run, "w", w, 1);
    if (k->kind != IB_SGD || k->momentum != 0) {
        state0 = run_floats(run, count);
        fill_floats(state0, 1, 1, 1, count, count, salt * 16 + 3, k->fill, k->kind == IB_ADADELTA);
        run_output(run, "state0", state0, 1);
        run_settles(run, k->kind == IB_ADADELTA ? IB_SETTLE_AVERAGE : IB_SETTLE);
    }
    if (k->kind != IB_SGD) {
        state1 = run_floats(run, count);
        fill_floats(state1, 1, 1, 1, count, count, salt * 16 + 4, k->fill, 1);
        run_output(run, "state1", state1, 1);
        run_settles(run, IB_SETTLE_AVERAGE);
    }
    int *finite = (int *)(void *)run_take(run, sizeof *finite)->data;
    *finite = 1;
    run_output(run, "finite", finite, 0);
    struct machine m;
    machine_open(&m, kernels, pool, 0, 0);
    for (int step = 0; step < k->steps; ++step)
        kernels->update(&m.cpu, &u, count, w, dw, state0, state1, finite);
    run_check_buffers(run, machine_close(&m));
}

static inline void run_load(const struct load_case *k, uint64_t salt, const ib_cpu_kernels *kernels,
                            ib_pool *pool, struct op_run *run) {
    *run = (struct op_run){0};
    const uint8_t *images[64];
    float *table = run_floats(run, 256);
    fill_floats(table, 1, 1, 1, 256, 256, salt * 16 + 1, WILD, 0);
    uint8_t *bytes = run_take(run, (size_t)(k->n * k->pixels))->data;
    ib_rng rng = ib_rng_make(salt, (enum ib_stream)0xEE, 2, 0);
    for (int i = 0; i < k->n * k->pixels; ++i)
        bytes[i] = (uint8_t)(ib_rng_word(&rng, (uint64_t)i) >> 24);
    for (int i = 0; i < k->n; ++i)
        images[i] = bytes + (k->n - 1 - i) * k->pixels;
    run_seal_inputs(run);
    float *x = run_floats(run, (int64_t)k->n * k->stride);
    fill_garbage(x, 1, k->n, k->n, k->pixels, k->stride);
    run_output(run, "x", x, 1);
    struct machine m;
    machine_open(&m, kernels, pool, 0, 0);
    kernels->load_images(&m.cpu, k->n, k->pixels, k->stride, images, table, x);
    run_check_buffers(run, machine_close(&m));
}

static inline void run_norm(const struct norm_case *k, uint64_t salt, const ib_cpu_kernels *kernels,
                            ib_pool *pool, struct op_run *run) {
    ib_norm s = {.pixels = k->pixels,
                 .channels = k->channels,
                 .training = 1,
                 .relu = k->relu,
                 .momentum = 0.1f,
                 .eps = 1e-5f};
    ib_norm_scalars(&s, k->n);
    int64_t rows = s.n * s.pixels, c = s.channels, c16 = ib_pad16(c);
    *run = (struct op_run){0};
    float *x = run_floats(run, rows * c16), *gamma = run_floats(run, c16);
    float *beta = run_floats(run, c16), *dy = run_floats(run, rows * c16);
    float *add = k->add ? run_floats(run, rows * c16) : NULL;
    float *second = k->second ? run_floats(run, rows * c16) : NULL;
    fill_floats(x, 1, rows, rows, c, c16, salt * 16 + 1, k->fill, 0);
    for (int64_t row = 0; k->fill == BRINK && row < rows; ++row) {
        static const float CANCEL[] = {0.0f, 0x1.000002p-40f, -0x1p-40f};
        x[row * c16] = 0x1p-40f * (1.0f + (float)(row % 3) * 0x1p-23f); /* squares of 2^-126 */
        x[row * c16 + 2] = CANCEL[row % 3];                             /* a mean about 2^-64 */
    }
    fill_floats(gamma, 1, 1, 1, c, c16, salt * 16 + 2, k->fill, 0);
    fill_floats(beta, 1, 1, 1, c, c16, salt * 16 + 3, k->fill, 0);
    fill_floats(dy, 1, rows, rows, c, c16, salt * 16 + 4, k->fill, 0);
    for (int64_t row = 0; k->fill == BRINK && row < rows; ++row) /* a sum of 2^-62 */
        dy[row * c16 + 1] = row == 0 ? 0x1.000004p-40f : row == 1 ? -0x1p-40f : 0.0f;
    if (add != NULL)
        fill_floats(add, 1, rows, rows, c, c16, salt * 16 + 5, k->fill, 0);
    if (second != NULL)
        fill_floats(second, 1, rows, rows, c, c16, salt * 16 + 6, k->fill, 0);
    run_seal_inputs(run);

    float *running = run_floats(run, 2 * c16), *saved = run_floats(run, IB_SAVED_COUNT * c16);
    float *y = run_floats(run, rows * c16), *tested = run_floats(run, rows * c16);
    float *g = k->add || k->second ? run_floats(run, rows * c16) : NULL;
    float *dx = run_floats(run, rows * c16);
    float *gradients = run_floats(run, 2 * c16); /* of gamma, of beta */
    fill_floats(running, 1, 2, 2, c, c16, salt * 16 + 7, k->fill, 1);
    fill_garbage(saved, 1, IB_SAVED_COUNT, IB_SAVED_COUNT, c, c16);
    fill_garbage(y, 1, rows, rows, c, c16);
    fill_garbage(dx, 1, rows, rows, c, c16);
    fill_garbage(gradients, 1, 2, 2, c, c16);
    run_output(run, "y", y, 1);
    run_output(run, "running", running, 1);
    run_output(run, "evaluated y", tested, 1);
    run_output(run, "dx", dx, 1);
    run_output(run, "dgamma, dbeta", gradients, 1);
    if (g != NULL)
        run_output(run, "g", g, 1);
    struct machine m;
    machine_open(&m, kernels, pool, 0, 0);
    ib_norm_pointers p = {.x = x,
                          .gamma = gamma,
                          .beta = beta,
                          .add = add,
                          .running = running,
                          .saved = saved,
                          .y = y};
    kernels->norm_forward(&m.cpu, &s, &p);
    ib_norm_pointers back = {.x = x,
                             .saved = saved,
                             .y_kept = k->add ? y : NULL,
                             .dy = dy,
                             .second = second,
                             .g = g,
                             .dx = dx,
                             .dgamma = gradients,
                             .dbeta = gradients + c16};
    kernels->norm_backward(&m.cpu, &s, &back);
    s.training = 0;
    p.y = tested;
    kernels->norm_forward(&m.cpu, &s, &p);
    run_check_buffers(run, machine_close(&m));
}

static inline void run_pool(const struct pool_case *k, uint64_t salt, const ib_cpu_kernels *kernels,
                            ib_pool *pool, struct op_run *run) {
    ib_pool3 s = {k->n, k->h, k->w, k->channels};
    int64_t c = s.channels, c16 = ib_pad16(c), inputs = s.n * s.h * s.w;
    int64_t pixels = ib_pool3_out(s.h) * ib_pool3_out(s.w), outputs = s.n * pixels;
    float inverse = (float)(1.0 / (double)pixels);
    *run = (struct op_run){0};
    float *x = run_floats(run, inputs * c16), *second = NULL;
    float *dmean = run_floats(run, s.n * c16);
    fill_floats(x, 1, inputs, inputs, c, c16, salt * 16 + 1, k->fill, 0);
    fill_floats(dmean, 1, s.n, s.n, c, c16, salt * 16 + 2, k->fill, 0);
    if (k->second) {
        second = run_floats(run, outputs * c16);
        fill_floats(second, 1, outputs, outputs, c, c16, salt * 16 + 3, k->fill, 0);
        for (int64_t i = 0; k->fill == BRINK && i < outputs; ++i) { /* every other sum is tiny */
            float *mean = &dmean[i / pixels * c16];
            *mean = 0x1p-30f;
            second[i * c16] = i % 2 ? -(*mean * inverse) * 0x1.000008p0f : 0x1p-36f;
        }
    }
    run_seal_inputs(run);
    float *y = run_floats(run, outputs * c16), *mean = run_floats(run, s.n * c16);
    float *dy = run_floats(run, outputs * c16), *dx = run_floats(run, inputs * c16);
    uint8_t *argmax = run_take(run, (size_t)(outputs * c16))->data;
    fill_garbage(y, 1, outputs, outputs, c, c16);
    fill_garbage(mean, 1, s.n, s.n, c, c16);
    fill_garbage(dy, 1, outputs, outputs, c, c16);
    fill_garbage(dx, 1, inputs, inputs, c, c16);
    run_output(run, "y", y, 1);
    run_output(run, "argmax", argmax, 0);
    run_output(run, "mean", mean, 1);
    run_output(run, "dy", dy, 1);
    run_output(run, "dx", dx, 1);
    struct machine m;
    machine_open(&m, kernels, pool, 0, 0);
    kernels->pool_forward(&m.cpu, &s, x, y, argmax);
    kernels->mean_forward(&m.cpu, s.n, pixels, c, inverse, y, mean);
    kernels->mean_backward(&m.cpu, s.n, pixels, c, inverse, dmean, dy);
    kernels->pool_backward(&m.cpu, &s, argmax, dy, second, dx);
    run_check_buffers(run, machine_close(&m));
}

/* ---- every case, by one number ------------------------------------------------------------------
 */

/* Never renumbered: a case's inputs come from its number. */
enum op_kind {
    OP_CONV,
    OP_LINEAR,
    OP_SOFTMAX,
    OP_UPDATE,
    OP_LOAD,
    OP_BARE_CONV,
    OP_NORM,
    OP_POOL,
    OP_KINDS
};

static inline const char *op_name(enum op_kind op) {
    static const char *const NAMES[OP_KINDS] = {"conv", "linear",    "softmax", "update",
                                                "load", "bare-conv", "norm",    "pool"};
    return NAMES[op];
}

static inline size_t op_case_count(enum op_kind op) {
    const size_t counts[OP_KINDS] = {COUNT_OF(CONV_CASES),    COUNT_OF(LINEAR_CASES),
                                     COUNT_OF(SOFTMAX_CASES), COUNT_OF(UPDATE_CASES),
                                     COUNT_OF(LOAD_CASES),    COUNT_OF(BARE_CONV_CASES),
                                     COUNT_OF(NORM_CASES),    COUNT_OF(POOL_CASES)};
    return counts[op];
}

static inline double op_case_macs(enum op_kind op, size_t index) {
    return op == OP_CONV        ? conv_case_macs(&CONV_CASES[index])
           : op == OP_BARE_CONV ? conv_case_macs(&BARE_CONV_CASES[index])
           : op == OP_LINEAR    ? linear_case_macs(&LINEAR_CASES[index])
                                : 0;
}

/* The caller closes the run. */
static inline void run_op(enum op_kind op, size_t index, const ib_cpu_kernels *kernels,
                          ib_pool *pool, struct op_run *run) {
    uint64_t salt = (uint64_t)op << 32 | index;
    switch (op) {
    case OP_CONV:
        run_conv(&CONV_CASES[index], 0, salt, kernels, pool, run);
        break;
    case OP_LINEAR:
        run_linear(&LINEAR_CASES[index], salt, kernels, pool, run);
        break;
    case OP_SOFTMAX:
        run_softmax(&SOFTMAX_CASES[index], salt, kernels, pool, run);
        break;
    case OP_UPDATE:
        run_update(&UPDATE_CASES[index], salt, kernels, pool, run);
        break;
    case OP_BARE_CONV:
        run_conv(&BARE_CONV_CASES[index], 1, salt, kernels, pool, run);
        break;
    case OP_NORM:
        run_norm(&NORM_CASES[index], salt, kernels, pool, run);
        break;
    case OP_POOL:
        run_pool(&POOL_CASES[index], salt, kernels, pool, run);
        break;
    case OP_LOAD:
    case OP_KINDS:
        run_load(&LOAD_CASES[index], salt, kernels, pool, run);
        break;
    }
}

#endif
