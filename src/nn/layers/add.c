/* add: what it reads, and the row `with`. Behind a normalisation it is fused into that (fuse.c). */
#include "nn/layer.h"

static ib_status shape(const ib_row *row, const ib_extent *const in[2], int64_t classes,
                       ib_extent *out, ib_error *err) {
    (void)classes;
    *out = *in[0];
    return in[0]->h == in[1]->h && in[0]->w == in[1]->w && in[0]->channels == in[1]->channels &&
                   in[0]->features == in[1]->features
               ? IB_OK
               : ib_fail(err, IB_ERROR_USAGE, "%s: %s has another shape than what it is added to",
                         row->name != NULL ? row->name : row->kind, row->with);
}

static ib_elementwise elements(const ib_node *node, int64_t count) {
    return (ib_elementwise){count * ib_extent_floats(&node->out), 0};
}

static ib_status open(ib_network *net, ib_node *node, ib_error *err) {
    ib_elementwise e = elements(node, net->capacity);
    return ib_plan_add_forward(net->backend, &e, err);
}

static ib_status forward(ib_network *net, ib_node *node, const ib_pass *pass, ib_error *err) {
    ib_elementwise e = elements(node, pass->count);
    ib_elementwise_operands p = {
        .x = ib_node_input(net, node, 0), .second = ib_node_input(net, node, 1), .y = node->y};
    return ib_add_forward(net->backend, &e, &p, err);
}

/* Both get the same gradient: the first its place, the second a copy. */
static ib_status backward(ib_network *net, ib_node *node, const ib_pass *pass, ib_error *err) {
    if (node->inputs[1] == IB_NO_NODE)
        return IB_OK;
    ib_elementwise e = elements(node, pass->count);
    ib_elementwise_operands p = {.x = ib_node_gradient(net, node->dy),
                                 .y = ib_node_gradient(net, node->dx[1])};
    return ib_add_forward(net->backend, &e, &p, err);
}

static void onnx(ib_onnx_graph *graph, const ib_onnx_row *r, char **value) {
    ib_protobuf node = ib_onnx_begin(*value);
    ib_onnx_input(&node, r->second);
    ib_onnx_finish(graph, &node, r, "Add", value);
}

const ib_layer_kind ib_layer_add = {.name = "add",
                                    .inputs = 2,
                                    .keys = IB_KEY_ROWS,
                                    .needed = IB_KEY_ROWS,
                                    .shape = shape,
                                    .open = open,
                                    .forward = forward,
                                    .backward = backward,
                                    .onnx = onnx,
                                    .in_place = 1};
