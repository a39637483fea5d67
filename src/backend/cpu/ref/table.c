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

/* Scratch that a kind's references need: none but for the kinds named here. SCRATCH_OF is the
 * second of a list that such a name begins; another kind's, which is no macro, leaves NULL there.
 */
#define SCRATCH_conv           , IB_REF(ib_conv_scratch)
#define SCRATCH_linear         , linear_scratch
#define SECOND(first, it, ...) it
#define SECOND_OF(...)         SECOND(__VA_ARGS__)
#define SCRATCH_OF(kind)       SECOND_OF(SCRATCH_##kind, NULL, NULL)

#define IB_OPERATION(name, kind, direction)                                                        \
    static IB_ONE_KERNEL(kind, name##_kernels, SCRATCH_OF(kind), IB_REF(ib_##name##_run));
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
