/* What a backend offers to layers: buffers, the attached data, and the exact operations of
 * NUMERICS.md. Nothing here assumes that an operation is done when its call returns, or that the
 * host can see a buffer.
 *
 * Layouts, the same for every backend (C16 = channels rounded up to a multiple of 16). Padding
 * holds +0. Operations write it into activations and their gradients, whose memory tensors of other
 * shapes may have used; that of parameters they leave as it is:
 *   image activations    [n][h][w][C16]          (one input channel: [n][h][w])
 *   feature activations  [n][stride]             stride = features rounded up to a multiple of 16
 *   convolution weights  [ky][kx][ci: 1, or C16][C16 of co]
 *   linear weights       [in, rounded up to a multiple of 16][C16 of out]
 *   biases               [C16]
 * A pooled convolution writes feature activations in channel, row, column order: PyTorch's flatten.
 *
 * Shapes and operands of operations: ops/. Which operations there are: operations.inc. */
#ifndef IB_BACKEND_BACKEND_H
#define IB_BACKEND_BACKEND_H

#include <stddef.h>
#include <stdint.h>

#include "backend/host.h"
#include "backend/ops/average.h"
#include "backend/ops/average_pool.h"
#include "backend/ops/batch.h"
#include "backend/ops/conv.h"
#include "backend/ops/elementwise.h"
#include "backend/ops/linear.h"
#include "backend/ops/norm.h"
#include "backend/ops/pool.h"
#include "backend/ops/update.h"
#include "base/status.h"
#include "tensor/tensor.h"

typedef struct ib_backend ib_backend;

typedef struct ib_backend_options {
    const char *backend; /* "auto", "cpu", "opencl", "cuda" */
    const char *isa;     /* "auto", "scalar", "avx2", "avx512", "neon" */
    unsigned threads;    /* 0: every usable CPU */
    int unpinned;        /* threads, the caller's too, stay where the system puts them */
} ib_backend_options;

typedef struct ib_backend_info {
    const char *name; /* "cpu" */
    const char *isa;  /* "avx512" */
    unsigned threads;
    int immediate; /* an operation is done when its call returns: results may be read at once */
} ib_backend_info;

/* All images that training and evaluation take batches from, in one numbering: part[0]'s, then
 * part[1]'s. Host memory that outlives the backend or the next ib_attach_data. */
typedef struct ib_data_view {
    struct {
        const uint8_t *pixels; /* [count][image_bytes], an image as [h][w][channels] */
        size_t count;
    } part[2];
    const uint16_t *labels; /* of both parts; NULL: no labels */
    size_t image_bytes;
} ib_data_view;

/* What changes from step to step. Operations are told it by value too; a backend that records a
 * step and does it again takes it from the table at the place of the current step instead: the step
 * of ib_dropout's and ib_augment's rng, ib_update's scalars and index, ib_average's index, and
 * where those operands lie that move from step to step (load_batch's order and classify's results
 * by `at`, softmax_nll's mean by the index).
 */
typedef struct ib_step_scalars {
    uint64_t step; /* optimiser steps done before: the step of dropout's Philox counter */
    uint64_t at;   /* the batch's first image in the order */
    ib_update_scalars update;
} ib_step_scalars;

/* What makes two steps the same sequence of operations on the same buffers. */
typedef struct ib_step_key {
    int64_t n;    /* samples */
    int training; /* 0: evaluation */
} ib_step_key;

/* Every slot is filled; unsupported arguments are refused with a status, never computed in another
 * way. */
typedef struct ib_backend_ops {
    /* A new buffer holds zeros. */
    ib_status (*buffer_create)(ib_backend *self, size_t bytes, ib_buffer *buffer, ib_error *err);
    void (*buffer_destroy)(ib_backend *self, ib_buffer *buffer);
    ib_status (*upload)(ib_backend *self, const ib_buffer *to, const void *from, size_t bytes,
                        ib_error *err);
    /* Waits for what was asked of the buffer before. */
    ib_status (*download)(ib_backend *self, const ib_buffer *from, void *to, size_t bytes,
                          ib_error *err);

    ib_status (*attach_data)(ib_backend *self, const ib_data_view *data, ib_error *err);

    /* A table of the steps that follow (copied); then each step between begin and end. *replayed:
     * the backend has recorded a step of this key and does it again: the caller leaves out the
     * operations. */
    ib_status (*step_table)(ib_backend *self, const ib_step_scalars *steps, size_t count,
                            ib_error *err);
    ib_status (*step_begin)(ib_backend *self, const ib_step_key *key, size_t index, int *replayed,
                            ib_error *err);
    ib_status (*step_end)(ib_backend *self, ib_error *err);

    /* plan_x announces an operation before the run, so that the step allocates nothing. */
#define IB_OPERATION(name, kind, direction)                                                        \
    ib_status (*plan_##name)(ib_backend * self, const ib_##kind *shape, ib_error *err);            \
    ib_status (*name)(ib_backend * self, const ib_##kind *shape,                                   \
                      const ib_##kind##_operands *operands, ib_error *err);
#include "backend/operations.inc"
#undef IB_OPERATION

    void (*close)(ib_backend *self);
} ib_backend_ops;

/* One operation as it was run, for profiles: dense work whatever the kernel skipped. */
typedef struct ib_profile_event {
    const char *operation; /* "conv_forward" */
    const char *label;     /* the layer, as set in ib_backend.label; may be NULL */
    double start, seconds; /* of ib_seconds() */
    double flops, bytes;   /* dense multiply-adds * 2; bytes that must cross memory at least once */
} ib_profile_event;

typedef struct ib_profile {
    void *context;
    void (*record)(void *context, const ib_profile_event *event);
} ib_profile;

/* Every backend's object starts with this. */
struct ib_backend {
    const ib_backend_ops *ops;
    ib_backend_info info;
    ib_host *host;             /* never NULL; the backend's */
    const ib_profile *profile; /* NULL: off. The caller owns it. */
    const char *label;         /* what the next operations belong to */
};

/* Opens a backend by name. An unknown name is IB_ERROR_USAGE; one that this build or machine lacks
 * is IB_ERROR_UNAVAILABLE with the reason. The caller closes it with ib_backend_close. */
ib_status ib_backend_open(const ib_backend_options *options, ib_backend **backend, ib_error *err);
void ib_backend_close(ib_backend *backend);

/* The index-th instruction set this build has kernels for, best first; NULL past the end. */
const char *ib_backend_isa_at(size_t index, int *supported);

/* The operations, with their arguments checked: backends need not check and cannot disagree about
 * it. */
#define IB_OPERATION(name, kind, direction)                                                        \
    ib_status ib_plan_##name(ib_backend *backend, const ib_##kind *shape, ib_error *err);          \
    ib_status ib_##name(ib_backend *backend, const ib_##kind *shape,                               \
                        const ib_##kind##_operands *operands, ib_error *err);
#include "backend/operations.inc"
#undef IB_OPERATION

#endif
