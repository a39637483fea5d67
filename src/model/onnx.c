/* Networks as ONNX graphs. Field numbers are those of onnx.proto. */
#include "model/onnx.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/number.h"
#include "base/numerics_version.h"
#include "build_info.h"
#include "catalog/networks.h"
#include "nn/onnx_graph.h"
#include "tensor/protobuf.h"
#include "tensor/safetensors.h"

enum { IR_VERSION = 8, OPSET = 17 };
enum { MODEL_IR = 1, MODEL_PRODUCER, MODEL_PRODUCER_VERSION, MODEL_GRAPH = 7, MODEL_OPSET };
enum { MODEL_METADATA = 14, OPSET_DOMAIN = 1, OPSET_VERSION, ENTRY_KEY = 1, ENTRY_VALUE };
enum { GRAPH_NAME = 2, GRAPH_INPUT = 11, GRAPH_OUTPUT };
#define MOST_BYTES INT64_C(0x7fffffff) /* protobuf's limit of a message, and so ONNX's */

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
    ib_protobuf_integer(&tensor, 1, IB_ONNX_FLOAT);
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
    if (notes->deviation > 0) {
        add_note(&f->tail, "isobit.mean", mean);
        add_note(&f->tail, "isobit.std", deviation);
    }
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
        const ib_onnx_initializer *w = &g->initializers[i];
        put(stream, hash, w->head.data, w->head.size);
        put(stream, hash, w->tensor->data, data_size(w->tensor));
    }
    put(stream, hash, f->ports.data, f->ports.size);
    put(stream, hash, f->tail.data, f->tail.size);
}

/* hex NULL: nobody asks for the hash. */
static ib_status write_hashed(const ib_onnx_graph *g, const struct frame *f,
                              const ib_folder *folder, const char *path, char *hex, ib_error *err) {
    ib_sha256 hash;
    ib_atomic_file out = {0};
    IB_TRY(ib_atomic_open_in(&out, folder, path, err));
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
                               const ib_experiment *experiment, const ib_onnx_notes *notes,
                               const ib_folder *folder, const char *path, ib_onnx_written *written,
                               int hashed, int *found, ib_error *err) {
    ib_network_file network = {0};
    ib_network net = {0};
    ib_onnx_graph g = {0};
    struct frame f = {0};
    char sha256[IB_SHA256_HEX_SIZE];
    ib_error why = {0};
    ib_status status = ib_network_of(experiment, &network, err);
    if (status == IB_OK && plan(notes, network.rows, &net, &why) == IB_OK)
        status = ib_onnx_graph_build(&g, file, &net, err);
    else
        g.mismatch = 1; /* this network does not take such images */
    if (ib_error_is_memory(&why))
        status = ib_fail_memory(err);
    ib_error_clear(&why);
    *found = status == IB_OK && !g.mismatch;
    if (*found) {
        if (notes->sha256 == NULL)
            ib_sha256_bytes(contents->data, contents->size, sha256);
        if (status == IB_OK)
            status = frame_build(&f, &g, network.name, notes,
                                 notes->sha256 != NULL ? notes->sha256 : sha256, err);
        if (status == IB_OK)
            status = write_hashed(&g, &f, folder, path, hashed ? written->sha256 : NULL, err);
        written->bytes = f.bytes;
        snprintf(written->network, sizeof written->network, "%s", network.name);
    }
    frame_close(&f);
    ib_onnx_graph_close(&g);
    free(net.rows);
    ib_network_file_close(&network);
    return status;
}

ib_status ib_onnx_write_read(const ib_contents *contents, const ib_onnx_notes *notes,
                             const ib_folder *folder, const char *path, ib_onnx_written *written,
                             ib_error *err) {
    ib_safetensors file;
    ib_onnx_written result = {0};
    int found = 0;
    IB_TRY(ib_safetensors_parse(contents, &file, err));
    ib_status status = IB_OK;
    if (notes->experiment != NULL && notes->experiment->model == IB_MODEL_FILE)
        status = write_fitting(contents, &file, notes->experiment, notes, folder, path, &result,
                               written != NULL, &found, err);
    for (size_t i = 0; status == IB_OK && !found && ib_network_at(i) != NULL; ++i) {
        ib_experiment experiment = {.model = (int)i};
        status = write_fitting(contents, &file, &experiment, notes, folder, path, &result,
                               written != NULL, &found, err);
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

ib_status ib_onnx_write(const char *model_path, const ib_onnx_notes *notes, const ib_folder *folder,
                        const char *path, ib_onnx_written *written, ib_error *err) {
    ib_contents contents;
    IB_TRY(ib_contents_open(model_path, IB_MODEL_FILE_MOST, &contents, err));
    ib_status status = ib_onnx_write_read(&contents, notes, folder, path, written, err);
    ib_contents_close(&contents);
    return status;
}
