#include "reference.h"

void IB_REF(ib_load_images)(ib_cpu *cpu, int64_t n, int64_t pixels, int64_t stride,
                            const uint8_t *const *images, const float *table, float *x) {
    (void)cpu;
    for (int64_t i = 0; i < n; ++i)
        for (int64_t p = 0; p < pixels; ++p)
            x[i * stride + p] = table[images[i][p]];
}

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

extern const ib_svm_ops IB_REF(ib_svm_ops);
extern const ib_cpu_kernels IB_REF(ib_cpu_kernels);

const ib_cpu_kernels IB_REF(ib_cpu_kernels) = {
    .isa = "scalar",
    .conv_scratch = IB_REF(ib_conv_scratch),
    .linear_scratch = linear_scratch,
    .load_images = IB_REF(ib_load_images),
    .conv_forward = IB_REF(ib_conv_forward),
    .conv_backward = IB_REF(ib_conv_backward),
    .linear_forward = IB_REF(ib_linear_forward),
    .linear_backward = IB_REF(ib_linear_backward),
    .norm_forward = IB_REF(ib_norm_forward),
    .norm_backward = IB_REF(ib_norm_backward),
    .pool_forward = IB_REF(ib_pool_forward),
    .pool_backward = IB_REF(ib_pool_backward),
    .mean_forward = IB_REF(ib_mean_forward),
    .mean_backward = IB_REF(ib_mean_backward),
    .softmax_nll = IB_REF(ib_softmax_nll),
    .update = IB_REF(ib_update),
    .svm = &IB_REF(ib_svm_ops),
    .fma_probe = fma_probe,
};
