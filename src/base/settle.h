/* The settle rule of NUMERICS.md, section 1: what is stored is +0 or at least 2^-40 in magnitude,
 * so that no operation of exact mode takes or yields a denormal.
 *
 * By integer comparison of the bits: the same on a thread that flushes denormals. NaN stays. */
#ifndef IB_BASE_SETTLE_H
#define IB_BASE_SETTLE_H

#include <stdint.h>
#include <string.h>

/* What activations, gradients, weights and host scalars settle at; what squares and quotients of
 * them do; what averages of squares do. */
enum { IB_SETTLE = 40, IB_SETTLE_SQUARE = 80, IB_SETTLE_AVERAGE = 100 };

/* Is 0 < |x| < 2^-k, or x = -0? */
static inline int ib_is_unsettled(float x, int k) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits != 0 && (bits & 0x7FFFFFFFu) < (uint32_t)(127 - k) << 23;
}

/* +0 where |x| < 2^-k, else x. */
static inline float ib_settle_below(float x, int k) {
    return ib_is_unsettled(x, k) ? 0.0f : x;
}

static inline float ib_settle(float x) {
    return ib_settle_below(x, IB_SETTLE);
}

#endif
