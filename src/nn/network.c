#include "nn/network.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

/* ---- opening ----------------------------------------------------------------------------------
 */

static ib_status open_parameter(ib_network *net, ib_parameter *p, const char *layer,
                                const char *suffix, ib_shape shape, int64_t fan_in, int64_t floats,
                                ib_error *err) {
    p->name = ib_format("%s.%s", layer, suffix);
    if (p->name == NULL)
        return ib_fail_memory(err);
    p->shape = shape;
    p->fan_in = fan_in;
    p->floats = floats;
    int parts = 1;
    if (net->training)
        parts = net->optimizer == IB_SGD ? (net->momentum ? 3 : 2) : 4;
    for (int i = 0; i < parts; ++i)
        IB_TRY(net->backend->ops->buffer_create(net->backend, (size_t)floats * sizeof(float),
                                                &p->part[i], err));
    return IB_OK;
}

static ib_status open_buffer(ib_network *net, ib_buffer *buffer, int64_t bytes, ib_error *err) {
    return net->backend->ops->buffer_create(net->backend, (size_t)bytes, buffer, err);
}

/* What a layer hands to the next. */
struct flow {
    int64_t h, w, channels; /* an image, or h = w = 0 */
    int64_t features;       /* logical, when flattened */
    float scale;            /* of the dropout it went through */
    int dropouts;
};

static ib_status open_conv(ib_network *net, ib_layer *layer, struct flow *in, ib_error *err) {
    const ib_layer_spec *spec = layer->spec;
    ib_conv *c = &layer->conv;
    *c = (ib_conv){.n = net->capacity,
                   .h = in->h,
                   .w = in->w,
                   .ci = in->channels,
                   .co = spec->out,
                   .kh = spec->kernel,
                   .kw = spec->kernel,
                   .stride = spec->stride,
                   .pad = spec->pad,
                   .relu = spec->relu,
                   .pool = spec->pool,
                   .mask_input = 1,
                   .input_scale = in->scale};
    IB_TRY(ib_plan_conv(net->backend, c, err));
    int64_t stored = c->ci == 1 ? 1 : ib_pad16(c->ci), co16 = ib_pad16(c->co);
    int64_t fan_in = c->ci * c->kh * c->kw;
    IB_TRY(open_parameter(net, &layer->weight, spec->name, "weight",
                          (ib_shape){4, {c->co, c->ci, c->kh, c->kw}}, fan_in,
                          c->kh * c->kw * stored * co16, err));
    IB_TRY(open_parameter(net, &layer->bias, spec->name, "bias", (ib_shape){1, {c->co}}, fan_in,
                          co16, err));
    int64_t pixels = ib_conv_out_h(c) * ib_conv_out_w(c);
    int64_t floats = net->capacity * pixels * co16;
    if (c->pool) {
        in->features = ib_conv_pooled_features(c);
        in->h = in->w = in->channels = 0;
        floats = net->capacity * ib_pad16(in->features);
        int64_t cells = (ib_conv_out_h(c) / 2) * (ib_conv_out_w(c) / 2);
        IB_TRY(open_buffer(net, &layer->argmax, net->capacity * cells * co16, err));
    } else {
        in->h = ib_conv_out_h(c);
        in->w = ib_conv_out_w(c);
        in->channels = c->co;
    }
    IB_TRY(open_buffer(net, &layer->y, floats * 4, err));
    return net->training ? open_buffer(net, &layer->dy, floats * 4, err) : IB_OK;
}

static ib_status open_linear(ib_network *net, ib_layer *layer, struct flow *in, ib_error *err) {
    const ib_layer_spec *spec = layer->spec;
    ib_linear *l = &layer->linear;
    *l = (ib_linear){.n = net->capacity,
                     .in = in->features,
                     .out = spec->out,
                     .relu = spec->relu,
                     .mask_input = 1,
                     .input_scale = in->scale};
    IB_TRY(ib_plan_linear(net->backend, l, err));
    int64_t out16 = ib_pad16(l->out);
    IB_TRY(open_parameter(net, &layer->weight, spec->name, "weight", (ib_shape){2, {l->out, l->in}},
                          l->in, ib_pad16(l->in) * out16, err));
    IB_TRY(open_parameter(net, &layer->bias, spec->name, "bias", (ib_shape){1, {l->out}}, l->in,
                          out16, err));
    in->features = l->out;
    IB_TRY(open_buffer(net, &layer->y, net->capacity * out16 * 4, err));
    return net->training ? open_buffer(net, &layer->dy, net->capacity * out16 * 4, err) : IB_OK;
}

