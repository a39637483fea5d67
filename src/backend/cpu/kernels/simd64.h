/* Vectors of binary64, as simd.h has them of binary32: VD lanes, one IEEE operation a lane. */
#ifndef IB_CPU_SIMD64_H
#define IB_CPU_SIMD64_H

#include "simd.h"

/* clang-format off: one line an operation */
#if defined(IB_ISA_AVX512)

enum { VD = 8 };
typedef __m512d vd;
typedef __mmask8 vdmask;

static inline vd vd_set1(double x) {
    return _mm512_set1_pd(x);
}
static inline vd vd_load(const double *p) {
    return _mm512_loadu_pd(p);
}
static inline void vd_store(double *p, vd x) {
    _mm512_storeu_pd(p, x);
}
static inline vd vd_load_float(const float *p) {
    return _mm512_cvtps_pd(_mm256_loadu_ps(p));
}
static inline vd vd_load_int(const int32_t *p) {
    return _mm512_cvtepi32_pd(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
static inline void vd_store_float(float *p, vd x) {
    _mm256_storeu_ps(p, _mm512_cvtpd_ps(x));
}
static inline vd vd_add(vd a, vd b) {
    return _mm512_add_pd(a, b);
}
static inline vd vd_sub(vd a, vd b) {
    return _mm512_sub_pd(a, b);
}
static inline vd vd_mul(vd a, vd b) {
    return _mm512_mul_pd(a, b);
}
static inline vd vd_fma(vd a, vd b, vd c) {
    return _mm512_fmadd_pd(a, b, c);
}
static inline vd vd_div(vd a, vd b) {
    return _mm512_div_pd(a, b);
}
static inline vdmask vd_gt(vd a, vd b) {
    return _mm512_cmp_pd_mask(a, b, _CMP_GT_OQ);
}
static inline vdmask vd_and(vdmask a, vdmask b) {
    return (vdmask)(a & b);
}
static inline int vd_any(vdmask m) {
    return m != 0;
}
static inline vd vd_select(vdmask m, vd yes, vd no) {
    return _mm512_mask_blend_pd(m, no, yes);
}
/* x * 2^n, from n + 1.5 * 2^52; 2^n is no denormal. */
static inline vd vd_scale(vd x, vd biased) {
    __m512i power = _mm512_add_epi64(_mm512_slli_epi64(_mm512_castpd_si512(biased), 52),
                                     _mm512_set1_epi64(INT64_C(1023) << 52));
    return _mm512_mul_pd(x, _mm512_castsi512_pd(power));
}

#elif defined(IB_ISA_AVX2)

enum { VD = 4 };
typedef __m256d vd;
typedef __m256d vdmask;

static inline vd vd_set1(double x) {
    return _mm256_set1_pd(x);
}
static inline vd vd_load(const double *p) {
    return _mm256_loadu_pd(p);
}
static inline void vd_store(double *p, vd x) {
    _mm256_storeu_pd(p, x);
}
static inline vd vd_load_float(const float *p) {
    return _mm256_cvtps_pd(_mm_loadu_ps(p));
}
static inline vd vd_load_int(const int32_t *p) {
    return _mm256_cvtepi32_pd(_mm_loadu_si128((const __m128i *)(const void *)p));
}
static inline void vd_store_float(float *p, vd x) {
    _mm_storeu_ps(p, _mm256_cvtpd_ps(x));
}
static inline vd vd_add(vd a, vd b) {
    return _mm256_add_pd(a, b);
}
static inline vd vd_sub(vd a, vd b) {
    return _mm256_sub_pd(a, b);
}
static inline vd vd_mul(vd a, vd b) {
    return _mm256_mul_pd(a, b);
}
static inline vd vd_fma(vd a, vd b, vd c) {
    return _mm256_fmadd_pd(a, b, c);
}
static inline vd vd_div(vd a, vd b) {
    return _mm256_div_pd(a, b);
}
static inline vdmask vd_gt(vd a, vd b) {
    return _mm256_cmp_pd(a, b, _CMP_GT_OQ);
}
static inline vdmask vd_and(vdmask a, vdmask b) {
    return _mm256_and_pd(a, b);
}
static inline int vd_any(vdmask m) {
    return _mm256_movemask_pd(m) != 0;
}
static inline vd vd_select(vdmask m, vd yes, vd no) {
    return _mm256_blendv_pd(no, yes, m);
}
static inline vd vd_scale(vd x, vd biased) {
    __m256i power = _mm256_add_epi64(_mm256_slli_epi64(_mm256_castpd_si256(biased), 52),
                                     _mm256_set1_epi64x(INT64_C(1023) << 52));
    return _mm256_mul_pd(x, _mm256_castsi256_pd(power));
}

#elif defined(IB_ISA_NEON)

enum { VD = 2 };
typedef float64x2_t vd;
typedef uint64x2_t vdmask;

static inline vd vd_set1(double x) {
    return vdupq_n_f64(x);
}
static inline vd vd_load(const double *p) {
    return vld1q_f64(p);
}
static inline void vd_store(double *p, vd x) {
    vst1q_f64(p, x);
}
static inline vd vd_load_float(const float *p) {
    return vcvt_f64_f32(vld1_f32(p));
}
static inline vd vd_load_int(const int32_t *p) {
    return vcvtq_f64_s64(vmovl_s32(vld1_s32(p)));
}
static inline void vd_store_float(float *p, vd x) {
    vst1_f32(p, vcvt_f32_f64(x));
}
static inline vd vd_add(vd a, vd b) {
    return vaddq_f64(a, b);
}
static inline vd vd_sub(vd a, vd b) {
    return vsubq_f64(a, b);
}
static inline vd vd_mul(vd a, vd b) {
    return vmulq_f64(a, b);
}
static inline vd vd_fma(vd a, vd b, vd c) {
    return vfmaq_f64(c, a, b);
}
static inline vd vd_div(vd a, vd b) {
    return vdivq_f64(a, b);
}
static inline vdmask vd_gt(vd a, vd b) {
    return vcgtq_f64(a, b);
}
static inline vdmask vd_and(vdmask a, vdmask b) {
    return vandq_u64(a, b);
}
static inline int vd_any(vdmask m) {
    return (vgetq_lane_u64(m, 0) | vgetq_lane_u64(m, 1)) != 0;
}
static inline vd vd_select(vdmask m, vd yes, vd no) {
    return vbslq_f64(m, yes, no);
}
static inline vd vd_scale(vd x, vd biased) {
    int64x2_t power =
        vaddq_s64(vshlq_n_s64(vreinterpretq_s64_f64(biased), 52), vdupq_n_s64(INT64_C(1023) << 52));
    return vmulq_f64(x, vreinterpretq_f64_s64(power));
}

#endif
/* clang-format on */

#endif
