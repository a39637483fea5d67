/* The optimisers' kernels: update_<name>.c each. */
#include "kernel.h"

#define IB_OPTIMIZER(id, name)                                                                     \
    void IB_KERNEL(ib_update_##name)(ib_cpu * cpu, const ib_update *u,                             \
                                     const ib_update_pointers *p);                                 \
    static int is_##name(const ib_update *u) {                                                     \
        return u->kind == IB_##id;                                                                 \
    }
#include "catalog/optimizers.inc"
#undef IB_OPTIMIZER

const ib_cpu_update_kernel IB_KERNEL(ib_update_weights)[] = {
#define IB_OPTIMIZER(id, name) {#name, is_##name, NULL, IB_KERNEL(ib_update_##name)},
#include "catalog/optimizers.inc"
#undef IB_OPTIMIZER
    {NULL, NULL, NULL, NULL},
};
