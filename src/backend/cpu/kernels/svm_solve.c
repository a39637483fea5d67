/* The solver's two sweeps over the unknowns of one class: binary64 lanes, each with its own best,
 * compared at the end. An extreme does not depend on the order, and equals go to the least index.
 */
#include "../cpu.h"
#include "simd64.h"

#include <math.h>

void IB_KERNEL(ib_svm_step)(const ib_svm_part *part, double t, const float *ki, const float *kj,
                            ib_svm_extremes *extremes);
void IB_KERNEL(ib_svm_partner)(const ib_svm_part *part, double high, float kii, const float *ki,
                               ib_svm_partner *partner);

/* The greatest of the lanes' values; of equal ones that of the least index. */
static double greatest(vd values, vd indices, size_t *index) {
    double value[VD], at[VD];
    vd_store(value, values);
    vd_store(at, indices);
    int best = 0;
    for (int lane = 0; lane < VD; ++lane) {
        at[lane] += lane;
        if (value[lane] > value[best] || (value[lane] == value[best] && at[lane] < at[best]))
            best = lane;
    }
    *index = (size_t)at[best];
    return value[best];
}

void IB_KERNEL(ib_svm_step)(const ib_svm_part *part, double t, const float *ki, const float *kj,
                            ib_svm_extremes *extremes) {
    vd step = vd_set1(t), upper = vd_set1(part->upper), lower = vd_set1(part->lower);
    vd high = vd_set1(-INFINITY), low = vd_set1(INFINITY), at = vd_set1(0);
    for (size_t k = 0; k < part->count; k += VD) {
        vd difference = vd_sub(vd_load_float(ki + k), vd_load_float(kj + k));
        vd f = vd_sub(vd_load(part->f + k), vd_mul(step, difference));
        vd beta = vd_load(part->beta + k);
        vd_store(part->f + k, f);
        vdmask above = vd_and(vd_gt(upper, beta), vd_gt(f, high));
        vdmask below = vd_and(vd_gt(beta, lower), vd_gt(low, f));
        high = vd_select(above, f, high);
        at = vd_select(above, vd_set1((double)k), at);
        low = vd_select(below, f, low);
    }
    double lows[VD];
    vd_store(lows, low);
    extremes->low = lows[0];
    for (int lane = 1; lane < VD; ++lane)
        extremes->low = lows[lane] < extremes->low ? lows[lane] : extremes->low;
    extremes->high = greatest(high, at, &extremes->high_index);
}

void IB_KERNEL(ib_svm_partner)(const ib_svm_part *part, double high, float kii, const float *ki,
                               ib_svm_partner *partner) {
    vd top = vd_set1(high), lower = vd_set1(part->lower), own = vd_set1((double)kii);
    vd best = vd_set1(-1.0), at = vd_set1(0), least = vd_set1(1e-12), zero = vd_set1(0);
    for (size_t k = 0; k < part->count; k += VD) {
        vd f = vd_load(part->f + k);
        vdmask candidate = vd_and(vd_gt(vd_load(part->beta + k), lower), vd_gt(top, f));
        if (!vd_any(candidate)) /* most have none: the division is dear */
            continue;
        vd slope = vd_sub(top, f);
        vd row = vd_load_float(ki + k);
        vd curvature = vd_sub(vd_add(own, vd_load_float(part->diagonal + k)), vd_add(row, row));
        curvature = vd_select(vd_gt(curvature, zero), curvature, least);
        vd gain = vd_div(vd_mul(slope, slope), curvature);
        vdmask better = vd_and(candidate, vd_gt(gain, best));
        best = vd_select(better, gain, best);
        at = vd_select(better, vd_set1((double)k), at);
    }
    partner->gain = greatest(best, at, &partner->index);
    if (partner->gain < 0)
        partner->index = 0;
}