static ib_status open_layer(ib_network *net, ib_layer *layer, struct flow *flow, ib_error *err) {
    const ib_layer_spec *spec = layer->spec;
    if (spec->kind == IB_LAYER_CONV && flow->h == 0)
        return ib_fail(err, IB_ERROR_RUNTIME, "%s: a convolution after flattening", spec->name);
    if (spec->kind == IB_LAYER_LINEAR && flow->h != 0) {
        if (flow->channels != 1)
            return ib_fail(err, IB_ERROR_RUNTIME, "%s: pool an image before flattening",
                           spec->name);
        flow->features = flow->h * flow->w;
        flow->h = flow->w = 0;
    }
    IB_TRY(spec->kind == IB_LAYER_CONV ? open_conv(net, layer, flow, err)
                                       : open_linear(net, layer, flow, err));
    layer->dropout_index = -1;
    flow->scale = 1.0f;
    if (spec->dropout > 0) {
        layer->dropout_index = flow->dropouts++;
        layer->dropout.threshold = (uint32_t)(spec->dropout * 4294967296.0 + 0.5);
        layer->dropout.scale = (float)(1.0 / (1.0 - spec->dropout));
        flow->scale = layer->dropout.scale;
    }
    return IB_OK;
}

ib_status ib_network_open(ib_network *net, ib_backend *backend, const ib_layer_spec *specs,
                          int64_t side, int64_t classes, int64_t capacity, int training,
                          ib_optimizer_kind optimizer, int momentum, ib_error *err) {
    *net = (ib_network){.backend = backend,
                        .side = side,
                        .classes = classes,
                        .capacity = capacity,
                        .training = training,
                        .optimizer = optimizer,
                        .momentum = momentum};
    IB_TRY(open_buffer(net, &net->x, capacity * ib_pad16(side * side) * 4, err));
    struct flow flow = {.h = side, .w = side, .channels = 1, .scale = 1.0f};
    for (; specs[net->layer_count].name != NULL; ++net->layer_count) {
        if (net->layer_count == IB_MAX_LAYERS)
            return ib_fail(err, IB_ERROR_RUNTIME, "more than %d layers", IB_MAX_LAYERS);
        ib_layer *layer = &net->layers[net->layer_count];
        layer->spec = &specs[net->layer_count];
        IB_TRY(open_layer(net, layer, &flow, err));
        /* The backward pass masks by x > 0 what a layer received: it must come from a ReLU. */
        if (specs[net->layer_count + 1].name != NULL && !layer->spec->relu)
            return ib_fail(err, IB_ERROR_RUNTIME, "%s: a layer before the last needs a ReLU",
                           layer->spec->name);
    }
    if (flow.features != classes)
        return ib_fail(err, IB_ERROR_RUNTIME, "the last layer does not give one value a class");
    return IB_OK;
}

static void close_parameter(ib_network *net, ib_parameter *p) {
    for (int i = 0; i < IB_PARTS; ++i)
        net->backend->ops->buffer_destroy(net->backend, &p->part[i]);
    free(p->name);
}

void ib_network_close(ib_network *net) {
    if (net->backend == NULL)
        return;
    for (size_t i = 0; i < IB_MAX_LAYERS; ++i) {
        ib_layer *layer = &net->layers[i];
        close_parameter(net, &layer->weight);
        close_parameter(net, &layer->bias);
        net->backend->ops->buffer_destroy(net->backend, &layer->y);
        net->backend->ops->buffer_destroy(net->backend, &layer->dy);
        net->backend->ops->buffer_destroy(net->backend, &layer->argmax);
    }
    net->backend->ops->buffer_destroy(net->backend, &net->x);
    *net = (ib_network){0};
}

ib_parameter *ib_network_parameter(const ib_network *net, size_t index) {
    if (index / 2 >= net->layer_count)
        return NULL;
    const ib_layer *layer = &net->layers[index / 2];
    return (ib_parameter *)(index % 2 == 0 ? &layer->weight : &layer->bias);
}

/* ---- passes -----------------------------------------------------------------------------------
 */

