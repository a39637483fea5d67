/* mean: over an image's pixels, which leaves a feature a channel. */
#include "nn/layer.h"

static ib_status shape(const ib_row *row, const ib_extent *const in[2], int64_t classes,
                       ib_extent *out, ib_error *err) {
    (void)classes;
    IB_TRY(ib_expect_image(row, in[0], err));
    *out = (ib_extent){.features = in[0]->channels};
    return IB_OK;
}

static ib_mean mean_of(const ib_node *node, int64_t n) {
    int64_t pixels = node->in.h * node->in.w;
    return (ib_mean){n, pixels, node->in.channels, (float)(1.0 / (double)pixels)};
}

static ib_status open(ib_network *net, ib_node *node, ib_error *err) {
    ib_mean mean = mean_of(node, net->capacity);
    IB_TRY(ib_plan_mean_forward(net->backend, &mean, err));
    return net->training ? ib_plan_mean_backward(net->backend, &mean, err) : IB_OK;
}

static ib_status forward(ib_network *net, ib_node *node, const ib_pass *pass, ib_error *err) {
    ib_mean mean = mean_of(node, pass->count);
    ib_mean_operands p = {.x = ib_node_input(net, node, 0), .y = node->y};
    return ib_mean_forward(net->backend, &mean, &p, err);
}

static ib_status backward(ib_network *net, ib_node *node, const ib_pass *pass, ib_error *err) {
    if (node->inputs[0] == IB_NO_NODE)
        return IB_OK;
    ib_mean mean = mean_of(node, pass->count);
    ib_mean_operands p = {.dy = ib_node_gradient(net, node->dy),
                          .dx = ib_node_gradient(net, node->dx[0])};
    return ib_mean_backward(net->backend, &mean, &p, err);
}

static uint64_t counted(const ib_node *node) {
    return 2 * (uint64_t)node->out.features;
}

static void onnx(ib_onnx_graph *graph, const ib_onnx_row *r, char **value) {
    ib_onnx_row inner = *r;
    inner.last = 0;
    ib_onnx_simple(graph, &inner, "GlobalAveragePool", value);
    ib_onnx_simple(graph, r, "Flatten", value);
}

const ib_layer_kind ib_layer_mean = {.name = "mean",
                                     .inputs = 1,
                                     .shape = shape,
                                     .open = open,
                                     .forward = forward,
                                     .backward = backward,
                                     .counted = counted,
                                     .onnx = onnx};
