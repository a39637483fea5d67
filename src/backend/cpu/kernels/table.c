/* The kernel table of this instruction set. */
#include "kernel.h"

#if defined(IB_ISA_AVX512)
#define ISA_NAME "avx512"
#elif defined(IB_ISA_AVX2)
#define ISA_NAME "avx2"
#else
#define ISA_NAME "neon"
#endif

double IB_KERNEL(ib_fma_probe)(int64_t iterations);
extern const ib_svm_ops IB_KERNEL(ib_svm_ops);
extern const ib_cpu_kernels IB_KERNEL(ib_cpu_kernels);

const ib_cpu_kernels IB_KERNEL(ib_cpu_kernels) = {
    .isa = ISA_NAME,
#define IB_OPERATION(name, kind, direction) .name = IB_KERNEL(ib_##name),
#include "backend/operations.inc"
#undef IB_OPERATION
    .svm = &IB_KERNEL(ib_svm_ops),
    .fma_probe = IB_KERNEL(ib_fma_probe),
};
