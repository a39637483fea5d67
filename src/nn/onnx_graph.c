/* The nodes and weights of an ONNX graph, from a network's rows. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "nn/layer.h"
#include "nn/onnx_graph.h"

enum { GRAPH_NODE = 1, GRAPH_INITIALIZER = 5 };
enum { NODE_INPUT = 1, NODE_OUTPUT, NODE_NAME, NODE_OPERATION, NODE_ATTRIBUTE };
enum { ATTRIBUTE_NAME = 1, ATTRIBUTE_F, ATTRIBUTE_I, ATTRIBUTE_INTS = 8, ATTRIBUTE_TYPE = 20 };
enum { TYPE_FLOAT = 1, TYPE_INT = 2, TYPE_INTS = 7 };
enum { TENSOR_DIMS = 1, TENSOR_TYPE, TENSOR_NAME = 8, TENSOR_RAW };

void ib_onnx_graph_close(ib_onnx_graph *g) {
    for (size_t i = 0; i < g->count; ++i)
        ib_protobuf_free(&g->initializers[i].head);
    for (size_t i = 0; g->values != NULL && i < g->rows; ++i)
        free(g->values[i]);
    free(g->initializers);
    free((void *)g->values);
    ib_protobuf_free(&g->nodes);
}

/* ---- nodes ------------------------------------------------------------------------------------
 */

void ib_onnx_int(ib_protobuf *node, const char *name, int64_t value) {
    ib_protobuf a = {0};
    ib_protobuf_text(&a, ATTRIBUTE_NAME, name);
    ib_protobuf_integer(&a, ATTRIBUTE_I, value);
    ib_protobuf_integer(&a, ATTRIBUTE_TYPE, TYPE_INT);
    ib_protobuf_child(node, NODE_ATTRIBUTE, &a);
}

void ib_onnx_float(ib_protobuf *node, const char *name, float value) {
    ib_protobuf a = {0};
    ib_protobuf_text(&a, ATTRIBUTE_NAME, name);
    ib_protobuf_float(&a, ATTRIBUTE_F, value);
    ib_protobuf_integer(&a, ATTRIBUTE_TYPE, TYPE_FLOAT);
    ib_protobuf_child(node, NODE_ATTRIBUTE, &a);
}

static void attribute_ints(ib_protobuf *node, const char *name, int64_t value, int count) {
    ib_protobuf a = {0};
    ib_protobuf_text(&a, ATTRIBUTE_NAME, name);
    for (int i = 0; i < count; ++i)
        ib_protobuf_integer(&a, ATTRIBUTE_INTS, value);
    ib_protobuf_integer(&a, ATTRIBUTE_TYPE, TYPE_INTS);
    ib_protobuf_child(node, NODE_ATTRIBUTE, &a);
}

void ib_onnx_window(ib_protobuf *node, int64_t kernel, int64_t stride, int64_t pad) {
    attribute_ints(node, "kernel_shape", kernel, 2);
    attribute_ints(node, "pads", pad, 4);
    attribute_ints(node, "strides", stride, 2);
}

/* "conv1.Relu", or where rows without a name repeat an operation "conv1.Relu.2", ...: fresh. */
static char *output_name(const ib_onnx_graph *g, const ib_onnx_row *row, const char *operation) {
    char *name = ib_format("%s.%s", row->label, operation);
    for (int number = 2; name != NULL; ++number) {
        int taken = 0;
        for (size_t i = 0; i < g->rows; ++i)
            taken |= g->values[i] != NULL && strcmp(g->values[i], name) == 0;
        if (!taken)
            break;
        free(name);
        name = ib_format("%s.%s.%d", row->label, operation, number);
    }
    return name;
}

void ib_onnx_finish(ib_onnx_graph *g, ib_protobuf *node, const ib_onnx_row *row,
                    const char *operation, char **value) {
    char *output = row->last ? ib_format("logits") : output_name(g, row, operation);
    free(*value);
    *value = output;
    g->out_of_memory |= output == NULL;
    const char *name = output == NULL ? "" : output;
    ib_protobuf_text(node, NODE_OUTPUT, name);
    ib_protobuf_text(node, NODE_NAME, name);
    ib_protobuf_text(node, NODE_OPERATION, operation);
    ib_protobuf_child(&g->nodes, GRAPH_NODE, node);
}

