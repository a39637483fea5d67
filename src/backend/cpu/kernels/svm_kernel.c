/* Kernel values between images: dot products of bytes in 32-bit integers, exact in any order, then
 * the kernel function in binary64. Rows are taken BLOCK_ROWS at a time against one panel of 32
 * images, so that a panel stays in the first-level cache for all of them. */
#include "../cpu.h"
#include "svm_functions.h"

#include <string.h>

#if defined(IB_ISA_AVX512)
#include <cpuid.h>
#endif

enum {
    BLOCK_ROWS = SVM_BLOCK_ROWS,
    GROUP = IB_SVM_GROUP /* bytes that one 32-bit lane multiplies */
};
/* Of rows, packed: BLOCK_ROWS of them up to 2752 bytes wide, LEAST_ROWS of the widest. */
enum { LEAST_ROWS = 8, PACKED_WORDS = LEAST_ROWS * IB_SVM_MAX_WIDTH / GROUP * 2 };

void IB_KERNEL(ib_svm_step)(const ib_svm_part *part, double t, const float *ki, const float *kj,
                            ib_svm_extremes *extremes);
void IB_KERNEL(ib_svm_partner)(const ib_svm_part *part, double high, float kii, const float *ki,
                               ib_svm_partner *partner);
void IB_KERNEL(ib_svm_feature_block)(const ib_svm_kernel *kernel, const ib_svm_block *b);
void IB_KERNEL(ib_svm_norms)(const ib_svm_images *images, double *norms);
extern const ib_svm_ops IB_KERNEL(ib_svm_ops);
#if defined(IB_ISA_AVX512)
void ib_svm_kernel_block_plain(const ib_svm_kernel *kernel, const ib_svm_block *b);
#endif

/* Rows in the form the product wants them: word w of row r of its tile of ROWS, side by side. */
typedef struct packed_rows {
    _Alignas(64) uint32_t words[PACKED_WORDS];
} packed_rows;

static uint32_t load_group(const ib_svm_images *images, size_t row, size_t group) {
    uint32_t word = 0;
    size_t left = images->width - group * GROUP;
    if (row >= images->count)
        return 0;
    if (left >= GROUP) /* of a constant size: one load */
        memcpy(&word, images->rows[row] + group * GROUP, GROUP);
    else
        memcpy(&word, images->rows[row] + group * GROUP, left);
    return word;
}

/* ---- products: dots[r][32] of BLOCK_ROWS rows with one panel ------------------------------------
 */

#if defined(IB_ISA_AVX512) || defined(IB_ISA_AVX2)

/* Pairs of 16-bit numbers: even bytes and odd bytes of a group. */
static uint32_t even_pair(uint32_t word) {
    return word & 0x00FF00FFu;
}

static uint32_t odd_pair(uint32_t word) {
    return (word >> 8) & 0x00FF00FFu;
}

#if defined(IB_ISA_AVX512)
enum { PAIR_ROWS = 8, PAIR_VECTORS = 2 };
static inline vi multiply_pairs(vi a, vi b) {
    return _mm512_madd_epi16(a, b);
}
static inline vi low_bytes(vi a) {
    return _mm512_and_si512(a, _mm512_set1_epi16(255));
}
static inline vi high_bytes(vi a) {
    return _mm512_srli_epi16(a, 8);
}
#else
enum { PAIR_ROWS = 4, PAIR_VECTORS = 2 };
static inline vi multiply_pairs(vi a, vi b) {
    return _mm256_madd_epi16(a, b);
}
static inline vi low_bytes(vi a) {
    return _mm256_and_si256(a, _mm256_set1_epi16(255));
}
static inline vi high_bytes(vi a) {
    return _mm256_srli_epi16(a, 8);
}
#endif

static void pack_pairs(const ib_svm_block *b, size_t first, size_t rows, packed_rows *packed) {
    size_t groups = ib_svm_groups(b->rows->width);
    uint32_t *to = packed->words;
    for (size_t tile = 0; tile < rows; tile += PAIR_ROWS)
        for (size_t g = 0; g < groups; ++g)
            for (size_t r = 0; r < PAIR_ROWS; ++r) {
                uint32_t word = load_group(b->rows, first + tile + r, g);
                *to++ = even_pair(word);
                *to++ = odd_pair(word);
            }
}

