/* batch-norm: of images, with PyTorch's eps and momentum. An addition and a ReLU behind it are
 * fused into it (fuse.c). */
#include "nn/layer.h"

enum { WEIGHT, BIAS, RUNNING_MEAN, RUNNING_VARIANCE, BATCHES };
static const float EPS = 1e-5f, MOMENTUM = 0.1f;

static ib_status shape(const ib_row *row, const ib_extent *const in[2], int64_t classes,
                       ib_extent *out, ib_error *err) {
    (void)classes;
    *out = *in[0];
    return ib_expect_image(row, in[0], err);
}

static ib_status add_parameters(ib_network *net, ib_node *node, int64_t channels, ib_error *err) {
    ib_parameter scale = {.shape = {1, {channels}},
                          .initial = IB_INIT_ONE,
                          .trained = 1,
                          .floats = ib_pad16(channels)};
    ib_parameter shift = scale, running = scale, batches = {.dtype = IB_I64};
    shift.initial = IB_INIT_ZERO;
    running.trained = 0;
    IB_TRY(ib_add_parameter(net, node, "weight", scale, NULL, err));
    IB_TRY(ib_add_parameter(net, node, "bias", shift, NULL, err));
    running.initial = IB_INIT_ZERO;
    IB_TRY(ib_add_parameter(net, node, "running_mean", running, NULL, err));
    running.initial = IB_INIT_ONE;
    IB_TRY(ib_add_parameter(net, node, "running_var", running, NULL, err));
    return ib_add_parameter(net, node, "num_batches_tracked", batches, NULL, err);
}

static ib_status open(ib_network *net, ib_node *node, ib_error *err) {
    void *memory;
    IB_TRY(ib_node_shape(node, sizeof(ib_norm), &memory, err));
    ib_norm *norm = memory;
    *norm = (ib_norm){.n = net->capacity,
                      .pixels = node->in.h * node->in.w,
                      .channels = node->in.channels,
                      .relu = node->relu,
                      .momentum = MOMENTUM,
                      .eps = EPS};
    IB_TRY(ib_plan_norm_forward(net->backend, norm, err));
    if (net->training)
        IB_TRY(ib_plan_norm_backward(net->backend, norm, err));
    node->kept_bytes = IB_SAVED_COUNT * (size_t)ib_pad16(norm->channels) * sizeof(float);
    return add_parameters(net, node, norm->channels, err);
}

/* Running mean and variance lie side by side. */
static ib_buffer running(const ib_network *net, const ib_node *node) {
    const ib_parameter *mean = &node->parameters[RUNNING_MEAN];
    return ib_buffer_part(&net->kept, mean->offset, 2 * (size_t)mean->floats * sizeof(float));
}

static ib_norm norm_of(const ib_node *node, const ib_pass *pass) {
    ib_norm norm = *(const ib_norm *)node->shape;
    norm.n = pass->count;
    norm.training = pass->training;
    ib_norm_scalars(&norm, pass->global);
    return norm;
}

static ib_status forward(ib_network *net, ib_node *node, const ib_pass *pass, ib_error *err) {
    ib_norm norm = norm_of(node, pass);
    ib_norm_operands p = {.x = ib_node_input(net, node, 0),
                          .gamma = ib_value_of(&node->parameters[WEIGHT]),
                          .beta = ib_value_of(&node->parameters[BIAS]),
                          .running = running(net, node),
                          .saved = node->kept,
                          .add = ib_node_input(net, node, 1),
                          .y = node->y};
    node->parameters[BATCHES].counter += pass->training;
    return ib_norm_forward(net->backend, &norm, &p, err);
}

static ib_status backward(ib_network *net, ib_node *node, const ib_pass *pass, ib_error *err) {
    ib_norm norm = norm_of(node, pass);
    norm.training = 1;
    ib_norm_operands p = {.x = ib_node_input(net, node, 0),
                          .saved = node->kept,
                          .y_kept = node->input_count > 1 ? node->y : (ib_buffer){0},
                          .dy = ib_node_gradient(net, node->dy),
                          .second = ib_node_gradient(net, node->second),
                          .g = ib_node_gradient(net, node->g),
                          .dx = ib_node_gradient(net, node->dx[0]),
                          .dgamma = ib_gradient_of(&node->parameters[WEIGHT]),
                          .dbeta = ib_gradient_of(&node->parameters[BIAS])};
    return ib_norm_backward(net->backend, &norm, &p, err);
}

static uint64_t counted(const ib_node *node) {
    return 4 * (uint64_t)(node->in.h * node->in.w * node->in.channels);
}

static void onnx(ib_onnx_graph *graph, const ib_onnx_row *r, char **value) {
    static const char *const KEPT[] = {"weight", "bias", "running_mean", "running_var"};
    ib_protobuf node = ib_onnx_begin(*value);
    for (int i = 0; i < 4; ++i)
        ib_onnx_weight(graph, &node, r, KEPT[i], IB_F32, (ib_shape){1, {r->in.channels}});
    ib_onnx_weight(graph, NULL, r, "num_batches_tracked", IB_I64, (ib_shape){0, {0}});
    ib_onnx_float(&node, "epsilon", EPS);
    ib_onnx_finish(graph, &node, r, "BatchNormalization", value);
}

const ib_layer_kind ib_layer_batch_norm = {.name = "batch-norm",
                                           .inputs = 1,
                                           .has_parameters = 1,
                                           .shape = shape,
                                           .open = open,
                                           .forward = forward,
                                           .backward = backward,
                                           .counted = counted,
                                           .onnx = onnx,
                                           .masks_itself = 1,
                                           .takes_second = 1,
                                           .in_place = 1};
