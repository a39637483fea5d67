/* An ONNX graph while it is written: what kinds of layers add their nodes with. ONNX uses three
 * kinds of protobuf fields, which tensor/protobuf.h encodes. */
#ifndef IB_NN_ONNX_GRAPH_H
#define IB_NN_ONNX_GRAPH_H

#include "nn/network.h"
#include "tensor/protobuf.h"
#include "tensor/safetensors.h"

enum { IB_ONNX_FLOAT = 1 }; /* the type of elements */

/* One weight: the bytes before it, then data from the file's map. */
typedef struct ib_onnx_initializer {
    ib_protobuf head;
    const ib_named_tensor *tensor;
} ib_onnx_initializer;

typedef struct ib_onnx_graph {
    const ib_safetensors *file;
    ib_protobuf nodes;
    ib_onnx_initializer *initializers; /* room for every tensor of the file */
    size_t count, used;                /* used: tensors of the file that the rows have */
    char **values;                     /* the names of the rows' outputs */
    size_t rows;
    int mismatch, out_of_memory; /* mismatch: the file is of another network */
} ib_onnx_graph;

/* Zero-initialise; fills it from the rows of a planned network and the tensors of its model file,
 * whose map must stay. The caller closes it, also after a failure. graph.mismatch: the file is of
 * another network. */
ib_status ib_onnx_graph_build(ib_onnx_graph *graph, const ib_safetensors *file,
                              const ib_network *net, ib_error *err);
void ib_onnx_graph_close(ib_onnx_graph *graph);

/* A row as it is written. */
typedef struct ib_onnx_row {
    const ib_row *row;
    const char *label;  /* its name, or that of the nearest named row before it */
    const char *second; /* the name of its second input's value */
    ib_extent in;
    int64_t out; /* ib_row.out with the number of classes put in */
    int last;    /* gives the logits */
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
