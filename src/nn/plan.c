/* Opening a network: shapes, what each row reads, parameters, and all memory, before the run. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "nn/live.h"

/* ---- shapes -----------------------------------------------------------------------------------
 */

/* What a row reads. */
struct input {
    int64_t h, w, channels, features;
    float scale;     /* of the dropout it went through */
    int mask_needed; /* it came from a ReLU whose gradient nobody else masks */
};

static int masks_itself(const ib_layer *layer) {
    return layer->spec->kind == IB_LAYER_NORM;
}

static ib_status find_input(const ib_network *net, const ib_layer *layer, struct input *in,
                            ib_error *err) {
    *in = (struct input){net->image.height, net->image.width, 1, 0, 1.0f, 0};
    if (layer->input == IB_NO_ROW)
        return IB_OK;
    const ib_layer *from = &net->layers[layer->input];
    *in = (struct input){from->h, from->w, from->channels, from->features, 1.0f, 0};
    in->mask_needed = from->spec->relu && !masks_itself(from);
    if (from->dropout_index >= 0)
        in->scale = from->dropout.scale;
    int applies_mask = layer->spec->kind == IB_LAYER_CONV || layer->spec->kind == IB_LAYER_LINEAR;
    if (in->mask_needed && !applies_mask)
        return ib_fail(err, IB_ERROR_RUNTIME, "%s: cannot follow the ReLU of %s", layer->spec->name,
                       from->spec->name);
    return IB_OK;
}

static ib_status find_rows(ib_network *net, size_t row, ib_error *err) {
    ib_layer *layer = &net->layers[row];
    const ib_layer_spec *spec = layer->spec;
    if (spec->back >= row + (row == 0) || spec->add > row)
        return ib_fail(err, IB_ERROR_RUNTIME, "%s: reads before the first row", spec->name);
    layer->input = (int)row - 1 - (int)spec->back;
    layer->added = spec->add == 0 ? IB_NO_ROW : (int)(row - spec->add);
    const int read[] = {layer->input, layer->added};
    for (int i = 0; i < 2; ++i) {
        if (read[i] == IB_NO_ROW)
            continue;
        ib_layer *from = &net->layers[read[i]];
        /* A second gradient is added by the rows that can; nothing has three readers. */
        int most = from->spec->kind == IB_LAYER_NORM || from->spec->kind == IB_LAYER_POOL ? 2 : 1;
        if (++from->readers > most)
            return ib_fail(err, IB_ERROR_RUNTIME, "%s: too many rows read %s", spec->name,
                           from->spec->name);
    }
    return IB_OK;
}

static ib_status expect_image(const ib_layer *layer, const struct input *in, ib_error *err) {
    return in->h > 0 ? IB_OK
                     : ib_fail(err, IB_ERROR_RUNTIME, "%s: needs an image, not features",
                               layer->spec->name);
}

static void set_image(ib_layer *layer, int64_t h, int64_t w, int64_t channels) {
    layer->h = h;
    layer->w = w;
    layer->channels = channels;
    layer->y_bytes = (size_t)(h * w * ib_pad16(channels)) * sizeof(float);
}

static void set_features(ib_layer *layer, int64_t features) {
    layer->features = features;
    layer->y_bytes = (size_t)ib_pad16(features) * sizeof(float);
}

/* ---- parameters -------------------------------------------------------------------------------
 */

static ib_status add_parameter(ib_network *net, const char *suffix, const ib_layer *layer,
                               ib_parameter parameter, ib_parameter **added, ib_error *err) {
    ib_parameter *p = &net->parameters[net->parameter_count];
    *p = parameter;
    p->name = ib_format("%s.%s", layer->spec->name, suffix);
    if (p->name == NULL)
        return ib_fail_memory(err);
    ++net->parameter_count;
    *added = p;
    return IB_OK;
}

