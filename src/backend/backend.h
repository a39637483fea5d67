/* What a backend offers to layers: buffers and the exact operations of NUMERICS.md.
 *
 * Layouts, the same for every backend (C16 = channels rounded up to a multiple of 16; padding
 * channels hold +0 and stay so):
 *   image activations    [n][h][w][C16]          (one input channel: [n][h][w])
 *   feature activations  [n][stride]             stride = features rounded up to a multiple of 16
 *   convolution weights  [ky][kx][ci: 1, or C16][C16 of co]
 *   linear weights       [in, rounded up to a multiple of 16][C16 of out]
 *   biases               [C16]
 * A pooled convolution writes feature activations in channel, row, column order: PyTorch's flatten.
 */
#ifndef IB_BACKEND_BACKEND_H
#define IB_BACKEND_BACKEND_H

#include <stddef.h>
#include <stdint.h>

#include "base/philox.h"
#include "base/status.h"
#include "base/threads.h"
#include "experiment/config.h"
#include "tensor/tensor.h"

typedef struct ib_backend ib_backend;

typedef struct ib_backend_options {
    const char *backend; /* "auto", "cpu", "opencl", "cuda" */
    const char *isa;     /* "auto", "scalar", "avx2", "avx512", "neon" */
    unsigned threads;    /* 0: every usable CPU */
} ib_backend_options;

typedef struct ib_backend_info {
    const char *name; /* "cpu" */
    const char *isa;  /* "avx512" */
    unsigned threads;
} ib_backend_info;

static inline int64_t ib_pad16(int64_t n) {
    return (n + 15) / 16 * 16;
}

/* Dropout that follows a ReLU: y = word < threshold ? +0 : x * scale, word = element's Philox word.
 */
typedef struct ib_dropout {
    int enabled;
    uint32_t threshold; /* round(p * 2^32) */
    float scale;        /* 1 / (1 - p), rounded once from binary64 */
    ib_rng rng;
} ib_dropout;

/* y = conv(x, w) + b; relu: y > 0 ? y : +0. pool: then 2x2 max-pool of stride 2 (odd rest dropped),
 * dropout, and output as features. x: [n][h][w][ci]. */
typedef struct ib_conv {
    int64_t n, h, w, ci, co;
    int64_t kh, kw, stride, pad;
    int relu, pool;
    ib_dropout dropout;
    int mask_input; /* 1: dx is masked by the activation that made x; 0: it is the plain gradient */
    float input_scale;  /* of the dropout that made x; 1 without. Used with mask_input only */
    int dw_begins_zero; /* 1: dw of taps that meet no pixel is +0 already and need not be written */
} ib_conv;

typedef struct ib_linear {
    int64_t n, in, out;
    int relu;
    ib_dropout dropout;
    int mask_input;
    float input_scale;
} ib_linear;

/* Batch normalisation of images x [n][pixels][C16], one mean and variance a channel; then an image
 * of the same shape may be added, then a ReLU. The scalars are those of n * pixels values
 * (ib_norm_scalars). */
typedef struct ib_norm {
    int64_t n, pixels, channels;
    int training; /* statistics of this batch; 0: the running ones */
    int relu;
    float inverse_count; /* 1 / (n * pixels) */
    float unbiased;      /* n * pixels / (n * pixels - 1): what the running variance takes */
    float momentum, eps;
} ib_norm;

/* What a normalisation keeps from its forward to its backward pass, each [C16]. */
enum { IB_SAVED_MEAN, IB_SAVED_INVERSE, IB_SAVED_SCALE, IB_SAVED_BETA, IB_SAVED_COUNT };

/* Overlapping max-pool of images: 3x3, stride 2, padding 1. x: [n][h][w][C16]. */
typedef struct ib_pool3 {
    int64_t n, h, w, channels;
} ib_pool3;

