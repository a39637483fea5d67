/* The passes: each node by its kind, forward in the order of the rows, backward from their end. */
#include "nn/layer.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/settle.h"

enum { MOST_PARAMETERS_OF_A_ROW = 5 };

/* Images of the batch as they are loaded. */
static ib_load load_of(const ib_network *net, int64_t count) {
    int64_t pixels = net->input.h * net->input.w;
    /* A convolution reads rows of exactly the image's width; a linear layer wants padded rows. */
    int64_t stride = net->input.channels > 1 ? ib_extent_floats(&net->input)
                     : net->flat_input       ? ib_pad16(pixels)
                                             : pixels;
    return (ib_load){.n = count,
                     .pixels = pixels,
                     .channels = net->input.channels,
                     .stride = stride,
                     .by_pixel = net->by_pixel,
                     .augment = net->augment};
}

static ib_loss loss_of(const ib_network *net, int64_t count, int64_t global) {
    return (ib_loss){.n = count,
                     .classes = net->classes,
                     .inverse_n = (float)(1.0 / (double)global),
                     .smoothing = net->smoothing};
}

/* The scalars of NUMERICS.md, "Loss". */
static ib_smoothing smoothing_of(double part, int64_t classes) {
    double share = part / (double)classes, rest = 1.0 - part;
    return (ib_smoothing){.share = ib_settle((float)share),
                          .rest = ib_settle((float)rest),
                          .label = ib_settle((float)(rest + share))};
}

static ib_augment augment_of(const ib_network_options *options) {
    ib_augment augment = {.height = options->input.h, .width = options->input.w};
    for (int i = 0; i < IB_AUGMENTATIONS && options->augment != NULL; ++i) {
        augment.amount[i] = options->augment[i];
        augment.enabled |= options->training && options->augment[i] != 0;
    }
    return augment;
}

/* What is done to the images of a pass. */
static ib_augment pass_augment(const ib_network *net, const ib_pass *pass) {
    ib_augment augment = net->augment;
    augment.enabled = augment.enabled && pass->training;
    augment.first_sample = pass->first;
    augment.rng = ib_rng_make(pass->seed, IB_STREAM_AUGMENT, 0, pass->step);
    return augment;
}

static ib_elementwise elements_of(const ib_node *node, int64_t count) {
    return (ib_elementwise){count * ib_extent_floats(&node->out), 0};
}

/* Announces what belongs to no row. */
static ib_status plan_shared(ib_network *net, ib_error *err) {
    ib_backend *backend = net->backend;
    ib_load load = load_of(net, net->capacity);
    ib_loss loss = loss_of(net, net->capacity, net->capacity);
    IB_TRY(ib_plan_load_batch(backend, &load, err));
    IB_TRY(ib_plan_classify(backend, &loss, err));
    if (!net->training)
        return IB_OK;
    IB_TRY(ib_plan_softmax_nll(backend, &loss, err));
    for (size_t i = 0; i < net->node_count; ++i) {
        ib_elementwise e = elements_of(&net->nodes[i], net->capacity);
        if (net->nodes[i].mask_self)
            IB_TRY(ib_plan_relu_backward(backend, &e, err));
        if (net->nodes[i].readers > 1) /* their gradients may be added up (memory.c) */
            IB_TRY(ib_plan_add_forward(backend, &e, err));
    }
    return IB_OK;
}

