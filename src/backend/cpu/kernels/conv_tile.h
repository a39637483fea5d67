/* One tile of an implicit convolution product, for the forward pass and for backward data, which is
 * a forward convolution of the framed output gradient with the flipped kernel. */
#ifndef IB_CPU_CONV_TILE_H
#define IB_CPU_CONV_TILE_H

#include "conv.h"
#include "product.h"

/* out[i] = dot products of output pixel (oy, ox + i), i < rows, with one packed column block. The
 * image is already framed: padded_w pixels a row, ci floats a pixel. */
static inline void conv_pixels(const struct conv_shape *s, const float *image, const float *packed,
                               const struct tile_plan *plan, int64_t oy, int64_t ox, int rows,
                               float *out) {
    struct tile tile = {
        .a = image + (oy * s->stride * s->padded_w + ox * s->stride) * s->ci,
        .a_row = s->stride * s->ci,
        .a_k = 1,
        .a_run = s->padded_w * s->ci,
        .b = packed,
        .b_k = plan->columns,
        .b_run = s->kw * s->ci * plan->columns,
        .runs = s->kh,
        .run_length = s->kw * s->ci,
    };
    dot_products(IB_KERNEL(ib_tile)(rows, plan->vectors), rows, plan->columns, &tile, out);
}

/* The block-th column block of n16 columns, and its first column. */
static inline struct tile_plan column_block(int64_t n16, int64_t block, int64_t *first) {
    struct tile_plan plan = tile_plan_for(n16, 1);
    for (*first = 0; block > 0; --block) {
        *first += plan.columns;
        plan = tile_plan_for(n16 - *first, 1);
    }
    return plan;
}

static inline int64_t column_blocks(int64_t n16) {
    int64_t blocks = 0;
    for (int64_t first = 0; first < n16; ++blocks)
        first += tile_plan_for(n16 - first, 1).columns;
    return blocks;
}

/* Copies a pixels image [h][w][c] into a frame of zeros [fh][fw][c], pixel (y, x) to
 * (y * step + top, x * step + left). Zero taps leave every finite chain as it is. */
void IB_KERNEL(ib_frame_image)(const float *image, int64_t h, int64_t w, int64_t c, int64_t step,
                               int64_t top, int64_t left, float *frame, int64_t fh, int64_t fw);

#endif
