/* Dropout after ReLU, by vectors of Philox blocks. */
#ifndef IB_CPU_DROPOUT_H
#define IB_CPU_DROPOUT_H

#include "../../backend.h"
#include "simd.h"

/* The Philox words of elements 64 * group .. + 63. */
static inline void philox_group(const ib_rng *rng, uint64_t group, uint32_t words[64]) {
    static const int32_t LANES[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    for (int lane = 0; lane < 16; lane += VL) {
        uint64_t block = group * 16; /* a multiple of 16: lanes never carry into the high word */
        vi c0 = vi_add(vi_set1((int32_t)(uint32_t)block), vi_load(LANES + lane));
        vi c1 = vi_set1((int32_t)(uint32_t)(block >> 32));
        vi c2 = vi_set1((int32_t)rng->step_low), c3 = vi_set1((int32_t)rng->tag);
        uint32_t k0 = rng->key0, k1 = rng->key1;
        for (int round = 0; round < 10; ++round) {
            vi high0, low0, high1, low1;
            vi_mul_wide(c0, IB_PHILOX_M0, &high0, &low0);
            vi_mul_wide(c2, IB_PHILOX_M1, &high1, &low1);
            c0 = vi_xor(vi_xor(high1, c1), vi_set1((int32_t)k0));
            c1 = low1;
            c2 = vi_xor(vi_xor(high0, c3), vi_set1((int32_t)k1));
            c3 = low0;
            k0 += IB_PHILOX_W0;
            k1 += IB_PHILOX_W1;
        }
        int32_t *out = (int32_t *)words + lane;
        vi_store(out, c0);
        vi_store(out + 16, c1);
        vi_store(out + 32, c2);
        vi_store(out + 48, c3);
    }
}

/* y[i] = word(first + i) < threshold ? +0 : y[i] * scale for i < count; where nothing is dropped,
 * y is left as it is. */
static inline void dropout_row(const ib_dropout *dropout, uint64_t first, int64_t count, float *y) {
    uint32_t words[64];
    if (!dropout->enabled)
        return;
    for (int64_t i = 0; i < count;) {
        uint64_t element = first + (uint64_t)i;
        int begin = (int)(element % 64);
        int span = 64 - begin < count - i ? 64 - begin : (int)(count - i);
        philox_group(&dropout->rng, element / 64, words);
        if (span == 64) {
            vi threshold = vi_set1((int32_t)dropout->threshold);
            for (int j = 0; j < 64; j += VL) {
                vmask drop = vi_lt_unsigned(vi_load((const int32_t *)words + j), threshold);
                vf kept = v_mul(v_load(y + i + j), v_set1(dropout->scale));
                v_store(y + i + j, v_select(drop, v_zero(), kept));
            }
        } else {
            for (int j = 0; j < span; ++j)
                y[i + j] = words[begin + j] < dropout->threshold ? 0.0f : y[i + j] * dropout->scale;
        }
        i += span;
    }
}

#endif
