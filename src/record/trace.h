/* The trace: hashes of every step's loss, gradients and updated values, in <run directory>/
 * trace.bin, so that two runs that differ can be told where they began to.
 *
 * The file: one line of JSON ("tensors": names, "trained", "shapes"), then for each step from 0
 * (the beginning: loss and gradients are 0) words of 64 bits, little-endian: step, the loss's bits,
 * and for each tensor two words for its gradient (trained ones only) and two for its value; last,
 * the first 8 bytes of the SHA-256 of all of the file before them (not in format 1).
 *
 * The hash of a tensor is linear: with x_i the bits of element i in PyTorch's layout (an I64 is two
 * elements, low first), word j is the sum of (x_i + 1) r_j^i modulo 2^61 - 1. Two tensors that
 * differ in one element have hashes from whose difference alone the element can be computed. It
 * guards against errors (a chance of 2^-90 to miss one), not against forgers: the run's results
 * have SHA-256 for that. */
#ifndef IB_RECORD_TRACE_H
#define IB_RECORD_TRACE_H

#include <stddef.h>
#include <stdint.h>

#include "base/chain.h"
#include "base/folder.h"
#include "base/input.h"
#include "base/status.h"
#include "model/model.h"

#define IB_TRACE_NAME "trace.bin"

typedef struct ib_tensor_hash {
    uint64_t word[2];
} ib_tensor_hash;

/* bytes: 4 * elements. */
ib_tensor_hash ib_tensor_hash_of(const void *values, size_t elements);
/* The one element in which two tensors of these hashes differ, and b's bits less a's. 0 when more
 * than one differs. */
int ib_tensor_hash_element(const ib_tensor_hash *a, const ib_tensor_hash *b, size_t elements,
                           size_t *element, int64_t *difference);

/* ---- writing ----------------------------------------------------------------------------------
 */

typedef struct ib_trace_writer ib_trace_writer;

/* Begins the file, or goes on after the given beginning of a run that is resumed (0 bytes: begins);
 * a file that does not begin so is IB_ERROR_VERIFY. The caller closes *writer; the model outlives
 * it. */
ib_status ib_trace_open(const ib_folder *run, const ib_model *model, const ib_prefix *from,
                        ib_trace_writer **writer, ib_error *err);
/* After step (from 1), with the model as the step left it. */
ib_status ib_trace_step(ib_trace_writer *writer, uint64_t step, float loss, ib_error *err);
/* All steps so far are on the disk; *prefix is what they are. */
ib_status ib_trace_sync(ib_trace_writer *writer, ib_prefix *prefix, ib_error *err);
void ib_trace_close(ib_trace_writer *writer); /* NULL is allowed */

/* ---- reading ----------------------------------------------------------------------------------
 */

typedef struct ib_trace ib_trace;

/* *trace NULL and IB_OK: the run has none, or only the beginning of its first line. Damaged:
 * IB_ERROR_VERIFY naming the offset. What a kill left of a last step is passed over. */
ib_status ib_trace_read(const char *run_directory, ib_trace **trace, ib_error *err);
void ib_trace_free(ib_trace *trace);            /* NULL is allowed */
int ib_trace_is_chained(const ib_trace *trace); /* 0: an earlier version wrote it */
/* A trace of this version, or the beginning of its first line: else IB_ERROR_VERIFY. */
ib_status ib_trace_check(const ib_contents *file, ib_error *err);
/* The file as it was read; owned by the trace. */
const ib_contents *ib_trace_contents(const ib_trace *trace);
/* For ib_prefix_check: the offset of the first step that does not fit; size where all do. */
size_t ib_trace_first_misfit(const uint8_t *data, size_t size);

/* The extents of a tensor; returns its rank. */
size_t ib_trace_shape(const ib_trace *trace, size_t tensor, size_t extents[IB_MAX_RANK]);

typedef enum ib_trace_what {
    IB_TRACE_SAME,
    IB_TRACE_KEPT,     /* running statistics, which the forward pass moves */
    IB_TRACE_LOSS,     /* the forward pass, and nothing before it */
    IB_TRACE_GRADIENT, /* of the tensor nearest to the loss among those that differ */
    IB_TRACE_VALUE,    /* a trained tensor after the update, its gradient being the same */
    IB_TRACE_LENGTH,   /* one run has more steps */
} ib_trace_what;

typedef struct ib_trace_difference {
    ib_trace_what what;
    uint64_t step;           /* from 1; 0: the values that training began with */
    size_t tensor;           /* an index */
    const char *name;        /* of the tensor; NULL for losses; of trace a */
    size_t differing;        /* how many tensors differ in this way */
    uint32_t loss_a, loss_b; /* bits */
    ib_tensor_hash a, b;
} ib_trace_difference;

/* The first difference in the order of computation. Traces of other tensors: IB_ERROR_USAGE. */
ib_status ib_trace_compare(const ib_trace *a, const ib_trace *b, ib_trace_difference *difference,
                           ib_error *err);

#endif