static ib_status plan_conv(ib_network *net, ib_layer *layer, const struct input *in,
                           ib_error *err) {
    const ib_layer_spec *spec = layer->spec;
    ib_conv *c = &layer->conv;
    IB_TRY(expect_image(layer, in, err));
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
                   .mask_input = in->mask_needed,
                   .input_scale = in->scale,
                   .dw_begins_zero = 1};
    IB_TRY(ib_plan_conv(net->backend, c, err));
    int64_t stored = c->ci == 1 ? 1 : ib_pad16(c->ci), taps = c->kh * c->kw;
    ib_parameter weight = {.shape = {4, {c->co, c->ci, c->kh, c->kw}},
                           .initial = spec->no_bias ? IB_INIT_NORMAL : IB_INIT_UNIFORM,
                           .fan = (spec->no_bias ? c->co : c->ci) * taps,
                           .trained = 1,
                           .floats = taps * stored * ib_pad16(c->co)};
    IB_TRY(add_parameter(net, "weight", layer, weight, &layer->weight, err));
    ib_parameter bias = {
        .shape = {1, {c->co}}, .fan = c->ci * taps, .trained = 1, .floats = ib_pad16(c->co)};
    if (!spec->no_bias)
        IB_TRY(add_parameter(net, "bias", layer, bias, &layer->bias, err));
    if (c->pool)
        set_features(layer, ib_conv_pooled_features(c));
    else
        set_image(layer, ib_conv_out_h(c), ib_conv_out_w(c), c->co);
    return IB_OK;
}

static ib_status plan_linear(ib_network *net, ib_layer *layer, const struct input *in,
                             ib_error *err) {
    const ib_layer_spec *spec = layer->spec;
    ib_linear *l = &layer->linear;
    if (in->h > 0 && in->channels != 1)
        return ib_fail(err, IB_ERROR_RUNTIME, "%s: pool an image before flattening", spec->name);
    *l = (ib_linear){.n = net->capacity,
                     .in = in->h > 0 ? in->h * in->w : in->features,
                     .out = spec->out,
                     .relu = spec->relu,
                     .mask_input = in->mask_needed,
                     .input_scale = in->scale};
    IB_TRY(ib_plan_linear(net->backend, l, err));
    ib_parameter weight = {.shape = {2, {l->out, l->in}},
                           .fan = l->in,
                           .trained = 1,
                           .floats = ib_pad16(l->in) * ib_pad16(l->out)};
    ib_parameter bias = {
        .shape = {1, {l->out}}, .fan = l->in, .trained = 1, .floats = ib_pad16(l->out)};
    IB_TRY(add_parameter(net, "weight", layer, weight, &layer->weight, err));
    IB_TRY(add_parameter(net, "bias", layer, bias, &layer->bias, err));
    set_features(layer, l->out);
    return IB_OK;
}

static ib_status plan_norm(ib_network *net, ib_layer *layer, const struct input *in,
                           ib_error *err) {
    IB_TRY(expect_image(layer, in, err));
    set_image(layer, in->h, in->w, in->channels);
    const ib_layer *added = layer->added == IB_NO_ROW ? layer : &net->layers[layer->added];
    if (added->h != in->h || added->w != in->w || added->channels != in->channels)
        return ib_fail(err, IB_ERROR_RUNTIME, "%s: what is added has another shape",
                       layer->spec->name);
    layer->norm = (ib_norm){.pixels = in->h * in->w,
                            .channels = in->channels,
                            .relu = layer->spec->relu,
                            .momentum = (float)0.1,
                            .eps = (float)1e-5};
    ib_parameter *ignored;
    ib_parameter scale = {.shape = {1, {in->channels}},
                          .initial = IB_INIT_ONE,
                          .trained = 1,
                          .floats = ib_pad16(in->channels)};
    ib_parameter shift = scale, running = scale, batches = {.dtype = IB_I64};
    shift.initial = IB_INIT_ZERO;
    running.trained = 0;
    IB_TRY(add_parameter(net, "weight", layer, scale, &layer->weight, err));
    IB_TRY(add_parameter(net, "bias", layer, shift, &layer->bias, err));
    running.initial = IB_INIT_ZERO;
    IB_TRY(add_parameter(net, "running_mean", layer, running, &ignored, err));
    running.initial = IB_INIT_ONE;
    IB_TRY(add_parameter(net, "running_var", layer, running, &ignored, err));
    return add_parameter(net, "num_batches_tracked", layer, batches, &layer->batches, err);
}

