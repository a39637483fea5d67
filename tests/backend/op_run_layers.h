/* Runs the cases of op_cases_layers.h: what a run is, op_memory.h; every case by its number,
 * op_table.h. */
#ifndef TESTS_BACKEND_OP_RUN_LAYERS_H
#define TESTS_BACKEND_OP_RUN_LAYERS_H

#include "op_run.h"

/* ---- elements ----------------------------------------------------------------------------------
 */

static inline void run_elementwise(const struct elementwise_case *k, uint64_t salt,
                                   ib_backend *backend, struct op_run *run) {
    int64_t count = k->count;
    ib_elementwise e = {count, 0};
    run_open(run, backend);
    float *x = run_floats(run, count), *second = run_floats(run, count);
    float *dy = run_floats(run, count);
    fill_floats(x, 1, 1, 1, count, count, salt * 16 + 1, k->fill, 0);
    fill_floats(second, 1, 1, 1, count, count, salt * 16 + 2, k->fill, 0);
    fill_floats(dy, 1, 1, 1, count, count, salt * 16 + 3, k->fill, 0);
    run_seal_inputs(run);
    float *y = run_floats(run, count), *dx = run_floats(run, count), *sum = run_floats(run, count);
    float *copy = run_floats(run, count);
    fill_garbage_whole(copy, count);
    if (k->in_place) {
        memcpy(y, x, (size_t)count * sizeof *y);
        memcpy(dx, dy, (size_t)count * sizeof *dx);
        memcpy(sum, x, (size_t)count * sizeof *sum);
    } else {
        fill_garbage_whole(y, count);
        fill_garbage_whole(dx, count);
        fill_garbage_whole(sum, count);
    }
    run_output(run, "y", y, 1);
    run_output(run, "dx", dx, 1);
    run_output(run, "sum", sum, 1);
    run_output(run, "copy", copy, 1);
    run_start(run);
    ib_elementwise_operands relu = {.x = run_buffer(run, k->in_place ? y : x),
                                    .y = run_buffer(run, y)};
    RUN_OP(run, relu_forward, &e, &relu);
    ib_elementwise_operands back = {.y_kept = run_buffer(run, y),
                                    .dy = run_buffer(run, k->in_place ? dx : dy),
                                    .dx = run_buffer(run, dx)};
    RUN_OP(run, relu_backward, &e, &back);
    ib_elementwise_operands add = {.x = run_buffer(run, k->in_place ? sum : x),
                                   .second = run_buffer(run, second),
                                   .y = run_buffer(run, sum)};
    RUN_OP(run, add_forward, &e, &add);
    ib_elementwise_operands alone = {.x = run_buffer(run, x), .y = run_buffer(run, copy)};
    RUN_OP(run, add_forward, &e, &alone);
    run_collect(run);
}

static inline void run_dropout(const struct dropout_case *k, uint64_t salt, ib_backend *backend,
                               struct op_run *run) {
    ib_drop d = {.n = k->n, .pixels = k->pixels, .channels = k->channels};
    int64_t rows = d.n * d.pixels, c = d.channels, c16 = ib_pad16(c);
    d.dropout = make_dropout(k->percent, salt, last_third(k->first, k->n, d.pixels * c));
    d.dropout.first_sample = k->first;
    run_open(run, backend);
    float *x = run_floats(run, rows * c16), *dy = run_floats(run, rows * c16);
    fill_floats(x, 1, rows, rows, c, c16, salt * 16 + 1, k->fill, 1);
    fill_floats(dy, 1, rows, rows, c, c16, salt * 16 + 2, k->fill, 0);
    run_seal_inputs(run);
    float *y = run_floats(run, rows * c16), *dx = run_floats(run, rows * c16);
    if (k->in_place) {
        memcpy(y, x, (size_t)(rows * c16) * sizeof *y);
        memcpy(dx, dy, (size_t)(rows * c16) * sizeof *dx);
    } else {
        fill_garbage_whole(y, rows * c16);
        fill_garbage_whole(dx, rows * c16);
    }
    run_output(run, "y", y, 1);
    run_output(run, "dx", dx, 1);
    run_start(run);
    ib_drop_operands p = {.x = run_buffer(run, k->in_place ? y : x), .y = run_buffer(run, y)};
    RUN_OP(run, dropout_forward, &d, &p);
    ib_drop_operands back = {.dy = run_buffer(run, k->in_place ? dx : dy),
                             .dx = run_buffer(run, dx)};
    RUN_OP(run, dropout_backward, &d, &back);
    run_collect(run);
}

