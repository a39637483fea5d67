/* Runs one operation case on one backend: inputs from the case's number alone, guarded
 * buffers, outputs to compare or hash. Every case by its number: op_table.h. */
#ifndef TESTS_BACKEND_OP_RUN_H
#define TESTS_BACKEND_OP_RUN_H

#include "catalog/optimizers/adadelta.h"
#include "catalog/optimizers/adam.h"
#include "catalog/optimizers/adamw.h"
#include "catalog/optimizers/sgd.h"
#include "op_memory.h"

/* ---- operations --------------------------------------------------------------------------------
 */

/* For make_dropout: its very word then lies in a batch of n samples from `first` on. */
static inline uint64_t last_third(int first, int n, int64_t features) {
    return (uint64_t)(first * 3 / 2 + n) * (uint64_t)features;
}

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

/* bare: without bias and without the mask of what made x, as between batch normalisations. first:
 * the sample of the global batch that it begins at. */
static inline void run_conv(const struct conv_case *k, int bare, int first, uint64_t salt,
                            ib_backend *backend, struct op_run *run) {
    ib_conv c = conv_of_case(k, salt);
    c.mask_input = !bare;
    if (k->pool)
        c.dropout =
            make_dropout(k->dropout, salt, last_third(first, k->n, ib_conv_pooled_features(&c)));
    c.dropout.first_sample = first;
    int64_t ci = c.ci == 1 ? 1 : ib_pad16(c.ci), co = ib_pad16(c.co), taps = c.kh * c.kw;
    int64_t inputs = c.n * c.h * c.w, outputs = c.n * ib_conv_out_h(&c) * ib_conv_out_w(&c);
    int64_t features = c.pool ? ib_conv_pooled_features(&c) : 0;
    int64_t cells = c.n * (ib_conv_out_h(&c) / 2) * (ib_conv_out_w(&c) / 2);
    int64_t rows = c.pool ? c.n : outputs, columns = c.pool ? features : c.co;
    int64_t stride = ib_pad16(columns);
    run_open(run, backend);

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
    fill_garbage_whole(y, rows * stride);
    fill_garbage(dw, taps, c.ci, ci, c.co, co);
    if (!bare)
        fill_garbage(db, 1, 1, 1, c.co, co);
    run_output(run, "y", y, 1);
    uint8_t *argmax = NULL;
    if (c.pool) {
        argmax = run_take(run, (size_t)(cells * co));
        for (int64_t i = 0; i < cells; ++i)
            memset(argmax + i * co, 0xFF, (size_t)c.co);
        run_output(run, "argmax", argmax, 0);
    }
    if (c.ci > 1) {
        dx = run_floats(run, inputs * ci);
        fill_garbage_whole(dx, inputs * ci);
        run_output(run, "dx", dx, 1);
    }
    run_output(run, "dw", dw, 1);
    if (!bare)
        run_output(run, "db", db, 1);

    run_start(run);
    ib_conv_operands forward = {.x = run_buffer(run, x),
                                .w = run_buffer(run, w),
                                .b = run_buffer(run, bare ? NULL : b),
                                .y = run_buffer(run, y),
                                .argmax = run_buffer(run, argmax)};
    RUN_OP(run, conv_forward, &c, &forward);
    ib_conv_operands back = {.x = run_buffer(run, x),
                             .w = run_buffer(run, w),
                             .dy = run_buffer(run, dy),
                             .dx = run_buffer(run, dx),
                             .dw = run_buffer(run, dw),
                             .db = run_buffer(run, db),
                             .argmax = run_buffer(run, argmax)};
    RUN_OP(run, conv_backward, &c, &back);
    run_collect(run);
}

static inline double linear_case_macs(const struct linear_case *k) {
    return 3.0 * k->n * (double)ib_pad16(k->in) * (double)ib_pad16(k->out);
}

