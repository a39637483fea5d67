#include "backend/ops/norm.h"

const char *ib_norm_fault(const ib_norm *norm, ib_direction direction) {
    (void)direction;
    return ib_are_sizes(norm->n, norm->pixels, ib_padded(norm->channels), 1) && norm->eps > 0
               ? NULL
               : "shape out of range";
}

void ib_norm_need(const ib_norm *norm, ib_direction direction, ib_norm_sizes *sizes) {
    int64_t c16 = ib_pad16(norm->channels), count = norm->n * norm->pixels * c16;
    *sizes = (ib_norm_sizes){.x = count};
    if (direction == IB_FORWARD) {
        sizes->gamma = sizes->beta = c16;
        sizes->running = 2 * c16;
        sizes->saved = norm->training ? IB_SAVED_COUNT * c16 : 0;
        sizes->add = -count;
        sizes->y = count;
        return;
    }
    sizes->saved = IB_SAVED_COUNT * c16;
    sizes->dy = sizes->dx = count;
    sizes->second = sizes->y_kept = sizes->g = -count;
    sizes->dgamma = sizes->dbeta = c16;
}

double ib_norm_macs(const ib_norm *norm, ib_direction direction) {
    (void)norm, (void)direction;
    return 0;
}

const char *ib_norm_part_fault(const ib_norm_part *norm, ib_direction direction) {
    return ib_norm_fault(norm, direction);
}

/* IB_FORWARD: norm_apply; IB_BACKWARD: norm_gradients. */
void ib_norm_part_need(const ib_norm_part *norm, ib_direction direction,
                       ib_norm_part_sizes *sizes) {
    int64_t c16 = ib_pad16(norm->channels), count = norm->n * norm->pixels * c16;
    int64_t leaves = ib_leaves_of(norm->n) * 2 * c16;
    *sizes = (ib_norm_part_sizes){.x = count};
    switch (direction) {
    case IB_SUMS:
        sizes->leaves = leaves;
        break;
    case IB_DEVIATIONS:
        sizes->leaves = leaves;
        sizes->totals = 2 * c16;
        break;
    case IB_FORWARD:
        sizes->gamma = sizes->beta = c16;
        sizes->totals = sizes->totals2 = 2 * c16;
        sizes->running = 2 * c16;
        sizes->saved = IB_SAVED_COUNT * c16;
        sizes->add = -count;
        sizes->y = count;
        break;
    case IB_BACKWARD:
        sizes->saved = IB_SAVED_COUNT * c16;
        sizes->dy = sizes->g = count;
        sizes->second = sizes->y_kept = -count;
        sizes->leaves = leaves;
        break;
    case IB_INPUT:
        sizes->saved = IB_SAVED_COUNT * c16;
        sizes->g = sizes->dx = count;
        sizes->totals = 2 * c16;
        sizes->dgamma = sizes->dbeta = c16;
        break;
    }
}

double ib_norm_part_macs(const ib_norm_part *norm, ib_direction direction) {
    return ib_norm_macs(norm, direction);
}