/* Scalars of one optimiser step, computed in binary64 and rounded once (NUMERICS.md). */
typedef struct ib_update {
    ib_optimizer_kind kind;
    int has_momentum;
    float lr, weight_decay;
    float momentum;                                  /* sgd */
    float rho, one_minus_rho;                        /* adadelta */
    float beta1_complement, beta2, beta2_complement; /* adam */
    float step_size;                                 /* adam: lr / (1 - beta1^t) */
    float root_correction;                           /* adam: 1 / sqrt(1 - beta2^t) */
    float eps;
} ib_update;

/* ---- support vector machines (NUMERICS.md, "Support vector machines") ---- */

/* A kernel function of two images. With scale = square of a grey level's step between features and
 * mean = the grey level of feature 0, the features' dot product is
 * scale * ((p - mean * (sx + sz)) + centre), p, sx, sz the bytes' dot product and sums. */
typedef struct ib_svm_kernel {
    ib_svm_kernel_kind kind;
    int degree;
    double gamma, coef0;
    double scale, mean, centre; /* centre = width * (mean * mean) */
    double factor;              /* gamma * scale, for rbf */
} ib_svm_kernel;

/* The widest image: the squares of two of them, 2 * width * 255 * 255, are added in 32 bits. */
enum { IB_SVM_PANEL = 32, IB_SVM_MAX_WIDTH = 16512, IB_SVM_GROUP = 4 };

/* Images as bytes. panels: the same bytes, [count / 32 rounded up][groups of 4 bytes][32][4], zeros
 * beyond count and width; sums, squares: of the bytes, with room for whole panels, zeros beyond
 * count. width is at most IB_SVM_MAX_WIDTH. */
typedef struct ib_svm_images {
    size_t count, width;
    const uint8_t *const *rows;
    const uint8_t *panels;
    const int32_t *sums, *squares;
} ib_svm_images;

static inline size_t ib_svm_groups(size_t width) {
    return (width + IB_SVM_GROUP - 1) / IB_SVM_GROUP;
}

/* Some rows against all columns: out[r][c], rows of stride floats, a multiple of 32 that covers the
 * columns; what lies beyond the columns is finite and means nothing. turned (may be NULL) receives
 * the same values as turned[c][r]. */
typedef struct ib_svm_block {
    const ib_svm_images *rows, *columns;
    size_t first_row, row_count;
    float *out;
    size_t stride;
    float *turned;
    size_t turned_stride;
} ib_svm_block;

/* The unknowns of one class of a two-class problem, count of them, a multiple of 16. Where beta is
 * NaN there is none. */
typedef struct ib_svm_part {
    size_t count;
    double *f, *beta;
    const float *diagonal;
    double lower, upper; /* beta's bounds */
} ib_svm_part;

typedef struct ib_svm_extremes {
    double high, low; /* the greatest f with beta < upper, the least f with beta > lower */
    size_t high_index;
} ib_svm_extremes;

typedef struct ib_svm_partner {
    double gain;
    size_t index;
} ib_svm_partner;

/* What one thread computes. Arguments are host memory; different threads may call at once. */
typedef struct ib_svm_ops {
    void (*kernel_block)(const ib_svm_kernel *kernel, const ib_svm_block *block);
    /* f -= t * (ki - kj), then the extremes: -infinity, +infinity and index 0 where there is none.
     */
    void (*step)(const ib_svm_part *part, double t, const float *ki, const float *kj,
                 ib_svm_extremes *extremes);
    /* Among beta > lower and f < high: the first greatest (high - f)^2 / a, a = kii + kkk - 2 kik,
     * 1e-12 where that is not positive. Gain -1 and index 0 where there is none. */
    void (*partner)(const ib_svm_part *part, double high, float kii, const float *ki,
                    ib_svm_partner *partner);
} ib_svm_ops;

