/* The kernel table of the scalar reference. */
#include "reference.h"

/* One float a leaf. */
static void linear_scratch(const ib_linear *linear, size_t *per_thread, size_t *shared) {
    *per_thread = 0;
    *shared = (size_t)(linear->n / IB_LEAF + 1);
}

static double fma_probe(int64_t iterations) {
    float acc[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    for (int64_t n = 0; n < iterations; ++n)
        for (int i = 0; i < 8; ++i)
            acc[i] = exact_fma(acc[i], 1.0000001f, 1e-7f);
    volatile float sink = acc[0] + acc[1] + acc[2] + acc[3] + acc[4] + acc[5] + acc[6] + acc[7];
    (void)sink;
    return 16.0 * (double)iterations;
}

/* What a kind's references need beside their operands. */
#define SCRATCH_load        NULL
#define SCRATCH_conv        IB_REF(ib_conv_scratch)
#define SCRATCH_linear      linear_scratch
#define SCRATCH_norm        NULL
#define SCRATCH_norm_part   NULL
#define SCRATCH_max_pool    NULL
#define SCRATCH_mean        NULL
#define SCRATCH_elementwise NULL
#define SCRATCH_drop        NULL
#define SCRATCH_flatten     NULL
#define SCRATCH_loss        NULL
#define SCRATCH_update      NULL
#define SCRATCH_tree        NULL

#define IB_OPERATION(name, kind, direction)                                                        \
    static IB_ONE_KERNEL(kind, name##_kernels, SCRATCH_##kind, IB_REF(ib_##name##_run));
#include "backend/operations.inc"
#undef IB_OPERATION

extern const ib_svm_ops IB_REF(ib_svm_ops);
extern const ib_cpu_kernels IB_REF(ib_cpu_kernels);

const ib_cpu_kernels IB_REF(ib_cpu_kernels) = {
    .isa = "scalar",
#define IB_OPERATION(name, kind, direction) .name = name##_kernels,
#include "backend/operations.inc"
#undef IB_OPERATION
    .svm = &IB_REF(ib_svm_ops),
    .fma_probe = fma_probe,
};
