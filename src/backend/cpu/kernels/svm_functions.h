/* Kernel functions of support vector machines on vectors of dot products, as the reference has
 * them, and what blocks of kernel values have in common. */
#ifndef IB_CPU_SVM_FUNCTIONS_H
#define IB_CPU_SVM_FUNCTIONS_H

#include "simd64.h"

enum { SVM_BLOCK_ROWS = 48 };

static inline vd svm_exp(vd t) {
    vd magic = vd_set1(6755399441055744.0);
    vd biased = vd_add(vd_mul(t, vd_set1(0x1.71547652b82fep+0)), magic);
    vd n = vd_sub(biased, magic);
    vd r = vd_sub(vd_sub(t, vd_mul(n, vd_set1(0x1.62e42fefap-1))),
                  vd_mul(n, vd_set1(0x1.cf79abc9e3b3ap-40)));
    vd p = vd_set1(0x1.a01a01a01a01ap-16);
    p = vd_add(vd_mul(p, r), vd_set1(0x1.a01a01a01a01ap-13));
    p = vd_add(vd_mul(p, r), vd_set1(0x1.6c16c16c16c17p-10));
    p = vd_add(vd_mul(p, r), vd_set1(0x1.1111111111111p-7));
    p = vd_add(vd_mul(p, r), vd_set1(0x1.5555555555555p-5));
    p = vd_add(vd_mul(p, r), vd_set1(0x1.5555555555555p-3));
    p = vd_add(vd_mul(p, r), vd_set1(0.5));
    p = vd_add(vd_mul(p, r), vd_set1(1.0));
    p = vd_add(vd_mul(p, r), vd_set1(1.0));
    return vd_select(vd_gt(vd_set1(-104.0), t), vd_set1(0.0), vd_scale(p, biased));
}

static inline vd svm_power(vd base, int degree) {
    vd power = base;
    for (int d = 1; d < degree; ++d)
        power = vd_mul(power, base);
    return power;
}

static inline vd svm_tangent(vd base) {
    vd zero = vd_set1(0.0), one = vd_set1(1.0);
    vdmask negative = vd_gt(zero, base);
    vd magnitude = vd_select(negative, vd_sub(zero, base), base);
    vd e = svm_exp(vd_mul(vd_set1(-2.0), magnitude));
    vd tangent = vd_div(vd_sub(one, e), vd_add(one, e));
    return vd_select(negative, vd_sub(zero, tangent), tangent);
}

/* Rounded to float where at least 2^-40, else +0: the conversion meets no denormal. */
static inline void store_settled(float *p, vd x) {
    vdmask small = vd_and(vd_gt(vd_set1(0x1p-40), x), vd_gt(x, vd_set1(-0x1p-40)));
    vd_store_float(p, vd_select(small, vd_set1(0.0), x));
}

/* values[rows][32] to turned[32 columns][rows]. */
static inline void svm_turn(const float *values, size_t rows, size_t columns, float *to,
                            size_t stride) {
    if (rows == SVM_BLOCK_ROWS && columns == IB_SVM_PANEL) {
        for (size_t r = 0; r < SVM_BLOCK_ROWS; r += 16)
            for (size_t c = 0; c < IB_SVM_PANEL; c += 16)
                transpose16(values + r * IB_SVM_PANEL + c, IB_SVM_PANEL, to + c * stride + r,
                            (int64_t)stride);
        return;
    }
    for (size_t c = 0; c < columns; ++c)
        for (size_t r = 0; r < rows; ++r)
            to[c * stride + r] = values[r * IB_SVM_PANEL + c];
}

#endif