static inline int64_t ib_conv_out_h(const ib_conv *c) {
    return (c->h + 2 * c->pad - c->kh) / c->stride + 1;
}
static inline int64_t ib_conv_out_w(const ib_conv *c) {
    return (c->w + 2 * c->pad - c->kw) / c->stride + 1;
}
static inline int64_t ib_pool3_out(int64_t in) {
    return (in - 1) / 2 + 1;
}
/* The scalars that depend on the batch; a single value has variance 0, whatever it is scaled by. */
static inline void ib_norm_scalars(ib_norm *norm, int64_t n) {
    double count = (double)(n * norm->pixels);
    norm->n = n;
    norm->inverse_count = (float)(1.0 / count);
    norm->unbiased = count > 1 ? (float)(count / (count - 1.0)) : 1.0f;
}
/* Features a pooled convolution writes for each image. */
static inline int64_t ib_conv_pooled_features(const ib_conv *c) {
    return c->co * (ib_conv_out_h(c) / 2) * (ib_conv_out_w(c) / 2);
}

/* The operations. Every slot is filled; unsupported arguments are refused with a status, never
 * computed in another way. */
typedef struct ib_backend_ops {
    /* A new buffer holds zeros. */
    ib_status (*buffer_create)(ib_backend *self, size_t bytes, ib_buffer *buffer, ib_error *err);
    void (*buffer_destroy)(ib_backend *self, ib_buffer *buffer);
    /* A part of a buffer, which keeps owning it: never destroyed itself. offset: a multiple of 64.
     */
    ib_buffer (*buffer_slice)(ib_backend *self, const ib_buffer *whole, size_t offset,
                              size_t bytes);
    ib_status (*upload)(ib_backend *self, ib_buffer *to, size_t offset, const void *from,
                        size_t bytes, ib_error *err);
    ib_status (*download)(ib_backend *self, const ib_buffer *from, size_t offset, void *to,
                          size_t bytes, ib_error *err);

    /* Announces an operation before the run, so that the step allocates nothing. */
    ib_status (*plan_conv)(ib_backend *self, const ib_conv *conv, ib_error *err);
    ib_status (*plan_linear)(ib_backend *self, const ib_linear *linear, ib_error *err);

    /* x[i][p] = table[images[i][p]] for p < pixels; table: 256 floats. */
    ib_status (*load_images)(ib_backend *self, int64_t n, int64_t pixels, int64_t stride,
                             const uint8_t *const *images, const float *table, ib_buffer *x,
                             ib_error *err);

    /* b NULL: no bias is added (not with pool). argmax (pool only): [n][cell][C16] bytes, position
     * 0..3 of the first greatest. */
    ib_status (*conv_forward)(ib_backend *self, const ib_conv *conv, const ib_buffer *x,
                              const ib_buffer *w, const ib_buffer *b, ib_buffer *y,
                              ib_buffer *argmax, ib_error *err);
    /* dy: gradient before the output's ReLU and dropout; with pool: of the features, placed by
     * argmax. dx (NULL for the first layer) with mask_input comes out as the gradient before the
     * activation that made x: x > 0 ? dx * input_scale : +0. dw, db: leaf-tree sums over the batch;
     * db NULL: no bias (not with pool). An x that is not finite may be reported as
     * IB_ERROR_DIVERGED, naming the layer. */
    ib_status (*conv_backward)(ib_backend *self, const ib_conv *conv, const ib_buffer *x,
                               const ib_buffer *w, const ib_buffer *dy, const ib_buffer *argmax,
                               ib_buffer *dx, ib_buffer *dw, ib_buffer *db, ib_error *err);

    ib_status (*linear_forward)(ib_backend *self, const ib_linear *linear, const ib_buffer *x,
                                const ib_buffer *w, const ib_buffer *b, ib_buffer *y,
                                ib_error *err);
    /* As conv_backward. */
    ib_status (*linear_backward)(ib_backend *self, const ib_linear *linear, const ib_buffer *x,
                                 const ib_buffer *w, const ib_buffer *dy, ib_buffer *dx,
                                 ib_buffer *dw, ib_buffer *db, ib_error *err);

    /* running: [2][C16], mean and variance: read in evaluation, updated in training. saved:
     * [IB_SAVED_COUNT][C16], written in training. add: NULL, or as x. y may be x in evaluation. */
    ib_status (*norm_forward)(ib_backend *self, const ib_norm *norm, const ib_buffer *x,
                              const ib_buffer *gamma, const ib_buffer *beta, ib_buffer *running,
                              ib_buffer *saved, const ib_buffer *add, ib_buffer *y, ib_error *err);
    /* The gradient of y is dy, or dy + second where y has two readers. g receives the gradient
     * before the ReLU, which is also that of what was added; it must be given with `second` and
     * where something was added (then y too, whose sign is the mask), and may be dy or second.
     * dx may be dy where g is not. */
    ib_status (*norm_backward)(ib_backend *self, const ib_norm *norm, const ib_buffer *x,
                               const ib_buffer *saved, const ib_buffer *y, const ib_buffer *dy,
                               const ib_buffer *second, ib_buffer *g, ib_buffer *dx,
                               ib_buffer *dgamma, ib_buffer *dbeta, ib_error *err);

    /* argmax: [n][oh][ow][C16] bytes, tap 0..8 of the first greatest in scan order. */
    ib_status (*pool_forward)(ib_backend *self, const ib_pool3 *pool, const ib_buffer *x,
                              ib_buffer *y, ib_buffer *argmax, ib_error *err);
    ib_status (*pool_backward)(ib_backend *self, const ib_pool3 *pool, const ib_buffer *argmax,
                               const ib_buffer *dy, const ib_buffer *second, ib_buffer *dx,
                               ib_error *err);
    /* Means over pixels: x [n][pixels][C16] to features y [n][C16], and back. inverse: 1 / pixels.
     */
    ib_status (*mean_forward)(ib_backend *self, int64_t n, int64_t pixels, int64_t channels,
                              float inverse, const ib_buffer *x, ib_buffer *y, ib_error *err);
    ib_status (*mean_backward)(ib_backend *self, int64_t n, int64_t pixels, int64_t channels,
                               float inverse, const ib_buffer *dy, ib_buffer *dx, ib_error *err);

    /* losses[n] = -log softmax(logits)[label]; dlogits (may be NULL) = (softmax - onehot) *
     * inverse_n; *total (may be NULL) = leaf-tree sum of losses. logits: [n][C16]. Host arrays. */
    ib_status (*softmax_nll)(ib_backend *self, int64_t n, int64_t classes, float inverse_n,
                             const ib_buffer *logits, const uint8_t *labels, float *losses,
                             ib_buffer *dlogits, float *total, ib_error *err);

    /* One optimiser step over count floats. state1 is unused by sgd, state0 too without momentum.
     * *finite is set to 0 when an updated weight is not finite (else left). */
    ib_status (*update)(ib_backend *self, const ib_update *update, int64_t count, ib_buffer *w,
                        const ib_buffer *dw, ib_buffer *state0, ib_buffer *state1, int *finite,
                        ib_error *err);

    /* One thread's greatest rate of independent FMAs, for the roofline; returns the FLOPs done. */
    double (*fma_probe)(ib_backend *self, int64_t iterations);

    /* Support vector machines: never NULL, owned by the backend. */
    const ib_svm_ops *(*svm)(ib_backend *self);

    /* Runs work for items 0..items-1 on the threads that compute. */
    void (*run_on_threads)(ib_backend *self, size_t items, ib_work *work, void *context);

    void (*close)(ib_backend *self);
} ib_backend_ops;

