/* The few vector operations the kernels are written in, one block per instruction set.
 *
 * VL lanes of float; vf a vector of floats, vi of 32-bit integers. Every arithmetic operation here
 * is one IEEE operation per lane, so that a kernel's bits do not depend on VL. */
#ifndef IB_CPU_SIMD_H
#define IB_CPU_SIMD_H

#include <stdint.h>

#include "base/fpenv.h"

/* clang-format off: one line an operation */
#if defined(IB_ISA_AVX512)

#include <immintrin.h>

#define IB_KERNEL(name) name##_avx512
enum {
    VL = 16,
    TALL_ROWS = 12,
    TALL_VECTORS = 2,
    WIDE_ROWS = 6,
    WIDE_VECTORS = 4,
    PAIR_TALL_ROWS = 12
};
typedef __m512 vf;
typedef __m512i vi;
typedef __mmask16 vmask;

static inline vf v_zero(void) {
    return _mm512_setzero_ps();
}
static inline vf v_set1(float x) {
    return _mm512_set1_ps(x);
}
static inline vf v_load(const float *p) {
    return _mm512_loadu_ps(p);
}
static inline void v_store(float *p, vf x) {
    _mm512_storeu_ps(p, x);
}
/* Past the caches, to where p is a multiple of the vector; v_stream_end before others may look. */
static inline void v_stream(float *p, vf x) {
    _mm512_stream_ps(p, x);
}
static inline void v_stream_end(void) {
    _mm_sfence();
}
static inline vf v_fma(vf a, vf b, vf c) {
    return _mm512_fmadd_ps(a, b, c);
}
static inline vf v_add(vf a, vf b) {
    return _mm512_add_ps(a, b);
}
static inline vf v_sub(vf a, vf b) {
    return _mm512_sub_ps(a, b);
}
static inline vf v_mul(vf a, vf b) {
    return _mm512_mul_ps(a, b);
}
static inline vf v_div(vf a, vf b) {
    return _mm512_div_ps(a, b);
}
static inline vf v_sqrt(vf a) {
    return _mm512_sqrt_ps(a);
}
static inline vmask v_gt(vf a, vf b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ);
}
static inline vmask v_ge(vf a, vf b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ);
}
static inline vmask v_ne(vf a, vf b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_NEQ_UQ);
}
static inline vf v_select(vmask m, vf yes, vf no) {
    return _mm512_mask_blend_ps(m, no, yes);
}
static inline vi vi_select(vmask m, vi yes, vi no) {
    return _mm512_mask_blend_epi32(m, no, yes);
}
static inline vf v_abs(vf a) {
    return _mm512_castsi512_ps(
        _mm512_and_si512(_mm512_castps_si512(a), _mm512_set1_epi32(0x7FFFFFFF)));
}
static inline vmask v_and(vmask a, vmask b) {
    return (vmask)(a & b);
}
static inline vmask v_or(vmask a, vmask b) {
    return (vmask)(a | b);
}
static inline int v_any(vmask m) {
    return m != 0;
}
static inline vi vi_set1(int32_t x) {
    return _mm512_set1_epi32(x);
}
static inline vi vi_load(const int32_t *p) {
    return _mm512_loadu_si512((const void *)p);
}
static inline void vi_store(int32_t *p, vi x) {
    _mm512_storeu_si512((void *)p, x);
}
static inline vi vi_add(vi a, vi b) {
    return _mm512_add_epi32(a, b);
}
static inline vi vi_xor(vi a, vi b) {
    return _mm512_xor_si512(a, b);
}
static inline vmask vi_eq(vi a, vi b) {
    return _mm512_cmpeq_epi32_mask(a, b);
}
static inline vmask vi_lt_unsigned(vi a, vi b) {
    return _mm512_cmplt_epu32_mask(a, b);
}
static inline vf v_from_int(vi x) {
    return _mm512_cvtepi32_ps(x);
}
static inline vi vi_load_bytes(const uint8_t *p) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
}
static inline void vi_store_bytes(uint8_t *p, vi x) {
    _mm_storeu_si128((__m128i *)(void *)p, _mm512_cvtepi32_epi8(x));
}
static inline vf v_gather(const float *table, vi index) {
    return _mm512_i32gather_ps(index, table, 4);
}
/* High and low words of the 32 x 32 -> 64 bit products with a constant. */
static inline void vi_mul_wide(vi a, uint32_t b, vi *high, vi *low) {
    vi factor = vi_set1((int32_t)b);
    vi even = _mm512_mul_epu32(a, factor);
    vi odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), factor);
    *high = _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 32), odd);
    *low = _mm512_mask_blend_epi32(0xAAAA, even, _mm512_slli_epi64(odd, 32));
}
/* Store the lanes of mask, packed (VL numbers may be written), and return how many those are. */
static inline int vi_compress(int32_t *q, vi y, vmask m) {
    _mm512_storeu_si512((void *)q, _mm512_maskz_compress_epi32(m, y));
    return __builtin_popcount(m);
}
static inline int v_compress(float *p, int32_t *q, vf x, vi y, vmask m) {
    _mm512_storeu_ps(p, _mm512_maskz_compress_ps(m, x));
    return vi_compress(q, y, m);
}