ib_status ib_network_open(ib_network *net, ib_backend *backend, const ib_row *rows,
                          const ib_network_options *options, ib_error *err) {
    *net = (ib_network){.backend = backend,
                        .input = options->input,
                        .classes = options->classes,
                        .capacity = options->capacity,
                        .training = options->training,
                        .unfused = options->unfused,
                        .by_pixel = options->by_pixel,
                        .path = options->path,
                        .lines = options->lines,
                        .optimizer = options->optimizer,
                        .momentum = options->momentum,
                        .average_share =
                            options->ema != 0 ? ib_settle((float)(1.0 - options->ema)) : 0.0f,
                        .augment = augment_of(options),
                        .smoothing = smoothing_of(options->label_smoothing, options->classes)};
    IB_TRY(ib_plan_rows(net, rows, err));
    IB_TRY(ib_plan_nodes(net, err));
    net->parameters =
        calloc(net->node_count * MOST_PARAMETERS_OF_A_ROW + 1, sizeof *net->parameters);
    if (net->parameters == NULL)
        return ib_fail_memory(err);
    for (size_t i = 0; i < net->node_count; ++i) {
        net->nodes[i].parameters = &net->parameters[net->parameter_count];
        IB_TRY(net->nodes[i].kind->open(net, &net->nodes[i], err));
    }
    IB_TRY(plan_shared(net, err));
    return ib_plan_memory(net, err);
}

void ib_network_close(ib_network *net) {
    if (net->backend == NULL)
        return;
    const ib_backend_ops *ops = net->backend->ops;
    for (size_t i = 0; i < net->node_count; ++i) {
        if (net->training)
            ops->buffer_destroy(net->backend, &net->nodes[i].y);
        ops->buffer_destroy(net->backend, &net->nodes[i].extra);
        free(net->nodes[i].shape);
    }
    for (int i = 0; i < net->slots.count; ++i)
        ops->buffer_destroy(net->backend, &net->slots.buffer[i]);
    ib_buffer *buffers[] = {&net->kept,        &net->x,   &net->labels, &net->table,  &net->losses,
                            &net->step_losses, &net->bad, &net->order,  &net->average};
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; ++i)
        ops->buffer_destroy(net->backend, buffers[i]);
    for (int part = 0; part < IB_PARTS; ++part)
        ops->buffer_destroy(net->backend, &net->arena[part]);
    for (size_t i = 0; i < net->parameter_count; ++i) {
        free(net->parameters[i].name);
        free(net->parameters[i].live);
    }
    free(net->live);
    free(net->parameters);
    free(net->nodes);
    free(net->rows);
    *net = (ib_network){0};
}

ib_status ib_network_table(ib_network *net, const float *table, ib_error *err) {
    return net->backend->ops->upload(net->backend, &net->table, table, net->table.bytes, err);
}

ib_status ib_network_order(ib_network *net, const uint32_t *order, size_t count, ib_error *err) {
    const ib_backend_ops *ops = net->backend->ops;
    if (count * sizeof *order > net->order.bytes) {
        ops->buffer_destroy(net->backend, &net->order);
        IB_TRY(ops->buffer_create(net->backend, count * sizeof *order, &net->order, err));
    }
    net->order_count = count;
    return ops->upload(net->backend, &net->order, order, count * sizeof *order, err);
}

/* ---- what kinds share -------------------------------------------------------------------------
 */

ib_status ib_add_parameter(ib_network *net, ib_node *node, const char *suffix,
                           ib_parameter parameter, ib_parameter **added, ib_error *err) {
    const char *name = net->rows[node->first_row].row->name;
    if (name == NULL)
        return ib_fail(err, IB_ERROR_USAGE, "a row '%s' needs a name: its tensors are called by it",
                       node->kind->name);
    ib_parameter *p = &net->parameters[net->parameter_count];
    *p = parameter;
    p->name = ib_format("%s.%s", name, suffix);
    if (p->name == NULL)
        return ib_fail_memory(err);
    for (size_t i = 0; i < net->parameter_count; ++i)
        if (strcmp(net->parameters[i].name, p->name) == 0) {
            free(p->name);
            return ib_fail(err, IB_ERROR_USAGE, "two rows are called %s", name);
        }
    ++net->parameter_count;
    ++node->parameter_count;
    if (added != NULL)
        *added = p;
    return IB_OK;
}

ib_status ib_node_shape(ib_node *node, size_t bytes, void **shape, ib_error *err) {
    *shape = node->shape = calloc(1, bytes);
    return *shape == NULL ? ib_fail_memory(err) : IB_OK;
}

