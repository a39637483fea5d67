/* The checking wrappers: every operation is called through one of these, which refuses arguments
 * that no backend may see, so that backends need not check and cannot disagree about it. */
#include "backend/backend.h"
#include "base/clock.h"

/* ---- profile ----------------------------------------------------------------------------------
 */

static double profile_start(const ib_backend *backend) {
    return backend->profile == NULL ? 0 : ib_seconds();
}

static ib_status profiled(const ib_backend *backend, const char *operation, double start,
                          double macs, double floats, ib_status status) {
    if (backend->profile != NULL) {
        ib_profile_event event = {operation, backend->label, start, ib_seconds() - start,
                                  2 * macs,  4 * floats};
        backend->profile->record(backend->profile->context, &event);
    }
    return status;
}

/* ---- checks -----------------------------------------------------------------------------------
 */

static ib_status refuse(ib_error *err, const char *operation, const char *what) {
    return ib_fail(err, IB_ERROR_RUNTIME, "%s: %s", operation, what);
}

static int has(const ib_buffer *buffer, int64_t elements, size_t element_bytes) {
    size_t bytes;
    return buffer != NULL && buffer->handle != NULL && elements >= 0 &&
           !__builtin_mul_overflow((size_t)elements, element_bytes, &bytes) &&
           buffer->bytes >= bytes;
}

static int has_floats(const ib_buffer *buffer, int64_t elements) {
    return has(buffer, elements, sizeof(float));
}

/* A size of a shape. The bound lets sums of sizes do without checks. */
static int is_size(int64_t size) {
    return size >= 1 && size <= 1 << 24;
}

/* 0 where there is no such size. */
static int64_t padded(int64_t size) {
    return is_size(size) ? ib_pad16(size) : 0;
}

/* Sizes of one tensor whose product leaves room: a backend computes byte offsets and scratch of a
 * few tensors' size from it in 64 bits. */
static int are_sizes(int64_t a, int64_t b, int64_t c, int64_t d) {
    int64_t elements;
    return is_size(a) && is_size(b) && is_size(c) && is_size(d) &&
           !__builtin_mul_overflow(a * b, c, &elements) &&
           !__builtin_mul_overflow(elements, d, &elements) && elements <= (int64_t)1 << 46;
}

static int64_t stored_channels(int64_t channels) {
    return channels == 1 ? 1 : ib_pad16(channels);
}

static int conv_is_sound(const ib_conv *c) {
    if (!are_sizes(c->n, c->h, c->w, padded(c->ci)) ||
        !are_sizes(c->kh, c->kw, padded(c->ci), padded(c->co)) || !is_size(c->stride) ||
        c->pad < 0 || c->pad >= c->kh || c->pad >= c->kw)
        return 0;
    if (c->kh > c->h + 2 * c->pad || c->kw > c->w + 2 * c->pad ||
        !are_sizes(c->n, ib_conv_out_h(c), ib_conv_out_w(c), padded(c->co)))
        return 0;
    /* Pooling and dropout are defined behind a ReLU only (NUMERICS.md, section 6). */
    if ((c->pool || c->dropout.enabled) && !c->relu)
        return 0;
    return !c->pool || (ib_conv_out_h(c) >= 2 && ib_conv_out_w(c) >= 2);
}

static int64_t conv_inputs(const ib_conv *c) {
    return c->n * c->h * c->w * stored_channels(c->ci);
}
static int64_t conv_outputs(const ib_conv *c) {
    return c->pool ? c->n * ib_pad16(ib_conv_pooled_features(c))
                   : c->n * ib_conv_out_h(c) * ib_conv_out_w(c) * ib_pad16(c->co);
}
static int64_t conv_weights(const ib_conv *c) {
    return c->kh * c->kw * stored_channels(c->ci) * ib_pad16(c->co);
}
/* A convolution may do without a bias, a pooled one not. */
static int has_bias(const ib_conv *c, const ib_buffer *bias) {
    return bias == NULL ? !c->pool : has_floats(bias, ib_pad16(c->co));
}
static double conv_macs(const ib_conv *c) {
    return (double)(c->n * ib_conv_out_h(c) * ib_conv_out_w(c)) *
           (double)(c->co * c->kh * c->kw * c->ci);
}
static int64_t conv_positions(const ib_conv *c) {
    return c->n * (ib_conv_out_h(c) / 2) * (ib_conv_out_w(c) / 2) * ib_pad16(c->co);
}

ib_status ib_plan_conv(ib_backend *backend, const ib_conv *c, ib_error *err) {
    if (!conv_is_sound(c))
        return refuse(err, "convolution", "shape out of range");
    return backend->ops->plan_conv(backend, c, err);
}

