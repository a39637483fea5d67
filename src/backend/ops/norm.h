/* Batch normalisation (NUMERICS.md, "Batch normalisation"): in one operation a pass, or cut where
 * ranks exchange sums. */
#ifndef IB_BACKEND_OPS_NORM_H
#define IB_BACKEND_OPS_NORM_H

#include "backend/operands.h"

/* Of images x [n][pixels][C16], one mean and variance a channel; then an image of the same shape
 * may be added, then a ReLU. The scalars are those of the global batch's values (ib_norm_scalars).
 *
 * norm_forward, norm_backward: a whole pass over a batch that one process holds. The gradient of y
 * is dy, or dy + second where y has two readers. g receives the gradient before the ReLU, which is
 * also that of what was added; it must be given with `second` and where something was added (then y
 * too, whose sign is the mask), and may be dy or second. dx may be dy where g is not.
 *
 * The same pass in pieces, each one pass over memory; what travels between ranks are leaf sums:
 *   norm_sums        leaves [leaf][2][C16]: S(x) a leaf; the second half is not used
 *   norm_deviations  totals [2][C16] (S(x) of the global batch) -> leaves: S(d), S(d d)
 *   norm_apply       totals (S(x)), totals2 (S(d), S(d d)) -> running, saved, y
 *   norm_gradients   g, and leaves: S(g), S(g d)
 *   norm_input       totals (S(g), S(g d)) -> dgamma, dbeta, dx */
typedef struct ib_norm {
    int64_t n, pixels, channels;
    int training; /* statistics of this batch; 0: the running ones */
    int relu;
    float inverse_count; /* 1 / (global n * pixels) */
    float unbiased;      /* count / (count - 1): what the running variance takes */
    float momentum, eps;
} ib_norm;

/* What a normalisation keeps from its forward to its backward pass, each [C16]. */
enum { IB_SAVED_MEAN, IB_SAVED_INVERSE, IB_SAVED_SCALE, IB_SAVED_BETA, IB_SAVED_COUNT };

/* running: [2][C16], mean and variance: read in evaluation, updated in training. saved:
 * [IB_SAVED_COUNT][C16], written in training. add: absent, or as x. y may be x in evaluation. */
#define IB_OPERANDS_norm(READ, WRITE)                                                              \
    READ(float, x)                                                                                 \
    READ(float, gamma)                                                                             \
    READ(float, beta)                                                                              \
    READ(float, add)                                                                               \
    READ(float, dy)                                                                                \
    READ(float, second)                                                                            \
    READ(float, y_kept)                                                                            \
    WRITE(float, running)                                                                          \
    WRITE(float, saved)                                                                            \
    WRITE(float, y)                                                                                \
    WRITE(float, g)                                                                                \
    WRITE(float, dx)                                                                               \
    WRITE(float, dgamma)                                                                           \
    WRITE(float, dbeta)
IB_DECLARE_OPERANDS(norm);

/* The scalars that depend on the global batch's samples; a single value has variance 0, whatever it
 * is scaled by. */
static inline void ib_norm_scalars(ib_norm *norm, int64_t global) {
    double count = (double)(global * norm->pixels);
    norm->inverse_count = (float)(1.0 / count);
    norm->unbiased = count > 1 ? (float)(count / (count - 1.0)) : 1.0f;
}

/* The pieces. */
typedef ib_norm ib_norm_part;
#define IB_OPERANDS_norm_part(READ, WRITE)                                                         \
    READ(float, x)                                                                                 \
    READ(float, gamma)                                                                             \
    READ(float, beta)                                                                              \
    READ(float, add)                                                                               \
    READ(float, dy)                                                                                \
    READ(float, second)                                                                            \
    READ(float, y_kept)                                                                            \
    READ(float, totals)                                                                            \
    READ(float, totals2)                                                                           \
    WRITE(float, leaves)                                                                           \
    WRITE(float, running)                                                                          \
    WRITE(float, saved)                                                                            \
    WRITE(float, y)                                                                                \
    WRITE(float, g)                                                                                \
    WRITE(float, dx)                                                                               \
    WRITE(float, dgamma)                                                                           \
    WRITE(float, dbeta)
IB_DECLARE_OPERANDS(norm_part);

static inline int64_t ib_leaves_of(int64_t samples) {
    return (samples + 7) / 8;
}

#endif