static ib_status plan_row(ib_network *net, size_t row, int *dropouts, ib_error *err) {
    ib_layer *layer = &net->layers[row];
    const ib_layer_spec *spec = layer->spec;
    struct input in;
    IB_TRY(find_rows(net, row, err));
    IB_TRY(find_input(net, layer, &in, err));
    switch (spec->kind) {
    case IB_LAYER_CONV:
        IB_TRY(plan_conv(net, layer, &in, err));
        break;
    case IB_LAYER_LINEAR:
        IB_TRY(plan_linear(net, layer, &in, err));
        break;
    case IB_LAYER_NORM:
        IB_TRY(plan_norm(net, layer, &in, err));
        break;
    case IB_LAYER_POOL:
        IB_TRY(expect_image(layer, &in, err));
        layer->pool = (ib_pool3){net->capacity, in.h, in.w, in.channels};
        set_image(layer, ib_pool3_out(in.h), ib_pool3_out(in.w), in.channels);
        break;
    case IB_LAYER_MEAN:
        IB_TRY(expect_image(layer, &in, err));
        set_features(layer, in.channels);
        break;
    }
    layer->dropout_index = -1;
    if (spec->dropout > 0) {
        layer->dropout_index = (*dropouts)++;
        layer->dropout.threshold = (uint32_t)(spec->dropout * 4294967296.0 + 0.5);
        layer->dropout.scale = (float)(1.0 / (1.0 - spec->dropout));
    }
    return IB_OK;
}

/* ---- memory -----------------------------------------------------------------------------------
 */

static ib_status create(ib_network *net, ib_buffer *buffer, size_t bytes, ib_error *err) {
    return bytes == 0 ? IB_OK : net->backend->ops->buffer_create(net->backend, bytes, buffer, err);
}

static size_t argmax_bytes(const ib_layer *layer) {
    const ib_conv *c = &layer->conv;
    if (layer->spec->kind == IB_LAYER_POOL)
        return (size_t)(layer->h * layer->w * ib_pad16(layer->channels));
    return c->pool ? (size_t)((ib_conv_out_h(c) / 2) * (ib_conv_out_w(c) / 2) * ib_pad16(c->co))
                   : 0;
}

/* Takes the largest slot that is free, so that few grow; a new one when none is. */
static int take_slot(ib_slots *slots, size_t bytes) {
    int best = IB_NO_SLOT;
    for (int i = 0; i < slots->count; ++i)
        if (!slots->used[i] && (best == IB_NO_SLOT || slots->bytes[i] > slots->bytes[best]))
            best = i;
    if (best == IB_NO_SLOT && slots->count < IB_MAX_SLOTS)
        best = slots->count++;
    if (best == IB_NO_SLOT)
        return best;
    slots->used[best] = 1;
    if (bytes > slots->bytes[best])
        slots->bytes[best] = bytes;
    return best;
}

static void release_slot(ib_slots *slots, int slot) {
    if (slot != IB_NO_SLOT)
        slots->used[slot] = 0;
}

/* A row's gradient for one of the rows it reads. */
static void hand_back(ib_network *net, int to, int slot) {
    ib_layer *layer = &net->layers[to];
    if (layer->dy == IB_NO_SLOT)
        layer->dy = slot;
    else
        layer->second = slot;
}

/* Walks backward as the backward pass will. In a normalisation the gradient before the ReLU takes
 * the place of one that came in, and dx that of the other. */
static ib_status plan_gradients(ib_network *net, ib_error *err) {
    ib_slots *slots = &net->slots;
    for (size_t row = 0; row < net->layer_count; ++row) {
        ib_layer *layer = &net->layers[row];
        layer->dy = layer->second = layer->g = layer->dx = IB_NO_SLOT;
    }
    ib_layer *last = &net->layers[net->layer_count - 1];
    last->dy = take_slot(slots, last->y_bytes * (size_t)net->capacity);
    for (size_t row = net->layer_count; row-- > 0;) {
        ib_layer *layer = &net->layers[row];
        int spare = layer->dy; /* may hold dx of a normalisation */
        if (layer->dy == IB_NO_SLOT)
            return ib_fail(err, IB_ERROR_RUNTIME, "%s: nothing reads it", layer->spec->name);
        if (layer->spec->kind == IB_LAYER_NORM &&
            (layer->second != IB_NO_SLOT || layer->added != IB_NO_ROW)) {
            layer->g = layer->second != IB_NO_SLOT ? layer->second : layer->dy;
            spare = layer->second != IB_NO_SLOT ? layer->dy : IB_NO_SLOT;
        }
        if (layer->input != IB_NO_ROW) {
            size_t bytes = net->layers[layer->input].y_bytes * (size_t)net->capacity;
            int in_place = layer->spec->kind == IB_LAYER_NORM && spare != IB_NO_SLOT;
            layer->dx = in_place ? spare : take_slot(slots, bytes);
            if (layer->dx == IB_NO_SLOT)
                return ib_fail(err, IB_ERROR_RUNTIME, "%s: too many gradients are alive at once",
                               layer->spec->name);
            hand_back(net, layer->input, layer->dx);
        }
        if (layer->added != IB_NO_ROW)
            hand_back(net, layer->added, layer->g);
        const int mine[] = {layer->dy, layer->second};
        for (int i = 0; i < 2; ++i)
            if (mine[i] != layer->dx && (mine[i] != layer->g || layer->added == IB_NO_ROW))
                release_slot(slots, mine[i]);
    }
    return IB_OK;
}

