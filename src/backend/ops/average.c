#include "backend/ops/average.h"

const char *ib_average_fault(const ib_average *a, ib_direction direction) {
    (void)direction;
    return a->count >= 16 && a->count % 16 == 0 && a->count <= (int64_t)1 << 46
               ? NULL
               : "shape out of range";
}

void ib_average_need(const ib_average *a, ib_direction direction, ib_average_sizes *sizes) {
    (void)direction;
    *sizes = (ib_average_sizes){.w = a->count, .average = a->count, .bad = 1};
}

double ib_average_macs(const ib_average *a, ib_direction direction) {
    (void)a, (void)direction;
    return 0;
}
