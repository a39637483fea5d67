/* Protocol buffer messages in memory: the wire format's fields, as ONNX needs them. */
#ifndef IB_TENSOR_PROTOBUF_H
#define IB_TENSOR_PROTOBUF_H

#include <stddef.h>
#include <stdint.h>

/* Zero-initialise. A failed allocation stays in `failed`, so that it is asked for once, at the end.
 */
typedef struct ib_protobuf {
    uint8_t *data;
    size_t size, capacity;
    int failed;
} ib_protobuf;

void ib_protobuf_free(ib_protobuf *message);
void ib_protobuf_integer(ib_protobuf *message, unsigned field, int64_t value);
void ib_protobuf_float(ib_protobuf *message, unsigned field, float value);
void ib_protobuf_text(ib_protobuf *message, unsigned field, const char *text);
/* Tag and length of a field whose bytes follow elsewhere. */
void ib_protobuf_length(ib_protobuf *message, unsigned field, uint64_t length);
/* Appends another message's fields and frees it. */
void ib_protobuf_append(ib_protobuf *message, ib_protobuf *more);
/* Appends child as a field and frees it. */
void ib_protobuf_child(ib_protobuf *message, unsigned field, ib_protobuf *child);

#endif