/* Evaluation keeps an output only until its last reader is done. */
static ib_status plan_outputs(ib_network *net, ib_error *err) {
    ib_slots *slots = &net->slots;
    for (size_t row = 0; row < net->layer_count; ++row) {
        ib_layer *layer = &net->layers[row];
        layer->y_slot = take_slot(slots, layer->y_bytes * (size_t)net->capacity);
        if (layer->y_slot == IB_NO_SLOT)
            return ib_fail(err, IB_ERROR_RUNTIME, "%s: too many outputs are alive at once",
                           layer->spec->name);
        const int read[] = {layer->input, layer->added};
        for (int i = 0; i < 2; ++i)
            if (read[i] != IB_NO_ROW && --net->layers[read[i]].readers == 0)
                release_slot(slots, net->layers[read[i]].y_slot);
    }
    return IB_OK;
}

static ib_status create_activations(ib_network *net, ib_error *err) {
    IB_TRY(net->training ? plan_gradients(net, err) : plan_outputs(net, err));
    for (int i = 0; i < net->slots.count; ++i)
        IB_TRY(create(net, &net->slots.buffer[i], net->slots.bytes[i], err));
    for (size_t row = 0; row < net->layer_count; ++row) {
        ib_layer *layer = &net->layers[row];
        if (net->training)
            IB_TRY(create(net, &layer->y, layer->y_bytes * (size_t)net->capacity, err));
        else
            layer->y = net->slots.buffer[layer->y_slot];
        IB_TRY(create(net, &layer->argmax, argmax_bytes(layer) * (size_t)net->capacity, err));
    }
    return IB_OK;
}

static int part_count(const ib_network *net) {
    if (!net->training)
        return 1;
    return net->optimizer == IB_SGD ? (net->momentum ? 3 : 2) : 4;
}

/* One arena for each part of the trained parameters, one for what normalisations keep. */
static ib_status create_parameters(ib_network *net, ib_error *err) {
    const ib_backend_ops *ops = net->backend->ops;
    size_t trained = 0, kept = 0;
    for (size_t i = 0; i < net->parameter_count; ++i) {
        ib_parameter *p = &net->parameters[i];
        size_t *bytes = p->trained ? &trained : &kept;
        p->offset = *bytes;
        *bytes += (size_t)p->floats * sizeof(float);
    }
    size_t saved = kept;
    for (size_t row = 0; row < net->layer_count && net->training; ++row)
        if (net->layers[row].spec->kind == IB_LAYER_NORM)
            kept += IB_SAVED_COUNT * (size_t)net->layers[row].weight->floats * sizeof(float);
    for (int part = 0; part < part_count(net); ++part)
        IB_TRY(create(net, &net->arena[part], trained, err));
    IB_TRY(create(net, &net->kept, kept, err));
    for (size_t i = 0; i < net->parameter_count; ++i) {
        ib_parameter *p = &net->parameters[i];
        size_t bytes = (size_t)p->floats * sizeof(float);
        for (int part = 0; p->trained && part < part_count(net); ++part)
            p->part[part] = ops->buffer_slice(net->backend, &net->arena[part], p->offset, bytes);
        if (!p->trained && p->dtype == IB_F32)
            p->part[0] = ops->buffer_slice(net->backend, &net->kept, p->offset, bytes);
    }
    for (size_t row = 0; row < net->layer_count; ++row) {
        ib_layer *layer = &net->layers[row];
        if (layer->spec->kind != IB_LAYER_NORM)
            continue;
        const ib_parameter *mean = layer->bias + 1; /* running_mean, then running_var */
        size_t bytes = (size_t)mean->floats * sizeof(float);
        layer->running = ops->buffer_slice(net->backend, &net->kept, mean->offset, 2 * bytes);
        if (net->training)
            layer->saved =
                ops->buffer_slice(net->backend, &net->kept, saved, IB_SAVED_COUNT * bytes);
        saved += IB_SAVED_COUNT * bytes;
    }
    return IB_OK;
}

