#include "nn/live.h"

#include <stdlib.h>

enum { WORTH_SKIPPING = 4096 }; /* floats; less costs more to leave out than to update */

/* Whether the tap meets the image at any output position of one axis. */
static int meets(int64_t tap, int64_t in, int64_t out, int64_t stride, int64_t pad) {
    for (int64_t o = 0; o < out; ++o) {
        int64_t i = o * stride + tap - pad;
        if (i >= 0 && i < in)
            return 1;
    }
    return 0;
}

static int tap_exists(const ib_conv *c, int64_t tap) {
    return meets(tap / c->kw, c->h, ib_conv_out_h(c), c->stride, c->pad) &&
           meets(tap % c->kw, c->w, ib_conv_out_w(c), c->stride, c->pad);
}

/* Floats from..to of the arenas; joined to the range before when what lies between is not worth
 * leaving out. */
static ib_status add_range(ib_network *net, int64_t from, int64_t to, ib_error *err) {
    ib_live_range *last = net->live_count > 0 ? &net->live[net->live_count - 1] : NULL;
    if (last != NULL && from - (last->first + last->count) < WORTH_SKIPPING) {
        last->count = to - last->first;
        return IB_OK;
    }
    ib_live_range *grown = realloc(net->live, (net->live_count + 1) * sizeof *grown);
    if (grown == NULL)
        return ib_fail_memory(err);
    net->live = grown;
    net->live[net->live_count++] = (ib_live_range){.first = from, .count = to - from};
    return IB_OK;
}

static ib_status add_weight(ib_network *net, const ib_layer *layer, ib_error *err) {
    const ib_conv *c = &layer->conv;
    int64_t begin = (int64_t)(layer->weight->offset / sizeof(float));
    int64_t taps = c->kh * c->kw, tap_floats = layer->weight->floats / taps;
    for (int64_t tap = 0; tap < taps; ++tap)
        if (tap_floats < WORTH_SKIPPING || tap_exists(c, tap))
            IB_TRY(add_range(net, begin + tap * tap_floats, begin + (tap + 1) * tap_floats, err));
    return IB_OK;
}

ib_status ib_find_live_weights(ib_network *net, ib_error *err) {
    for (size_t i = 0; i < net->parameter_count; ++i) {
        const ib_parameter *p = &net->parameters[i];
        const ib_layer *conv = NULL;
        for (size_t row = 0; row < net->layer_count && conv == NULL; ++row)
            if (net->layers[row].spec->kind == IB_LAYER_CONV && net->layers[row].weight == p)
                conv = &net->layers[row];
        if (conv != NULL)
            IB_TRY(add_weight(net, conv, err));
        else if (p->trained)
            IB_TRY(add_range(net, (int64_t)(p->offset / sizeof(float)),
                             (int64_t)(p->offset / sizeof(float)) + p->floats, err));
    }
    for (size_t i = 0; i < net->live_count; ++i) {
        ib_live_range *range = &net->live[i];
        size_t offset = (size_t)range->first * sizeof(float);
        size_t bytes = (size_t)range->count * sizeof(float);
        for (int part = 0; part < IB_PARTS; ++part)
            if (net->arena[part].handle != NULL)
                range->part[part] =
                    net->backend->ops->buffer_slice(net->backend, &net->arena[part], offset, bytes);
    }
    return IB_OK;
}