void ib_onnx_input(ib_protobuf *node, const char *value) {
    ib_protobuf_text(node, NODE_INPUT, value == NULL ? "" : value);
}

ib_protobuf ib_onnx_begin(const char *value) {
    ib_protobuf node = {0};
    ib_onnx_input(&node, value);
    return node;
}

void ib_onnx_simple(ib_onnx_graph *g, const ib_onnx_row *row, const char *operation, char **value) {
    ib_protobuf node = ib_onnx_begin(*value);
    ib_onnx_finish(g, &node, row, operation, value);
}

void ib_onnx_weight(ib_onnx_graph *g, ib_protobuf *node, const ib_onnx_row *row, const char *suffix,
                    ib_dtype dtype, ib_shape shape) {
    char *name = ib_format("%s.%s", row->label, suffix);
    g->out_of_memory |= name == NULL;
    const ib_named_tensor *t = name == NULL ? NULL : ib_safetensors_find(g->file, name);
    if (t == NULL || t->dtype != dtype || t->shape.rank != shape.rank ||
        memcmp(t->shape.extent, shape.extent, (size_t)shape.rank * sizeof shape.extent[0]) != 0 ||
        g->used == g->file->count) {
        g->mismatch = 1;
        free(name);
        return;
    }
    ++g->used;
    if (node != NULL) {
        ib_onnx_initializer *i = &g->initializers[g->count++];
        uint64_t bytes = (uint64_t)ib_shape_elements(&shape) * ib_dtype_size(dtype);
        ib_protobuf tensor = {0};
        for (int d = 0; d < shape.rank; ++d)
            ib_protobuf_integer(&tensor, TENSOR_DIMS, shape.extent[d]);
        ib_protobuf_integer(&tensor, TENSOR_TYPE, IB_ONNX_FLOAT);
        ib_protobuf_text(&tensor, TENSOR_NAME, name);
        ib_protobuf_length(&tensor, TENSOR_RAW, bytes);
        i->tensor = t;
        ib_protobuf_length(&i->head, GRAPH_INITIALIZER, tensor.size + bytes);
        ib_protobuf_append(&i->head, &tensor);
        ib_protobuf_text(node, NODE_INPUT, name);
    }
    free(name);
}

/* ---- rows -------------------------------------------------------------------------------------
 */

static void add_row(ib_onnx_graph *g, const ib_network *net, size_t at) {
    const ib_row_plan *plan = &net->rows[at];
    int from = plan->from[0], with = plan->from[1];
    ib_onnx_row row = {.row = plan->row,
                       .label = plan->label,
                       .second = with < 0 ? NULL : g->values[with],
                       .in = from < 0 ? net->input : net->rows[from].out,
                       .out = plan->out.features,
                       .last = at + 1 == g->rows};
    const char *input = from < 0 ? "input" : g->values[from];
    g->values[at] = ib_format("%s", input == NULL ? "" : input);
    g->out_of_memory |= g->values[at] == NULL;
    plan->kind->onnx(g, &row, &g->values[at]);
}

ib_status ib_onnx_graph_build(ib_onnx_graph *g, const ib_safetensors *file, const ib_network *net,
                              ib_error *err) {
    *g = (ib_onnx_graph){.file = file, .rows = net->row_count};
    g->values = calloc(g->rows + 1, sizeof *g->values);
    g->initializers = calloc(file->count + 1, sizeof *g->initializers);
    if (g->values == NULL || g->initializers == NULL)
        return ib_fail_memory(err);
    for (size_t row = 0; row < g->rows && !g->mismatch; ++row)
        add_row(g, net, row);
    g->mismatch |= g->used != file->count;
    if (g->out_of_memory)
        return ib_fail_memory(err);
    return g->nodes.failed ? ib_fail_memory(err) : IB_OK;
}
