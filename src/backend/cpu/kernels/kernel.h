/* What every kernel file includes: the vector operations, the list it fills for each of its
 * operations, and the reference for operations that leave nothing to vectorise. */
#ifndef IB_CPU_KERNEL_H
#define IB_CPU_KERNEL_H

#include "../cpu.h"
#include "simd.h"

#define IB_OPERATION(name, kind, direction)                                                        \
    extern const ib_cpu_##kind##_kernel IB_KERNEL(ib_##name)[];
#include "backend/operations.inc"
#undef IB_OPERATION

/* The scalar reference computes it on this instruction set too. */
#define IB_REFERENCE_KERNEL(operation, kind)                                                       \
    void ib_##operation##_run_ref(ib_cpu *cpu, const ib_##kind *shape,                             \
                                  const ib_##kind##_pointers *p);                                  \
    IB_ONE_KERNEL(kind, IB_KERNEL(ib_##operation), NULL, ib_##operation##_run_ref)

#endif
