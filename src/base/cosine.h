/* The cosine of host scalars, in binary64 with + - * / alone: NUMERICS.md, "Schedules". */
#ifndef IB_BASE_COSINE_H
#define IB_BASE_COSINE_H

/* cos(pi * x) for x in [0, 1], within 2^-52. Reduced without rounding to [0, 1/4], by the cosine's
 * symmetry and as a sine; there the Taylor series up to the 16th (17th) power, innermost term
 * first. */
static inline double ib_cos_pi(double x) {
    double y = x > 0.5 ? 1.0 - x : x;
    int is_sine = y > 0.25;
    double t = (is_sine ? 0.5 - y : y) * 0x1.921fb54442d18p+1;
    double square = t * t, sum = 1.0;
    for (int k = is_sine ? 17 : 16; k >= 2; k -= 2)
        sum = 1.0 - square / (double)((k - 1) * k) * sum;
    double cosine = is_sine ? t * sum : sum;
    return x > 0.5 ? 0.0 - cosine : cosine;
}

#endif
