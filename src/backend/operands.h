/* How the operands of an operation are declared: one list a kind of operation, from which follow
 * the buffers that callers give (ib_conv_operands), the addresses that host kernels see
 * (ib_conv_pointers) and how many elements each must hold (ib_conv_sizes). */
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

/* sizes: in elements; 0: not used; negative: so many, where the operand is given at all. */
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
