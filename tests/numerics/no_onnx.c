/* Layers say how they are written as ONNX nodes; numerics writes none, and does without the files
 * that would need a library. */
#include <stdlib.h>

#include "nn/onnx_graph.h"

ib_protobuf ib_onnx_begin(const char *value) {
    (void)value;
    abort();
}
void ib_onnx_input(ib_protobuf *node, const char *value) {
    (void)node, (void)value;
    abort();
}
void ib_onnx_int(ib_protobuf *node, const char *name, int64_t value) {
    (void)node, (void)name, (void)value;
    abort();
}
void ib_onnx_float(ib_protobuf *node, const char *name, float value) {
    (void)node, (void)name, (void)value;
    abort();
}
void ib_onnx_window(ib_protobuf *node, int64_t kernel, int64_t stride, int64_t pad) {
    (void)node, (void)kernel, (void)stride, (void)pad;
    abort();
}
void ib_onnx_finish(ib_onnx_graph *graph, ib_protobuf *node, const ib_onnx_row *row,
                    const char *operation, char **value) {
    (void)graph, (void)node, (void)row, (void)operation, (void)value;
    abort();
}
void ib_onnx_simple(ib_onnx_graph *graph, const ib_onnx_row *row, const char *operation,
                    char **value) {
    (void)graph, (void)row, (void)operation, (void)value;
    abort();
}
void ib_onnx_weight(ib_onnx_graph *graph, ib_protobuf *node, const ib_onnx_row *row,
                    const char *suffix, ib_dtype dtype, ib_shape shape) {
    (void)graph, (void)node, (void)row, (void)suffix, (void)dtype, (void)shape;
    abort();
}
