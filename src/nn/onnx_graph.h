/* An ONNX graph while it is written: what kinds of layers add their nodes with. ONNX uses three
 * kinds of protobuf fields, which tensor/protobuf.h encodes. */
#ifndef IB_NN_ONNX_GRAPH_H
#define IB_NN_ONNX_GRAPH_H

#include "nn/network.h"
#include "tensor/protobuf.h"

typedef struct ib_onnx_graph ib_onnx_graph; /* model/onnx.c */

/* A row as it is written. */
typedef struct ib_onnx_row {
    const ib_row *row;
    const char *label;  /* its name, or that of the nearest named row before it */
    const char *second; /* the name of its second input's value */
    ib_extent in;
    int64_t out;        /* ib_row.out with the number of classes put in */
    int last;           /* gives the logits */
} ib_onnx_row;

/* A node with its first input; attributes; then its end: *value becomes its output. Failures are
 * kept in the graph. */
ib_protobuf ib_onnx_begin(const char *value);
void ib_onnx_input(ib_protobuf *node, const char *value);
void ib_onnx_int(ib_protobuf *node, const char *name, int64_t value);
void ib_onnx_float(ib_protobuf *node, const char *name, float value);
/* The attributes of a square window. */
void ib_onnx_window(ib_protobuf *node, int64_t kernel, int64_t stride, int64_t pad);
void ib_onnx_finish(ib_onnx_graph *graph, ib_protobuf *node, const ib_onnx_row *row,
                    const char *operation, char **value);
/* Without attributes. */
void ib_onnx_simple(ib_onnx_graph *graph, const ib_onnx_row *row, const char *operation,
                    char **value);
/* Counts the model file's tensor <row>.<suffix> of this shape; node not NULL: makes it an
 * initializer, and an input of the node. */
void ib_onnx_weight(ib_onnx_graph *graph, ib_protobuf *node, const ib_onnx_row *row,
                    const char *suffix, ib_dtype dtype, ib_shape shape);

#endif