static inline void run_flatten(const struct flatten_case *k, uint64_t salt, ib_backend *backend,
                               struct op_run *run) {
    ib_flatten f = {.n = k->n, .pixels = k->pixels, .channels = k->channels};
    int64_t rows = f.n * f.pixels, c = f.channels, c16 = ib_pad16(c);
    int64_t features = f.pixels * c, stride = ib_pad16(features);
    run_open(run, backend);
    float *x = run_floats(run, rows * c16), *dy = run_floats(run, f.n * stride);
    fill_floats(x, 1, rows, rows, c, c16, salt * 16 + 1, k->fill, 0);
    fill_floats(dy, 1, f.n, f.n, features, stride, salt * 16 + 2, k->fill, 0);
    run_seal_inputs(run);
    float *y = run_floats(run, f.n * stride), *dx = run_floats(run, rows * c16);
    fill_garbage_whole(y, f.n * stride);
    fill_garbage_whole(dx, rows * c16);
    run_output(run, "y", y, 1);
    run_output(run, "dx", dx, 1);
    run_start(run);
    ib_flatten_operands p = {.x = run_buffer(run, x), .y = run_buffer(run, y)};
    RUN_OP(run, flatten_forward, &f, &p);
    ib_flatten_operands back = {.dy = run_buffer(run, dy), .dx = run_buffer(run, dx)};
    RUN_OP(run, flatten_backward, &f, &back);
    run_collect(run);
}

static inline void run_max_pool(const struct max_pool_case *k, uint64_t salt, ib_backend *backend,
                                struct op_run *run) {
    ib_max_pool s = {.n = k->n,
                     .h = k->h,
                     .w = k->w,
                     .channels = k->channels,
                     .kernel = k->kernel,
                     .stride = k->stride,
                     .pad = k->pad};
    int64_t c = s.channels, c16 = ib_pad16(c), inputs = s.n * s.h * s.w;
    int64_t outputs = s.n * ib_max_pool_out(&s, s.h) * ib_max_pool_out(&s, s.w);
    run_open(run, backend);
    float *x = run_floats(run, inputs * c16), *dy = run_floats(run, outputs * c16);
    float *second = k->second ? run_floats(run, outputs * c16) : NULL;
    fill_floats(x, 1, inputs, inputs, c, c16, salt * 16 + 1, k->fill, 0);
    if (k->fill == FLAT)
        flatten_pixels(x, s.n, s.h, s.w, c16);
    fill_floats(dy, 1, outputs, outputs, c, c16, salt * 16 + 2, k->fill, 0);
    if (second != NULL)
        fill_floats(second, 1, outputs, outputs, c, c16, salt * 16 + 3, k->fill, 0);
    run_seal_inputs(run);
    float *y = run_floats(run, outputs * c16), *dx = run_floats(run, inputs * c16);
    uint8_t *argmax = run_take(run, (size_t)(outputs * c16));
    fill_garbage_whole(y, outputs * c16);
    fill_garbage_whole(dx, inputs * c16);
    run_output(run, "y", y, 1);
    run_output(run, "argmax", argmax, 0);
    run_output(run, "dx", dx, 1);
    run_start(run);
    ib_max_pool_operands p = {
        .x = run_buffer(run, x), .y = run_buffer(run, y), .argmax = run_buffer(run, argmax)};
    RUN_OP(run, max_pool_forward, &s, &p);
    ib_max_pool_operands back = {.argmax = run_buffer(run, argmax),
                                 .dy = run_buffer(run, dy),
                                 .second = run_buffer(run, second),
                                 .dx = run_buffer(run, dx)};
    RUN_OP(run, max_pool_backward, &s, &back);
    run_collect(run);
}

