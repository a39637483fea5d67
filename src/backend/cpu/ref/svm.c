/* Support vector machines: kernel values, the solver's sweeps. NUMERICS.md, "Support vector
 * machines". A fused multiply-add is in dot products of features only. */
#include "reference.h"

#include "fma64.h"

#include <math.h>

/* e^t in binary64 for t <= 0, relative error below 3e-10: t = n ln 2 + r, a Taylor polynomial of
 * degree 8. n ln2_high is exact. */
static double exp_binary64(double t) {
    if (t < -104.0)
        return 0.0;
    const double magic = 6755399441055744.0; /* 1.5 * 2^52: adding it rounds to an integer */
    double n = (t * 0x1.71547652b82fep+0 + magic) - magic;
    double r = (t - n * 0x1.62e42fefap-1) - n * 0x1.cf79abc9e3b3ap-40;
    double p = 0x1.a01a01a01a01ap-16;
    p = p * r + 0x1.a01a01a01a01ap-13;
    p = p * r + 0x1.6c16c16c16c17p-10;
    p = p * r + 0x1.1111111111111p-7;
    p = p * r + 0x1.5555555555555p-5;
    p = p * r + 0x1.5555555555555p-3;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    uint64_t bits = (uint64_t)((int64_t)n + 1023) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return p * power;
}

/* Of a dot product, for any kind but rbf. */
static double kernel_of_dot(const ib_svm_kernel *kernel, double dot) {
    if (kernel->kind == IB_SVM_LINEAR)
        return dot;
    double base = kernel->gamma * dot + kernel->coef0;
    if (kernel->kind == IB_SVM_POLY) {
        double power = base;
        for (int d = 1; d < kernel->degree; ++d)
            power = power * base;
        return power;
    }
    double magnitude = base < 0 ? 0.0 - base : base;
    double e = exp_binary64(-2.0 * magnitude);
    double tangent = (1.0 - e) / (1.0 + e);
    return base < 0 ? 0.0 - tangent : tangent;
}

static double kernel_of_bytes(const ib_svm_kernel *kernel, const ib_svm_images *x, size_t row,
                              const ib_svm_images *z, size_t column) {
    int32_t p = 0, sums = x->sums[row] + z->sums[column];
    for (size_t k = 0; k < x->width; ++k)
        p += x->rows[row][k] * z->rows[column][k];
    if (kernel->kind == IB_SVM_RBF) {
        double distance = (double)(x->squares[row] + z->squares[column]) - 2.0 * (double)p;
        return exp_binary64(-(kernel->factor * distance));
    }
    return kernel_of_dot(kernel, kernel->scale *
                                     (((double)p - kernel->mean * (double)sums) + kernel->centre));
}

static double feature_dot(const double *x, const double *z, size_t width) {
    double s = 0.0;
    for (size_t k = 0; k < width; ++k)
        s = ref_fma64(x[k * IB_SVM_PANEL], z[k * IB_SVM_PANEL], s);
    return s;
}

static double kernel_of_features(const ib_svm_kernel *kernel, const ib_svm_images *x, size_t row,
                                 const ib_svm_images *z, size_t column) {
    double dot = feature_dot(x->features[row], z->features[column], x->width);
    if (kernel->kind != IB_SVM_RBF)
        return kernel_of_dot(kernel, dot);
    double distance = (x->norms[row] + z->norms[column]) - 2.0 * dot;
    return exp_binary64(-(kernel->gamma * (distance > 0 ? distance : 0.0)));
}

static void norms(const ib_svm_images *images, double *norms) {
    size_t padded = (images->count + IB_SVM_PANEL - 1) / IB_SVM_PANEL * IB_SVM_PANEL;
    for (size_t r = 0; r < padded; ++r)
        norms[r] = r < images->count
                       ? feature_dot(images->features[r], images->features[r], images->width)
                       : 0.0;
}

/* Settled before it is rounded, so that the conversion meets no denormal. */
static float settled(double value) {
    return (value < 0 ? -value : value) < 0x1p-40 ? 0.0f : (float)value;
}

static void kernel_block(const ib_svm_kernel *kernel, const ib_svm_block *b) {
    const ib_svm_images *rows = b->rows, *columns = b->columns;
    size_t padded = (columns->count + IB_SVM_PANEL - 1) / IB_SVM_PANEL * IB_SVM_PANEL;
    for (size_t r = 0; r < b->row_count; ++r) {
        size_t row = b->first_row + r;
        for (size_t c = 0; c < padded; ++c) {
            float value = 0.0f;
            if (c < columns->count) {
                value = settled(columns->features != NULL
                                    ? kernel_of_features(kernel, rows, row, columns, c)
                                    : kernel_of_bytes(kernel, rows, row, columns, c));
                if (b->turned != NULL)
                    b->turned[c * b->turned_stride + r] = value;
            }
            b->out[r * b->stride + c] = value;
        }
    }
}

static void step(const ib_svm_part *part, double t, const float *ki, const float *kj,
                 ib_svm_extremes *extremes) {
    *extremes = (ib_svm_extremes){-INFINITY, INFINITY, 0};
    for (size_t k = 0; k < part->count; ++k) {
        double f = part->f[k] - t * ((double)ki[k] - (double)kj[k]);
        part->f[k] = f;
        if (part->beta[k] < part->upper && f > extremes->high) {
            extremes->high = f;
            extremes->high_index = k;
        }
        if (part->beta[k] > part->lower && f < extremes->low)
            extremes->low = f;
    }
}

static void partner(const ib_svm_part *part, double high, float kii, const float *ki,
                    ib_svm_partner *best) {
    *best = (ib_svm_partner){-1.0, 0};
    for (size_t k = 0; k < part->count; ++k) {
        if (!(part->beta[k] > part->lower && part->f[k] < high))
            continue;
        double slope = high - part->f[k];
        double curvature = ((double)kii + (double)part->diagonal[k]) - 2.0 * (double)ki[k];
        double gain = slope * slope / (curvature > 0 ? curvature : 1e-12);
        if (gain > best->gain)
            *best = (ib_svm_partner){gain, k};
    }
}

extern const ib_svm_ops IB_REF(ib_svm_ops);
const ib_svm_ops IB_REF(ib_svm_ops) = {kernel_block, norms, step, partner};