static inline void pair_tile(const uint32_t *rows, const uint8_t *panel, size_t groups,
                             int32_t *dots) {
    vi sum[PAIR_ROWS][PAIR_VECTORS];
    for (int r = 0; r < PAIR_ROWS; ++r)
        for (int v = 0; v < PAIR_VECTORS; ++v)
            sum[r][v] = vi_set1(0);
    for (size_t g = 0; g < groups; ++g) {
        vi even[PAIR_VECTORS], odd[PAIR_VECTORS];
        for (int v = 0; v < PAIR_VECTORS; ++v) {
            vi bytes = vi_load((const int32_t *)(const void *)(panel + v * VL * GROUP));
            even[v] = low_bytes(bytes);
            odd[v] = high_bytes(bytes);
        }
        for (int r = 0; r < PAIR_ROWS; ++r) {
            vi row_even = vi_set1((int32_t)rows[2 * r]),
               row_odd = vi_set1((int32_t)rows[2 * r + 1]);
            for (int v = 0; v < PAIR_VECTORS; ++v) {
                sum[r][v] = vi_add(sum[r][v], multiply_pairs(even[v], row_even));
                sum[r][v] = vi_add(sum[r][v], multiply_pairs(odd[v], row_odd));
            }
        }
        rows += 2 * PAIR_ROWS;
        panel += IB_SVM_PANEL * GROUP;
    }
    for (int r = 0; r < PAIR_ROWS; ++r)
        for (int v = 0; v < PAIR_VECTORS; ++v)
            vi_store(dots + r * IB_SVM_PANEL + v * VL, sum[r][v]);
}

static void pair_products(const packed_rows *packed, const uint8_t *panel, size_t groups,
                          size_t rows, int32_t *dots) {
    const uint32_t *from = packed->words;
    for (size_t tile = 0; tile < rows; tile += PAIR_ROWS) {
        for (size_t c = 0; c < IB_SVM_PANEL; c += PAIR_VECTORS * VL)
            pair_tile(from, panel + c * GROUP, groups, dots + tile * IB_SVM_PANEL + c);
        from += groups * PAIR_ROWS * 2;
    }
}

#else /* NEON */

enum { BYTE_ROWS = 2, QUARTERS = 4 };

static void pack_pairs(const ib_svm_block *b, size_t first, size_t rows, packed_rows *packed) {
    size_t groups = ib_svm_groups(b->rows->width);
    uint32_t *to = packed->words;
    for (size_t tile = 0; tile < rows; tile += BYTE_ROWS)
        for (size_t g = 0; g < groups; ++g)
            for (size_t r = 0; r < BYTE_ROWS; ++r)
                *to++ = load_group(b->rows, first + tile + r, g);
}

/* A product of two bytes fits 16 bits; pairs of them are added into 32. */
static void byte_tile(const uint32_t *rows, const uint8_t *panel, size_t groups, int32_t *dots) {
    uint32x4_t low[BYTE_ROWS][QUARTERS], high[BYTE_ROWS][QUARTERS];
    for (int r = 0; r < BYTE_ROWS; ++r)
        for (int q = 0; q < QUARTERS; ++q)
            low[r][q] = high[r][q] = vdupq_n_u32(0);
    for (size_t g = 0; g < groups; ++g) {
        for (int r = 0; r < BYTE_ROWS; ++r) {
            uint8x8_t row = vreinterpret_u8_u32(vdup_n_u32(rows[r]));
            for (int q = 0; q < QUARTERS; ++q) {
                uint8x16_t bytes = vld1q_u8(panel + q * VL * GROUP);
                low[r][q] = vpadalq_u16(low[r][q], vmull_u8(vget_low_u8(bytes), row));
                high[r][q] = vpadalq_u16(high[r][q], vmull_u8(vget_high_u8(bytes), row));
            }
        }
        rows += BYTE_ROWS;
        panel += IB_SVM_PANEL * GROUP;
    }
    for (int r = 0; r < BYTE_ROWS; ++r)
        for (int q = 0; q < QUARTERS; ++q)
            vi_store(dots + r * IB_SVM_PANEL + q * VL,
                     vreinterpretq_s32_u32(vpaddq_u32(low[r][q], high[r][q])));
}

static void pair_products(const packed_rows *packed, const uint8_t *panel, size_t groups,
                          size_t rows, int32_t *dots) {
    const uint32_t *from = packed->words;
    for (size_t tile = 0; tile < rows; tile += BYTE_ROWS) {
        for (size_t c = 0; c < IB_SVM_PANEL; c += QUARTERS * VL)
            byte_tile(from, panel + c * GROUP, groups, dots + tile * IB_SVM_PANEL + c);
        from += groups * BYTE_ROWS;
    }
}