static inline void run_average_pool(const struct max_pool_case *k, uint64_t salt,
                                    ib_backend *backend, struct op_run *run) {
    ib_average_pool s = {.n = k->n,
                         .h = k->h,
                         .w = k->w,
                         .channels = k->channels,
                         .kernel = k->kernel,
                         .stride = k->stride,
                         .pad = k->pad,
                         .inverse = (float)(1.0 / (double)(k->kernel * k->kernel))};
    int64_t c = s.channels, c16 = ib_pad16(c), inputs = s.n * s.h * s.w;
    int64_t outputs = s.n * ib_average_pool_out(&s, s.h) * ib_average_pool_out(&s, s.w);
    run_open(run, backend);
    float *x = run_floats(run, inputs * c16), *dy = run_floats(run, outputs * c16);
    float *second = k->second ? run_floats(run, outputs * c16) : NULL;
    fill_floats(x, 1, inputs, inputs, c, c16, salt * 16 + 1, k->fill, 0);
    fill_floats(dy, 1, outputs, outputs, c, c16, salt * 16 + 2, k->fill, 0);
    if (second != NULL)
        fill_floats(second, 1, outputs, outputs, c, c16, salt * 16 + 3, k->fill, 0);
    run_seal_inputs(run);
    float *y = run_floats(run, outputs * c16), *dx = run_floats(run, inputs * c16);
    fill_garbage_whole(y, outputs * c16);
    fill_garbage_whole(dx, inputs * c16);
    run_output(run, "y", y, 1);
    run_output(run, "dx", dx, 1);
    run_start(run);
    ib_average_pool_operands p = {.x = run_buffer(run, x), .y = run_buffer(run, y)};
    RUN_OP(run, average_pool_forward, &s, &p);
    ib_average_pool_operands back = {
        .dy = run_buffer(run, dy), .second = run_buffer(run, second), .dx = run_buffer(run, dx)};
    RUN_OP(run, average_pool_backward, &s, &back);
    run_collect(run);
}

/* ---- the ends of a batch -----------------------------------------------------------------------
 */

static inline void run_classify(const struct classify_case *k, uint64_t salt, ib_backend *backend,
                                struct op_run *run) {
    int64_t n = k->n, classes = k->classes, stride = ib_pad16(classes);
    ib_rng rng = ib_rng_make(salt, (enum ib_stream)0xEE, 3, 0);
    run_open(run, backend);
    float *logits = run_floats(run, n * stride);
    fill_floats(logits, 1, n, n, classes, stride, salt * 16 + 1, PLAIN, 0);
    for (int64_t i = 0; k->ties && i < n; ++i)
        for (uint64_t j = 0; j < 2; ++j)
            logits[i * stride + ib_rng_below(&rng, (uint64_t)i * 4 + j, (uint32_t)classes)] = 1.5f;
    uint16_t *labels = k->labels ? run_take(run, (size_t)n * sizeof *labels) : NULL;
    for (int64_t i = 0; k->labels && i < n; ++i)
        labels[i] = (uint16_t)ib_rng_below(&rng, (uint64_t)i * 4 + 2, (uint32_t)classes);
    run_seal_inputs(run);
    uint16_t *found = run_take(run, (size_t)n * sizeof *found);
    float *losses = k->losses ? run_floats(run, n) : NULL;
    float *evidence = k->evidence ? run_floats(run, 2 * n) : NULL;
    memset(found, 0xFF, (size_t)n * sizeof *found);
    run_output(run, "classes", found, 0);
    if (losses != NULL) {
        fill_garbage(losses, 1, 1, 1, n, n);
        run_output(run, "losses", losses, 1);
        run_settles(run, 0);
    }
    if (evidence != NULL) {
        fill_garbage(evidence, 1, 1, 1, 2 * n, 2 * n);
        run_output(run, "evidence", evidence, 1);
    }
    run_start(run);
    ib_loss s = {n, classes, 1.0f, labels != NULL};
    ib_loss_operands p = {.logits = run_buffer(run, logits),
                          .labels = run_buffer(run, labels),
                          .losses = run_buffer(run, losses),
                          .classes = run_buffer(run, found),
                          .evidence = run_buffer(run, evidence)};
    RUN_OP(run, classify, &s, &p);
    run_collect(run);
}

