/* Unpooled convolutions of small images with many channels: entry points, and which taps exist.
 *
 * Rows of the products are pixels of the whole batch, so that a weight is read once a pass, and a
 * tap that falls into the padding is left out (NUMERICS.md, "Zero terms"): of a 3x3 kernel 100 of
 * 144 taps exist on a 4x4 image, 16 of 36 on 2x2 and 1 of 9 on 1x1. */
#ifndef IB_CPU_CONV_BATCHED_H
#define IB_CPU_CONV_BATCHED_H

#include "conv.h"

enum { BATCHED_TAPS = 32 }; /* the greatest kernel side: taps of an axis are bits of a word */

/* Is y, and are dx and dw, computed here? */
static inline int conv_is_batched(const ib_conv *c) {
    return !c->pool && c->ci > 1 && c->kh <= BATCHED_TAPS && c->kw <= BATCHED_TAPS;
}
/* Only dw: also the stem, one channel and a stride. */
static inline int conv_weights_are_batched(const ib_conv *c) {
    return conv_is_batched(c) || (!c->pool && c->ci == 1 && c->stride > 1);
}

void IB_KERNEL(ib_conv_batched_forward)(ib_cpu *cpu, const ib_conv *conv,
                                        const ib_conv_pointers *p);
void IB_KERNEL(ib_conv_batched_input)(ib_cpu *cpu, const ib_conv *conv, const ib_conv_pointers *p);
void IB_KERNEL(ib_conv_batched_weights)(ib_cpu *cpu, const ib_conv *conv,
                                        const ib_conv_pointers *p);
void IB_KERNEL(ib_conv_batched_forward_scratch)(const ib_conv *conv, size_t *per_thread,
                                                size_t *shared);
void IB_KERNEL(ib_conv_batched_input_scratch)(const ib_conv *conv, size_t *per_thread,
                                              size_t *shared);
void IB_KERNEL(ib_conv_batched_weights_scratch)(const ib_conv *conv, size_t *per_thread,
                                                size_t *shared);

/* One axis of a product: which input does tap k of position o read? */
struct tap_axis {
    int64_t positions, taps, inputs, stride, pad;
    int gradient; /* positions are input pixels, inputs are output pixels, taps are flipped */
};

/* -1: none. */
static inline int64_t tap_input(const struct tap_axis *a, int64_t position, int64_t tap) {
    int64_t at = position * a->stride + tap - a->pad;
    if (a->gradient) {
        at = position + a->pad - (a->taps - 1 - tap);
        if (at < 0 || at % a->stride != 0)
            return -1;
        at /= a->stride;
    }
    return at >= 0 && at < a->inputs ? at : -1;
}

#endif
