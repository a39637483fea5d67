/* What property tests of operations work on: the values of a convolution or a linear layer over a
 * whole batch, of which parts are views. */
#ifndef TESTS_BACKEND_OP_VALUES_H
#define TESTS_BACKEND_OP_VALUES_H

#include "op_subjects.h"

/* Host memory of one run, thought of as the whole batch; parts are views of it. */
static inline void finish(struct op_run *run, const struct subject *subject, const char *what) {
    run_collect(run);
    if (run->status != IB_OK)
        fail_msg("%s, %s: %s", what, subject->label, ib_error_text(&run->err));
    if (!run->intact)
        fail_msg("%s, %s: wrote outside a buffer", what, subject->label);
}

static inline void equal(const struct subject *subject, const char *what, const float *want,
                         const float *got, int64_t count) {
    for (int64_t i = 0; i < count; ++i)
        if (memcmp(&want[i], &got[i], sizeof(float)) != 0)
            fail_msg("%s, %s, %u threads: [%lld] is %.9g, wanted %.9g", what, subject->label,
                     subject->backend->info.threads, (long long)i, (double)got[i], (double)want[i]);
}

static inline float *random_floats(struct op_run *run, int64_t rows, int64_t columns, uint64_t salt,
                                   int positive) {
    int64_t stored = columns == 1 ? 1 : ib_pad16(columns);
    float *values = run_floats(run, rows * stored);
    fill_floats(values, 1, rows, rows, columns, stored, salt, PLAIN, positive);
    return values;
}

/* ---- parts of a batch -------------------------------------------------------------------------
 */

/* Parts of 23 samples: [0, 8), [8, 16), [16, 23) are leaves; 16 and 7 the two halves of the tree.
 */
enum { WHOLE = 23, HALF = 16 };

struct conv_values {
    float *x, *w, *b, *dy, *y, *dx, *dw, *db;
    uint8_t *argmax;
    int64_t image, row, cell, weights, co16; /* floats (bytes) of one sample */
};

/* x and dy of a batch whose weight gradients, and those of its parts, lie around 2^-40: where a
 * part's sum has settled, the whole's is another. */
static inline void make_tiny(float *x, int64_t inputs, float *dy, int64_t rows, int64_t columns) {
    for (int64_t i = 0; i < inputs; ++i)
        x[i] *= 0.25f;
    fill_floats(dy, 1, rows, rows, columns, ib_pad16(columns), 14, VANISH, 0);
}

static inline int64_t count_unsettled(const float *values, int64_t count) {
    int64_t unsettled = 0;
    for (int64_t i = 0; i < count; ++i)
        unsettled += ib_is_unsettled(values[i], IB_SETTLE);
    return unsettled;
}

static inline ib_conv_operands conv_operands(const struct op_run *run, const struct conv_values *v,
                                             int64_t first, int part) {
    return (ib_conv_operands){.x = run_buffer(run, v->x + first * v->image),
                              .w = run_buffer(run, v->w),
                              .b = run_buffer(run, v->b),
                              .dy = run_buffer(run, v->dy + first * v->row),
                              .y = run_buffer(run, v->y + first * v->row),
                              .dx =
                                  run_buffer(run, v->dx == NULL ? NULL : v->dx + first * v->image),
                              .dw = run_buffer(run, v->dw + part * v->weights),
                              .db = run_buffer(run, v->db + part * v->co16),
                              .argmax = run_buffer(run, v->argmax + first * v->cell)};
}

static inline void take_conv(struct op_run *run, const ib_conv *c, int tiny,
                             struct conv_values *v) {
    int64_t co16 = ib_pad16(c->co), taps = c->kh * c->kw, cells;
    int64_t pixels = ib_conv_out_h(c) * ib_conv_out_w(c), ci = c->ci == 1 ? 1 : ib_pad16(c->ci);
    cells = (ib_conv_out_h(c) / 2) * (ib_conv_out_w(c) / 2);
    *v = (struct conv_values){.image = c->h * c->w * ci,
                              .row = c->pool ? ib_pad16(c->co * cells) : pixels * co16,
                              .cell = cells * co16,
                              .weights = taps * ci * co16,
                              .co16 = co16};
    v->x = random_floats(run, c->n * c->h * c->w, c->ci, 11, 1);
    v->w = run_floats(run, v->weights);
    fill_floats(v->w, taps, c->ci, ci, c->co, co16, 12, PLAIN, 0);
    v->b = random_floats(run, 1, c->co, 13, 0);
    v->dy = c->pool ? random_floats(run, c->n, c->co * cells, 14, 0)
                    : random_floats(run, c->n * pixels, c->co, 14, 0);
    if (tiny)
        make_tiny(v->x, c->n * v->image, v->dy, c->pool ? c->n : c->n * pixels,
                  c->pool ? c->co * cells : c->co);
    run_seal_inputs(run);
    v->y = run_floats(run, c->n * v->row);
    v->dx = c->ci == 1 ? NULL : run_floats(run, c->n * v->image);
    v->dw = run_floats(run, 3 * v->weights); /* of the whole or two parts; their sum */
    v->db = run_floats(run, 3 * co16);
    v->argmax = run_take(run, (size_t)(c->n * v->cell));
}

struct linear_values {
    float *x, *w, *b, *dy, *y, *dx, *dw, *db;
    int64_t in16, out16;
};

static inline void take_linear(struct op_run *run, const ib_linear *l, int tiny,
                               struct linear_values *v) {
    *v = (struct linear_values){.in16 = ib_pad16(l->in), .out16 = ib_pad16(l->out)};
    v->x = random_floats(run, l->n, l->in, 21, 1);
    v->w = run_floats(run, v->in16 * v->out16);
    fill_floats(v->w, 1, l->in, v->in16, l->out, v->out16, 22, PLAIN, 0);
    v->b = random_floats(run, 1, l->out, 23, 0);
    v->dy = random_floats(run, l->n, l->out, 24, 0);
    if (tiny)
        make_tiny(v->x, l->n * v->in16, v->dy, l->n, l->out);
    run_seal_inputs(run);
    v->y = run_floats(run, l->n * v->out16);
    v->dx = run_floats(run, l->n * v->in16);
    v->dw = run_floats(run, 3 * v->in16 * v->out16);
    v->db = run_floats(run, 3 * v->out16);
}

#endif