#elif defined(IB_ISA_AVX2)

#include <immintrin.h>

#define IB_KERNEL(name) name##_avx2
enum {
    VL = 8,
    TALL_ROWS = 6,
    TALL_VECTORS = 2,
    WIDE_ROWS = 6,
    WIDE_VECTORS = 2,
    PAIR_TALL_ROWS = 6
};
typedef __m256 vf;
typedef __m256i vi;
typedef __m256 vmask;

static inline vf v_zero(void) {
    return _mm256_setzero_ps();
}
static inline vf v_set1(float x) {
    return _mm256_set1_ps(x);
}
static inline vf v_load(const float *p) {
    return _mm256_loadu_ps(p);
}
static inline void v_store(float *p, vf x) {
    _mm256_storeu_ps(p, x);
}
static inline void v_stream(float *p, vf x) {
    _mm256_stream_ps(p, x);
}
static inline void v_stream_end(void) {
    _mm_sfence();
}
static inline vf v_fma(vf a, vf b, vf c) {
    return _mm256_fmadd_ps(a, b, c);
}
static inline vf v_add(vf a, vf b) {
    return _mm256_add_ps(a, b);
}
static inline vf v_sub(vf a, vf b) {
    return _mm256_sub_ps(a, b);
}
static inline vf v_mul(vf a, vf b) {
    return _mm256_mul_ps(a, b);
}
static inline vf v_div(vf a, vf b) {
    return _mm256_div_ps(a, b);
}
static inline vf v_sqrt(vf a) {
    return _mm256_sqrt_ps(a);
}
static inline vmask v_gt(vf a, vf b) {
    return _mm256_cmp_ps(a, b, _CMP_GT_OQ);
}
static inline vmask v_ge(vf a, vf b) {
    return _mm256_cmp_ps(a, b, _CMP_GE_OQ);
}
static inline vmask v_ne(vf a, vf b) {
    return _mm256_cmp_ps(a, b, _CMP_NEQ_UQ);
}
static inline vf v_select(vmask m, vf yes, vf no) {
    return _mm256_blendv_ps(no, yes, m);
}
static inline vi vi_select(vmask m, vi yes, vi no) {
    return _mm256_blendv_epi8(no, yes, _mm256_castps_si256(m));
}
static inline vf v_abs(vf a) {
    return _mm256_and_ps(a, _mm256_castsi256_ps(_mm256_set1_epi32(0x7FFFFFFF)));
}
static inline vmask v_and(vmask a, vmask b) {
    return _mm256_and_ps(a, b);
}
static inline vmask v_or(vmask a, vmask b) {
    return _mm256_or_ps(a, b);
}
static inline int v_any(vmask m) {
    return _mm256_movemask_ps(m) != 0;
}
static inline vi vi_set1(int32_t x) {
    return _mm256_set1_epi32(x);
}
static inline vi vi_load(const int32_t *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
static inline void vi_store(int32_t *p, vi x) {
    _mm256_storeu_si256((__m256i *)(void *)p, x);
}
static inline vi vi_add(vi a, vi b) {
    return _mm256_add_epi32(a, b);
}
static inline vi vi_xor(vi a, vi b) {
    return _mm256_xor_si256(a, b);
}
static inline vmask vi_eq(vi a, vi b) {
    return _mm256_castsi256_ps(_mm256_cmpeq_epi32(a, b));
}
static inline vmask vi_lt_unsigned(vi a, vi b) {
    vi flip = vi_set1(INT32_MIN);
    return _mm256_castsi256_ps(_mm256_cmpgt_epi32(vi_xor(b, flip), vi_xor(a, flip)));
}
static inline vf v_from_int(vi x) {
    return _mm256_cvtepi32_ps(x);
}
static inline vi vi_load_bytes(const uint8_t *p) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p));
}
static inline void vi_store_bytes(uint8_t *p, vi x) {
    __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    _mm_storel_epi64((__m128i *)(void *)p, _mm_packus_epi16(words, words));
}
static inline vf v_gather(const float *table, vi index) {
    return _mm256_i32gather_ps(table, index, 4);
}
static inline void vi_mul_wide(vi a, uint32_t b, vi *high, vi *low) {
    vi factor = vi_set1((int32_t)b);
    vi even = _mm256_mul_epu32(a, factor);
    vi odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), factor);
    *high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
    *low = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
}
/* AVX2 has no compress: the lane numbers to keep are unpacked from the mask by bit deposit. */
__attribute__((target("bmi2"))) static inline vi kept_lanes(unsigned bits) {
    uint64_t bytes = _pdep_u64(bits, 0x0101010101010101u) * 0xFFu;
    uint64_t lanes = _pext_u64(0x0706050403020100u, bytes);
    return _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)lanes));
}
__attribute__((target("bmi2"))) static inline int vi_compress(int32_t *q, vi y, vmask m) {
    unsigned bits = (unsigned)_mm256_movemask_ps(m);
    vi_store(q, _mm256_permutevar8x32_epi32(y, kept_lanes(bits)));
    return __builtin_popcount(bits);
}
__attribute__((target("bmi2"))) static inline int v_compress(float *p, int32_t *q, vf x, vi y,
                                                             vmask m) {
    unsigned bits = (unsigned)_mm256_movemask_ps(m);
    vi order = kept_lanes(bits);
    _mm256_storeu_ps(p, _mm256_permutevar8x32_ps(x, order));
    vi_store(q, _mm256_permutevar8x32_epi32(y, order));
    return __builtin_popcount(bits);
}

