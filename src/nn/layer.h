/* Kinds of layers. A kind's file in layers/ holds all that is known of it: its shape rule, its
 * parameters, forward, backward, cost and ONNX node. layers/<kind>.c defines ib_layer_<kind>; the
 * list of them is made by the build from the folder (cmake/layers.cmake), so that a new kind is a
 * new file. */
#ifndef IB_NN_LAYER_H
#define IB_NN_LAYER_H

#include "nn/network.h"
#include "nn/onnx_graph.h"

/* What a row of a kind may say in a file, besides name and from (network_row.c). */
typedef enum ib_row_keys {
    IB_KEY_OUT = 1 << 0,
    IB_KEY_KERNEL = 1 << 1,
    IB_KEY_SIZE = 1 << 2, /* a pool's kernel, which its stride is, too, unless it says otherwise */
    IB_KEY_STRIDE = 1 << 3,
    IB_KEY_PAD = 1 << 4,
    IB_KEY_BIAS = 1 << 5,
    IB_KEY_P = 1 << 6,
    IB_KEY_ROWS = 1 << 7, /* a list of the two rows it reads */
} ib_row_keys;

struct ib_layer_kind {
    const char *name;      /* as rows say it: "max-pool" */
    int inputs;            /* rows it reads: 1, or 2 with ib_row.with */
    unsigned keys, needed; /* ib_row_keys: what a row may say, and must */
    int has_parameters;    /* and so needs a name */
    /* The output's extent for these inputs. An error names the row. */
    ib_status (*shape)(const ib_row *row, const ib_extent *const in[2], int64_t classes,
                       ib_extent *out, ib_error *err);
    /* Plans a node that begins with such a row: its operations, parameters and memory. Extents,
     * inputs and what is fused into it (relu, pool, dropout) are known. */
    ib_status (*open)(ib_network *net, ib_node *node, ib_error *err);
    ib_status (*forward)(ib_network *net, ib_node *node, const ib_pass *pass, ib_error *err);
    /* Gradients of its parameters, and of what it reads into the node's slots. */
    ib_status (*backward)(ib_network *net, ib_node *node, const ib_pass *pass, ib_error *err);
    /* Dense multiply-adds of one sample, forward; NULL: none. */
    uint64_t (*macs)(const ib_node *node);
    /* Operations of one sample as tools count them that add what macs leaves out; NULL: macs. */
    uint64_t (*counted)(const ib_node *node);
    /* The row as ONNX nodes: value, the name of its first input, becomes that of its output. */
    void (*onnx)(ib_onnx_graph *graph, const ib_onnx_row *row, char **value);
    /* Its backward pass hands back gradients before the ReLU and dropout of what it reads
     * (ib_node.mask_input), so that those need no pass of their own. */
    int masks_input;
    /* Where a ReLU is fused into it, its own backward pass applies the mask. */
    int masks_itself;
    int takes_second; /* adds a second gradient of its output itself */
    int in_place;     /* the gradient of its first input may take its output's place */
};

#define IB_LAYER(identifier) extern const ib_layer_kind ib_layer_##identifier;
#include "layer_kinds.inc"
#undef IB_LAYER

/* NULL for an unknown name. */
const ib_layer_kind *ib_layer_kind_named(const char *name);
/* The index-th kind; NULL past the end. */
const ib_layer_kind *ib_layer_kind_at(size_t index);
/* "conv, linear, ...": fresh memory, NULL when out of memory. */
char *ib_layer_kind_names(void);

/* What kinds share: fails naming the row when the input is not an image (or not features). */
ib_status ib_expect_image(const ib_row *row, const ib_extent *in, ib_error *err);
ib_status ib_expect_features(const ib_row *row, const ib_extent *in, ib_error *err);
/* Floats of one sample as stored. */
int64_t ib_extent_floats(const ib_extent *extent);

/* The buffers of a node: of what it reads (which: 0, 1), and its gradient slots; {NULL}: none. */
ib_buffer ib_node_input(const ib_network *net, const ib_node *node, int which);
ib_buffer ib_node_gradient(const ib_network *net, int slot);
/* A parameter's value and gradient; {NULL} for NULL. */
ib_buffer ib_value_of(const ib_parameter *parameter);
ib_buffer ib_gradient_of(const ib_parameter *parameter);

/* Adds a parameter to the node that is being opened; its name is the row's and this suffix. */
ib_status ib_add_parameter(ib_network *net, ib_node *node, const char *suffix,
                           ib_parameter parameter, ib_parameter **added, ib_error *err);
/* Memory for a node's shape: zeros, freed with the network. */
ib_status ib_node_shape(ib_node *node, size_t bytes, void **shape, ib_error *err);
/* The dropout of a node in this pass; disabled where there is none. */
ib_dropout ib_pass_dropout(const ib_node *node, const ib_pass *pass);
/* By which the activation mask multiplies in this pass. */
float ib_pass_input_scale(const ib_node *node, const ib_pass *pass);

#endif
