/* Networks as ONNX graphs. Field numbers are those of onnx.proto. */
#include "model/onnx.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/number.h"
#include "base/numerics_version.h"
#include "build_info.h"
#include "nn/layer.h"
#include "tensor/protobuf.h"
#include "tensor/safetensors.h"

enum { IR_VERSION = 8, OPSET = 17 };
enum { MODEL_IR = 1, MODEL_PRODUCER, MODEL_PRODUCER_VERSION, MODEL_GRAPH = 7, MODEL_OPSET };
enum { MODEL_METADATA = 14, OPSET_DOMAIN = 1, OPSET_VERSION, ENTRY_KEY = 1, ENTRY_VALUE };
enum { GRAPH_NODE = 1, GRAPH_NAME, GRAPH_INITIALIZER = 5, GRAPH_INPUT = 11, GRAPH_OUTPUT };
enum { NODE_INPUT = 1, NODE_OUTPUT, NODE_NAME, NODE_OPERATION, NODE_ATTRIBUTE };
enum { ATTRIBUTE_NAME = 1, ATTRIBUTE_F, ATTRIBUTE_I, ATTRIBUTE_INTS = 8, ATTRIBUTE_TYPE = 20 };
enum { TYPE_FLOAT = 1, TYPE_INT = 2, TYPE_INTS = 7, ELEMENT_FLOAT = 1 };
enum { TENSOR_DIMS = 1, TENSOR_TYPE, TENSOR_NAME = 8, TENSOR_RAW };
#define MOST_BYTES INT64_C(0x7fffffff) /* protobuf's limit of a message, and so ONNX's */

/* One weight: the bytes before it, then data from the file's map. */
struct initializer {
    ib_protobuf head;
    const ib_named_tensor *tensor;
};

struct ib_onnx_graph {
    const ib_safetensors *file;
    ib_protobuf nodes;
    struct initializer *initializers; /* room for every tensor of the file */
    size_t count, used;               /* used: tensors of the file that the rows have */
    char **values;                    /* the names of the rows' outputs */
    size_t rows;
    int mismatch, out_of_memory; /* mismatch: the file is of another network */
};