#elif defined(IB_ISA_NEON)

#include <arm_neon.h>

#define IB_KERNEL(name) name##_neon
enum {
    VL = 4,
    TALL_ROWS = 5,
    TALL_VECTORS = 4,
    WIDE_ROWS = 5,
    WIDE_VECTORS = 4,
    PAIR_TALL_ROWS = 10
};
typedef float32x4_t vf;
typedef int32x4_t vi;
typedef uint32x4_t vmask;

static inline vf v_zero(void) {
    return vdupq_n_f32(0.0f);
}
static inline vf v_set1(float x) {
    return vdupq_n_f32(x);
}
static inline vf v_load(const float *p) {
    return vld1q_f32(p);
}
static inline void v_store(float *p, vf x) {
    vst1q_f32(p, x);
}
static inline void v_stream(float *p, vf x) {
    vst1q_f32(p, x);
}
static inline void v_stream_end(void) {
}
static inline vf v_fma(vf a, vf b, vf c) {
    return vfmaq_f32(c, a, b);
}
static inline vf v_add(vf a, vf b) {
    return vaddq_f32(a, b);
}
static inline vf v_sub(vf a, vf b) {
    return vsubq_f32(a, b);
}
static inline vf v_mul(vf a, vf b) {
    return vmulq_f32(a, b);
}
static inline vf v_div(vf a, vf b) {
    return vdivq_f32(a, b);
}
static inline vf v_sqrt(vf a) {
    return vsqrtq_f32(a);
}
static inline vmask v_gt(vf a, vf b) {
    return vcgtq_f32(a, b);
}
static inline vmask v_ge(vf a, vf b) {
    return vcgeq_f32(a, b);
}
static inline vmask v_ne(vf a, vf b) {
    return vmvnq_u32(vceqq_f32(a, b));
}
static inline vf v_select(vmask m, vf yes, vf no) {
    return vbslq_f32(m, yes, no);
}
static inline vi vi_select(vmask m, vi yes, vi no) {
    return vbslq_s32(m, yes, no);
}
static inline vf v_abs(vf a) {
    return vabsq_f32(a);
}
static inline vmask v_and(vmask a, vmask b) {
    return vandq_u32(a, b);
}
static inline vmask v_or(vmask a, vmask b) {
    return vorrq_u32(a, b);
}
static inline int v_any(vmask m) {
    return vmaxvq_u32(m) != 0;
}
static inline vi vi_set1(int32_t x) {
    return vdupq_n_s32(x);
}
static inline vi vi_load(const int32_t *p) {
    return vld1q_s32(p);
}
static inline void vi_store(int32_t *p, vi x) {
    vst1q_s32(p, x);
}
static inline vi vi_add(vi a, vi b) {
    return vaddq_s32(a, b);
}
static inline vi vi_xor(vi a, vi b) {
    return veorq_s32(a, b);
}
static inline vmask vi_eq(vi a, vi b) {
    return vceqq_s32(a, b);
}
static inline vmask vi_lt_unsigned(vi a, vi b) {
    return vcltq_u32(vreinterpretq_u32_s32(a), vreinterpretq_u32_s32(b));
}
static inline vf v_from_int(vi x) {
    return vcvtq_f32_s32(x);
}
static inline vi vi_load_bytes(const uint8_t *p) {
    int32_t lanes[4] = {p[0], p[1], p[2], p[3]};
    return vld1q_s32(lanes);
}
static inline void vi_store_bytes(uint8_t *p, vi x) {
    int32_t lanes[4];
    vst1q_s32(lanes, x);
    for (int i = 0; i < 4; ++i)
        p[i] = (uint8_t)lanes[i];
}
static inline vf v_gather(const float *table, vi index) {
    int32_t lanes[4];
    vst1q_s32(lanes, index);
    float values[4] = {table[lanes[0]], table[lanes[1]], table[lanes[2]], table[lanes[3]]};
    return vld1q_f32(values);
}
static inline void vi_mul_wide(vi a, uint32_t b, vi *high, vi *low) {
    uint32x4_t u = vreinterpretq_u32_s32(a);
    uint64x2_t first = vmull_n_u32(vget_low_u32(u), b);
    uint64x2_t second = vmull_n_u32(vget_high_u32(u), b);
    uint32x4_t x = vreinterpretq_u32_u64(first), y = vreinterpretq_u32_u64(second);
    *low = vreinterpretq_s32_u32(vuzp1q_u32(x, y));
    *high = vreinterpretq_s32_u32(vuzp2q_u32(x, y));
}
static inline int vi_compress(int32_t *q, vi y, vmask m) {
    int32_t integers[4];
    uint32_t keep[4];
    vst1q_s32(integers, y);
    vst1q_u32(keep, m);
    int count = 0;
    for (int i = 0; i < 4; ++i) {
        q[count] = integers[i];
        count += keep[i] != 0;
    }
    return count;
}
static inline int v_compress(float *p, int32_t *q, vf x, vi y, vmask m) {
    float values[4];
    int32_t integers[4];
    uint32_t keep[4];
    vst1q_f32(values, x);
    vst1q_s32(integers, y);
    vst1q_u32(keep, m);
    int count = 0;
    for (int i = 0; i < 4; ++i) {
        p[count] = values[i];
        q[count] = integers[i];
        count += keep[i] != 0;
    }
    return count;
}