static int linear_has_sizes(const ib_linear *l) {
    return are_sizes(l->n, padded(l->in), 1, 1) && are_sizes(l->n, padded(l->out), 1, 1) &&
           are_sizes(padded(l->in), padded(l->out), 1, 1);
}

ib_status ib_plan_linear(ib_backend *backend, const ib_linear *l, ib_error *err) {
    if (!linear_has_sizes(l))
        return refuse(err, "linear", "shape out of range");
    return backend->ops->plan_linear(backend, l, err);
}

ib_status ib_load_images(ib_backend *backend, int64_t n, int64_t pixels, int64_t stride,
                         const uint8_t *const *images, const float *table, ib_buffer *x,
                         ib_error *err) {
    if (!are_sizes(n, stride, 1, 1) || pixels < 1 || stride < pixels)
        return refuse(err, "load images", "shape out of range");
    if (!has_floats(x, n * stride))
        return refuse(err, "load images", "buffer too small");
    double start = profile_start(backend);
    ib_status status = backend->ops->load_images(backend, n, pixels, stride, images, table, x, err);
    return profiled(backend, "load images", start, 0, 1.25 * (double)(n * pixels), status);
}

ib_status ib_conv_forward(ib_backend *backend, const ib_conv *c, const ib_buffer *x,
                          const ib_buffer *w, const ib_buffer *b, ib_buffer *y, ib_buffer *argmax,
                          ib_error *err) {
    if (!conv_is_sound(c))
        return refuse(err, "convolution forward", "shape out of range");
    if (!has_floats(x, conv_inputs(c)) || !has_floats(w, conv_weights(c)) || !has_bias(c, b) ||
        !has_floats(y, conv_outputs(c)) || (c->pool && !has(argmax, conv_positions(c), 1)))
        return refuse(err, "convolution forward", "buffer too small");
    double start = profile_start(backend);
    ib_status status = backend->ops->conv_forward(backend, c, x, w, b, y, argmax, err);
    return profiled(backend, "conv forward", start, conv_macs(c),
                    (double)(conv_inputs(c) + conv_outputs(c) + conv_weights(c)), status);
}

ib_status ib_conv_backward(ib_backend *backend, const ib_conv *c, const ib_buffer *x,
                           const ib_buffer *w, const ib_buffer *dy, const ib_buffer *argmax,
                           ib_buffer *dx, ib_buffer *dw, ib_buffer *db, ib_error *err) {
    if (!conv_is_sound(c))
        return refuse(err, "convolution backward", "shape out of range");
    if (dx != NULL && c->ci == 1)
        return refuse(err, "convolution backward", "no gradient for a one-channel input");
    if (!has_floats(x, conv_inputs(c)) || !has_floats(w, conv_weights(c)) ||
        !has_floats(dy, conv_outputs(c)) || (dx != NULL && !has_floats(dx, conv_inputs(c))) ||
        !has_floats(dw, conv_weights(c)) || !has_bias(c, db) ||
        (c->pool && !has(argmax, conv_positions(c), 1)))
        return refuse(err, "convolution backward", "buffer too small");
    double start = profile_start(backend);
    ib_status status = backend->ops->conv_backward(backend, c, x, w, dy, argmax, dx, dw, db, err);
    double inputs = (double)conv_inputs(c) * (dx != NULL ? 2 : 1);
    return profiled(backend, "conv backward", start, conv_macs(c) * (dx != NULL ? 2 : 1),
                    inputs + (double)(conv_outputs(c) + 2 * conv_weights(c)), status);
}

/* Weight buffers hold pad16(in) rows: kernels read whole blocks of 16. */
static int linear_is_sound(const ib_linear *l, const ib_buffer *x, const ib_buffer *w) {
    return (l->relu || !l->dropout.enabled) && linear_has_sizes(l) &&
           has_floats(x, l->n * ib_pad16(l->in)) &&
           has_floats(w, ib_pad16(l->in) * ib_pad16(l->out));
}

ib_status ib_linear_forward(ib_backend *backend, const ib_linear *l, const ib_buffer *x,
                            const ib_buffer *w, const ib_buffer *b, ib_buffer *y, ib_error *err) {
    if (!linear_is_sound(l, x, w) || !has_floats(b, ib_pad16(l->out)) ||
        !has_floats(y, l->n * ib_pad16(l->out)))
        return refuse(err, "linear forward", "buffer too small");
    double start = profile_start(backend);
    ib_status status = backend->ops->linear_forward(backend, l, x, w, b, y, err);
    double macs = (double)l->n * (double)(l->in * l->out);
    return profiled(backend, "linear forward", start, macs,
                    (double)(l->n * (l->in + l->out) + l->in * l->out), status);
}

