/* Shapes shared by the convolution kernels, and the entry points of those that are in files of
 * their own: conv_forward.c and conv_backward.c list them all, best first. */
#ifndef IB_CPU_CONV_H
#define IB_CPU_CONV_H

#include "../cpu.h"
#include "simd.h"

struct conv_shape {
    int64_t n, h, w, ci, co, co16, kh, kw, stride, pad;
    int64_t padded_h, padded_w, oh, ow;
    int64_t k;            /* terms of one output: kh * kw * ci */
    int64_t image_floats; /* of one input image */
    int64_t cells;        /* pooled cells of one image and channel */
};

/* ci is the stored channel count: 1, or padded to 16. */
static inline struct conv_shape conv_shape_of(const ib_conv *c) {
    struct conv_shape s = {.n = c->n, .h = c->h, .w = c->w, .co = c->co, .kh = c->kh, .kw = c->kw};
    s.ci = c->ci == 1 ? 1 : ib_pad16(c->ci);
    s.co16 = ib_pad16(c->co);
    s.stride = c->stride;
    s.pad = c->pad;
    s.padded_h = c->h + 2 * c->pad;
    s.padded_w = c->w + 2 * c->pad;
    s.oh = ib_conv_out_h(c);
    s.ow = ib_conv_out_w(c);
    s.k = s.kh * s.kw * s.ci;
    s.image_floats = s.h * s.w * s.ci;
    s.cells = (s.oh / 2) * (s.ow / 2);
    return s;
}

/* The backward pass of a 3x3, stride 1, unpadded convolution before a 2x2 pool, by lists of what
 * the pool let through. */
int IB_KERNEL(ib_conv_is_sparse)(const ib_conv *conv);
void IB_KERNEL(ib_conv_backward_sparse)(ib_cpu *cpu, const ib_conv *conv,
                                        const ib_conv_pointers *p);
void IB_KERNEL(ib_conv_sparse_scratch)(const ib_conv *conv, size_t *per_thread, size_t *shared);

#endif