#else
#error "define one of IB_ISA_AVX512, IB_ISA_AVX2, IB_ISA_NEON"
#endif

/* clang-format on */

/* +0 where |x| < limit, a power of two (NUMERICS.md, section 1); NaN stays. */
static inline vf v_settle_below(vf x, vf limit) {
    return v_select(v_gt(limit, v_abs(x)), v_zero(), x);
}
static inline vf v_settle(vf x) {
    return v_settle_below(x, v_set1(0x1p-40f));
}
static inline vf v_settle_square(vf x) {
    return v_settle_below(x, v_set1(0x1p-80f));
}
static inline vf v_settle_average(vf x) {
    return v_settle_below(x, v_set1(0x1p-100f));
}

/* Settles as well: relu(settle(x)) is relu(x). */
static inline vf v_relu(vf x) {
    return v_select(v_ge(x, v_set1(0x1p-40f)), x, v_zero());
}
/* A layer's output: settled, by the ReLU where it has one. */
static inline vf v_output(int relu, vf x) {
    return relu ? v_relu(x) : v_settle(x);
}
/* What a layer hands back: the settled sum g, and that before the activation that made x, whose
 * dropout has a scale of at least 1. */
static inline vf v_mask(vf x, vf g, vf scale) {
    return v_select(v_gt(x, v_zero()), v_mul(v_settle(g), scale), v_zero());
}

