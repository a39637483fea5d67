/* relu: x >= 2^-40 ? x : +0. Behind convolutions, linear layers and normalisations it is fused into
 * them (fuse.c). */
#include "nn/layer.h"

static ib_status shape(const ib_row *row, const ib_extent *const in[2], int64_t classes,
                       ib_extent *out, ib_error *err) {
    (void)row, (void)classes, (void)err;
    *out = *in[0];
    return IB_OK;
}

static ib_elementwise elements(const ib_network *net, const ib_node *node, int64_t count) {
    (void)net;
    return (ib_elementwise){count * ib_extent_floats(&node->out), 0};
}

static ib_status open(ib_network *net, ib_node *node, ib_error *err) {
    ib_elementwise e = elements(net, node, net->capacity);
    IB_TRY(ib_plan_relu_forward(net->backend, &e, err));
    return net->training ? ib_plan_relu_backward(net->backend, &e, err) : IB_OK;
}

static ib_status forward(ib_network *net, ib_node *node, const ib_pass *pass, ib_error *err) {
    ib_elementwise e = elements(net, node, pass->count);
    ib_elementwise_operands p = {.x = ib_node_input(net, node, 0), .y = node->y};
    return ib_relu_forward(net->backend, &e, &p, err);
}

static ib_status backward(ib_network *net, ib_node *node, const ib_pass *pass, ib_error *err) {
    if (node->inputs[0] == IB_NO_NODE)
        return IB_OK;
    ib_elementwise e = elements(net, node, pass->count);
    ib_elementwise_operands p = {.y_kept = node->y,
                                 .dy = ib_node_gradient(net, node->dy),
                                 .dx = ib_node_gradient(net, node->dx[0])};
    return ib_relu_backward(net->backend, &e, &p, err);
}

static void onnx(ib_onnx_graph *graph, const ib_onnx_row *r, char **value) {
    ib_onnx_simple(graph, r, "Relu", value);
}

const ib_layer_kind ib_layer_relu = {.name = "relu",
                                     .inputs = 1,
                                     .shape = shape,
                                     .open = open,
                                     .forward = forward,
                                     .backward = backward,
                                     .onnx = onnx,
                                     .in_place = 1};
