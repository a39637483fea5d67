#include "reference.h"

#define IB_OPTIMIZER(id, name)                                                                     \
    void IB_REF(ib_update_##name)(const ib_update *u, const ib_update_pointers *p);
#include "catalog/optimizers.inc"
#undef IB_OPTIMIZER

void IB_REF(ib_update_weights_run)(ib_cpu *cpu, const ib_update *u, const ib_update_pointers *p) {
    (void)cpu;
    switch (u->kind) {
#define IB_OPTIMIZER(id, name)                                                                     \
    case IB_##id:                                                                                  \
        IB_REF(ib_update_##name)(u, p);                                                            \
        break;
#include "catalog/optimizers.inc"
#undef IB_OPTIMIZER
    }
}
