/* Convolution, forward: implicit product of pixels by weights, then bias, ReLU, pooling, dropout.
 *
 * Tall tiles: 12 pixels of one row x 32 channels (AVX-512), 6 x 16 (AVX2). The weights of one
 * column block (conv2 of the CNN: 288 x 32 floats = 36 KB) are packed once a step and stay in L1/L2
 * while the image streams by; the input of a tile, 3 rows x 14 pixels x 128 B = 5 KB, is in L1.
 * Work items: (column block, image). */
#include <string.h>

#include "conv_batched.h"
#include "conv_tile.h"
#include "dropout.h"

struct forward {
    const ib_conv *conv;
    const ib_conv_pointers *p;
    const float *packed; /* [block][k][columns], from ib_cpu.shared_scratch */
    float **scratch;
};

void IB_KERNEL(ib_frame_image)(const float *image, int64_t h, int64_t w, int64_t c, int64_t step,
                               int64_t top, int64_t left, float *frame, int64_t fh, int64_t fw) {
    memset(frame, 0, sizeof(float) * (size_t)(fh * fw * c));
    for (int64_t y = 0; y < h; ++y)
        for (int64_t x = 0; x < w; ++x)
            memcpy(frame + ((y * step + top) * fw + x * step + left) * c, image + (y * w + x) * c,
                   sizeof(float) * (size_t)c);
}

/* conv_pixels, then bias and ReLU; pixel i goes to `to + i * to_row`. A bias of +0 is no bias: what
 * it is added to is never -0. */
static void output_pixels(const struct conv_shape *s, const float *image, const float *packed,
                          const struct tile_plan *plan, const float *bias, int relu, int64_t oy,
                          int64_t ox, int rows, float *to, int64_t to_row) {
    float out[TILE_FLOATS];
    conv_pixels(s, image, packed, plan, oy, ox, rows, out);
    for (int j = 0; j < plan->columns; j += VL) {
        vf b = bias != NULL ? v_load(bias + j) : v_zero();
        for (int i = 0; i < rows; ++i) {
            vf y = v_add(v_add(v_load(out + i * TILE_STRIDE + j), v_zero()), b);
            v_store(to + i * to_row + j, relu ? v_relu(y) : y);
        }
    }
}

/* Two rows of pixels (out_top, out_bottom) to rows/2 cells: first greatest in scan order. */
static void pool_cells(const float *top, const float *bottom, int rows, int columns, int64_t co16,
                       float *cells, uint8_t *argmax) {
    for (int i = 0; i + 1 < rows; i += 2)
        for (int j = 0; j < columns; j += VL) {
            const float *at[4] = {top + i * TILE_STRIDE + j, top + (i + 1) * TILE_STRIDE + j,
                                  bottom + i * TILE_STRIDE + j, bottom + (i + 1) * TILE_STRIDE + j};
            vf best = v_load(at[0]);
            vi position = vi_set1(0);
            for (int q = 1; q < 4; ++q) {
                vf candidate = v_load(at[q]);
                vmask greater = v_gt(candidate, best);
                best = v_select(greater, candidate, best);
                position = vi_select(greater, vi_set1(q), position);
            }
            v_store(cells + (i / 2) * co16 + j, best);
            vi_store_bytes(argmax + (i / 2) * co16 + j, position);
        }
}

/* [cells][columns] to channel-major features, then dropout. */
static void write_features(const struct conv_shape *s, const ib_conv *conv, int64_t image,
                           int64_t first_channel, int columns, const float *cells, float *y) {
    int64_t count = s->cells, whole = count / 16 * 16;
    for (int64_t c = 0; c < columns; c += 16) {
        int64_t channel = first_channel + c;
        if (channel + 16 <= s->co) {
            for (int64_t cell = 0; cell < whole; cell += 16)
                transpose16(cells + cell * s->co16 + c, s->co16, y + channel * count + cell, count);
        }
        for (int64_t k = channel; k < smaller(channel + 16, s->co); ++k)
            for (int64_t cell = channel + 16 <= s->co ? whole : 0; cell < count; ++cell)
                y[k * count + cell] = cells[cell * s->co16 + (k - first_channel)];
    }
    int64_t last_channel = smaller(first_channel + columns, s->co);
    if (conv->dropout.enabled && last_channel > first_channel)
        dropout_row(&conv->dropout, (uint64_t)(image * s->co * count + first_channel * count),
                    (last_channel - first_channel) * count, y + first_channel * count);
}