#endif

#if defined(IB_ISA_AVX512)

/* With VNNI one instruction multiplies four bytes a lane and adds; one factor is signed, so rows
 * are moved down by 128, and 128 times a column's sum is added back. */
enum { VNNI_ROWS = 12 };
#define WITH_VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))

static int has_vnni(void) {
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & (1u << 11)) != 0;
}

static void pack_shifted(const ib_svm_block *b, size_t first, size_t rows, packed_rows *packed) {
    size_t groups = ib_svm_groups(b->rows->width);
    uint32_t *to = packed->words;
    for (size_t tile = 0; tile < rows; tile += VNNI_ROWS)
        for (size_t g = 0; g < groups; ++g)
            for (size_t r = 0; r < VNNI_ROWS; ++r)
                *to++ = load_group(b->rows, first + tile + r, g) ^ 0x80808080u;
}

WITH_VNNI static void vnni_products(const packed_rows *packed, const uint8_t *panel, size_t groups,
                                    size_t row_count, const int32_t *column_sums, int32_t *dots) {
    const uint32_t *rows = packed->words;
    __m512i start[2];
    for (int v = 0; v < 2; ++v)
        start[v] = _mm512_slli_epi32(_mm512_loadu_si512((const void *)(column_sums + v * VL)), 7);
    for (size_t tile = 0; tile < row_count; tile += VNNI_ROWS) {
        __m512i sum[VNNI_ROWS][2];
        for (int r = 0; r < VNNI_ROWS; ++r)
            for (int v = 0; v < 2; ++v)
                sum[r][v] = start[v];
        const uint8_t *at = panel;
        for (size_t g = 0; g < groups; ++g) {
            __m512i left = _mm512_loadu_si512((const void *)at);
            __m512i right = _mm512_loadu_si512((const void *)(at + VL * GROUP));
            for (int r = 0; r < VNNI_ROWS; ++r) {
                __m512i row = _mm512_set1_epi32((int32_t)rows[r]);
                sum[r][0] = _mm512_dpbusd_epi32(sum[r][0], left, row);
                sum[r][1] = _mm512_dpbusd_epi32(sum[r][1], right, row);
            }
            rows += VNNI_ROWS;
            at += IB_SVM_PANEL * GROUP;
        }
        for (int r = 0; r < VNNI_ROWS; ++r)
            for (int v = 0; v < 2; ++v)
                _mm512_storeu_si512(
                    (void *)(dots + (tile + (size_t)r) * IB_SVM_PANEL + (size_t)v * VL), sum[r][v]);
    }
}

#endif

/* ---- kernel functions ---------------------------------------------------------------------------
 */

typedef struct row_context {
    const ib_svm_kernel *kernel;
    int32_t sum, square; /* of the row's image */
    const int32_t *sums, *squares;
} row_context;

static void rbf_row(const row_context *c, const int32_t *dots, float *out) {
    vd square = vd_set1((double)c->square), factor = vd_set1(-c->kernel->factor);
    for (int k = 0; k < IB_SVM_PANEL; k += VD) {
        vd dot = vd_load_int(dots + k);
        vd distance = vd_sub(vd_add(square, vd_load_int(c->squares + k)), vd_add(dot, dot));
        store_settled(out + k, svm_exp(vd_mul(factor, distance)));
    }
}

static inline vd feature_dot(const row_context *c, const int32_t *dots, int k) {
    const ib_svm_kernel *kernel = c->kernel;
    vd sums = vd_add(vd_set1((double)c->sum), vd_load_int(c->sums + k));
    vd moved = vd_sub(vd_load_int(dots + k), vd_mul(vd_set1(kernel->mean), sums));
    return vd_mul(vd_set1(kernel->scale), vd_add(moved, vd_set1(kernel->centre)));
}

static void linear_row(const row_context *c, const int32_t *dots, float *out) {
    for (int k = 0; k < IB_SVM_PANEL; k += VD)
        store_settled(out + k, feature_dot(c, dots, k));
}

static inline vd polynomial_base(const row_context *c, const int32_t *dots, int k) {
    return vd_add(vd_mul(vd_set1(c->kernel->gamma), feature_dot(c, dots, k)),
                  vd_set1(c->kernel->coef0));
}