/* One operation as it was run, for profiles: dense work whatever the kernel skipped. */
typedef struct ib_profile_event {
    const char *operation; /* "conv forward" */
    const char *label;     /* the layer, as set in ib_backend.label; may be NULL */
    double start, seconds; /* of ib_seconds() */
    double flops, bytes;   /* dense multiply-adds * 2; bytes that must cross memory at least once */
} ib_profile_event;

typedef struct ib_profile {
    void *context;
    void (*record)(void *context, const ib_profile_event *event);
} ib_profile;

/* Every backend's object starts with this. */
struct ib_backend {
    const ib_backend_ops *ops;
    ib_backend_info info;
    const ib_profile *profile; /* NULL: off. The caller owns it. */
    const char *label;         /* what the next operations belong to */
};

/* Opens a backend by name. An unknown name is IB_ERROR_USAGE; one that this build or machine lacks
 * is IB_ERROR_UNAVAILABLE with the reason. The caller closes it with ib_backend_close. */
ib_status ib_backend_open(const ib_backend_options *options, ib_backend **backend, ib_error *err);
void ib_backend_close(ib_backend *backend);

/* The index-th instruction set this build has kernels for, best first; NULL past the end. */
const char *ib_backend_isa_at(size_t index, int *supported);

/* The operations, with their arguments checked (checked.c). Meaning: ib_backend_ops. */
ib_status ib_plan_conv(ib_backend *backend, const ib_conv *conv, ib_error *err);
ib_status ib_plan_linear(ib_backend *backend, const ib_linear *linear, ib_error *err);
ib_status ib_load_images(ib_backend *backend, int64_t n, int64_t pixels, int64_t stride,
                         const uint8_t *const *images, const float *table, ib_buffer *x,
                         ib_error *err);
