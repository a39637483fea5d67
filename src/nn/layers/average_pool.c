/* average-pool: kernel, stride (the kernel), pad; padding counts as zeros. */
#include "nn/layer.h"

static ib_average_pool pool_of(const ib_row *row, const ib_extent *in, int64_t n) {
    return (ib_average_pool){.n = n,
                             .h = in->h,
                             .w = in->w,
                             .channels = in->channels,
                             .kernel = row->kernel,
                             .stride = row->stride > 0 ? row->stride : row->kernel,
                             .pad = row->pad,
                             .inverse = (float)(1.0 / (double)(row->kernel * row->kernel))};
}

static ib_status shape(const ib_row *row, const ib_extent *const in[2], int64_t classes,
                       ib_extent *out, ib_error *err) {
    (void)classes;
    IB_TRY(ib_expect_image(row, in[0], err));
    ib_average_pool pool = pool_of(row, in[0], 1);
    const char *fault = ib_average_pool_fault(&pool, IB_FORWARD);
    if (fault != NULL)
        return ib_fail(err, IB_ERROR_USAGE, "%s: %s", row->name != NULL ? row->name : row->kind,
                       fault);
    *out = (ib_extent){in[0]->channels, ib_average_pool_out(&pool, pool.h),
                       ib_average_pool_out(&pool, pool.w), 0};
    return IB_OK;
}

static ib_status open(ib_network *net, ib_node *node, ib_error *err) {
    void *memory;
    IB_TRY(ib_node_shape(node, sizeof(ib_average_pool), &memory, err));
    ib_average_pool *pool = memory;
    *pool = pool_of(net->rows[node->first_row].row, &node->in, net->capacity);
    IB_TRY(ib_plan_average_pool_forward(net->backend, pool, err));
    return net->training ? ib_plan_average_pool_backward(net->backend, pool, err) : IB_OK;
}

static ib_status forward(ib_network *net, ib_node *node, const ib_pass *pass, ib_error *err) {
    ib_average_pool pool = *(const ib_average_pool *)node->shape;
    pool.n = pass->count;
    ib_average_pool_operands p = {.x = ib_node_input(net, node, 0), .y = node->y};
    return ib_average_pool_forward(net->backend, &pool, &p, err);
}

static ib_status backward(ib_network *net, ib_node *node, const ib_pass *pass, ib_error *err) {
    if (node->inputs[0] == IB_NO_NODE)
        return IB_OK;
    ib_average_pool pool = *(const ib_average_pool *)node->shape;
    pool.n = pass->count;
    ib_average_pool_operands p = {.dy = ib_node_gradient(net, node->dy),
                                  .second = ib_node_gradient(net, node->second),
                                  .dx = ib_node_gradient(net, node->dx[0])};
    return ib_average_pool_backward(net->backend, &pool, &p, err);
}

static void onnx(ib_onnx_graph *graph, const ib_onnx_row *r, char **value) {
    ib_average_pool pool = pool_of(r->row, &r->in, 1);
    ib_protobuf node = ib_onnx_begin(*value);
    ib_onnx_window(&node, pool.kernel, pool.stride, pool.pad);
    ib_onnx_int(&node, "count_include_pad", 1);
    ib_onnx_finish(graph, &node, r, "AveragePool", value);
}

const ib_layer_kind ib_layer_average_pool = {.name = "average-pool",
                                             .inputs = 1,
                                             .keys = IB_KEY_SIZE | IB_KEY_STRIDE | IB_KEY_PAD,
                                             .needed = IB_KEY_SIZE,
                                             .shape = shape,
                                             .open = open,
                                             .forward = forward,
                                             .backward = backward,
                                             .onnx = onnx,
                                             .takes_second = 1};
