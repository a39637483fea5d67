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

struct ib_cpu {
    ib_backend base;
    ib_host host;
    const ib_cpu_kernels *kernels;
    ib_pool *pool;
    ib_data_view data; /* attached */
    /* Scratch planned before the run: one piece for each thread, one shared by an operation. */
    float **thread_scratch;
    size_t thread_scratch_floats;
    float *thread_block;
    size_t thread_block_floats;
    float *shared_scratch;
    size_t shared_scratch_floats;
    /* Set by a backward kernel that skips zero terms and found an operand that is not finite. */
    int unbounded_operand;
};

/* May be called by several threads. */
static inline void ib_cpu_report_unbounded(ib_cpu *cpu) {
    __atomic_store_n(&cpu->unbounded_operand, 1, __ATOMIC_RELAXED);
}

/* For each operation a list, best first, ended by a row without run; the first that fits is taken.
 */
struct ib_cpu_kernels {
    const char *isa;
#define IB_OPERATION(name, kind, direction) const ib_cpu_##kind##_kernel *name;
#include "backend/operations.inc"
#undef IB_OPERATION
    const ib_svm_ops *svm;
    double (*fma_probe)(int64_t iterations);
};

/* Best first; NULL-terminated. Only tables this build has. */
const ib_cpu_kernels *const *ib_cpu_kernel_tables(void);
/* Can this machine run it (CPU and operating system)? */
int ib_cpu_supports(const ib_cpu_kernels *kernels);

/* The pixels of an attached image. */
static inline const uint8_t *ib_cpu_image(const ib_cpu *cpu, size_t index) {
    const ib_data_view *data = &cpu->data;
    int second = index >= data->part[0].count;
    return data->part[second].pixels +
           (index - (second ? data->part[0].count : 0)) * data->image_bytes;
}

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

/* A list of one kernel that takes any shape. */
#define IB_ONE_KERNEL(kind, list, scratch, run)                                                    \
    const ib_cpu_##kind##_kernel list[] = {{"only", NULL, scratch, run}, {NULL, NULL, NULL, NULL}}

#endif