/* ---- open and close ---------------------------------------------------------------------------
 */

enum { MOST_PARAMETERS_OF_A_ROW = 5 };

ib_status ib_network_open(ib_network *net, ib_backend *backend, const ib_layer_spec *specs,
                          ib_image_shape image, int64_t classes, int64_t capacity, int training,
                          ib_optimizer_kind optimizer, int momentum, ib_error *err) {
    size_t rows = 0;
    int dropouts = 0;
    while (specs[rows].name != NULL)
        ++rows;
    *net = (ib_network){.backend = backend,
                        .image = image,
                        .classes = classes,
                        .capacity = capacity,
                        .training = training,
                        .optimizer = optimizer,
                        .momentum = momentum};
    net->layers = calloc(rows + 1, sizeof *net->layers);
    net->parameters = calloc(rows * MOST_PARAMETERS_OF_A_ROW + 1, sizeof *net->parameters);
    if (net->layers == NULL || net->parameters == NULL)
        return ib_fail_memory(err);
    if (image.channels != 1) /* images are loaded without a channel axis, so without its padding */
        return ib_fail(err, IB_ERROR_USAGE, "networks take grey images; these have %u channels",
                       image.channels);
    int64_t pixels = (int64_t)image.height * image.width;
    IB_TRY(create(net, &net->x, (size_t)(capacity * ib_pad16(pixels)) * sizeof(float), err));
    for (; net->layer_count < rows; ++net->layer_count) {
        net->layers[net->layer_count].spec = &specs[net->layer_count];
        IB_TRY(plan_row(net, net->layer_count, &dropouts, err));
    }
    if (rows == 0 || net->layers[rows - 1].features != classes)
        return ib_fail(err, IB_ERROR_RUNTIME, "the last row does not give one value a class");
    IB_TRY(create_parameters(net, err));
    if (training)
        IB_TRY(ib_find_live_weights(net, err));
    return create_activations(net, err);
}

void ib_network_close(ib_network *net) {
    if (net->backend == NULL)
        return;
    const ib_backend_ops *ops = net->backend->ops;
    for (size_t row = 0; row < net->layer_count; ++row) {
        if (net->training)
            ops->buffer_destroy(net->backend, &net->layers[row].y);
        ops->buffer_destroy(net->backend, &net->layers[row].argmax);
    }
    for (int i = 0; i < net->slots.count; ++i)
        ops->buffer_destroy(net->backend, &net->slots.buffer[i]);
    free(net->live);
    for (int part = 0; part < IB_PARTS; ++part)
        ops->buffer_destroy(net->backend, &net->arena[part]);
    ops->buffer_destroy(net->backend, &net->kept);
    ops->buffer_destroy(net->backend, &net->x);
    for (size_t i = 0; i < net->parameter_count; ++i)
        free(net->parameters[i].name);
    free(net->parameters);
    free(net->layers);
    *net = (ib_network){0};
}

ib_network_memory ib_network_memory_of(const ib_network *net) {
    ib_network_memory m = {.parameters = net->arena[0].bytes + net->kept.bytes,
                           .gradients = net->arena[1].bytes,
                           .optimizer = net->arena[2].bytes + net->arena[3].bytes,
                           .activations = net->x.bytes};
    for (size_t row = 0; row < net->layer_count; ++row)
        m.activations +=
            net->layers[row].argmax.bytes + (net->training ? net->layers[row].y.bytes : 0);
    for (int i = 0; i < net->slots.count; ++i)
        *(net->training ? &m.activation_gradients : &m.activations) += net->slots.buffer[i].bytes;
    return m;
}
