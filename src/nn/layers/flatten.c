/* flatten: an image as features in the order channel, row, column. */
#include "nn/layer.h"

static ib_status shape(const ib_row *row, const ib_extent *const in[2], int64_t classes,
                       ib_extent *out, ib_error *err) {
    (void)classes;
    IB_TRY(ib_expect_image(row, in[0], err));
    *out = (ib_extent){.features = in[0]->channels * in[0]->h * in[0]->w};
    return IB_OK;
}

static ib_flatten flatten_of(const ib_node *node, int64_t n) {
    return (ib_flatten){n, node->in.h * node->in.w, node->in.channels};
}

static ib_status open(ib_network *net, ib_node *node, ib_error *err) {
    ib_flatten flatten = flatten_of(node, net->capacity);
    IB_TRY(ib_plan_flatten_forward(net->backend, &flatten, err));
    return net->training ? ib_plan_flatten_backward(net->backend, &flatten, err) : IB_OK;
}

static ib_status forward(ib_network *net, ib_node *node, const ib_pass *pass, ib_error *err) {
    ib_flatten flatten = flatten_of(node, pass->count);
    ib_flatten_operands p = {.x = ib_node_input(net, node, 0), .y = node->y};
    return ib_flatten_forward(net->backend, &flatten, &p, err);
}

static ib_status backward(ib_network *net, ib_node *node, const ib_pass *pass, ib_error *err) {
    if (node->inputs[0] == IB_NO_NODE)
        return IB_OK;
    ib_flatten flatten = flatten_of(node, pass->count);
    ib_flatten_operands p = {.dy = ib_node_gradient(net, node->dy),
                             .dx = ib_node_gradient(net, node->dx[0])};
    return ib_flatten_backward(net->backend, &flatten, &p, err);
}

static void onnx(ib_onnx_graph *graph, const ib_onnx_row *r, char **value) {
    ib_onnx_simple(graph, r, "Flatten", value);
}

const ib_layer_kind ib_layer_flatten = {.name = "flatten",
                                        .inputs = 1,
                                        .shape = shape,
                                        .open = open,
                                        .forward = forward,
                                        .backward = backward,
                                        .onnx = onnx};
