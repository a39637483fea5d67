/* How the operands of an operation are declared: one list a kind of operation, from which follow
 * the buffers that callers give (ib_conv_operands), the addresses that host kernels see
 * (ib_conv_pointers), how many elements each must hold (ib_conv_sizes) and what such a kernel is
 * (ib_cpu_conv_kernel). */
#ifndef IB_BACKEND_OPERANDS_H
#define IB_BACKEND_OPERANDS_H

#include <stddef.h>
#include <stdint.h>

#include "base/philox.h"
#include "tensor/tensor.h"

/* Which pass an operation belongs to; several operations share a kind's shape and operands. */
typedef enum ib_direction {
    IB_FORWARD,
    IB_BACKWARD,
    IB_SUMS,
    IB_DEVIATIONS,
    IB_INPUT
} ib_direction;

#define IB_BUFFER_MEMBER(type, name) ib_buffer name;
#define IB_READ_MEMBER(type, name)   const type *name;
#define IB_WRITE_MEMBER(type, name)  type *name;
#define IB_SIZE_MEMBER(type, name)   int64_t name;

typedef struct ib_cpu ib_cpu; /* backend/cpu/cpu.h */

/* A kernel is one way to compute an operation. None can fail: arguments are checked, and scratch is
 * planned, before it is called. Declared here with the operands, so that a new kind is its own file
 * in ops/.
 *
 * sizes: in elements; 0: not used; negative: so many, where the operand is given at all. */
#define IB_DECLARE_OPERANDS(kind)                                                                  \
    typedef struct ib_##kind##_operands {                                                          \
        IB_OPERANDS_##kind(IB_BUFFER_MEMBER, IB_BUFFER_MEMBER)                                     \
    } ib_##kind##_operands;                                                                        \
    typedef struct ib_##kind##_pointers {                                                          \
        IB_OPERANDS_##kind(IB_READ_MEMBER, IB_WRITE_MEMBER)                                        \
    } ib_##kind##_pointers;                                                                        \
    typedef struct ib_##kind##_sizes {                                                             \
        IB_OPERANDS_##kind(IB_SIZE_MEMBER, IB_SIZE_MEMBER)                                         \
    } ib_##kind##_sizes;                                                                           \
    typedef struct ib_cpu_##kind##_kernel {                                                        \
        const char *name;                                                                          \
        int (*fits)(const ib_##kind *shape); /* NULL: any */                                       \
        /* Floats of scratch it needs for each thread and shared; NULL: none. */                   \
        void (*scratch)(const ib_##kind *shape, size_t *per_thread, size_t *shared);               \
        void (*run)(ib_cpu * cpu, const ib_##kind *shape, const ib_##kind##_pointers *p);          \
    } ib_cpu_##kind##_kernel;                                                                      \
    /* What is wrong with the shape, in words, or NULL. */                                         \
    const char *ib_##kind##_fault(const ib_##kind *shape, ib_direction direction);                 \
    void ib_##kind##_need(const ib_##kind *shape, ib_direction direction,                          \
                          ib_##kind##_sizes *sizes);                                               \
    /* Dense multiply-adds, for profiles. */                                                       \
    double ib_##kind##_macs(const ib_##kind *shape, ib_direction direction)

static inline int64_t ib_pad16(int64_t n) {
    return (n + 15) / 16 * 16;
}

/* A size of a shape. The bound lets sums of sizes do without checks. */
static inline int ib_is_size(int64_t size) {
    return size >= 1 && size <= 1 << 24;
}

/* 0 where there is no such size. */
static inline int64_t ib_padded(int64_t size) {
    return ib_is_size(size) ? ib_pad16(size) : 0;
}

/* Sizes of one tensor whose product leaves room: a backend computes byte offsets and scratch of a
 * few tensors' size from it in 64 bits. */
static inline int ib_are_sizes(int64_t a, int64_t b, int64_t c, int64_t d) {
    int64_t elements;
    return ib_is_size(a) && ib_is_size(b) && ib_is_size(c) && ib_is_size(d) &&
           !__builtin_mul_overflow(a * b, c, &elements) &&
           !__builtin_mul_overflow(elements, d, &elements) && elements <= (int64_t)1 << 46;
}

/* Dropout of values that are positive or +0: y = word < threshold ? +0 : x * scale, word being the
 * element's Philox word. The step in rng is that of the backend's current step. */
typedef struct ib_dropout {
    int enabled;
    uint32_t threshold;   /* round(p * 2^32) */
    float scale;          /* 1 / (1 - p), rounded once from binary64 */
    int64_t first_sample; /* position in the global batch of the operation's first sample */
    ib_rng rng;
} ib_dropout;

#endif