ib_status ib_linear_backward(ib_backend *backend, const ib_linear *l, const ib_buffer *x,
                             const ib_buffer *w, const ib_buffer *dy, ib_buffer *dx, ib_buffer *dw,
                             ib_buffer *db, ib_error *err) {
    if (!linear_is_sound(l, x, w) || !has_floats(dy, l->n * ib_pad16(l->out)) ||
        (dx != NULL && !has_floats(dx, l->n * ib_pad16(l->in))) ||
        !has_floats(dw, ib_pad16(l->in) * ib_pad16(l->out)) || !has_floats(db, ib_pad16(l->out)))
        return refuse(err, "linear backward", "buffer too small");
    double start = profile_start(backend);
    ib_status status = backend->ops->linear_backward(backend, l, x, w, dy, dx, dw, db, err);
    int passes = dx != NULL ? 2 : 1;
    double macs = (double)l->n * (double)(l->in * l->out);
    return profiled(backend, "linear backward", start, passes * macs,
                    (double)(l->n * (passes * l->in + l->out) + passes * l->in * l->out), status);
}

static int64_t norm_floats(const ib_norm *norm) {
    return norm->n * norm->pixels * ib_pad16(norm->channels);
}

static int norm_is_sound(const ib_norm *norm) {
    return are_sizes(norm->n, norm->pixels, padded(norm->channels), 1) && norm->eps > 0;
}

ib_status ib_norm_forward(ib_backend *backend, const ib_norm *norm, const ib_buffer *x,
                          const ib_buffer *gamma, const ib_buffer *beta, ib_buffer *running,
                          ib_buffer *saved, const ib_buffer *add, ib_buffer *y, ib_error *err) {
    if (!norm_is_sound(norm))
        return refuse(err, "normalisation forward", "shape out of range");
    int64_t count = norm_floats(norm), c16 = ib_pad16(norm->channels);
    if (!has_floats(x, count) || !has_floats(gamma, c16) || !has_floats(beta, c16) ||
        !has_floats(running, 2 * c16) ||
        (norm->training && !has_floats(saved, IB_SAVED_COUNT * c16)) ||
        (add != NULL && !has_floats(add, count)) || !has_floats(y, count))
        return refuse(err, "normalisation forward", "buffer too small");
    double start = profile_start(backend);
    ib_status status =
        backend->ops->norm_forward(backend, norm, x, gamma, beta, running, saved, add, y, err);
    return profiled(backend, "norm forward", start, 0, (add != NULL ? 3.0 : 2.0) * (double)count,
                    status);
}

ib_status ib_norm_backward(ib_backend *backend, const ib_norm *norm, const ib_buffer *x,
                           const ib_buffer *saved, const ib_buffer *y, const ib_buffer *dy,
                           const ib_buffer *second, ib_buffer *g, ib_buffer *dx, ib_buffer *dgamma,
                           ib_buffer *dbeta, ib_error *err) {
    if (!norm_is_sound(norm))
        return refuse(err, "normalisation backward", "shape out of range");
    int64_t count = norm_floats(norm), c16 = ib_pad16(norm->channels);
    if (!has_floats(x, count) || !has_floats(saved, IB_SAVED_COUNT * c16) ||
        !has_floats(dy, count) || !has_floats(dx, count) || !has_floats(dgamma, c16) ||
        !has_floats(dbeta, c16) || (y != NULL && !has_floats(y, count)) ||
        (second != NULL && !has_floats(second, count)) || (g != NULL && !has_floats(g, count)))
        return refuse(err, "normalisation backward", "buffer too small");
    if (g == NULL ? second != NULL || y != NULL : g->handle == dx->handle)
        return refuse(err, "normalisation backward", "no place for the gradient before the ReLU");
    double start = profile_start(backend);
    ib_status status = backend->ops->norm_backward(backend, norm, x, saved, y, dy, second, g, dx,
                                                   dgamma, dbeta, err);
    int tensors = 3 + (y != NULL) + (second != NULL) + (g != NULL);
    return profiled(backend, "norm backward", start, 0, (double)(tensors * count), status);
}

static int pool3_is_sound(const ib_pool3 *p) {
    return are_sizes(p->n, p->h, p->w, padded(p->channels));
}
static int64_t pool3_inputs(const ib_pool3 *p) {
    return p->n * p->h * p->w * ib_pad16(p->channels);
}
static int64_t pool3_outputs(const ib_pool3 *p) {
    return p->n * ib_pool3_out(p->h) * ib_pool3_out(p->w) * ib_pad16(p->channels);
}

ib_status ib_pool_forward(ib_backend *backend, const ib_pool3 *pool, const ib_buffer *x,
                          ib_buffer *y, ib_buffer *argmax, ib_error *err) {
    if (!pool3_is_sound(pool) || !has_floats(x, pool3_inputs(pool)) ||
        !has_floats(y, pool3_outputs(pool)) || !has(argmax, pool3_outputs(pool), 1))
        return refuse(err, "max-pool forward", "buffer too small");
    double start = profile_start(backend);
    ib_status status = backend->ops->pool_forward(backend, pool, x, y, argmax, err);
    return profiled(backend, "pool forward", start, 0,
                    (double)pool3_inputs(pool) + 1.25 * (double)pool3_outputs(pool), status);
}