/* bare, first: as above. */
static inline void run_linear(const struct linear_case *k, int bare, int first, uint64_t salt,
                              ib_backend *backend, struct op_run *run) {
    ib_linear l = {.n = k->n, .in = k->in, .out = k->out, .relu = k->relu};
    l.mask_input = !bare;
    l.input_scale = salt % 2 == 0 ? 1.0f : (float)(1.0 / 0.75);
    l.dropout = make_dropout(k->dropout, salt, last_third(first, k->n, l.out));
    l.dropout.first_sample = first;
    int64_t in = ib_pad16(l.in), out = ib_pad16(l.out);
    run_open(run, backend);

    float *x = run_floats(run, l.n * in), *w = run_floats(run, in * out);
    float *b = run_floats(run, out), *dy = run_floats(run, l.n * out);
    fill_floats(x, 1, l.n, l.n, l.in, in, salt * 16 + 1, k->fill, 1);
    fill_floats(w, 1, l.in, in, l.out, out, salt * 16 + 2, k->fill, 0);
    fill_floats(b, 1, 1, 1, l.out, out, salt * 16 + 3, k->fill, 0);
    fill_floats(dy, 1, l.n, l.n, l.out, out, salt * 16 + 4, k->fill, 0);
    run_seal_inputs(run);

    float *y = run_floats(run, l.n * out), *dx = run_floats(run, l.n * in);
    float *dw = run_floats(run, in * out), *db = bare ? NULL : run_floats(run, out);
    fill_garbage_whole(y, l.n * out);
    fill_garbage_whole(dx, l.n * in);
    fill_garbage(dw, 1, l.in, in, l.out, out);
    run_output(run, "y", y, 1);
    run_output(run, "dx", dx, 1);
    run_output(run, "dw", dw, 1);
    if (!bare) {
        fill_garbage(db, 1, 1, 1, l.out, out);
        run_output(run, "db", db, 1);
    }

    run_start(run);
    ib_linear_operands forward = {.x = run_buffer(run, x),
                                  .w = run_buffer(run, w),
                                  .b = run_buffer(run, bare ? NULL : b),
                                  .y = run_buffer(run, y)};
    RUN_OP(run, linear_forward, &l, &forward);
    ib_linear_operands back = {.x = run_buffer(run, x),
                               .w = run_buffer(run, w),
                               .dy = run_buffer(run, dy),
                               .dx = run_buffer(run, dx),
                               .dw = run_buffer(run, dw),
                               .db = run_buffer(run, db)};
    RUN_OP(run, linear_backward, &l, &back);
    run_collect(run);
}

/* whole: the mean of the losses as a step takes it; 0: their sum, by a second call that wants no
 * gradients. */
