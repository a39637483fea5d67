/* Shapes, types and buffer handles. No arithmetic here. */
#ifndef IB_TENSOR_TENSOR_H
#define IB_TENSOR_TENSOR_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef enum ib_dtype { IB_F32, IB_F64, IB_I64, IB_I32, IB_U8 } ib_dtype;

enum { IB_MAX_RANK = 4 };

typedef struct ib_shape {
    int rank; /* 0: a scalar */
    int64_t extent[IB_MAX_RANK];
} ib_shape;

/* Memory of one backend, or a part of it. The creating backend owns the meaning of handle (on the
 * CPU: an address); offset is in bytes. A handle of NULL: there is none. */
typedef struct ib_buffer {
    void *handle;
    size_t offset, bytes;
} ib_buffer;

/* A part of a buffer, which keeps owning it: never destroyed itself. offset: a multiple of the
 * elements' size. */
static inline ib_buffer ib_buffer_part(const ib_buffer *whole, size_t offset, size_t bytes) {
    return (ib_buffer){whole->handle, whole->offset + offset, bytes};
}

size_t ib_dtype_size(ib_dtype dtype);
/* The safetensors name: "F32", "I64" ... */
const char *ib_dtype_name(ib_dtype dtype);
/* Elements of a shape, or -1 when negative extents or overflow make it meaningless. */
int64_t ib_shape_elements(const ib_shape *shape);

#endif
