#include "backend/ops/conv.h"

static int64_t stored_channels(int64_t channels) {
    return channels == 1 ? 1 : ib_pad16(channels);
}

const char *ib_conv_fault(const ib_conv *c, ib_direction direction) {
    (void)direction;
    if (!ib_are_sizes(c->n, c->h, c->w, ib_padded(c->ci)) ||
        !ib_are_sizes(c->kh, c->kw, ib_padded(c->ci), ib_padded(c->co)) || !ib_is_size(c->stride) ||
        c->pad < 0 || c->pad >= c->kh || c->pad >= c->kw)
        return "shape out of range";
    if (c->kh > c->h + 2 * c->pad || c->kw > c->w + 2 * c->pad ||
        !ib_are_sizes(c->n, ib_conv_out_h(c), ib_conv_out_w(c), ib_padded(c->co)))
        return "shape out of range";
    if ((c->pool || c->dropout.enabled) && !c->relu)
        return "pooling and dropout follow a ReLU only";
    if (c->pool && (ib_conv_out_h(c) < 2 || ib_conv_out_w(c) < 2))
        return "nothing to pool";
    return NULL;
}

void ib_conv_need(const ib_conv *c, ib_direction direction, ib_conv_sizes *sizes) {
    int64_t ci = stored_channels(c->ci), co = ib_pad16(c->co);
    int64_t oh = ib_conv_out_h(c), ow = ib_conv_out_w(c);
    int64_t inputs = c->n * c->h * c->w * ci, weights = c->kh * c->kw * ci * co;
    int64_t outputs = c->pool ? c->n * ib_pad16(ib_conv_pooled_features(c)) : c->n * oh * ow * co;
    int64_t bias = c->pool ? co : -co;
    *sizes = (ib_conv_sizes){.x = inputs, .w = weights};
    sizes->argmax = c->pool ? c->n * (oh / 2) * (ow / 2) * co : 0;
    if (direction == IB_FORWARD) {
        sizes->b = bias;
        sizes->y = outputs;
        return;
    }
    sizes->dy = outputs;
    sizes->dx = c->ci > 1 ? -inputs : 0; /* one channel is the network's input: no gradient */
    sizes->dw = weights;
    sizes->db = bias;
}

double ib_conv_macs(const ib_conv *c, ib_direction direction) {
    double forward = (double)(c->n * ib_conv_out_h(c) * ib_conv_out_w(c)) *
                     (double)(c->co * c->kh * c->kw * c->ci);
    return direction == IB_FORWARD ? forward : (c->ci > 1 ? 2 : 1) * forward;
}
