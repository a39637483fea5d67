/* Computing on the host's own threads, apart from backends: what support vector machines and
 * measurements need, whatever device trains networks. Every backend has one. */
#ifndef IB_BACKEND_HOST_H
#define IB_BACKEND_HOST_H

#include <stddef.h>
#include <stdint.h>

#include "base/threads.h"
#include "catalog/svm_kernels.h"

/* ---- support vector machines (NUMERICS.md, "Support vector machines") ------------------------ */

/* A kernel function of two images. Of features (ib_svm_images.features) it is that of their dot
 * product. Of bytes, with scale = square of a grey level's step between features and
 * mean = the grey level of feature 0, the features' dot product is
 * scale * ((p - mean * (sx + sz)) + centre), p, sx, sz the bytes' dot product and sums. */
typedef struct ib_svm_kernel {
    ib_svm_kernel_kind kind;
    int degree;
    double gamma, coef0;
    double scale, mean, centre; /* centre = width * (mean * mean) */
    double factor;              /* gamma * scale, for rbf */
} ib_svm_kernel;

/* The widest image: the squares of two of them, 2 * width * 255 * 255, are added in 32 bits. */
enum { IB_SVM_PANEL = 32, IB_SVM_MAX_WIDTH = 16512, IB_SVM_GROUP = 4 };

/* Images as bytes or as features; both images of a block are the same. width is at most
 * IB_SVM_MAX_WIDTH.
 * Bytes: rows; panels: the same bytes, [count / 32 rounded up][groups of 4 bytes][32][4], zeros
 * beyond count and width; sums, squares: of the bytes, with room for whole panels, zeros beyond
 * count.
 * Features: values: [count / 32 rounded up][width][32], each 0 or at least 2^-40 in magnitude,
 * zeros beyond count; features[r] points to the first of row r, others follow IB_SVM_PANEL apart;
 * norms: dot products of rows with themselves, with room for whole panels. */
typedef struct ib_svm_images {
    size_t count, width;
    const uint8_t *const *rows;
    const uint8_t *panels;
    const int32_t *sums, *squares;
    const double *const *features; /* NULL: bytes */
    const double *values, *norms;
} ib_svm_images;

static inline size_t ib_svm_groups(size_t width) {
    return (width + IB_SVM_GROUP - 1) / IB_SVM_GROUP;
}

/* Some rows against all columns: out[r][c], rows of stride floats, a multiple of 32 that covers the
 * columns; what lies beyond the columns is finite and means nothing. turned (may be NULL) receives
 * the same values as turned[c][r]. */
typedef struct ib_svm_block {
    const ib_svm_images *rows, *columns;
    size_t first_row, row_count;
    float *out;
    size_t stride;
    float *turned;
    size_t turned_stride;
} ib_svm_block;

/* The unknowns of one class of a two-class problem, count of them, a multiple of 16. Where beta is
 * NaN there is none. */
typedef struct ib_svm_part {
    size_t count;
    double *f, *beta;
    const float *diagonal;
    double lower, upper; /* beta's bounds */
} ib_svm_part;

typedef struct ib_svm_extremes {
    double high, low; /* the greatest f with beta < upper, the least f with beta > lower */
    size_t high_index;
} ib_svm_extremes;

typedef struct ib_svm_partner {
    double gain;
    size_t index;
} ib_svm_partner;

/* What one thread computes. Arguments are host memory; different threads may call at once. */
typedef struct ib_svm_ops {
    void (*kernel_block)(const ib_svm_kernel *kernel, const ib_svm_block *block);
    /* The norms of images that are features, for whole panels. */
    void (*norms)(const ib_svm_images *images, double *norms);
    /* f -= t * (ki - kj), then the extremes: -infinity, +infinity and index 0 where there is none.
     */
    void (*step)(const ib_svm_part *part, double t, const float *ki, const float *kj,
                 ib_svm_extremes *extremes);
    /* Among beta > lower and f < high: the first greatest (high - f)^2 / a, a = kii + kkk - 2 kik,
     * 1e-12 where that is not positive. Gain -1 and index 0 where there is none. */
    void (*partner)(const ib_svm_part *part, double high, float kii, const float *ki,
                    ib_svm_partner *partner);
} ib_svm_ops;

/* ---- the host ---------------------------------------------------------------------------------
 */

typedef struct ib_host ib_host;

struct ib_host {
    unsigned threads;
    const ib_svm_ops *svm;
    /* Runs work for items 0..items-1 on the threads that compute. */
    void (*run)(ib_host *self, size_t items, ib_work *work, void *context);
    /* One thread's greatest rate of independent FMAs, for the roofline; returns the FLOPs done. */
    double (*fma_probe)(ib_host *self, int64_t iterations);
};

#endif
