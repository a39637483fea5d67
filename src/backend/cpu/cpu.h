/* The CPU backend: one table of kernels per instruction set behind the backend interface. */
#ifndef IB_CPU_CPU_H
#define IB_CPU_CPU_H

#include "backend/backend.h"
#include "base/threads.h"

/* NUMERICS.md, "Dot products" and "Sums over the batch". */
enum {
    IB_SEGMENT = 576,       /* terms of one chain over features */
    IB_LEAF = 8,            /* samples of one leaf of a batch sum */
    IB_CHAIN_PIXELS = 1024, /* the most positions of a chain over the batch */
    IB_MAX_LEAF_LEVELS = 32,
};

typedef struct ib_cpu_kernels ib_cpu_kernels;

typedef struct ib_cpu {
    ib_backend base;
    const ib_cpu_kernels *kernels;
    ib_pool *pool;
    /* Scratch planned before the run: one piece for each thread, one shared by an operation. */
    float **thread_scratch;
    size_t thread_scratch_floats;
    float *thread_block;
    size_t thread_block_floats;
    float *shared_scratch;
    size_t shared_scratch_floats;
    /* Set by a backward kernel that skips zero terms and found an operand that is not finite. */
    int unbounded_operand;
} ib_cpu;

/* May be called by several threads. */
static inline void ib_cpu_report_unbounded(ib_cpu *cpu) {
    __atomic_store_n(&cpu->unbounded_operand, 1, __ATOMIC_RELAXED);
}

/* The raw pointers of one convolution. Layouts: backend.h. dx, argmax, b and db may be NULL. */
typedef struct ib_conv_pointers {
    const float *x, *w, *b, *dy;
    float *y, *dx, *dw, *db;
    uint8_t *argmax; /* [n][cells][C16] */
} ib_conv_pointers;

typedef struct ib_linear_pointers {
    const float *x, *w, *b, *dy;
    float *y, *dx, *dw, *db;
} ib_linear_pointers;

typedef struct ib_norm_pointers {
    const float *x, *gamma, *beta, *add, *dy, *second;
    const float *y_kept; /* backward: y as the forward pass left it */
    float *running;      /* [2][C16] */
    float *saved;        /* [IB_SAVED_COUNT][C16] */
    float *y, *g, *dx, *dgamma, *dbeta;
} ib_norm_pointers;

/* Every slot is filled for every instruction set. None can fail: arguments are checked, and scratch
 * is planned, before they are called. */
struct ib_cpu_kernels {
    const char *isa;
    /* Floats of scratch an operation needs for each thread and shared. */
    void (*conv_scratch)(const ib_conv *conv, size_t *per_thread, size_t *shared);
    void (*linear_scratch)(const ib_linear *linear, size_t *per_thread, size_t *shared);
    void (*load_images)(ib_cpu *cpu, int64_t n, int64_t pixels, int64_t stride,
                        const uint8_t *const *images, const float *table, float *x);
    void (*conv_forward)(ib_cpu *cpu, const ib_conv *conv, const ib_conv_pointers *p);
    void (*conv_backward)(ib_cpu *cpu, const ib_conv *conv, const ib_conv_pointers *p);
    void (*linear_forward)(ib_cpu *cpu, const ib_linear *linear, const ib_linear_pointers *p);
    void (*linear_backward)(ib_cpu *cpu, const ib_linear *linear, const ib_linear_pointers *p);
    void (*norm_forward)(ib_cpu *cpu, const ib_norm *norm, const ib_norm_pointers *p);
    void (*norm_backward)(ib_cpu *cpu, const ib_norm *norm, const ib_norm_pointers *p);
    void (*pool_forward)(ib_cpu *cpu, const ib_pool3 *pool, const float *x, float *y,
                         uint8_t *argmax);
    void (*pool_backward)(ib_cpu *cpu, const ib_pool3 *pool, const uint8_t *argmax, const float *dy,
                          const float *second, float *dx);
    void (*mean_forward)(ib_cpu *cpu, int64_t n, int64_t pixels, int64_t channels, float inverse,
                         const float *x, float *y);
    void (*mean_backward)(ib_cpu *cpu, int64_t n, int64_t pixels, int64_t channels, float inverse,
                          const float *dy, float *dx);
    void (*softmax_nll)(int64_t n, int64_t classes, float inverse_n, const float *logits,
                        const uint8_t *labels, float *losses, float *dlogits, float *total);
    void (*update)(ib_cpu *cpu, const ib_update *update, int64_t count, float *w, const float *dw,
                   float *state0, float *state1, int *finite);
    const ib_svm_ops *svm;
    /* Measures: the greatest rate of independent FMAs on one thread; returns FLOPs done. */
    double (*fma_probe)(int64_t iterations);
};

/* Best first; NULL-terminated. Only tables this build has. */
const ib_cpu_kernels *const *ib_cpu_kernel_tables(void);
/* Can this machine run it (CPU and operating system)? */
int ib_cpu_supports(const ib_cpu_kernels *kernels);

/* How many samples one weight-gradient chain covers: the greatest of 8, 4, 2, 1 that keeps it
 * within IB_CHAIN_PIXELS terms (at least 1). pixels: output positions of one sample. */
static inline int64_t ib_samples_per_chain(int64_t pixels) {
    int64_t samples = IB_LEAF;
    while (samples > 1 && samples * pixels > IB_CHAIN_PIXELS)
        samples /= 2;
    return samples;
}

/* A sample of more positions than that has its own chains, one for each stretch of them. */
static inline int64_t ib_chain_stretches(int64_t pixels) {
    return (pixels + IB_CHAIN_PIXELS - 1) / IB_CHAIN_PIXELS;
}

#endif