ib_status ib_conv_forward(ib_backend *backend, const ib_conv *conv, const ib_buffer *x,
                          const ib_buffer *w, const ib_buffer *b, ib_buffer *y, ib_buffer *argmax,
                          ib_error *err);
ib_status ib_conv_backward(ib_backend *backend, const ib_conv *conv, const ib_buffer *x,
                           const ib_buffer *w, const ib_buffer *dy, const ib_buffer *argmax,
                           ib_buffer *dx, ib_buffer *dw, ib_buffer *db, ib_error *err);
ib_status ib_linear_forward(ib_backend *backend, const ib_linear *linear, const ib_buffer *x,
                            const ib_buffer *w, const ib_buffer *b, ib_buffer *y, ib_error *err);
ib_status ib_linear_backward(ib_backend *backend, const ib_linear *linear, const ib_buffer *x,
                             const ib_buffer *w, const ib_buffer *dy, ib_buffer *dx, ib_buffer *dw,
                             ib_buffer *db, ib_error *err);
ib_status ib_norm_forward(ib_backend *backend, const ib_norm *norm, const ib_buffer *x,
                          const ib_buffer *gamma, const ib_buffer *beta, ib_buffer *running,
                          ib_buffer *saved, const ib_buffer *add, ib_buffer *y, ib_error *err);
ib_status ib_norm_backward(ib_backend *backend, const ib_norm *norm, const ib_buffer *x,
                           const ib_buffer *saved, const ib_buffer *y, const ib_buffer *dy,
                           const ib_buffer *second, ib_buffer *g, ib_buffer *dx, ib_buffer *dgamma,
                           ib_buffer *dbeta, ib_error *err);
ib_status ib_pool_forward(ib_backend *backend, const ib_pool3 *pool, const ib_buffer *x,
                          ib_buffer *y, ib_buffer *argmax, ib_error *err);
ib_status ib_pool_backward(ib_backend *backend, const ib_pool3 *pool, const ib_buffer *argmax,
                           const ib_buffer *dy, const ib_buffer *second, ib_buffer *dx,
                           ib_error *err);
ib_status ib_mean_forward(ib_backend *backend, int64_t n, int64_t pixels, int64_t channels,
                          float inverse, const ib_buffer *x, ib_buffer *y, ib_error *err);
ib_status ib_mean_backward(ib_backend *backend, int64_t n, int64_t pixels, int64_t channels,
                           float inverse, const ib_buffer *dy, ib_buffer *dx, ib_error *err);
ib_status ib_softmax_nll(ib_backend *backend, int64_t n, int64_t classes, float inverse_n,
                         const ib_buffer *logits, const uint8_t *labels, float *losses,
                         ib_buffer *dlogits, float *total, ib_error *err);
ib_status ib_update_weights(ib_backend *backend, const ib_update *update, int64_t count,
                            ib_buffer *w, const ib_buffer *dw, ib_buffer *state0, ib_buffer *state1,
                            int *finite, ib_error *err);

/* The operations of a support vector machine, for use in items of ib_run_on_threads. */
const ib_svm_ops *ib_backend_svm(ib_backend *backend);
void ib_run_on_threads(ib_backend *backend, size_t items, ib_work *work, void *context);

#endif
