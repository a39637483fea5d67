/* Inputs of operation cases, from numbers alone. */
#ifndef TESTS_BACKEND_OP_FILL_H
#define TESTS_BACKEND_OP_FILL_H

#include <stdint.h>
#include <string.h>

#include "base/philox.h"
#include "base/settle.h"
#include "op_cases.h"

/* Nothing that settles: a third +0, exact powers of two among the others. */
static inline float random_settled(uint32_t kind, uint32_t sign, uint32_t mantissa) {
    uint32_t exponent = kind % 100 < 55 ? 87u : kind % 100 < 80 ? 106u : 120u;
    exponent += (kind >> 8) % 3;
    if ((kind >> 12) % 4 == 0)
        mantissa = (kind >> 14) % 2;
    uint32_t bits = kind % 100 < 33 ? 0 : sign | exponent << 23 | mantissa;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline float random_float(uint32_t kind, uint32_t word, enum fill fill, int positive) {
    uint32_t sign = positive ? 0 : word & 0x80000000u, mantissa = word & 0x7FFFFFu, bits;
    if (fill == SMOOTH) {
        bits = 126u << 23 | mantissa;
        float value;
        memcpy(&value, &bits, sizeof value);
        return value;
    }
    if (fill == BRINK)
        return random_settled(kind, sign, mantissa);
    if (kind % 100 < (fill == VANISH ? 15 : 36))
        return 0.0f;
    if (kind % 100 < 42) {
        bits = 0x80000000u;      /* -0 */
    } else if (fill == VANISH) { /* 2^-40 */
        bits = sign | 87u << 23 | mantissa;
    } else if (fill == PLAIN || fill == FLAT || kind % 100 < 85) { /* 2^-7 to 1 */
        bits = sign | (120u + (kind >> 8) % 7) << 23 | mantissa;
    } else if (kind % 100 < 89) { /* the least that is settled */
        bits = sign | 87u << 23 | (mantissa & 1);
    } else if (kind % 100 < 94) {
        bits = sign | (87u + (kind >> 8) % 30) << 23 | mantissa;
    } else {
        bits = sign | (127u + (kind >> 8) % 40) << 23 | mantissa;
    }
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Fills [outer][mid_stored][inner_stored]; padding in mid and inner stays +0. salt makes draws
 * differ. positive: as after a ReLU (-0 included). */
static inline void fill_floats(float *to, int64_t outer, int64_t mid, int64_t mid_stored,
                               int64_t inner, int64_t inner_stored, uint64_t salt, enum fill fill,
                               int positive) {
    ib_rng rng = ib_rng_make(salt, (enum ib_stream)0xEE, 0, 0);
    for (int64_t o = 0; o < outer; ++o)
        for (int64_t m = 0; m < mid; ++m)
            for (int64_t i = 0; i < inner; ++i) {
                int64_t at = (o * mid_stored + m) * inner_stored + i;
                uint32_t words[4];
                ib_philox_block(&rng, (uint64_t)at, words);
                to[at] = random_float(words[0] >> 3, words[1], fill, positive);
            }
}

/* Makes rectangles of 5 x 7 pixels of [n][h][w][ci] alike but for the signs of zeros. */
static inline void flatten_pixels(float *x, int64_t n, int64_t h, int64_t w, int64_t ci) {
    for (int64_t i = 0; i < n * h * w; ++i) {
        int64_t y = i / w % h, left = i % w;
        int64_t from = i - y % 5 * w - left % 7;
        for (int64_t c = 0; c < ci; ++c) {
            float value = x[from * ci + c];
            x[i * ci + c] = value == 0.0f && (i + c) % 3 == 0 ? -value : value;
        }
    }
}

/* Activations and their gradients share memory with tensors of other shapes, so that an operation
 * writes all of them, padding too. */
static inline void fill_garbage_whole(float *to, int64_t count) {
    memset(to, 0xFF, (size_t)count * sizeof(float));
}

/* Parameters start as NaN where an operation must write, and +0 in padding, where it stays. */
static inline void fill_garbage(float *to, int64_t outer, int64_t mid, int64_t mid_stored,
                                int64_t inner, int64_t inner_stored) {
    for (int64_t o = 0; o < outer; ++o)
        for (int64_t m = 0; m < mid; ++m)
            memset(to + (o * mid_stored + m) * inner_stored, 0xFF, (size_t)inner * sizeof(float));
}

static inline ib_dropout make_dropout(int percent, uint64_t salt, uint64_t elements) {
    ib_dropout d = {.enabled = percent != 0};
    if (!d.enabled) { /* nobody looks at the rest, which evaluation has too */
        d.threshold = 0x80000000u;
        d.scale = 2.0f;
        return d;
    }
    d.rng = ib_rng_make(salt, IB_STREAM_DROPOUT, 1, 0x123456789ABCu);
    if (percent == AT_WORD) {
        d.threshold = ib_rng_word(&d.rng, elements * 2 / 3);
        d.scale = 1.25f;
        return d;
    }
    double p = (double)percent / 100;
    d.threshold = (uint32_t)(p * 4294967296.0 + 0.5);
    d.scale = (float)(1.0 / (1.0 - p));
    return d;
}

#endif