static inline void run_average(const struct average_case *k, uint64_t salt, ib_backend *backend,
                               struct op_run *run) {
    ib_average a = {.count = k->count, .share = k->share, .index = 3};
    run_open(run, backend);
    float *w = run_floats(run, a.count);
    fill_floats(w, 1, 1, 1, a.count, a.count, salt * 16 + 1, k->fill, 0);
    run_seal_inputs(run);
    float *average = run_floats(run, a.count);
    fill_floats(average, 1, 1, 1, a.count, a.count, salt * 16 + 2, k->fill, 0);
    run_output(run, "average", average, 1);
    uint32_t *bad = run_take(run, sizeof *bad);
    *bad = IB_NEVER_BAD;
    run_output(run, "finite", bad, 0);
    run_start(run);
    ib_average_operands p = {
        .w = run_buffer(run, w), .average = run_buffer(run, average), .bad = run_buffer(run, bad)};
    for (int step = 0; step < k->steps; ++step)
        RUN_OP(run, average_weights, &a, &p);
    run_collect(run);
    *bad = *bad == IB_NEVER_BAD;
}

static inline void run_tree(const struct tree_case *k, uint64_t salt, ib_backend *backend,
                            struct op_run *run) {
    ib_tree t = {k->leaves, k->width};
    run_open(run, backend);
    float *rows = run_floats(run, t.leaves * t.width);
    fill_floats(rows, 1, 1, 1, t.leaves * t.width, 0, salt * 16 + 1, k->fill, 0);
    run_seal_inputs(run);
    float *sum = run_floats(run, t.width);
    fill_garbage_whole(sum, t.width);
    run_output(run, "sum", sum, 1);
    run_settles(run, 0);
    run_start(run);
    ib_tree_operands p = {.rows = run_buffer(run, rows), .sum = run_buffer(run, sum)};
    RUN_OP(run, tree_sum, &t, &p);
    run_collect(run);
}

