/* The kernel table of this instruction set. */
#include "conv.h"

#if defined(IB_ISA_AVX512)
#define ISA_NAME "avx512"
#elif defined(IB_ISA_AVX2)
#define ISA_NAME "avx2"
#else
#define ISA_NAME "neon"
#endif

void IB_KERNEL(ib_load_images)(ib_cpu *cpu, int64_t n, int64_t pixels, int64_t stride,
                               const uint8_t *const *images, const float *table, float *x);
void IB_KERNEL(ib_linear_scratch)(const ib_linear *linear, size_t *per_thread, size_t *shared);
void IB_KERNEL(ib_linear_forward)(ib_cpu *cpu, const ib_linear *linear,
                                  const ib_linear_pointers *p);
void IB_KERNEL(ib_linear_backward)(ib_cpu *cpu, const ib_linear *linear,
                                   const ib_linear_pointers *p);
void IB_KERNEL(ib_norm_forward)(ib_cpu *cpu, const ib_norm *norm, const ib_norm_pointers *p);
void IB_KERNEL(ib_norm_backward)(ib_cpu *cpu, const ib_norm *norm, const ib_norm_pointers *p);
void IB_KERNEL(ib_pool_forward)(ib_cpu *cpu, const ib_pool3 *pool, const float *x, float *y,
                                uint8_t *argmax);
void IB_KERNEL(ib_pool_backward)(ib_cpu *cpu, const ib_pool3 *pool, const uint8_t *argmax,
                                 const float *dy, const float *second, float *dx);
void IB_KERNEL(ib_mean_forward)(ib_cpu *cpu, int64_t n, int64_t pixels, int64_t channels,
                                float inverse, const float *x, float *y);
void IB_KERNEL(ib_mean_backward)(ib_cpu *cpu, int64_t n, int64_t pixels, int64_t channels,
                                 float inverse, const float *dy, float *dx);
void IB_KERNEL(ib_update)(ib_cpu *cpu, const ib_update *u, int64_t count, float *w, const float *dw,
                          float *state0, float *state1, int *finite);
double IB_KERNEL(ib_fma_probe)(int64_t iterations);
extern const ib_svm_ops IB_KERNEL(ib_svm_ops);
extern const ib_cpu_kernels IB_KERNEL(ib_cpu_kernels);

/* Ten classes a sample leave nothing to vectorise: softmax is the reference's. */
void ib_softmax_nll_ref(int64_t n, int64_t classes, float inverse_n, const float *logits,
                        const uint8_t *labels, float *losses, float *dlogits, float *total);

const ib_cpu_kernels IB_KERNEL(ib_cpu_kernels) = {
    .isa = ISA_NAME,
    .conv_scratch = IB_KERNEL(ib_conv_scratch),
    .linear_scratch = IB_KERNEL(ib_linear_scratch),
    .load_images = IB_KERNEL(ib_load_images),
    .conv_forward = IB_KERNEL(ib_conv_forward),
    .conv_backward = IB_KERNEL(ib_conv_backward),
    .linear_forward = IB_KERNEL(ib_linear_forward),
    .linear_backward = IB_KERNEL(ib_linear_backward),
    .norm_forward = IB_KERNEL(ib_norm_forward),
    .norm_backward = IB_KERNEL(ib_norm_backward),
    .pool_forward = IB_KERNEL(ib_pool_forward),
    .pool_backward = IB_KERNEL(ib_pool_backward),
    .mean_forward = IB_KERNEL(ib_mean_forward),
    .mean_backward = IB_KERNEL(ib_mean_backward),
    .softmax_nll = ib_softmax_nll_ref,
    .update = IB_KERNEL(ib_update),
    .svm = &IB_KERNEL(ib_svm_ops),
    .fma_probe = IB_KERNEL(ib_fma_probe),
};
