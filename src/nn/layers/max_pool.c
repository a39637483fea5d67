/* max-pool: kernel, stride (the kernel), pad. */
#include "nn/layer.h"

static ib_max_pool pool_of(const ib_row *row, const ib_extent *in, int64_t n) {
    return (ib_max_pool){.n = n,
                         .h = in->h,
                         .w = in->w,
                         .channels = in->channels,
                         .kernel = row->kernel,
                         .stride = row->stride > 0 ? row->stride : row->kernel,
                         .pad = row->pad};
}

static ib_status shape(const ib_row *row, const ib_extent *const in[2], int64_t classes,
                       ib_extent *out, ib_error *err) {
    (void)classes;
    IB_TRY(ib_expect_image(row, in[0], err));
    ib_max_pool pool = pool_of(row, in[0], 1);
    const char *fault = ib_max_pool_fault(&pool, IB_FORWARD);
    if (fault != NULL)
        return ib_fail(err, IB_ERROR_USAGE, "%s: %s", row->name != NULL ? row->name : row->kind,
                       fault);
    *out = (ib_extent){in[0]->channels, ib_max_pool_out(&pool, pool.h),
                       ib_max_pool_out(&pool, pool.w), 0};
    return IB_OK;
}

static ib_status open(ib_network *net, ib_node *node, ib_error *err) {
    void *memory;
    IB_TRY(ib_node_shape(node, sizeof(ib_max_pool), &memory, err));
    ib_max_pool *pool = memory;
    *pool = pool_of(net->rows[node->first_row].row, &node->in, net->capacity);
    node->extra_bytes = (size_t)ib_extent_floats(&node->out); /* argmax: a byte each */
    IB_TRY(ib_plan_max_pool_forward(net->backend, pool, err));
    return net->training ? ib_plan_max_pool_backward(net->backend, pool, err) : IB_OK;
}

static ib_status forward(ib_network *net, ib_node *node, const ib_pass *pass, ib_error *err) {
    ib_max_pool pool = *(const ib_max_pool *)node->shape;
    pool.n = pass->count;
    ib_max_pool_operands p = {
        .x = ib_node_input(net, node, 0), .y = node->y, .argmax = node->extra};
    return ib_max_pool_forward(net->backend, &pool, &p, err);
}

static ib_status backward(ib_network *net, ib_node *node, const ib_pass *pass, ib_error *err) {
    if (node->inputs[0] == IB_NO_NODE)
        return IB_OK;
    ib_max_pool pool = *(const ib_max_pool *)node->shape;
    pool.n = pass->count;
    ib_max_pool_operands p = {.argmax = node->extra,
                              .dy = ib_node_gradient(net, node->dy),
                              .second = ib_node_gradient(net, node->second),
                              .dx = ib_node_gradient(net, node->dx[0])};
    return ib_max_pool_backward(net->backend, &pool, &p, err);
}

static void onnx(ib_onnx_graph *graph, const ib_onnx_row *r, char **value) {
    ib_max_pool pool = pool_of(r->row, &r->in, 1);
    ib_protobuf node = ib_onnx_begin(*value);
    ib_onnx_window(&node, pool.kernel, pool.stride, pool.pad);
    ib_onnx_finish(graph, &node, r, "MaxPool", value);
}

const ib_layer_kind ib_layer_max_pool = {.name = "max-pool",
                                         .inputs = 1,
                                         .shape = shape,
                                         .open = open,
                                         .forward = forward,
                                         .backward = backward,
                                         .onnx = onnx,
                                         .takes_second = 1};
