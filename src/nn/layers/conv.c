/* conv: out, kernel, stride (1), pad, no_bias. Weights are drawn as torch.nn draws them; without a
 * bias a normalisation follows, and they are drawn for that. */
#include <stdlib.h>

#include "nn/layer.h"

enum { WEIGHT, BIAS };

static int64_t stride_of(const ib_row *row) {
    return row->stride > 0 ? row->stride : 1;
}

static ib_status shape(const ib_row *row, const ib_extent *const in[2], int64_t classes,
                       ib_extent *out, ib_error *err) {
    (void)classes;
    IB_TRY(ib_expect_image(row, in[0], err));
    int64_t h = in[0]->h + 2 * row->pad - row->kernel, w = in[0]->w + 2 * row->pad - row->kernel;
    if (row->out < 1 || row->kernel < 1 || row->pad < 0 || row->pad >= row->kernel || h < 0 ||
        w < 0)
        return ib_fail(
            err, IB_ERROR_USAGE,
            "%s: %lld channels by a kernel of %lld with padding %lld do not fit an image "
            "of %lldx%lld",
            row->name, (long long)row->out, (long long)row->kernel, (long long)row->pad,
            (long long)in[0]->h, (long long)in[0]->w);
    *out = (ib_extent){row->out, h / stride_of(row) + 1, w / stride_of(row) + 1, 0};
    return IB_OK;
}

/* Whether the tap meets the image at any output position of one axis. */
static int meets(int64_t tap, int64_t in, int64_t out, int64_t stride, int64_t pad) {
    for (int64_t o = 0; o < out; ++o) {
        int64_t i = o * stride + tap - pad;
        if (i >= 0 && i < in)
            return 1;
    }
    return 0;
}

static ib_status find_live_taps(const ib_conv *c, ib_parameter *weight, ib_error *err) {
    int64_t taps = c->kh * c->kw;
    weight->live = malloc((size_t)taps);
    if (weight->live == NULL)
        return ib_fail_memory(err);
    weight->block_floats = weight->floats / taps;
    for (int64_t tap = 0; tap < taps; ++tap)
        weight->live[tap] =
            (uint8_t)(meets(tap / c->kw, c->h, ib_conv_out_h(c), c->stride, c->pad) &&
                      meets(tap % c->kw, c->w, ib_conv_out_w(c), c->stride, c->pad));
    return IB_OK;
}

static ib_status add_parameters(ib_network *net, ib_node *node, const ib_conv *c, int64_t channels,
                                int no_bias, ib_error *err) {
    int64_t taps = c->kh * c->kw, stored = c->ci == 1 ? 1 : ib_pad16(c->ci);
    ib_parameter *added;
    ib_parameter weight = {.shape = {4, {c->co, channels, c->kh, c->kw}},
                           .initial = no_bias ? IB_INIT_NORMAL : IB_INIT_UNIFORM,
                           .fan = (no_bias ? c->co : channels) * taps,
                           .trained = 1,
                           .stored_inputs = stored,
                           .floats = taps * stored * ib_pad16(c->co)};
    IB_TRY(ib_add_parameter(net, node, "weight", weight, &added, err));
    IB_TRY(find_live_taps(c, added, err));
    ib_parameter bias = {
        .shape = {1, {c->co}}, .fan = channels * taps, .trained = 1, .floats = ib_pad16(c->co)};
    return no_bias ? IB_OK : ib_add_parameter(net, node, "bias", bias, NULL, err);
}

static ib_status open(ib_network *net, ib_node *node, ib_error *err) {
    const ib_row *row = net->rows[node->first_row].row;
    void *memory;
    IB_TRY(ib_node_shape(node, sizeof(ib_conv), &memory, err));
    ib_conv *c = memory;
    /* The network's input has its one channel unpadded; between layers one channel is stored as 16,
     * and computed as two. */
    int one = node->in.channels == 1 && node->inputs[0] != IB_NO_NODE;
    *c = (ib_conv){.n = net->capacity,
                   .h = node->in.h,
                   .w = node->in.w,
                   .ci = one ? 2 : node->in.channels,
                   .co = row->out,
                   .kh = row->kernel,
                   .kw = row->kernel,
                   .stride = stride_of(row),
                   .pad = row->pad,
                   .relu = node->relu,
                   .pool = node->pool,
                   .mask_input = node->mask_input,
                   .input_scale = node->input_scale,
                   .dw_begins_zero = 1};
    IB_TRY(ib_plan_conv_forward(net->backend, c, err));
    if (net->training)
        IB_TRY(ib_plan_conv_backward(net->backend, c, err));
    if (node->pool)
        node->extra_bytes =
            (size_t)((ib_conv_out_h(c) / 2) * (ib_conv_out_w(c) / 2) * ib_pad16(c->co));
    return add_parameters(net, node, c, node->in.channels, row->no_bias, err);
}

static const ib_parameter *bias_of(const ib_node *node) {
    return node->parameter_count > BIAS ? &node->parameters[BIAS] : NULL;
}

static ib_status forward(ib_network *net, ib_node *node, const ib_pass *pass, ib_error *err) {
    ib_conv c = *(const ib_conv *)node->shape;
    c.n = pass->count;
    c.dropout = ib_pass_dropout(node, pass);
    ib_conv_operands p = {.x = ib_node_input(net, node, 0),
                          .w = ib_value_of(&node->parameters[WEIGHT]),
                          .b = ib_value_of(bias_of(node)),
                          .y = node->y,
                          .argmax = node->extra};
    return ib_conv_forward(net->backend, &c, &p, err);
}

static ib_status backward(ib_network *net, ib_node *node, const ib_pass *pass, ib_error *err) {
    ib_conv c = *(const ib_conv *)node->shape;
    c.n = pass->count;
    c.input_scale = ib_pass_input_scale(node, pass);
    ib_conv_operands p = {.x = ib_node_input(net, node, 0),
                          .w = ib_value_of(&node->parameters[WEIGHT]),
                          .dy = ib_node_gradient(net, node->dy),
                          .dx = ib_node_gradient(net, node->dx[0]),
                          .dw = ib_gradient_of(&node->parameters[WEIGHT]),
                          .db = ib_gradient_of(bias_of(node)),
                          .argmax = node->extra};
    return ib_conv_backward(net->backend, &c, &p, err);
}

static uint64_t macs(const ib_node *node) {
    const ib_conv *c = node->shape;
    return (uint64_t)(ib_conv_out_h(c) * ib_conv_out_w(c) * c->co * c->kh * c->kw *
                      node->in.channels);
}

static void onnx(ib_onnx_graph *graph, const ib_onnx_row *r, char **value) {
    const ib_row *row = r->row;
    ib_protobuf node = ib_onnx_begin(*value);
    ib_onnx_weight(graph, &node, r, "weight", IB_F32,
                   (ib_shape){4, {row->out, r->in.channels, row->kernel, row->kernel}});
    if (!row->no_bias)
        ib_onnx_weight(graph, &node, r, "bias", IB_F32, (ib_shape){1, {row->out}});
    ib_onnx_window(&node, row->kernel, stride_of(row), row->pad);
    ib_onnx_finish(graph, &node, r, "Conv", value);
}

const ib_layer_kind ib_layer_conv = {.name = "conv",
                                     .inputs = 1,
                                     .shape = shape,
                                     .open = open,
                                     .forward = forward,
                                     .backward = backward,
                                     .macs = macs,
                                     .onnx = onnx,
                                     .masks_input = 1};