static inline void run_images(const struct images_case *k, uint64_t salt, ib_backend *backend,
                              struct op_run *run) {
    uint32_t all = (uint32_t)(k->first + k->second);
    size_t image = (size_t)(k->pixels * k->channels);
    ib_rng rng = ib_rng_make(salt, (enum ib_stream)0xEE, 4, 0);
    run_open(run, backend);
    float *table = run_floats(run, 256 * k->channels);
    fill_floats(table, 1, 1, 1, 256 * k->channels, 0, salt * 16 + 1, WILD, 0);
    uint32_t *order = run_take(run, (size_t)k->n * sizeof *order);
    uint8_t *pixels[2] = {run_take(run, (size_t)k->first * image + 1),
                          run_take(run, (size_t)k->second * image + 1)};
    uint16_t *attached = run_take(run, (size_t)all * sizeof *attached);
    for (int i = 0; i < k->n; ++i)
        order[i] = ib_rng_below(&rng, (uint64_t)i, all);
    for (uint32_t i = 0; i < all; ++i)
        attached[i] = (uint16_t)(ib_rng_word(&rng, 1000 + i) >> 16);
    for (size_t i = 0; i < (size_t)k->first * image; ++i)
        pixels[0][i] = (uint8_t)(ib_rng_word(&rng, 2000 + i) >> 24);
    for (size_t i = 0; i < (size_t)k->second * image; ++i)
        pixels[1][i] = (uint8_t)(ib_rng_word(&rng, 1000000 + i) >> 24);
    run_seal_inputs(run);
    float *x = run_floats(run, (int64_t)k->n * k->stride);
    uint16_t *labels = k->labels ? run_take(run, (size_t)k->n * sizeof *labels) : NULL;
    int64_t stored = k->channels == 1 ? 1 : ib_pad16(k->channels);
    for (int i = 0; i < k->n; ++i)
        fill_garbage(x + (int64_t)i * k->stride, 1, k->pixels, k->pixels, k->channels, stored);
    run_output(run, "x", x, 1);
    if (labels != NULL)
        run_output(run, "labels", labels, 0);
    run_start(run);
    ib_data_view data = {.part = {{pixels[0], (size_t)k->first}, {pixels[1], (size_t)k->second}},
                         .labels = attached,
                         .image_bytes = image};
    if (run->status == IB_OK)
        run->status = backend->ops->attach_data(backend, &data, &run->err);
    ib_load l = {.n = k->n, .pixels = k->pixels, .channels = k->channels, .stride = k->stride};
    if (k->height > 0)
        l.augment = (ib_augment){.enabled = 1,
                                 .height = k->height,
                                 .width = k->pixels / k->height,
                                 .first_sample = k->at,
                                 .rng = ib_rng_make(salt, IB_STREAM_AUGMENT, 0, 7)};
    for (int i = 0; i < IB_AUGMENTATIONS; ++i)
        l.augment.amount[i] = k->amount[i];
    ib_load_operands p = {.order = run_buffer(run, order),
                          .table = run_buffer(run, table),
                          .x = run_buffer(run, x),
                          .labels = run_buffer(run, labels)};
    RUN_OP(run, load_batch, &l, &p);
    run_collect(run);
}

/* ---- normalisations in pieces ------------------------------------------------------------------
 */

/* Host memory of a case of a normalisation; what is not used is NULL. */
struct norm_memory {
    float *x, *gamma, *beta, *dy, *add, *second;
    float *leaves, *totals, *totals2, *back_leaves, *back_totals;
    float *running, *saved, *y, *g, *dx, *gradients;
};

static inline void take_norm_parts(const struct norm_case *k, const ib_norm *s, uint64_t salt,
                                   struct op_run *run, struct norm_memory *m) {
    int64_t rows = s->n * s->pixels, c = s->channels, c16 = ib_pad16(c),
            leaves = ib_leaves_of(s->n);
    *m = (struct norm_memory){.x = run_floats(run, rows * c16),
                              .gamma = run_floats(run, c16),
                              .beta = run_floats(run, c16),
                              .dy = run_floats(run, rows * c16),
                              .add = k->add ? run_floats(run, rows * c16) : NULL,
                              .second = k->second ? run_floats(run, rows * c16) : NULL};
    float *const filled[] = {m->x, m->gamma, m->beta, m->dy, m->add, m->second};
    for (unsigned i = 0; i < COUNT_OF(filled); ++i)
        if (filled[i] != NULL)
            fill_floats(filled[i], 1, i == 1 || i == 2 ? 1 : rows, i == 1 || i == 2 ? 1 : rows, c,
                        c16, salt * 16 + 1 + i, k->fill, 0);
    run_seal_inputs(run);
    m->leaves = run_floats(run, leaves * 2 * c16);
    m->totals = run_floats(run, 2 * c16);
    m->totals2 = run_floats(run, 2 * c16);
    m->back_leaves = run_floats(run, leaves * 2 * c16);
    m->back_totals = run_floats(run, 2 * c16);
    m->running = run_floats(run, 2 * c16);
    m->saved = run_floats(run, IB_SAVED_COUNT * c16);
    m->y = run_floats(run, rows * c16);
    m->g = run_floats(run, rows * c16);
    m->dx = run_floats(run, rows * c16);
    m->gradients = run_floats(run, 2 * c16);
    fill_floats(m->running, 1, 2, 2, c, c16, salt * 16 + 7, k->fill, 1);
    fill_garbage(m->saved, 1, IB_SAVED_COUNT, IB_SAVED_COUNT, c, c16);
    fill_garbage_whole(m->y, rows * c16);
    fill_garbage_whole(m->g, rows * c16);
    fill_garbage_whole(m->dx, rows * c16);
    fill_garbage(m->gradients, 1, 2, 2, c, c16);
}