static void forward_item(void *context, size_t item, unsigned thread) {
    const struct forward *f = context;
    const ib_conv *conv = f->conv;
    struct conv_shape s = conv_shape_of(conv);
    int64_t image = (int64_t)item % conv->n, first;
    struct tile_plan plan = column_block(s.co16, (int64_t)item / conv->n, &first);
    const float *packed = f->packed + first * s.k;
    const float *bias = f->p->b != NULL ? f->p->b + first : NULL;
    float *scratch = f->scratch[thread];
    const float *x = f->p->x + image * s.image_floats;
    if (s.pad > 0) {
        float *frame = scratch + s.cells * s.co16;
        IB_KERNEL(ib_frame_image)
        (x, s.h, s.w, s.ci, 1, s.pad, s.pad, frame, s.padded_h, s.padded_w);
        x = frame;
    }
    float top[TILE_FLOATS], bottom[TILE_FLOATS];

    if (!conv->pool) {
        float *y = f->p->y + image * s.oh * s.ow * s.co16 + first;
        for (int64_t oy = 0; oy < s.oh; ++oy)
            for (int64_t ox = 0; ox < s.ow; ox += plan.rows) {
                int rows = (int)smaller(plan.rows, s.ow - ox);
                output_pixels(&s, x, packed, &plan, bias, conv->relu, oy, ox, rows,
                              y + (oy * s.ow + ox) * s.co16, s.co16);
            }
        return;
    }
    uint8_t *argmax = f->p->argmax + image * s.cells * s.co16 + first;
    for (int64_t cy = 0; cy < s.oh / 2; ++cy)
        for (int64_t ox = 0; ox + 1 < s.ow; ox += plan.rows) {
            int rows = (int)smaller(plan.rows, s.ow / 2 * 2 - ox);
            output_pixels(&s, x, packed, &plan, bias, 1, 2 * cy, ox, rows, top, TILE_STRIDE);
            output_pixels(&s, x, packed, &plan, bias, 1, 2 * cy + 1, ox, rows, bottom, TILE_STRIDE);
            int64_t cell = cy * (s.ow / 2) + ox / 2;
            pool_cells(top, bottom, rows, plan.columns, s.co16, scratch + cell * s.co16,
                       argmax + cell * s.co16);
        }
    write_features(&s, conv, image, first, plan.columns, scratch,
                   f->p->y + image * ib_pad16(s.co * s.cells));
}

/* w [k][C16] to [block][k][columns]: a block is contiguous, so that it uses every set of L1. */
static void pack_blocks(const float *w, int64_t k, int64_t n16, float *packed) {
    int64_t blocks = column_blocks(n16);
    for (int64_t block = 0; block < blocks; ++block) {
        int64_t first;
        struct tile_plan plan = column_block(n16, block, &first);
        for (int64_t i = 0; i < k; ++i)
            memcpy(packed + first * k + i * plan.columns, w + i * n16 + first,
                   sizeof(float) * (size_t)plan.columns);
    }
}

void IB_KERNEL(ib_conv_forward)(ib_cpu *cpu, const ib_conv *conv, const ib_conv_pointers *p) {
    if (conv_is_batched(conv)) {
        IB_KERNEL(ib_conv_batched_forward)(cpu, conv, p);
        return;
    }
    struct conv_shape s = conv_shape_of(conv);
    pack_blocks(p->w, s.k, s.co16, cpu->shared_scratch);
    struct forward f = {conv, p, cpu->shared_scratch, cpu->thread_scratch};
    ib_pool_run(cpu->pool, (size_t)(column_blocks(s.co16) * conv->n), forward_item, &f);
}
