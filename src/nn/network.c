/* The passes: each row by its kind, forward in the order of the table, backward from its end. */
#include "nn/network.h"

#include <stdlib.h>

static const ib_buffer *value_of(const ib_parameter *p) {
    return p == NULL ? NULL : &p->part[0];
}

static ib_buffer *gradient_of(ib_parameter *p) {
    return p == NULL ? NULL : &p->part[1];
}

static ib_buffer *slot(ib_network *net, int index) {
    return index == IB_NO_SLOT ? NULL : &net->slots.buffer[index];
}

static const ib_buffer *output_of(const ib_network *net, int row) {
    return row == IB_NO_ROW ? &net->x : &net->layers[row].y;
}

/* ---- forward ----------------------------------------------------------------------------------
 */

static ib_status forward_row(ib_network *net, ib_layer *layer, int64_t count, int training,
                             const uint64_t *seed_and_step, ib_error *err) {
    ib_backend *backend = net->backend;
    const ib_buffer *x = output_of(net, layer->input);
    const ib_buffer *w = value_of(layer->weight), *b = value_of(layer->bias);
    ib_dropout dropout = layer->dropout;
    dropout.enabled = seed_and_step != NULL && layer->dropout_index >= 0;
    if (dropout.enabled)
        dropout.rng = ib_rng_make(seed_and_step[0], IB_STREAM_DROPOUT,
                                  (uint32_t)layer->dropout_index, seed_and_step[1]);
    switch (layer->spec->kind) {
    case IB_LAYER_CONV: {
        ib_conv c = layer->conv;
        c.n = count;
        c.dropout = dropout;
        return ib_conv_forward(backend, &c, x, w, b, &layer->y, c.pool ? &layer->argmax : NULL,
                               err);
    }
    case IB_LAYER_LINEAR: {
        ib_linear l = layer->linear;
        l.n = count;
        l.dropout = dropout;
        return ib_linear_forward(backend, &l, x, w, b, &layer->y, err);
    }
    case IB_LAYER_NORM: {
        ib_norm n = layer->norm;
        ib_norm_scalars(&n, count);
        n.training = training;
        layer->batches->counter += training;
        return ib_norm_forward(
            backend, &n, x, w, b, &layer->running, training ? &layer->saved : NULL,
            layer->added == IB_NO_ROW ? NULL : output_of(net, layer->added), &layer->y, err);
    }
    case IB_LAYER_POOL: {
        ib_pool3 p = layer->pool;
        p.n = count;
        return ib_pool_forward(backend, &p, x, &layer->y, &layer->argmax, err);
    }
    case IB_LAYER_MEAN:
        break;
    }
    const ib_layer *from = &net->layers[layer->input];
    int64_t pixels = from->h * from->w;
    return ib_mean_forward(backend, count, pixels, from->channels, (float)(1.0 / (double)pixels), x,
                           &layer->y, err);
}

ib_status ib_network_forward(ib_network *net, const uint8_t *const *images, int64_t count,
                             int training, const uint64_t *seed_and_step, ib_error *err) {
    int64_t pixels = (int64_t)net->image.height * net->image.width;
    net->dropped = seed_and_step != NULL;
    net->backend->label = "input";
    /* A convolution reads rows without padding; a linear layer wants padded rows. */
    int64_t stride = net->layers[0].spec->kind == IB_LAYER_CONV ? pixels : ib_pad16(pixels);
    IB_TRY(ib_load_images(net->backend, count, pixels, stride, images, net->table, &net->x, err));
    for (size_t row = 0; row < net->layer_count; ++row) {
        net->backend->label = net->layers[row].spec->name;
        IB_TRY(forward_row(net, &net->layers[row], count, training, seed_and_step, err));
    }
    return IB_OK;
}

/* ---- backward ---------------------------------------------------------------------------------
 */

static ib_status backward_row(ib_network *net, ib_layer *layer, int64_t count, ib_error *err) {
    ib_backend *backend = net->backend;
    const ib_buffer *x = output_of(net, layer->input), *w = value_of(layer->weight);
    const ib_buffer *dy = slot(net, layer->dy), *second = slot(net, layer->second);
    ib_buffer *dx = slot(net, layer->dx);
    ib_buffer *dw = gradient_of(layer->weight), *db = gradient_of(layer->bias);
    switch (layer->spec->kind) {
    case IB_LAYER_CONV: {
        ib_conv c = layer->conv;
        c.n = count;
        c.input_scale = net->dropped ? c.input_scale : 1.0f;
        return ib_conv_backward(backend, &c, x, w, dy, c.pool ? &layer->argmax : NULL, dx, dw, db,
                                err);
    }
    case IB_LAYER_LINEAR: {
        ib_linear l = layer->linear;
        l.n = count;
        l.input_scale = net->dropped ? l.input_scale : 1.0f;
        return ib_linear_backward(backend, &l, x, w, dy, dx, dw, db, err);
    }
    case IB_LAYER_NORM: {
        ib_norm n = layer->norm;
        ib_norm_scalars(&n, count);
        n.training = 1;
        return ib_norm_backward(backend, &n, x, &layer->saved,
                                layer->added == IB_NO_ROW ? NULL : &layer->y, dy, second,
                                slot(net, layer->g), dx, dw, db, err);
    }
    case IB_LAYER_POOL: {
        ib_pool3 p = layer->pool;
        p.n = count;
        return ib_pool_backward(backend, &p, &layer->argmax, dy, second, dx, err);
    }
    case IB_LAYER_MEAN:
        break;
    }
    const ib_layer *from = &net->layers[layer->input];
    int64_t pixels = from->h * from->w;
    return ib_mean_backward(backend, count, pixels, from->channels, (float)(1.0 / (double)pixels),
                            dy, dx, err);
}

