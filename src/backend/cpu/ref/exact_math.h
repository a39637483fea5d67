/* Scalar fma, exp and log by NUMERICS.md: no libm, the same bits everywhere.
 *
 * Every function here is plain IEEE binary32 and binary64 arithmetic; with IB_REF_HARDWARE_FMA the
 * fused multiply-add is the CPU's, without it our own, correctly rounded. */
#ifndef IB_CPU_EXACT_MATH_H
#define IB_CPU_EXACT_MATH_H

#include <stdint.h>
#include <string.h>

#include "base/fpenv.h"

#if !defined(IB_REF_HARDWARE_FMA)
#error "define IB_REF_HARDWARE_FMA as 0 or 1"
#endif

static inline uint32_t exact_bits(float x) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float exact_float(uint32_t u) {
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* fma in software: the product of two floats is exact in binary64; adding c there rounds once, and
 * rounding that to odd before the final rounding to binary32 removes the double rounding (Boldo and
 * Melquiond, "Emulation of FMA and correctly rounded sums", IEEE TC 2008). */
static inline float exact_fma_soft(float a, float b, float c) {
    double product = (double)a * (double)b;
    double sum = product + (double)c;
    double part = sum - product;
    double error = (product - (sum - part)) + ((double)c - part);
    uint64_t bits;
    memcpy(&bits, &sum, sizeof bits);
    if (error != 0 && error == error && (bits & 1) == 0 && sum - sum == 0) {
        /* sum is inexact and even: move it one step towards the exact value */
        bits += (error > 0) == (sum > 0) ? 1 : (uint64_t)-1;
        memcpy(&sum, &bits, sizeof sum);
    }
    return (float)sum;
}

static inline float exact_fma(float a, float b, float c) {
#if IB_REF_HARDWARE_FMA
    return __builtin_fmaf(a, b, c);
#else
    return exact_fma_soft(a, b, c);
#endif
}

/* sqrt: the instruction is correctly rounded on every target; the builtin never calls libm here
 * because -fno-math-errno lets it be the instruction alone. */
static inline float exact_sqrt(float x) {
    return __builtin_sqrtf(x);
}

/* 2^n for n in [-149, 127]; below -126 a denormal. */
static inline float exact_power_of_two(int n) {
    return n >= -126 ? exact_float((uint32_t)(n + 127) << 23) : exact_float(1u << (n + 149));
}

/* e^x within 1 ulp: x = n ln2 + r, |r| <= ln2 / 2. n ln2 is subtracted in two parts, of which the
 * first is exact (its constant has 15 bits, n at most 8); `tail` carries what the second rounds
 * away. e^r = 1 + r + r^2 P(r), P a minimax polynomial of degree 5, summed from the greatest term
 * with the error of each addition kept. Scaled in two exact steps (only the last can round, when
 * the result is denormal). */
static inline float exact_exp(float x) {
    if (!(x == x))
        return x;
    if (x > 88.72284f)
        return exact_float(0x7F800000u);
    if (x < -104.0f)
        return 0.0f;
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    float n = exact_fma(x, 1.44269504f, magic) - magic;
    float high = exact_fma(n, -0.693145752f, x);
    float low = n * 1.42860677e-6f;
    float r = high - low;
    float p = 1.97394824e-4f;
    p = exact_fma(p, r, 1.39350875e-3f);
    p = exact_fma(p, r, 8.33357126e-3f);
    p = exact_fma(p, r, 4.1666463e-2f);
    p = exact_fma(p, r, 1.66666657e-1f);
    p = exact_fma(p, r, 0.5f);
    float tail = exact_fma(p * r, r, -low);
    float sum = 1.0f + high;
    float y = sum + ((high - (sum - 1.0f)) + tail);
    int k = (int)n, half = k / 2;
    return y * exact_power_of_two(half) * exact_power_of_two(k - half);
}

/* ln x within 1 ulp for x > 0: x = 2^k m with m in [sqrt(1/2), sqrt(2)), f = m - 1, and
 * ln(1 + f) = f - f^2 / 2 + f^3 P(f) as log1p by s = f / (2 + f) (after Sun's fdlibm e_logf.c). */
static inline float exact_log(float x) {
    uint32_t bits = exact_bits(x);
    if (!(x == x))
        return x;
    if ((bits << 1) == 0)
        return exact_float(0xFF800000u);
    if (bits >> 31)
        return exact_float(0x7FC00000u);
    if (bits == 0x7F800000u)
        return x;
    int k = 0;
    if (bits < 0x00800000u) {
        bits = exact_bits(x * 33554432.0f); /* 2^25: exact */
        k = -25;
    }
    bits += 0x3F800000u - 0x3F3504F3u; /* sqrt(1/2): makes the exponent field that of m's octave */
    k += (int)(bits >> 23) - 127;
    bits = (bits & 0x007FFFFFu) + 0x3F3504F3u;
    float f = exact_float(bits) - 1.0f;
    float s = f / (2.0f + f);
    float z = s * s;
    float w = z * z;
    float odd = w * exact_fma(w, 0.24279079f, 0.40000972f);
    float even = z * exact_fma(w, 0.28498787f, 0.66666663f);
    float half_square = 0.5f * f * f;
    float kf = (float)k;
    float tail = exact_fma(s, half_square + (odd + even), kf * 9.05800061e-6f);
    return exact_fma(kf, 0.693138123f, (tail - half_square) + f);
}

#endif