static void graph_close(ib_onnx_graph *g) {
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
        struct initializer *i = &g->initializers[g->count++];
        uint64_t bytes = (uint64_t)ib_shape_elements(&shape) * ib_dtype_size(dtype);
        ib_protobuf tensor = {0};
        for (int d = 0; d < shape.rank; ++d)
            ib_protobuf_integer(&tensor, TENSOR_DIMS, shape.extent[d]);
        ib_protobuf_integer(&tensor, TENSOR_TYPE, ELEMENT_FLOAT);
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

/* Fills a graph from a network's rows; the caller closes it, also after a failure. */
static ib_status build(ib_onnx_graph *g, const ib_safetensors *file, const ib_network *net,
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

/* ---- the file ---------------------------------------------------------------------------------
 */

static void add_port(ib_protobuf *graph, unsigned field, const char *name, const int64_t *extents,
                     int count) {
    ib_protobuf shape = {0}, tensor = {0}, type = {0}, port = {0};
    for (int i = 0; i <= count; ++i) {
        ib_protobuf dimension = {0};
        if (i == 0)
            ib_protobuf_text(&dimension, 2, "N");
        else
            ib_protobuf_integer(&dimension, 1, extents[i - 1]);
        ib_protobuf_child(&shape, 1, &dimension);
    }
    ib_protobuf_integer(&tensor, 1, ELEMENT_FLOAT);
    ib_protobuf_child(&tensor, 2, &shape);
    ib_protobuf_child(&type, 1, &tensor);
    ib_protobuf_text(&port, 1, name);
    ib_protobuf_child(&port, 2, &type);
    ib_protobuf_child(graph, field, &port);
}

static void add_note(ib_protobuf *model, const char *key, const char *value) {
    ib_protobuf entry = {0};
    ib_protobuf_text(&entry, ENTRY_KEY, key);
    ib_protobuf_text(&entry, ENTRY_VALUE, value);
    ib_protobuf_child(model, MODEL_METADATA, &entry);
}

/* What stands before the graph's weights and after them. */
struct frame {
    ib_protobuf model, graph, ports, tail;
    uint64_t bytes;
};

static void frame_close(struct frame *f) {
    ib_protobuf_free(&f->model);
    ib_protobuf_free(&f->graph);
    ib_protobuf_free(&f->ports);
    ib_protobuf_free(&f->tail);
}

static size_t data_size(const ib_named_tensor *tensor) {
    return (size_t)ib_shape_elements(&tensor->shape) * ib_dtype_size(tensor->dtype);
}

/* "0,1,2", fresh memory. */
static char *class_list(uint32_t classes) {
    char *list = ib_format("0");
    for (uint32_t i = 1; list != NULL && i < classes; ++i) {
        char *longer = ib_format("%s,%u", list, i);
        free(list);
        list = longer;
    }
    return list;
}

static ib_status frame_build(struct frame *f, ib_onnx_graph *g, const char *kind,
                             const ib_onnx_notes *notes, const char *sha256, ib_error *err) {
    const int64_t image[] = {notes->image.channels, notes->image.height, notes->image.width};
    const int64_t logits[] = {notes->classes};
    char *classes = class_list(notes->classes);
    char mean[IB_DOUBLE_TEXT], deviation[IB_DOUBLE_TEXT];
    *f = (struct frame){0};
    if (classes == NULL)
        return ib_fail_memory(err);
    ib_protobuf_text(&f->graph, GRAPH_NAME, kind);
    add_port(&f->ports, GRAPH_INPUT, "input", image, 3);
    add_port(&f->ports, GRAPH_OUTPUT, "logits", logits, 1);
    uint64_t size = g->nodes.size + f->graph.size + f->ports.size;
    int failed = 0;
    for (size_t i = 0; i < g->count; ++i) {
        size += g->initializers[i].head.size + data_size(g->initializers[i].tensor);
        failed |= g->initializers[i].head.failed;
    }
    ib_protobuf_integer(&f->model, MODEL_IR, IR_VERSION);
    ib_protobuf_text(&f->model, MODEL_PRODUCER, "isobit");
    ib_protobuf_text(&f->model, MODEL_PRODUCER_VERSION, IB_VERSION);
    ib_protobuf_length(&f->model, MODEL_GRAPH, size);
    ib_protobuf opset = {0};
    ib_protobuf_text(&opset, OPSET_DOMAIN, "");
    ib_protobuf_integer(&opset, OPSET_VERSION, OPSET);
    ib_protobuf_child(&f->tail, MODEL_OPSET, &opset);
    ib_print_double(notes->mean, mean);
    ib_print_double(notes->deviation, deviation);
    add_note(&f->tail, "isobit.model_sha256", sha256);
    add_note(&f->tail, "isobit.normalize", notes->normalize);
    add_note(&f->tail, "isobit.mean", mean);
    add_note(&f->tail, "isobit.std", deviation);
    add_note(&f->tail, "isobit.numerics", IB_NUMERICS_VERSION);
    add_note(&f->tail, "isobit.classes", classes);
    free(classes);
    f->bytes = f->model.size + size + f->tail.size;
    if (failed || f->model.failed || f->graph.failed || f->ports.failed || f->tail.failed)
        return ib_fail_memory(err);
    return f->bytes <= MOST_BYTES
               ? IB_OK
               : ib_fail(err, IB_ERROR_USAGE, "%s has more than the 2 GiB an ONNX file can hold",
                         kind);
}

/* A stream and the hash of what went into it (NULL: nobody asks); stream errors are found by
 * ib_atomic_commit. */
static void put(FILE *stream, ib_sha256 *hash, const void *data, size_t size) {
    if (size == 0)
        return;
    fwrite(data, 1, size, stream);
    if (hash != NULL)
        ib_sha256_update(hash, data, size);
}

static void put_all(const ib_onnx_graph *g, const struct frame *f, FILE *stream, ib_sha256 *hash) {
    put(stream, hash, f->model.data, f->model.size);
    put(stream, hash, g->nodes.data, g->nodes.size);
    put(stream, hash, f->graph.data, f->graph.size);
    for (size_t i = 0; i < g->count; ++i) {
        const struct initializer *w = &g->initializers[i];
        put(stream, hash, w->head.data, w->head.size);
        put(stream, hash, w->tensor->data, data_size(w->tensor));
    }
    put(stream, hash, f->ports.data, f->ports.size);
    put(stream, hash, f->tail.data, f->tail.size);
}

/* hex NULL: nobody asks for the hash. */
static ib_status write_hashed(const ib_onnx_graph *g, const struct frame *f, const char *path,
                              char *hex, ib_error *err) {
    ib_sha256 hash;
    ib_atomic_file out = {0};
    IB_TRY(ib_atomic_open(&out, path, err));
    ib_sha256_begin(&hash);
    put_all(g, f, out.stream, hex == NULL ? NULL : &hash);
    if (hex != NULL)
        ib_sha256_end_hex(&hash, hex);
    return ib_atomic_commit(&out, err);
}

/* Rows are planned for images of this shape; a network needs no backend for that. */
static ib_status plan(const ib_onnx_notes *notes, const ib_row *rows, ib_network *net,
                      ib_error *err) {
    *net =
        (ib_network){.input = {notes->image.channels, notes->image.height, notes->image.width, 0},
                     .classes = notes->classes};
    return ib_plan_rows(net, rows, err);
}

static ib_status write_fitting(const ib_contents *contents, const ib_safetensors *file,
                               const ib_onnx_notes *notes, const char *path,
                               ib_onnx_written *written, int hashed, int *found, ib_error *err) {
    ib_rows rows;
    ib_network net = {0};
    ib_onnx_graph g = {0};
    struct frame f = {0};
    char sha256[IB_SHA256_HEX_SIZE];
    ib_status status = ib_rows_open(ib_network_at((size_t)written->kind), &rows, err);
    if (status == IB_OK && plan(notes, rows.rows, &net, NULL) == IB_OK)
        status = build(&g, file, &net, err);
    else
        g.mismatch = 1; /* this network does not take such images */
    *found = status == IB_OK && !g.mismatch;
    if (*found) {
        if (notes->sha256 == NULL)
            ib_sha256_bytes(contents->data, contents->size, sha256);
        if (status == IB_OK)
            status = frame_build(&f, &g, ib_model_kind_name(written->kind), notes,
                                 notes->sha256 != NULL ? notes->sha256 : sha256, err);
        if (status == IB_OK)
            status = write_hashed(&g, &f, path, hashed ? written->sha256 : NULL, err);
        written->bytes = f.bytes;
    }
    frame_close(&f);
    graph_close(&g);
    free(net.rows);
    ib_rows_close(&rows);
    return status;
}

ib_status ib_onnx_write_read(const ib_contents *contents, const ib_onnx_notes *notes,
                             const char *path, ib_onnx_written *written, ib_error *err) {
    ib_safetensors file;
    ib_onnx_written result = {0};
    int found = 0;
    IB_TRY(ib_safetensors_parse(contents, &file, err));
    ib_status status = IB_OK;
    for (size_t i = 0; status == IB_OK && !found && ib_network_at(i) != NULL; ++i) {
        result.kind = (ib_model_kind)i;
        status = write_fitting(contents, &file, notes, path, &result, written != NULL, &found, err);
    }
    if (status == IB_OK && !found)
        status = ib_fail(err, IB_ERROR_VERIFY,
                         "%s is no network of this version: its %zu tensors (%s, ...) fit none",
                         file.path, file.count, file.count > 0 ? file.tensors[0].name : "none");
    ib_safetensors_close(&file);
    if (written != NULL)
        *written = result;
    return status;
}

ib_status ib_onnx_write(const char *model_path, const ib_onnx_notes *notes, const char *path,
                        ib_onnx_written *written, ib_error *err) {
    ib_contents contents;
    IB_TRY(ib_contents_open(model_path, IB_MODEL_FILE_MOST, &contents, err));
    ib_status status = ib_onnx_write_read(&contents, notes, path, written, err);
    ib_contents_close(&contents);
    return status;
}
