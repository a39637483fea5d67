/* A binary64 fused multiply-add, on CPUs that have none too. */
#ifndef IB_CPU_FMA64_H
#define IB_CPU_FMA64_H

#include <stdint.h>
#include <string.h>

#if IB_REF_HARDWARE_FMA

static inline double ref_fma64(double a, double b, double c) {
    return __builtin_fma(a, b, c);
}

#else

/* a + b = high + low exactly (Knuth). */
static inline double ref_two_sum(double a, double b, double *low) {
    double high = a + b, part = high - a;
    *low = (a - (high - part)) + (b - part);
    return high;
}

/* a * b = high + low exactly (Dekker): halves of 26 bits. */
static inline double ref_two_product(double a, double b, double *low) {
    const double split = 134217729.0; /* 2^27 + 1 */
    double a_part = split * a, b_part = split * b;
    double a_high = a_part - (a_part - a), b_high = b_part - (b_part - b);
    double a_low = a - a_high, b_low = b - b_high, high = a * b;
    *low = a_low * b_low - (((high - a_high * b_high) - a_low * b_high) - a_high * b_low);
    return high;
}

/* a + b, where it is not exact to the neighbour with an odd last bit: rounding once more is then
 * as rounding the exact sum. */
static inline double ref_sum_to_odd(double a, double b) {
    double low, high = ref_two_sum(a, b, &low);
    uint64_t bits;
    memcpy(&bits, &high, sizeof bits);
    if (low != 0 && (bits & 1) == 0) {
        bits += (low > 0) == (high > 0) ? 1 : UINT64_MAX;
        memcpy(&high, &bits, sizeof bits);
    }
    return high;
}

/* S. Boldo, G. Melquiond: "Emulation of a FMA and correctly rounded sums", IEEE Transactions on
 * Computers 57 (2008). Right where nothing overflows or is a denormal, which features and sums of
 * their products are far from. */
static inline double ref_fma64(double a, double b, double c) {
    double product_low, sum_low, low;
    double product = ref_two_product(a, b, &product_low);
    double sum = ref_two_sum(c, product_low, &sum_low);
    double high = ref_two_sum(product, sum, &low);
    return high + ref_sum_to_odd(sum_low, low);
}

#endif

#endif