ib_status ib_pool_backward(ib_backend *backend, const ib_pool3 *pool, const ib_buffer *argmax,
                           const ib_buffer *dy, const ib_buffer *second, ib_buffer *dx,
                           ib_error *err) {
    if (!pool3_is_sound(pool) || !has_floats(dx, pool3_inputs(pool)) ||
        !has_floats(dy, pool3_outputs(pool)) || !has(argmax, pool3_outputs(pool), 1) ||
        (second != NULL && !has_floats(second, pool3_outputs(pool))))
        return refuse(err, "max-pool backward", "buffer too small");
    double start = profile_start(backend);
    ib_status status = backend->ops->pool_backward(backend, pool, argmax, dy, second, dx, err);
    double outputs = (double)pool3_outputs(pool) * (second != NULL ? 2.25 : 1.25);
    return profiled(backend, "pool backward", start, 0, (double)pool3_inputs(pool) + outputs,
                    status);
}

static int mean_fits(int64_t n, int64_t pixels, int64_t channels, const ib_buffer *image,
                     const ib_buffer *features) {
    return are_sizes(n, pixels, padded(channels), 1) &&
           has_floats(image, n * pixels * ib_pad16(channels)) &&
           has_floats(features, n * ib_pad16(channels));
}

ib_status ib_mean_forward(ib_backend *backend, int64_t n, int64_t pixels, int64_t channels,
                          float inverse, const ib_buffer *x, ib_buffer *y, ib_error *err) {
    if (!mean_fits(n, pixels, channels, x, y))
        return refuse(err, "mean over pixels", "buffer too small");
    double start = profile_start(backend);
    ib_status status = backend->ops->mean_forward(backend, n, pixels, channels, inverse, x, y, err);
    return profiled(backend, "mean forward", start, 0, (double)(n * (pixels + 1) * channels),
                    status);
}

ib_status ib_mean_backward(ib_backend *backend, int64_t n, int64_t pixels, int64_t channels,
                           float inverse, const ib_buffer *dy, ib_buffer *dx, ib_error *err) {
    if (!mean_fits(n, pixels, channels, dx, dy))
        return refuse(err, "mean over pixels, backward", "buffer too small");
    double start = profile_start(backend);
    ib_status status =
        backend->ops->mean_backward(backend, n, pixels, channels, inverse, dy, dx, err);
    return profiled(backend, "mean backward", start, 0, (double)(n * (pixels + 1) * channels),
                    status);
}

ib_status ib_softmax_nll(ib_backend *backend, int64_t n, int64_t classes, float inverse_n,
                         const ib_buffer *logits, const uint8_t *labels, float *losses,
                         ib_buffer *dlogits, float *total, ib_error *err) {
    if (!is_size(n) || classes < 1 || classes > 256 || !has_floats(logits, n * ib_pad16(classes)) ||
        (dlogits != NULL && !has_floats(dlogits, n * ib_pad16(classes))))
        return refuse(err, "softmax", "buffer too small");
    for (int64_t i = 0; i < n; ++i)
        if (labels[i] >= classes)
            return refuse(err, "softmax", "label out of range");
    double start = profile_start(backend);
    ib_status status = backend->ops->softmax_nll(backend, n, classes, inverse_n, logits, labels,
                                                 losses, dlogits, total, err);
    return profiled(backend, "softmax loss", start, 0, 2.0 * (double)(n * classes), status);
}

ib_status ib_update_weights(ib_backend *backend, const ib_update *u, int64_t count, ib_buffer *w,
                            const ib_buffer *dw, ib_buffer *state0, ib_buffer *state1, int *finite,
                            ib_error *err) {
    int states = ib_optimizer_states(u->kind, u->has_momentum);
    int wants0 = states > 0, wants1 = states > 1;
    if (count < 16 || count % 16 != 0 || !has_floats(w, count) || !has_floats(dw, count) ||
        (wants0 && !has_floats(state0, count)) || (wants1 && !has_floats(state1, count)))
        return refuse(err, "optimiser update", "buffer too small");
    double start = profile_start(backend);
    ib_status status = backend->ops->update(backend, u, count, w, dw, state0, state1, finite, err);
    return profiled(backend, "update", start, 0, (3 + 2 * wants0 + 2 * wants1) * (double)count,
                    status);
}

const ib_svm_ops *ib_backend_svm(ib_backend *backend) {
    return backend->ops->svm(backend);
}

void ib_run_on_threads(ib_backend *backend, size_t items, ib_work *work, void *context) {
    backend->ops->run_on_threads(backend, items, work, context);
}