ib_buffer ib_node_input(const ib_network *net, const ib_node *node, int which) {
    int input = node->inputs[which];
    if (input != IB_NO_NODE)
        return net->nodes[input].y;
    return which == 0 ? net->x : (ib_buffer){0};
}

ib_buffer ib_node_gradient(const ib_network *net, int slot) {
    return slot == IB_NO_SLOT ? (ib_buffer){0} : net->slots.buffer[slot];
}

ib_buffer ib_value_of(const ib_parameter *p) {
    return p == NULL ? (ib_buffer){0} : p->part[0];
}

ib_buffer ib_gradient_of(const ib_parameter *p) {
    return p == NULL ? (ib_buffer){0} : p->part[1];
}

ib_dropout ib_pass_dropout(const ib_node *node, const ib_pass *pass) {
    ib_dropout dropout = node->dropout;
    dropout.enabled = pass->dropout && node->dropout_index >= 0;
    dropout.first_sample = pass->first;
    if (dropout.enabled)
        dropout.rng =
            ib_rng_make(pass->seed, IB_STREAM_DROPOUT, (uint32_t)node->dropout_index, pass->step);
    return dropout;
}

float ib_pass_input_scale(const ib_node *node, const ib_pass *pass) {
    return pass->dropout ? node->input_scale : 1.0f;
}

/* ---- forward ----------------------------------------------------------------------------------
 */

ib_status ib_network_forward(ib_network *net, size_t at, const ib_pass *pass, ib_error *err) {
    ib_load load = load_of(net, pass->count);
    load.augment = pass_augment(net, pass);
    size_t bytes = sizeof(uint32_t);
    if (at + (size_t)pass->count > net->order_count)
        return ib_fail(err, IB_ERROR_RUNTIME, "a batch beyond the images in order");
    ib_load_operands images = {
        .order = ib_buffer_part(&net->order, at * bytes, (size_t)pass->count * bytes),
        .table = net->table,
        .x = net->x,
        .labels = net->labels};
    net->backend->label = "input";
    IB_TRY(ib_load_batch(net->backend, &load, &images, err));
    for (size_t i = 0; i < net->node_count; ++i) {
        net->backend->label = net->nodes[i].label;
        IB_TRY(net->nodes[i].kind->forward(net, &net->nodes[i], pass, err));
    }
    return IB_OK;
}

/* ---- backward ---------------------------------------------------------------------------------
 */

static ib_status add(ib_network *net, const ib_node *node, const ib_pass *pass, int to, int what,
                     ib_error *err) {
    ib_elementwise e = elements_of(node, pass->count);
    ib_elementwise_operands p = {.x = ib_node_gradient(net, to),
                                 .second = ib_node_gradient(net, what),
                                 .y = ib_node_gradient(net, to)};
    return ib_add_forward(net->backend, &e, &p, err);
}

/* After a node's backward pass: where what it read has more readers than it can add up itself. */
static ib_status add_gradients(ib_network *net, const ib_node *node, const ib_pass *pass,
                               ib_error *err) {
    for (int i = 0; i < node->input_count; ++i) {
        if (node->back[i] != IB_HAND_ADDED && node->back[i] != IB_HAND_MERGED)
            continue;
        const ib_node *to = &net->nodes[node->inputs[i]];
        int what = node->back[i] == IB_HAND_ADDED ? node->dx[i] : node->merged[i];
        IB_TRY(add(net, to, pass, to->dy, what, err));
    }
    return IB_OK;
}

static ib_status mask_own(ib_network *net, const ib_node *node, const ib_pass *pass,
                          ib_error *err) {
    ib_elementwise e = elements_of(node, pass->count);
    ib_buffer dy = ib_node_gradient(net, node->dy);
    ib_elementwise_operands p = {.y_kept = node->y, .dy = dy, .dx = dy};
    return ib_relu_backward(net->backend, &e, &p, err);
}

