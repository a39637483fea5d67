/* Kernel values between images that are features: each dot product a chain of binary64 FMAs, 32
 * images of a panel side by side. A panel is walked in stretches that stay in the first-level cache
 * while all rows of the block pass by; the chains wait in memory meanwhile. */
#include "../cpu.h"
#include "svm_functions.h"

#include <string.h>

void IB_KERNEL(ib_svm_feature_block)(const ib_svm_kernel *kernel, const ib_svm_block *b);
void IB_KERNEL(ib_svm_norms)(const ib_svm_images *images, double *norms);

enum { STRETCH = 128, TILE_VECTORS = 2 };
#if defined(IB_ISA_AVX2)
enum { TILE_ROWS = 4 /* 16 registers */ };
#else
enum { TILE_ROWS = 8 };
#endif

/* dots[TILE_ROWS][32] of TILE_VECTORS vectors of columns go on by `length` features. */
static inline void feature_tile(const double *const rows[TILE_ROWS], const double *panel,
                                size_t length, double *dots) {
    vd sum[TILE_ROWS][TILE_VECTORS];
    for (int r = 0; r < TILE_ROWS; ++r)
        for (int v = 0; v < TILE_VECTORS; ++v)
            sum[r][v] = vd_load(dots + r * IB_SVM_PANEL + v * VD);
    for (size_t k = 0; k < length * IB_SVM_PANEL; k += IB_SVM_PANEL) {
        vd column[TILE_VECTORS];
        for (int v = 0; v < TILE_VECTORS; ++v)
            column[v] = vd_load(panel + k + v * VD);
        for (int r = 0; r < TILE_ROWS; ++r) {
            vd row = vd_set1(rows[r][k]);
            for (int v = 0; v < TILE_VECTORS; ++v)
                sum[r][v] = vd_fma(row, column[v], sum[r][v]);
        }
    }
    for (int r = 0; r < TILE_ROWS; ++r)
        for (int v = 0; v < TILE_VECTORS; ++v)
            vd_store(dots + r * IB_SVM_PANEL + v * VD, sum[r][v]);
}

/* dots[rows rounded up to tiles][32] of a block's rows with one panel. A tile that sticks out takes
 * the last row again. */
static void feature_dots(const double *const *features, size_t rows, const double *panel,
                         size_t width, double *dots) {
    memset(dots, 0, (rows + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS * IB_SVM_PANEL * sizeof *dots);
    for (size_t k = 0; k < width; k += STRETCH) {
        size_t length = width - k < STRETCH ? width - k : STRETCH;
        for (size_t c = 0; c < IB_SVM_PANEL; c += TILE_VECTORS * VD)
            for (size_t r = 0; r < rows; r += TILE_ROWS) {
                const double *tile[TILE_ROWS];
                for (size_t n = 0; n < TILE_ROWS; ++n)
                    tile[n] = features[r + n < rows ? r + n : rows - 1] + k * IB_SVM_PANEL;
                feature_tile(tile, panel + k * IB_SVM_PANEL + c, length,
                             dots + r * IB_SVM_PANEL + c);
            }
    }
}

static inline vd value_of(const ib_svm_kernel *kernel, vd dot, vd norms) {
    vd zero = vd_set1(0.0), base = dot;
    if (kernel->kind == IB_SVM_RBF) {
        vd distance = vd_sub(norms, vd_add(dot, dot));
        distance = vd_select(vd_gt(distance, zero), distance, zero);
        return svm_exp(vd_mul(vd_set1(-kernel->gamma), distance));
    }
    if (kernel->kind == IB_SVM_LINEAR)
        return dot;
    base = vd_add(vd_mul(vd_set1(kernel->gamma), dot), vd_set1(kernel->coef0));
    return kernel->kind == IB_SVM_POLY ? svm_power(base, kernel->degree) : svm_tangent(base);
}

void IB_KERNEL(ib_svm_feature_block)(const ib_svm_kernel *kernel, const ib_svm_block *b) {
    _Alignas(64) double dots[SVM_BLOCK_ROWS * IB_SVM_PANEL];
    _Alignas(64) float values[SVM_BLOCK_ROWS * IB_SVM_PANEL];
    const ib_svm_images *rows = b->rows, *columns = b->columns;
    for (size_t first = 0; first < b->row_count; first += SVM_BLOCK_ROWS) {
        size_t left = b->row_count - first, row = b->first_row + first;
        size_t count = left < SVM_BLOCK_ROWS ? left : SVM_BLOCK_ROWS;
        for (size_t c = 0; c < columns->count; c += IB_SVM_PANEL) {
            feature_dots(rows->features + row, count, columns->values + c * columns->width,
                         columns->width, dots);
            for (size_t r = 0; r < count; ++r) {
                float *out = values + r * IB_SVM_PANEL;
                vd norm = vd_set1(rows->norms[row + r]);
                for (size_t k = 0; k < IB_SVM_PANEL; k += VD)
                    store_settled(out + k, value_of(kernel, vd_load(dots + r * IB_SVM_PANEL + k),
                                                    vd_add(norm, vd_load(columns->norms + c + k))));
                memcpy(b->out + (first + r) * b->stride + c, out, IB_SVM_PANEL * sizeof(float));
            }
            size_t beyond = columns->count - c;
            if (b->turned != NULL)
                svm_turn(values, count, beyond < IB_SVM_PANEL ? beyond : IB_SVM_PANEL,
                         b->turned + c * b->turned_stride + first, b->turned_stride);
        }
    }
}

void IB_KERNEL(ib_svm_norms)(const ib_svm_images *images, double *norms) {
    for (size_t c = 0; c < images->count; c += IB_SVM_PANEL)
        for (size_t v = 0; v < IB_SVM_PANEL; v += VD) {
            const double *at = images->values + c * images->width + v;
            vd sum = vd_set1(0.0);
            for (size_t k = 0; k < images->width; ++k) {
                vd x = vd_load(at + k * IB_SVM_PANEL);
                sum = vd_fma(x, x, sum);
            }
            vd_store(norms + c + v, sum);
        }
}
