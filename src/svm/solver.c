/* Sequential minimal optimisation with second-order choice of the pair (Fan, Chen, Lin: "Working
 * Set Selection Using Second Order Information for Training SVM", JMLR 6, 2005).
 *
 * There is no shrinking: with kernel rows at hand an iteration reads 28 bytes for each unknown,
 * from the second-level cache, which costs less than keeping a changing set of unknowns would save.
 */
#include "svm/parts.h"

#include <math.h>

enum { CHECK_EVERY = 1024 };

static uint64_t iteration_limit(const ib_svm_problem *p) {
    uint64_t by_size = 100 * (uint64_t)(p->counts[0] + p->counts[1]);
    return by_size > 10000000 ? by_size : 10000000;
}

void ib_svm_begin(ib_svm_problem *problem, const double bounds[2]) {
    for (int part = 0; part < 2; ++part) {
        ib_svm_part *p = &problem->parts[part];
        p->lower = part == 0 ? 0.0 : -bounds[1];
        p->upper = part == 0 ? bounds[0] : 0.0;
        for (size_t k = 0; k < p->count; ++k) {
            p->f[k] = part == 0 ? 1.0 : -1.0;
            p->beta[k] = k < problem->counts[part] ? 0.0 : NAN; /* neither grows nor shrinks */
        }
    }
}

/* Where an unknown is: its part and index. */
typedef struct place {
    int part;
    size_t index;
} place;

/* Both parts' sweeps; the first part wins ties, as the smaller indices do. */
static ib_svm_extremes sweep(const ib_svm_problem *p, double t, const float *const *ki,
                             const float *const *kj, place *up) {
    ib_svm_extremes first, second;
    p->ops->step(&p->parts[0], t, ki[0], kj[0], &first);
    p->ops->step(&p->parts[1], t, ki[1], kj[1], &second);
    *up = second.high > first.high ? (place){1, second.high_index} : (place){0, first.high_index};
    first.high = second.high > first.high ? second.high : first.high;
    first.low = second.low < first.low ? second.low : first.low;
    return first;
}

static ib_svm_partner find_partner(const ib_svm_problem *p, double high, place i,
                                   const float *const *ki, place *down) {
    ib_svm_partner first, second;
    float kii = p->parts[i.part].diagonal[i.index];
    p->ops->partner(&p->parts[0], high, kii, ki[0], &first);
    p->ops->partner(&p->parts[1], high, kii, ki[1], &second);
    *down = second.gain > first.gain ? (place){1, second.index} : (place){0, first.index};
    return second.gain > first.gain ? second : first;
}

/* beta_i += t, beta_j -= t, with t cut where a bound is met: that beta becomes the bound itself. */
static double move(const ib_svm_problem *p, place i, place j, double t) {
    const ib_svm_part *up = &p->parts[i.part], *down = &p->parts[j.part];
    double room_up = up->upper - up->beta[i.index];
    double room_down = down->beta[j.index] - down->lower;
    int meets_up = t >= room_up && room_up <= room_down;
    int meets_down = t >= room_down && room_down <= room_up;
    if (meets_up)
        t = room_up;
    else if (meets_down)
        t = room_down;
    up->beta[i.index] = meets_up ? up->upper : up->beta[i.index] + t;
    down->beta[j.index] = meets_down ? down->lower : down->beta[j.index] - t;
    return t;
}

/* rho is the mean of -F over the free unknowns, in order; without any, the middle of the interval
 * left. The objective is -1/2 sum beta (y + F). */
static void conclude(const ib_svm_problem *p, const ib_svm_extremes *extremes, ib_svm_pair *pair) {
    double sum = 0, objective = 0;
    size_t free_count = 0;
    pair->support = 0;
    for (int part = 0; part < 2; ++part) {
        const ib_svm_part *at = &p->parts[part];
        double y = part == 0 ? 1.0 : -1.0;
        for (size_t k = 0; k < p->counts[part]; ++k) {
            double beta = at->beta[k];
            objective = objective + beta * (y + at->f[k]);
            pair->support += beta != 0;
            if (beta > at->lower && beta < at->upper) {
                sum = sum + at->f[k];
                ++free_count;
            }
        }
    }
    pair->objective = -0.5 * objective;
    pair->rho =
        0.0 - (free_count > 0 ? sum / (double)free_count : (extremes->high + extremes->low) / 2.0);
}

ib_status ib_svm_solve(ib_svm_problem *p, ib_svm_pair *pair) {
    const uint64_t limit = iteration_limit(p);
    const float *ki[2], *kj[2];
    place i, j;
    p->rows->parts = p->parts;
    /* With t = 0 any finite row will do for the first choice. */
    const float *start[2] = {p->parts[0].diagonal, p->parts[1].diagonal};
    ib_svm_extremes extremes = sweep(p, 0.0, start, start, &i);
    for (pair->iterations = 0; extremes.high - extremes.low >= p->tolerance; ++pair->iterations) {
        if (pair->iterations == limit)
            return IB_ERROR_DIVERGED;
        if (pair->iterations % CHECK_EVERY == 0 && p->should_stop != NULL) {
            ib_status status = p->should_stop(p->context);
            if (status != IB_OK)
                return status;
        }
        p->rows->middle = (extremes.high + extremes.low) / 2.0;
        p->rows->row(p->rows, i.part, i.index, ki);
        if (find_partner(p, extremes.high, i, ki, &j).gain < 0)
            break;
        p->rows->row(p->rows, j.part, j.index, kj);
        double kii = (double)p->parts[i.part].diagonal[i.index];
        double kjj = (double)p->parts[j.part].diagonal[j.index];
        double curvature = (kii + kjj) - 2.0 * (double)ki[j.part][j.index];
        double slope = extremes.high - p->parts[j.part].f[j.index];
        double t = move(p, i, j, slope / (curvature > 0 ? curvature : 1e-12));
        extremes = sweep(p, t, (const float *const *)ki, (const float *const *)kj, &i);
    }
    conclude(p, &extremes, pair);
    return IB_OK;
}