ib_status ib_network_backward(ib_network *net, const uint8_t *labels, int64_t count, float *losses,
                              float *mean_loss, ib_error *err) {
    ib_layer *last = &net->layers[net->layer_count - 1];
    float inverse_n = (float)(1.0 / (double)count), total = 0;
    net->backend->label = "loss";
    IB_TRY(ib_softmax_nll(net->backend, count, net->classes, inverse_n, &last->y, labels, losses,
                          slot(net, last->dy), &total, err));
    *mean_loss = total * inverse_n;
    for (size_t row = net->layer_count; row-- > 0;) {
        net->backend->label = net->layers[row].spec->name;
        IB_TRY(backward_row(net, &net->layers[row], count, err));
    }
    return IB_OK;
}

/* ---- update -----------------------------------------------------------------------------------
 */

static ib_status is_finite(ib_network *net, const ib_parameter *p, const ib_buffer *part,
                           int *finite, ib_error *err) {
    size_t bytes = (size_t)p->floats * sizeof(float);
    float *values = malloc(bytes);
    if (values == NULL)
        return ib_fail_memory(err);
    ib_status status = net->backend->ops->download(net->backend, part, 0, values, bytes, err);
    *finite = 1;
    for (int64_t i = 0; status == IB_OK && i < p->floats; ++i)
        *finite &= values[i] - values[i] == 0;
    free(values);
    return status;
}

ib_status ib_network_find_bad(ib_network *net, const char **bad, ib_error *err) {
    *bad = NULL;
    for (size_t i = 0; *bad == NULL && i < net->parameter_count; ++i) {
        const ib_parameter *p = &net->parameters[i];
        int finite = 1;
        if (p->dtype != IB_F32)
            continue;
        IB_TRY(is_finite(net, p, &p->part[0], &finite, err));
        if (!finite)
            *bad = p->name;
    }
    return IB_OK;
}

/* Among the parameters that an update left with a weight that is not finite. */
static ib_status name_bad(ib_network *net, const char **bad, ib_error *err) {
    int certain = 0;
    for (size_t i = 0; i < net->parameter_count && !certain; ++i) {
        const ib_parameter *p = &net->parameters[i];
        int finite = 1;
        if (!p->trained)
            continue;
        IB_TRY(is_finite(net, p, &p->part[0], &finite, err));
        if (finite)
            continue;
        IB_TRY(is_finite(net, p, &p->part[1], &certain, err));
        if (certain || *bad == NULL)
            *bad = p->name;
    }
    return IB_OK;
}

ib_status ib_network_update(ib_network *net, const ib_update *update, const char **bad,
                            ib_error *err) {
    int finite = 1;
    *bad = NULL;
    net->backend->label = "parameters";
    if (update->weight_decay != 0) /* changes weights whose gradient is always +0 too */
        IB_TRY(ib_update_weights(net->backend, update,
                                 (int64_t)(net->arena[0].bytes / sizeof(float)), &net->arena[0],
                                 &net->arena[1], &net->arena[2], &net->arena[3], &finite, err));
    for (size_t i = 0; i < net->live_count && update->weight_decay == 0; ++i) {
        ib_live_range *range = &net->live[i];
        IB_TRY(ib_update_weights(net->backend, update, range->count, &range->part[0],
                                 &range->part[1], &range->part[2], &range->part[3], &finite, err));
    }
    return finite ? IB_OK : name_bad(net, bad, err);
}

/* ---- facts ------------------------------------------------------------------------------------
 */

ib_parameter *ib_network_parameter(const ib_network *net, size_t index) {
    return index < net->parameter_count ? &net->parameters[index] : NULL;
}

uint64_t ib_layer_macs(const ib_layer *layer) {
    const ib_conv *c = &layer->conv;
    if (layer->spec->kind == IB_LAYER_CONV)
        return (uint64_t)(ib_conv_out_h(c) * ib_conv_out_w(c) * c->co * c->kh * c->kw * c->ci);
    return layer->spec->kind == IB_LAYER_LINEAR ? (uint64_t)(layer->linear.in * layer->linear.out)
                                                : 0;
}

uint64_t ib_network_macs(const ib_network *net, int whole_step) {
    uint64_t total = 0;
    for (size_t row = 0; row < net->layer_count; ++row) {
        const ib_layer *layer = &net->layers[row];
        /* forward, weight gradient, and (but for what reads the images) input gradient */
        unsigned passes = layer->input == IB_NO_ROW ? 2 : 3;
        total += ib_layer_macs(layer) * (whole_step ? passes : 1u);
    }
    return total;
}
