/* dropout: p. Behind a ReLU whose reader finds the mask in the values it is fused (fuse.c);
 * elsewhere its backward pass draws the same words again. */
#include "nn/layer.h"

static ib_status shape(const ib_row *row, const ib_extent *const in[2], int64_t classes,
                       ib_extent *out, ib_error *err) {
    (void)classes;
    *out = *in[0];
    return row->p >= 0 && row->p < 1
               ? IB_OK
               : ib_fail(err, IB_ERROR_USAGE, "%s: p is from 0 to below 1, not %g",
                         row->name != NULL ? row->name : row->kind, row->p);
}

static ib_drop drop_of(const ib_node *node, int64_t n) {
    const ib_extent *e = &node->out;
    return (ib_drop){.n = n,
                     .pixels = e->h == 0 ? 1 : e->h * e->w,
                     .channels = e->h == 0 ? e->features : e->channels};
}

static ib_status open(ib_network *net, ib_node *node, ib_error *err) {
    ib_drop drop = drop_of(node, net->capacity);
    IB_TRY(ib_plan_dropout_forward(net->backend, &drop, err));
    return net->training ? ib_plan_dropout_backward(net->backend, &drop, err) : IB_OK;
}

static ib_status forward(ib_network *net, ib_node *node, const ib_pass *pass, ib_error *err) {
    ib_drop drop = drop_of(node, pass->count);
    drop.dropout = ib_pass_dropout(node, pass);
    ib_drop_operands p = {.x = ib_node_input(net, node, 0), .y = node->y};
    return ib_dropout_forward(net->backend, &drop, &p, err);
}

static ib_status backward(ib_network *net, ib_node *node, const ib_pass *pass, ib_error *err) {
    if (node->inputs[0] == IB_NO_NODE)
        return IB_OK;
    ib_drop drop = drop_of(node, pass->count);
    drop.dropout = ib_pass_dropout(node, pass);
    ib_drop_operands p = {.dy = ib_node_gradient(net, node->dy),
                          .dx = ib_node_gradient(net, node->dx[0])};
    return ib_dropout_backward(net->backend, &drop, &p, err);
}

/* In evaluation nothing is dropped: no node. */
static void onnx(ib_onnx_graph *graph, const ib_onnx_row *r, char **value) {
    (void)graph, (void)r, (void)value;
}

const ib_layer_kind ib_layer_dropout = {.name = "dropout",
                                        .inputs = 1,
                                        .keys = IB_KEY_P,
                                        .needed = IB_KEY_P,
                                        .shape = shape,
                                        .open = open,
                                        .forward = forward,
                                        .backward = backward,
                                        .onnx = onnx,
                                        .in_place = 1};