static inline void run_softmax(const struct softmax_case *k, int whole, uint64_t salt,
                               ib_backend *backend, struct op_run *run) {
    int64_t n = k->n, classes = k->classes, stride = ib_pad16(classes);
    run_open(run, backend);
    float *logits = run_floats(run, n * stride);
    uint16_t *labels = run_take(run, (size_t)n * sizeof *labels);
    ib_rng rng = ib_rng_make(salt, (enum ib_stream)0xEE, 1, 0);
    for (int64_t i = 0; i < n; ++i) {
        labels[i] = (uint16_t)ib_rng_below(&rng, (uint64_t)(i * 300), (uint32_t)classes);
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
    run_output(run, whole ? "mean" : "total", total, 1);
    run_settles(run, 0);
    run_start(run);
    float share = ib_settle(k->smoothing / (float)classes), rest = 1.0f - k->smoothing;
    ib_loss s = {.n = n,
                 .classes = classes,
                 .inverse_n = (float)(1.0 / (double)n),
                 .smoothing = {share, rest, rest + share}};
    ib_loss_operands p = {.logits = run_buffer(run, logits),
                          .labels = run_buffer(run, labels),
                          .losses = run_buffer(run, losses),
                          .dlogits = run_buffer(run, dlogits),
                          .mean = run_buffer(run, total)};
    RUN_OP(run, softmax_nll, &s, &p);
    s.inverse_n = 1.0f;
    p.dlogits = (ib_buffer){0};
    if (!whole)
        RUN_OP(run, softmax_nll, &s, &p);
    run_collect(run);
}

static inline ib_update update_of_case(const struct update_case *k) {
    ib_update u = {.kind = k->kind,
                   .count = k->count,
                   .index = 3,
                   .scalars = {.decay = k->weight_decay, .has_momentum = k->momentum != 0}};
    float *of = u.scalars.of, least = 0x1p-40f;
    int bounds = k->at_bounds;
    switch (k->kind) {
    case IB_ADADELTA:
        of[IB_ADADELTA_LR] = bounds ? least : 0.7f;
        of[IB_ADADELTA_RHO] = bounds ? 0x1p-20f : 0.9f;
        of[IB_ADADELTA_ONE_MINUS_RHO] = bounds ? least : (float)(1.0 - 0.9);
        of[IB_ADADELTA_EPS] = bounds ? 1e-20f : 1e-6f;
        break;
    case IB_SGD:
        of[IB_SGD_LR] = bounds ? least : 0.7f;
        of[IB_SGD_MOMENTUM] = k->momentum;
        of[IB_SGD_NESTEROV] = k->nesterov ? k->momentum : 0;
        break;
    case IB_ADAMW:
        u.scalars.decay = 0;
        of[IB_ADAMW_STEP_SIZE] = bounds ? least : 0.0037f;
        of[IB_ADAMW_BETA1_COMPLEMENT] = bounds ? least : (float)(1.0 - 0.9);
        of[IB_ADAMW_BETA2] = bounds ? 0x1p-20f : (float)0.999;
        of[IB_ADAMW_BETA2_COMPLEMENT] = bounds ? least : (float)(1.0 - 0.999);
        of[IB_ADAMW_ROOT_CORRECTION] = bounds ? 1.0f : 4.2f;
        of[IB_ADAMW_EPS] = bounds ? 1e-30f : 1e-8f;
        of[IB_ADAMW_DECAY] = k->weight_decay;
        break;
    case IB_ADAM:
        of[IB_ADAM_STEP_SIZE] = bounds ? least : 0.0037f;
        of[IB_ADAM_BETA1_COMPLEMENT] = bounds ? least : (float)(1.0 - 0.9);
        of[IB_ADAM_BETA2] = bounds ? 0x1p-20f : (float)0.999;
        of[IB_ADAM_BETA2_COMPLEMENT] = bounds ? least : (float)(1.0 - 0.999);
        of[IB_ADAM_ROOT_CORRECTION] = bounds ? 1.0f : 4.2f;
        of[IB_ADAM_EPS] = bounds ? 1e-30f : 1e-8f;
        break;
    }
    return u;
}

static inline void run_update(const struct update_case *k, uint64_t salt, ib_backend *backend,
                              struct op_run *run) {
    ib_update u = update_of_case(k);
    int64_t count = k->count;
    run_open(run, backend);
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
    uint32_t *bad = run_take(run, sizeof *bad);
    *bad = IB_NEVER_BAD;
    run_output(run, "finite", bad, 0);
    run_start(run);
    ib_update_operands p = {.dw = run_buffer(run, dw),
                            .w = run_buffer(run, w),
                            .state0 = run_buffer(run, state0),
                            .state1 = run_buffer(run, state1),
                            .bad = run_buffer(run, bad)};
    for (int step = 0; step < k->steps; ++step)
        RUN_OP(run, update_weights, &u, &p);
    run_collect(run);
    *bad = *bad == IB_NEVER_BAD;
}

static inline void run_load(const struct load_case *k, uint64_t salt, ib_backend *backend,
                            struct op_run *run) {
    run_open(run, backend);
    float *table = run_floats(run, 256);
    fill_floats(table, 1, 1, 1, 256, 256, salt * 16 + 1, WILD, 0);
    uint8_t *bytes = run_take(run, (size_t)(k->n * k->pixels));
    uint32_t *order = run_take(run, (size_t)k->n * sizeof *order);
    ib_rng rng = ib_rng_make(salt, (enum ib_stream)0xEE, 2, 0);
    for (int i = 0; i < k->n * k->pixels; ++i)
        bytes[i] = (uint8_t)(ib_rng_word(&rng, (uint64_t)i) >> 24);
    for (int i = 0; i < k->n; ++i)
        order[i] = (uint32_t)(k->n - 1 - i);
    run_seal_inputs(run);
    float *x = run_floats(run, (int64_t)k->n * k->stride);
    fill_garbage(x, 1, k->n, k->n, k->pixels, k->stride);
    run_output(run, "x", x, 1);
    run_start(run);
    ib_data_view data = {.part = {{bytes, (size_t)k->n}}, .image_bytes = (size_t)k->pixels};
    if (run->status == IB_OK)
        run->status = backend->ops->attach_data(backend, &data, &run->err);
    ib_load l = {.n = k->n, .pixels = k->pixels, .channels = 1, .stride = k->stride};
    ib_load_operands p = {
        .order = run_buffer(run, order), .table = run_buffer(run, table), .x = run_buffer(run, x)};
    RUN_OP(run, load_batch, &l, &p);
    run_collect(run);
}

static inline void run_norm(const struct norm_case *k, uint64_t salt, ib_backend *backend,
                            struct op_run *run) {
    ib_norm s = {.n = k->n,
                 .pixels = k->pixels,
                 .channels = k->channels,
                 .training = 1,
                 .relu = k->relu,
                 .momentum = 0.1f,
                 .eps = 1e-5f};
    ib_norm_scalars(&s, k->n);
    int64_t rows = s.n * s.pixels, c = s.channels, c16 = ib_pad16(c);
    run_open(run, backend);
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
    fill_garbage_whole(y, rows * c16);
    fill_garbage_whole(dx, rows * c16);
    fill_garbage(gradients, 1, 2, 2, c, c16);
    run_output(run, "y", y, 1);
    run_output(run, "running", running, 1);
    run_output(run, "evaluated y", tested, 1);
    run_output(run, "dx", dx, 1);
    run_output(run, "dgamma, dbeta", gradients, 1);
    if (g != NULL)
        run_output(run, "g", g, 1);
    run_start(run);
    ib_norm_operands p = {.x = run_buffer(run, x),
                          .gamma = run_buffer(run, gamma),
                          .beta = run_buffer(run, beta),
                          .add = run_buffer(run, add),
                          .running = run_buffer(run, running),
                          .saved = run_buffer(run, saved),
                          .y = run_buffer(run, y)};
    RUN_OP(run, norm_forward, &s, &p);
    ib_norm_operands back = {.x = run_buffer(run, x),
                             .saved = run_buffer(run, saved),
                             .y_kept = run_buffer(run, k->add ? y : NULL),
                             .dy = run_buffer(run, dy),
                             .second = run_buffer(run, second),
                             .g = run_buffer(run, g),
                             .dx = run_buffer(run, dx),
                             .dgamma = run_buffer(run, gradients),
                             .dbeta = run_buffer(run, gradients + c16)};
    RUN_OP(run, norm_backward, &s, &back);
    s.training = 0;
    p.y = run_buffer(run, tested);
    RUN_OP(run, norm_forward, &s, &p);
    run_collect(run);
}

static inline void run_pool(const struct pool_case *k, uint64_t salt, ib_backend *backend,
                            struct op_run *run) {
    ib_max_pool s = {k->n, k->h, k->w, k->channels, .kernel = 3, .stride = 2, .pad = 1};
    int64_t c = s.channels, c16 = ib_pad16(c), inputs = s.n * s.h * s.w;
    int64_t pixels = ib_max_pool_out(&s, s.h) * ib_max_pool_out(&s, s.w), outputs = s.n * pixels;
    float inverse = (float)(1.0 / (double)pixels);
    run_open(run, backend);
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
    uint8_t *argmax = run_take(run, (size_t)(outputs * c16));
    fill_garbage_whole(y, outputs * c16);
    fill_garbage_whole(mean, s.n * c16);
    fill_garbage_whole(dy, outputs * c16);
    fill_garbage_whole(dx, inputs * c16);
    run_output(run, "y", y, 1);
    run_output(run, "argmax", argmax, 0);
    run_output(run, "mean", mean, 1);
    run_output(run, "dy", dy, 1);
    run_output(run, "dx", dx, 1);
    run_start(run);
    ib_max_pool_operands p = {
        .x = run_buffer(run, x), .y = run_buffer(run, y), .argmax = run_buffer(run, argmax)};
    RUN_OP(run, max_pool_forward, &s, &p);
    ib_mean m = {s.n, pixels, c, inverse};
    ib_mean_operands means = {.x = run_buffer(run, y), .y = run_buffer(run, mean)};
    RUN_OP(run, mean_forward, &m, &means);
    ib_mean_operands means_back = {.dy = run_buffer(run, dmean), .dx = run_buffer(run, dy)};
    RUN_OP(run, mean_backward, &m, &means_back);
    ib_max_pool_operands back = {.argmax = run_buffer(run, argmax),
                                 .dy = run_buffer(run, dy),
                                 .second = run_buffer(run, second),
                                 .dx = run_buffer(run, dx)};
    RUN_OP(run, max_pool_backward, &s, &back);
    run_collect(run);
}

#endif