static inline void run_norm_parts(const struct norm_case *k, uint64_t salt, ib_backend *backend,
                                  struct op_run *run) {
    ib_norm s = {.n = k->n,
                 .pixels = k->pixels,
                 .channels = k->channels,
                 .training = 1,
                 .relu = k->relu,
                 .momentum = 0.1f,
                 .eps = 1e-5f};
    struct norm_memory m;
    ib_norm_scalars(&s, k->n);
    run_open(run, backend);
    take_norm_parts(k, &s, salt, run, &m);
    run_output(run, "y", m.y, 1);
    run_output(run, "running", m.running, 1);
    run_output(run, "dx", m.dx, 1);
    run_output(run, "dgamma, dbeta", m.gradients, 1);
    run_output(run, "g", m.g, 1);
    run_output(run, "leaves", m.leaves, 1);
    run_settles(run, 0);
    run_output(run, "leaves of gradients", m.back_leaves, 1);
    run_settles(run, 0);
    run_start(run);
    ib_tree t = {ib_leaves_of(s.n), 2 * ib_pad16(s.channels)};
    ib_norm_part_operands p = {.x = run_buffer(run, m.x), .leaves = run_buffer(run, m.leaves)};
    ib_tree_operands sum = {.rows = run_buffer(run, m.leaves), .sum = run_buffer(run, m.totals)};
    RUN_OP(run, norm_sums, &s, &p);
    RUN_OP(run, tree_sum, &t, &sum);
    p.totals = run_buffer(run, m.totals);
    sum.sum = run_buffer(run, m.totals2);
    RUN_OP(run, norm_deviations, &s, &p);
    RUN_OP(run, tree_sum, &t, &sum);
    ib_norm_part_operands apply = {.x = run_buffer(run, m.x),
                                   .gamma = run_buffer(run, m.gamma),
                                   .beta = run_buffer(run, m.beta),
                                   .add = run_buffer(run, m.add),
                                   .totals = run_buffer(run, m.totals),
                                   .totals2 = run_buffer(run, m.totals2),
                                   .running = run_buffer(run, m.running),
                                   .saved = run_buffer(run, m.saved),
                                   .y = run_buffer(run, m.y)};
    RUN_OP(run, norm_apply, &s, &apply);
    ib_norm_part_operands back = {.x = run_buffer(run, m.x),
                                  .saved = run_buffer(run, m.saved),
                                  .y_kept = run_buffer(run, k->add ? m.y : NULL),
                                  .dy = run_buffer(run, m.dy),
                                  .second = run_buffer(run, m.second),
                                  .g = run_buffer(run, m.g),
                                  .leaves = run_buffer(run, m.back_leaves)};
    RUN_OP(run, norm_gradients, &s, &back);
    ib_tree_operands sum_back = {.rows = run_buffer(run, m.back_leaves),
                                 .sum = run_buffer(run, m.back_totals)};
    RUN_OP(run, tree_sum, &t, &sum_back);
    back.totals = run_buffer(run, m.back_totals);
    back.dx = run_buffer(run, m.dx);
    back.dgamma = run_buffer(run, m.gradients);
    back.dbeta = run_buffer(run, m.gradients + ib_pad16(s.channels));
    RUN_OP(run, norm_input, &s, &back);
    run_collect(run);
}

#endif