ib_status ib_network_backward(ib_network *net, const ib_pass *pass, size_t loss_at, ib_error *err) {
    const ib_node *last = &net->nodes[net->node_count - 1];
    ib_loss loss = loss_of(net, pass->count, pass->global);
    ib_loss_operands p = {
        .logits = last->y,
        .labels = net->labels,
        .losses = net->losses,
        .dlogits = ib_node_gradient(net, last->dy),
        .mean = ib_buffer_part(&net->step_losses, loss_at * sizeof(float), sizeof(float))};
    net->backend->label = "loss";
    IB_TRY(ib_softmax_nll(net->backend, &loss, &p, err));
    for (size_t i = net->node_count; i-- > 0;) {
        ib_node *node = &net->nodes[i];
        net->backend->label = node->label;
        if (node->mask_self)
            IB_TRY(mask_own(net, node, pass, err));
        IB_TRY(node->kind->backward(net, node, pass, err));
        IB_TRY(add_gradients(net, node, pass, err));
    }
    return IB_OK;
}

/* ---- update -----------------------------------------------------------------------------------
 */

static ib_status update_range(ib_network *net, const ib_update *step, int64_t first, int64_t count,
                              ib_error *err) {
    ib_update update = *step;
    ib_buffer part[IB_PARTS] = {{0}};
    size_t offset = (size_t)first * sizeof(float), bytes = (size_t)count * sizeof(float);
    update.count = count;
    for (int i = 0; i < IB_PARTS; ++i)
        if (net->arena[i].handle != NULL)
            part[i] = ib_buffer_part(&net->arena[i], offset, bytes);
    ib_update_operands p = {
        .w = part[0], .dw = part[1], .state0 = part[2], .state1 = part[3], .bad = net->bad};
    return ib_update_weights(net->backend, &update, &p, err);
}

ib_status ib_network_update(ib_network *net, const ib_update_scalars *scalars, uint32_t index,
                            ib_error *err) {
    ib_update update = {.kind = net->optimizer, .scalars = *scalars, .index = index};
    int64_t all = (int64_t)(net->arena[0].bytes / sizeof(float));
    net->backend->label = "parameters";
    if (scalars->decays_all)
        IB_TRY(update_range(net, &update, 0, all, err));
    for (size_t i = 0; i < net->live_count && !scalars->decays_all; ++i)
        IB_TRY(update_range(net, &update, net->live[i].first, net->live[i].count, err));
    if (net->average.handle == NULL)
        return IB_OK;
    ib_average average = {.count = all, .share = net->average_share, .index = index};
    ib_average_operands p = {.w = net->arena[0], .average = net->average, .bad = net->bad};
    return ib_average_weights(net->backend, &average, &p, err);
}

static void swap(ib_buffer *a, ib_buffer *b) {
    ib_buffer kept = *a;
    *a = *b;
    *b = kept;
}

void ib_network_swap_average(ib_network *net) {
    if (net->average.handle == NULL)
        return;
    swap(&net->arena[0], &net->average);
    for (size_t i = 0; i < net->parameter_count; ++i)
        if (net->parameters[i].trained)
            swap(&net->parameters[i].part[0], &net->parameters[i].average);
}

/* ---- facts ------------------------------------------------------------------------------------
 */

ib_parameter *ib_network_parameter(const ib_network *net, size_t index) {
    return index < net->parameter_count ? &net->parameters[index] : NULL;
}

uint64_t ib_node_macs(const ib_node *node) {
    return node->kind->macs != NULL ? node->kind->macs(node) : 0;
}

uint64_t ib_network_macs(const ib_network *net, int whole_step) {
    uint64_t total = 0;
    for (size_t i = 0; i < net->node_count; ++i) {
        /* forward, weight gradient, and (but for what reads the images) input gradient */
        unsigned passes = net->nodes[i].inputs[0] == IB_NO_NODE ? 2 : 3;
        total += ib_node_macs(&net->nodes[i]) * (whole_step ? passes : 1u);
    }
    return total;
}