ib_status ib_network_forward(ib_network *net, const uint8_t *const *images, int64_t count,
                             const uint64_t *seed_and_step, ib_error *err) {
    int64_t pixels = net->side * net->side;
    net->dropped = seed_and_step != NULL;
    net->backend->label = "input";
    /* A convolution reads rows of exactly `side` pixels; a linear layer wants padded rows. */
    int64_t stride = net->layers[0].spec->kind == IB_LAYER_CONV ? pixels : ib_pad16(pixels);
    IB_TRY(ib_load_images(net->backend, count, pixels, stride, images, net->table, &net->x, err));
    const ib_buffer *x = &net->x;
    for (size_t i = 0; i < net->layer_count; ++i) {
        ib_layer *layer = &net->layers[i];
        net->backend->label = layer->spec->name;
        ib_dropout dropout = layer->dropout;
        dropout.enabled = seed_and_step != NULL && layer->dropout_index >= 0;
        if (dropout.enabled)
            dropout.rng = ib_rng_make(seed_and_step[0], IB_STREAM_DROPOUT,
                                      (uint32_t)layer->dropout_index, seed_and_step[1]);
        const ib_buffer *w = &layer->weight.part[0], *b = &layer->bias.part[0];
        if (layer->spec->kind == IB_LAYER_CONV) {
            ib_conv c = layer->conv;
            c.n = count;
            c.dropout = dropout;
            IB_TRY(ib_conv_forward(net->backend, &c, x, w, b, &layer->y,
                                   c.pool ? &layer->argmax : NULL, err));
        } else {
            ib_linear l = layer->linear;
            l.n = count;
            l.dropout = dropout;
            IB_TRY(ib_linear_forward(net->backend, &l, x, w, b, &layer->y, err));
        }
        x = &layer->y;
    }
    return IB_OK;
}

ib_status ib_network_backward(ib_network *net, const uint8_t *labels, int64_t count, float *losses,
                              float *mean_loss, ib_error *err) {
    ib_layer *last = &net->layers[net->layer_count - 1];
    float inverse_n = (float)(1.0 / (double)count), total = 0;
    net->backend->label = "loss";
    IB_TRY(ib_softmax_nll(net->backend, count, net->classes, inverse_n, &last->y, labels, losses,
                          &last->dy, &total, err));
    *mean_loss = total * inverse_n;
    for (size_t i = net->layer_count; i-- > 0;) {
        ib_layer *layer = &net->layers[i];
        net->backend->label = layer->spec->name;
        const ib_buffer *x = i > 0 ? &net->layers[i - 1].y : &net->x;
        ib_buffer *dx = i > 0 ? &net->layers[i - 1].dy : NULL;
        const ib_buffer *w = &layer->weight.part[0];
        if (layer->spec->kind == IB_LAYER_CONV) {
            ib_conv c = layer->conv;
            c.n = count;
            c.input_scale = net->dropped ? c.input_scale : 1.0f;
            IB_TRY(ib_conv_backward(net->backend, &c, x, w, &layer->dy,
                                    c.pool ? &layer->argmax : NULL, dx, &layer->weight.part[1],
                                    &layer->bias.part[1], err));
        } else {
            ib_linear l = layer->linear;
            l.n = count;
            l.input_scale = net->dropped ? l.input_scale : 1.0f;
            IB_TRY(ib_linear_backward(net->backend, &l, x, w, &layer->dy, dx,
                                      &layer->weight.part[1], &layer->bias.part[1], err));
        }
    }
    return IB_OK;
}

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
    for (size_t i = 0; *bad == NULL && i < 2 * net->layer_count; ++i) {
        const ib_parameter *p = ib_network_parameter(net, i);
        int finite = 1;
        IB_TRY(is_finite(net, p, &p->part[0], &finite, err));
        if (!finite)
            *bad = p->name;
    }
    return IB_OK;
}

ib_status ib_network_update(ib_network *net, const ib_update *update, const char **bad,
                            ib_error *err) {
    int certain = 0;
    *bad = NULL;
    for (size_t i = 0; i < 2 * net->layer_count; ++i) {
        ib_parameter *p = ib_network_parameter(net, i);
        int finite = 1;
        net->backend->label = p->name;
        IB_TRY(ib_update_weights(net->backend, update, p->floats, &p->part[0], &p->part[1],
                                 &p->part[2], &p->part[3], &finite, err));
        if (finite || certain)
            continue;
        IB_TRY(is_finite(net, p, &p->part[1], &certain, err));
        if (certain || *bad == NULL)
            *bad = p->name;
    }
    return IB_OK;
}

uint64_t ib_network_macs(const ib_network *net, int whole_step) {
    uint64_t total = 0;
    for (size_t i = 0; i < net->layer_count; ++i) {
        const ib_layer *layer = &net->layers[i];
        const ib_conv *c = &layer->conv;
        int64_t macs = layer->spec->kind == IB_LAYER_CONV
                           ? ib_conv_out_h(c) * ib_conv_out_w(c) * c->co * c->kh * c->kw * c->ci
                           : layer->linear.in * layer->linear.out;
        /* forward, weight gradient, and (but for the first layer) input gradient */
        total += (uint64_t)macs * (whole_step ? (i > 0 ? 3u : 2u) : 1u);
    }
    return total;
}
