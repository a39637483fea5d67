/* linear: out (one a class by default), no_bias. */
#include "nn/layer.h"

enum { WEIGHT, BIAS };

static ib_status shape(const ib_row *row, const ib_extent *const in[2], int64_t classes,
                       ib_extent *out, ib_error *err) {
    IB_TRY(ib_expect_features(row, in[0], err));
    *out = (ib_extent){.features = row->out == IB_CLASSES_OUT ? classes : row->out};
    return out->features > 0 ? IB_OK
                             : ib_fail(err, IB_ERROR_USAGE, "%s: no features out", row->name);
}

static ib_status open(ib_network *net, ib_node *node, ib_error *err) {
    int no_bias = net->rows[node->first_row].row->no_bias;
    void *memory;
    IB_TRY(ib_node_shape(node, sizeof(ib_linear), &memory, err));
    ib_linear *l = memory;
    *l = (ib_linear){.n = net->capacity,
                     .in = node->in.features,
                     .out = node->out.features,
                     .relu = node->relu,
                     .mask_input = node->mask_input,
                     .input_scale = node->input_scale};
    IB_TRY(ib_plan_linear_forward(net->backend, l, err));
    if (net->training)
        IB_TRY(ib_plan_linear_backward(net->backend, l, err));
    ib_parameter weight = {.shape = {2, {l->out, l->in}},
                           .fan = l->in,
                           .trained = 1,
                           .floats = ib_pad16(l->in) * ib_pad16(l->out)};
    ib_parameter bias = {
        .shape = {1, {l->out}}, .fan = l->in, .trained = 1, .floats = ib_pad16(l->out)};
    IB_TRY(ib_add_parameter(net, node, "weight", weight, NULL, err));
    return no_bias ? IB_OK : ib_add_parameter(net, node, "bias", bias, NULL, err);
}

static const ib_parameter *bias_of(const ib_node *node) {
    return node->parameter_count > BIAS ? &node->parameters[BIAS] : NULL;
}

static ib_status forward(ib_network *net, ib_node *node, const ib_pass *pass, ib_error *err) {
    ib_linear l = *(const ib_linear *)node->shape;
    l.n = pass->count;
    l.dropout = ib_pass_dropout(node, pass);
    ib_linear_operands p = {.x = ib_node_input(net, node, 0),
                            .w = ib_value_of(&node->parameters[WEIGHT]),
                            .b = ib_value_of(bias_of(node)),
                            .y = node->y};
    return ib_linear_forward(net->backend, &l, &p, err);
}

static ib_status backward(ib_network *net, ib_node *node, const ib_pass *pass, ib_error *err) {
    ib_linear l = *(const ib_linear *)node->shape;
    l.n = pass->count;
    l.input_scale = ib_pass_input_scale(node, pass);
    ib_linear_operands p = {.x = ib_node_input(net, node, 0),
                            .w = ib_value_of(&node->parameters[WEIGHT]),
                            .dy = ib_node_gradient(net, node->dy),
                            .dx = ib_node_gradient(net, node->dx[0]),
                            .dw = ib_gradient_of(&node->parameters[WEIGHT]),
                            .db = ib_gradient_of(bias_of(node))};
    return ib_linear_backward(net->backend, &l, &p, err);
}

static uint64_t macs(const ib_node *node) {
    return (uint64_t)(node->in.features * node->out.features);
}

static void onnx(ib_onnx_graph *graph, const ib_onnx_row *r, char **value) {
    ib_protobuf node = ib_onnx_begin(*value);
    ib_onnx_weight(graph, &node, r, "weight", IB_F32, (ib_shape){2, {r->out, r->in.features}});
    if (!r->row->no_bias)
        ib_onnx_weight(graph, &node, r, "bias", IB_F32, (ib_shape){1, {r->out}});
    ib_onnx_int(&node, "transB", 1);
    ib_onnx_finish(graph, &node, r, "Gemm", value);
}

const ib_layer_kind ib_layer_linear = {.name = "linear",
                                       .inputs = 1,
                                       .keys = IB_KEY_OUT | IB_KEY_BIAS,
                                       .needed = IB_KEY_OUT,
                                       .has_parameters = 1,
                                       .shape = shape,
                                       .open = open,
                                       .forward = forward,
                                       .backward = backward,
                                       .macs = macs,
                                       .onnx = onnx,
                                       .masks_input = 1};