/* Transposes 16 x 16 floats: to[j * to_stride + i] = from[i * from_stride + j]. The inner loop
 * stores whole vectors from strided loads; it runs once per weight and step, never per FMA. */
static inline void transpose16(const float *restrict from, int64_t from_stride, float *restrict to,
                               int64_t to_stride) {
#if defined(IB_ISA_AVX512)
    __m512 r[16], t[16];
    for (int i = 0; i < 16; ++i)
        r[i] = _mm512_loadu_ps(from + i * from_stride);
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4)
        for (int j = 0; j < 2; ++j) {
            __m512d low = _mm512_castps_pd(t[i + j]), high = _mm512_castps_pd(t[i + j + 2]);
            r[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
            r[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
        }
    for (int c = 0; c < 4; ++c) { /* r[4b + c]: rows 4b.., column c of every 4-column group */
        __m512 a = _mm512_shuffle_f32x4(r[c], r[4 + c], 0x88);
        __m512 b = _mm512_shuffle_f32x4(r[8 + c], r[12 + c], 0x88);
        __m512 d = _mm512_shuffle_f32x4(r[c], r[4 + c], 0xDD);
        __m512 e = _mm512_shuffle_f32x4(r[8 + c], r[12 + c], 0xDD);
        _mm512_storeu_ps(to + c * to_stride, _mm512_shuffle_f32x4(a, b, 0x88));
        _mm512_storeu_ps(to + (8 + c) * to_stride, _mm512_shuffle_f32x4(a, b, 0xDD));
        _mm512_storeu_ps(to + (4 + c) * to_stride, _mm512_shuffle_f32x4(d, e, 0x88));
        _mm512_storeu_ps(to + (12 + c) * to_stride, _mm512_shuffle_f32x4(d, e, 0xDD));
    }
#elif defined(IB_ISA_AVX2)
    for (int quarter = 0; quarter < 4; ++quarter) {
        const float *f = from + (quarter & 1) * 8 * from_stride + (quarter >> 1) * 8;
        float *q = to + (quarter & 1) * 8 + (quarter >> 1) * 8 * to_stride;
        __m256 r[8], t[8];
        for (int i = 0; i < 4; ++i) { /* r[i]: columns 0-3 of rows i and i + 4; r[i + 4]: 4-7 */
            __m256 low = _mm256_loadu_ps(f + i * from_stride);
            __m256 high = _mm256_loadu_ps(f + (i + 4) * from_stride);
            r[i] = _mm256_permute2f128_ps(low, high, 0x20);
            r[i + 4] = _mm256_permute2f128_ps(low, high, 0x31);
        }
        for (int i = 0; i < 8; i += 2) {
            t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
            t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
        }
        for (int i = 0; i < 8; i += 4)
            for (int j = 0; j < 2; ++j) {
                float *at = q + (i + 2 * j) * to_stride;
                _mm256_storeu_ps(at, _mm256_shuffle_ps(t[i + j], t[i + j + 2], 0x44));
                _mm256_storeu_ps(at + to_stride, _mm256_shuffle_ps(t[i + j], t[i + j + 2], 0xEE));
            }
    }
#else
    for (int j = 0; j < 16; ++j)
        for (int i = 0; i < 16; ++i)
            to[j * to_stride + i] = from[i * from_stride + j];
#endif
}

/* Keeps a compiler from loading x again at each use, as an operand of two FMAs. */
static inline void v_in_register(vf *x) {
#if defined(IB_ISA_NEON)
    __asm__("" : "+w"(*x));
#else
    __asm__("" : "+v"(*x));
#endif
}

#endif