static void poly_row(const row_context *c, const int32_t *dots, float *out) {
    for (int k = 0; k < IB_SVM_PANEL; k += VD)
        store_settled(out + k, svm_power(polynomial_base(c, dots, k), c->kernel->degree));
}

static void sigmoid_row(const row_context *c, const int32_t *dots, float *out) {
    for (int k = 0; k < IB_SVM_PANEL; k += VD)
        store_settled(out + k, svm_tangent(polynomial_base(c, dots, k)));
}

static void kernel_row(const row_context *c, const int32_t *dots, float *out) {
    switch (c->kernel->kind) {
    case IB_SVM_LINEAR:
        linear_row(c, dots, out);
        break;
    case IB_SVM_POLY:
        poly_row(c, dots, out);
        break;
    case IB_SVM_RBF:
        rbf_row(c, dots, out);
        break;
    case IB_SVM_SIGMOID:
        sigmoid_row(c, dots, out);
        break;
    }
}

/* ---- blocks -------------------------------------------------------------------------------------
 */

static void block_rows(const ib_svm_kernel *kernel, const ib_svm_block *b, size_t first,
                       size_t rows, int vnni, packed_rows *packed) {
    _Alignas(64) int32_t dots[BLOCK_ROWS * IB_SVM_PANEL];
    _Alignas(64) float values[BLOCK_ROWS * IB_SVM_PANEL];
    const ib_svm_images *columns = b->columns;
    size_t groups = ib_svm_groups(columns->width), row = b->first_row + first;
#if defined(IB_ISA_AVX512)
    if (vnni)
        pack_shifted(b, row, rows, packed);
    else
        pack_pairs(b, row, rows, packed);
#else
    (void)vnni;
    pack_pairs(b, row, rows, packed);
#endif
    for (size_t c = 0; c < columns->count; c += IB_SVM_PANEL) {
        const uint8_t *panel = columns->panels + c * groups * GROUP;
#if defined(IB_ISA_AVX512)
        if (vnni)
            vnni_products(packed, panel, groups, rows, columns->sums + c, dots);
        else
            pair_products(packed, panel, groups, rows, dots);
#else
        pair_products(packed, panel, groups, rows, dots);
#endif
        row_context context = {kernel, 0, 0, columns->sums + c, columns->squares + c};
        for (size_t r = 0; r < rows; ++r) {
            context.sum = b->rows->sums[row + r];
            context.square = b->rows->squares[row + r];
            kernel_row(&context, dots + r * IB_SVM_PANEL, values + r * IB_SVM_PANEL);
            memcpy(b->out + (first + r) * b->stride + c, values + r * IB_SVM_PANEL,
                   IB_SVM_PANEL * sizeof(float));
        }
        size_t left = columns->count - c;
        if (b->turned != NULL)
            svm_turn(values, rows, left < IB_SVM_PANEL ? left : IB_SVM_PANEL,
                     b->turned + c * b->turned_stride + first, b->turned_stride);
    }
}

/* Rows that fit packed_rows, in whole tiles of any of the products. */
static size_t rows_at_once(size_t width) {
    size_t rows = PACKED_WORDS / (2 * ib_svm_groups(width));
    return rows < BLOCK_ROWS ? rows - rows % LEAST_ROWS : BLOCK_ROWS;
}

static void kernel_block_by(const ib_svm_kernel *kernel, const ib_svm_block *b, int vnni) {
    packed_rows packed;
    size_t most = rows_at_once(b->rows->width);
    for (size_t r = 0; r < b->row_count; r += most) {
        size_t left = b->row_count - r;
        block_rows(kernel, b, r, left < most ? left : most, vnni, &packed);
    }
}

static void kernel_block(const ib_svm_kernel *kernel, const ib_svm_block *b) {
    if (b->columns->features != NULL) {
        IB_KERNEL(ib_svm_feature_block)(kernel, b);
        return;
    }
#if defined(IB_ISA_AVX512)
    kernel_block_by(kernel, b, has_vnni());
#else
    kernel_block_by(kernel, b, 0);
#endif
}

#if defined(IB_ISA_AVX512)
/* For CPUs that have no VNNI, and for tests on those that do. */
void ib_svm_kernel_block_plain(const ib_svm_kernel *kernel, const ib_svm_block *b) {
    kernel_block_by(kernel, b, 0);
}
#endif

const ib_svm_ops IB_KERNEL(ib_svm_ops) = {kernel_block, IB_KERNEL(ib_svm_norms),
                                          IB_KERNEL(ib_svm_step), IB_KERNEL(ib_svm_partner)};
