/* Convolution, forward: implicit product of pixels by weights, then bias, ReLU, pooling, dropout.
 *
 * Tall tiles: 12 pixels x 32 channels (AVX-512), 6 x 16 (AVX2). The weights of one column block
 * (conv2 of the CNN: 288 x 32 floats = 36 KB) are packed once a step and stay in L1/L2 while the
 * image streams by.
 *
 * Before a pool, pixels are computed once: an output whose input patch repeats the patch to its
 * left or above has that output's bits, and images of digits are mostly ground. The others are
 * listed. Where enough of the input is zero, conv_pairs.c computes them from the terms that are
 * not; else 12 patches at a time are copied side by side (12 x 288 floats = 14 KB, in L1), and the
 * tile runs over all column blocks: 288 x 24 FMAs a block against 216 vectors copied.
 * Work items: images; or (column block, image) where images are few. */
#include <string.h>

#include "conv_batched.h"
#include "conv_pairs.h"
#include "conv_tile.h"
#include "dropout.h"
#include "kernel.h"

struct forward {
    const ib_conv *conv;
    const ib_conv_pointers *p;
    const float *packed; /* [block][k][columns], from ib_cpu.shared_scratch */
    float **scratch;
    int64_t blocks_per_item;
};

void IB_KERNEL(ib_frame_image)(const float *image, int64_t h, int64_t w, int64_t c, int64_t step,
                               int64_t top, int64_t left, float *frame, int64_t fh, int64_t fw) {
    memset(frame, 0, sizeof(float) * (size_t)(fh * fw * c));
    for (int64_t y = 0; y < h; ++y)
        for (int64_t x = 0; x < w; ++x)
            memcpy(frame + ((y * step + top) * fw + x * step + left) * c, image + (y * w + x) * c,
                   sizeof(float) * (size_t)c);
}

/* The biases from a channel on; NULL: none. */
static const float *bias_of(const struct forward *f, int64_t channel) {
    return f->p->b != NULL ? f->p->b + channel : NULL;
}

/* A tile's products, then bias, and ReLU or settling; row i goes to `to + i * to_row`. A bias of +0
 * is no bias: it could only turn -0 into +0, as settling does. */
static void finish_tile(const float *out, const float *bias, int relu, int rows, int columns,
                        float *to, int64_t to_row) {
    for (int j = 0; j < columns; j += VL) {
        vf b = bias != NULL ? v_load(bias + j) : v_zero();
        for (int i = 0; i < rows; ++i) {
            vf y = v_add(v_load(out + i * TILE_STRIDE + j), b);
            v_store(to + i * to_row + j, v_output(relu, y));
        }
    }
}

/* ---- distinct pixels --------------------------------------------------------------------------
 */

/* What one thread needs to compute the distinct pixels of an image. */
struct distinct {
    float *panel;    /* [12][k]: patches of the tile at hand */
    float *values;   /* [distinct pixel][co16], after bias and ReLU */
    int32_t *pixels; /* the output pixel of each */
    int32_t *slots;  /* [oh][ow]: which distinct pixel has its value */
    uint64_t
        *repeat;  /* [2][padded_h]: bit x: input pixel (y, x) is like its left, upper neighbour */
    float *lists; /* of conv_pairs.c */
};

static size_t distinct_layout(const struct conv_shape *s, float *scratch, struct distinct *d) {
    size_t panel = (size_t)(12 * s->k), pixels = (size_t)ib_pad16(s->oh * s->ow);
    size_t values = (pixels + 1) * (size_t)s->co16; /* one more: see ib_conv_pairs */
    if (d != NULL) {
        d->repeat = (uint64_t *)(void *)scratch;
        d->panel = scratch + 4 * s->padded_h;
        d->values = d->panel + panel;
        d->pixels = (int32_t *)(void *)(d->values + values);
        d->slots = d->pixels + pixels;
        d->lists = (float *)(void *)(d->slots + pixels);
    }
    return (size_t)(4 * s->padded_h) + panel + values + 2 * pixels +
           IB_KERNEL(ib_conv_pairs_scratch)(s);
}

/* Zeros of either sign count as equal: as terms of a chain they are (NUMERICS.md, "Chains"). */
static int same_pixel(const float *a, const float *b, int64_t ci) {
    for (int64_t c = 0; c < ci; c += VL)
        if (v_any(v_ne(v_load(a + c), v_load(b + c))))
            return 0;
    return 1;
}

/* Bit x of the result: the kw x kh bits from (top, x) on are all set. */
static uint64_t whole_windows(const struct conv_shape *s, const uint64_t *rows, int64_t top) {
    uint64_t column = ~(uint64_t)0, all = ~(uint64_t)0;
    for (int64_t ky = 0; ky < s->kh; ++ky)
        column &= rows[top + ky];
    for (int64_t kx = 0; kx < s->kw; ++kx)
        all &= column >> kx;
    return all;
}

/* Fills pixels and slots; returns the number of distinct pixels. */
static int64_t find_distinct(const struct conv_shape *s, const float *image, struct distinct *d) {
    int64_t count = 0, h = s->padded_h, w = s->padded_w;
    int comparable = s->stride == 1 && w <= 64 && s->ci >= VL;
    uint64_t *left = d->repeat, *above = left + h;
    for (int64_t y = 0; y < h && comparable; ++y) {
        left[y] = above[y] = 0;
        for (int64_t x = 0; x < w; ++x) {
            const float *at = image + (y * w + x) * s->ci;
            if (x > 0 && same_pixel(at, at - s->ci, s->ci))
                left[y] |= (uint64_t)1 << x;
            if (y > 0 && same_pixel(at, at - w * s->ci, s->ci))
                above[y] |= (uint64_t)1 << x;
        }
    }
    for (int64_t oy = 0; oy < s->oh; ++oy) {
        uint64_t like_left = comparable ? whole_windows(s, left, oy) : 0;
        uint64_t like_above = comparable ? whole_windows(s, above, oy) : 0;
        for (int64_t ox = 0; ox < s->ow; ++ox) {
            int64_t pixel = oy * s->ow + ox;
            if (ox < 64 && like_left >> ox & 1) {
                d->slots[pixel] = d->slots[pixel - 1];
            } else if (ox < 64 && like_above >> ox & 1) {
                d->slots[pixel] = d->slots[pixel - s->ow];
            } else {
                d->pixels[count] = (int32_t)pixel;
                d->slots[pixel] = (int32_t)count++;
            }
        }
    }
    return count;
}

static void copy_patches(const struct conv_shape *s, const float *image, const int32_t *pixels,
                         int count, float *panel) {
    int64_t run = s->kw * s->ci;
    for (int i = 0; i < count; ++i) {
        int64_t oy = pixels[i] / s->ow, ox = pixels[i] % s->ow;
        const float *from = image + (oy * s->padded_w + ox) * s->stride * s->ci;
        for (int64_t ky = 0; ky < s->kh; ++ky)
            memcpy(panel + i * s->k + ky * run, from + ky * s->padded_w * s->ci,
                   sizeof(float) * (size_t)run);
    }
}

/* d->values of every distinct pixel, for column blocks [first_block, last_block). */
static void compute_distinct(const struct conv_shape *s, const struct forward *f, int64_t count,
                             const float *image, int64_t first_block, int64_t last_block,
                             struct distinct *d) {
    float out[TILE_FLOATS];
    int64_t first;
    int step = column_block(s->co16, first_block, &first).rows; /* the widest block's */
    for (int64_t at = 0; at < count; at += step) {
        int rows = (int)smaller(step, count - at);
        copy_patches(s, image, d->pixels + at, rows, d->panel);
        for (int64_t block = first_block; block < last_block; ++block) {
            struct tile_plan plan = column_block(s->co16, block, &first);
            struct tile tile = {
                .a = d->panel,
                .a_row = s->k,
                .a_k = 1,
                .b = f->packed + first * s->k,
                .b_k = plan.columns,
                .runs = 1,
                .run_length = s->k,
            };
            dot_products(IB_KERNEL(ib_tile)(rows, plan.vectors), rows, plan.columns, &tile, out);
            finish_tile(out, bias_of(f, first), 1, rows, plan.columns,
                        d->values + at * s->co16 + first, s->co16);
        }
    }
}

/* ---- pooling ----------------------------------------------------------------------------------
 */

/* Cells of channels [first, last): the first greatest in scan order, and its position. */
static void pool_cells(const struct conv_shape *s, const struct distinct *d, int64_t first,
                       int64_t last, float *cells, uint8_t *argmax) {
    int64_t cells_w = s->ow / 2;
    for (int64_t cell = 0; cell < s->cells; ++cell) {
        const int32_t *top = d->slots + (cell / cells_w * 2) * s->ow + cell % cells_w * 2;
        const int32_t slots[4] = {top[0], top[1], top[s->ow], top[s->ow + 1]};
        for (int64_t c = first; c < last; c += VL) {
            vf best = v_load(d->values + slots[0] * s->co16 + c);
            vi position = vi_set1(0);
            for (int q = 1; q < 4; ++q) {
                vf candidate = v_load(d->values + slots[q] * s->co16 + c);
                vmask greater = v_gt(candidate, best);
                best = v_select(greater, candidate, best);
                position = vi_select(greater, vi_set1(q), position);
            }
            v_store(cells + cell * s->co16 + c, best);
            vi_store_bytes(argmax + cell * s->co16 + c, position);
        }
    }
}

/* Channels [first, last) of [cells][co16] to channel-major features, then dropout; behind the last
 * channel, what pads. */
static void write_features(const struct conv_shape *s, const ib_conv *conv, int64_t image,
                           int64_t first, int64_t last, const float *cells, float *y) {
    int64_t count = s->cells, whole = count / 16 * 16;
    last = smaller(last, s->co);
    for (int64_t c = first; c < last; c += 16) {
        int64_t turned = c + 16 <= s->co ? whole : 0;
        for (int64_t cell = 0; cell < turned; cell += 16)
            transpose16(cells + cell * s->co16 + c, s->co16, y + c * count + cell, count);
        for (int64_t k = c; k < smaller(c + 16, last); ++k)
            for (int64_t cell = turned; cell < count; ++cell)
                y[k * count + cell] = cells[cell * s->co16 + k];
    }
    for (int64_t i = s->co * count; last == s->co && i < ib_pad16(s->co * count); ++i)
        y[i] = 0.0f;
    if (last > first)
        dropout_row(
            &conv->dropout,
            (uint64_t)((conv->dropout.first_sample + image) * s->co * count + first * count),
            (last - first) * count, y + first * count);
}

/* ---- items ------------------------------------------------------------------------------------
 */

static void plain_image(const struct conv_shape *s, const struct forward *f, int64_t image,
                        const float *x, int64_t first_block, int64_t last_block) {
    float out[TILE_FLOATS];
    for (int64_t block = first_block; block < last_block; ++block) {
        int64_t first;
        struct tile_plan plan = column_block(s->co16, block, &first);
        float *y = f->p->y + image * s->oh * s->ow * s->co16 + first;
        for (int64_t oy = 0; oy < s->oh; ++oy)
            for (int64_t ox = 0; ox < s->ow; ox += plan.rows) {
                int rows = (int)smaller(plan.rows, s->ow - ox);
                conv_pixels(s, x, f->packed + first * s->k, &plan, oy, ox, rows, out);
                finish_tile(out, bias_of(f, first), f->conv->relu, rows, plan.columns,
                            y + (oy * s->ow + ox) * s->co16, s->co16);
            }
    }
}

static void pooled_image(const struct conv_shape *s, const struct forward *f, int64_t image,
                         const float *x, int64_t first_block, int64_t last_block, float *scratch) {
    struct distinct d;
    float *cells = scratch + distinct_layout(s, scratch, &d);
    int64_t count = find_distinct(s, x, &d), first, end;
    int columns = column_block(s->co16, last_block - 1, &end).columns;
    end += columns;
    column_block(s->co16, first_block, &first);
    int whole = first == 0 && end == s->co16;
    if (!whole || !IB_KERNEL(ib_conv_pairs_fit)(s) ||
        !IB_KERNEL(ib_conv_pairs)(s, x, f->p->w, f->p->b, d.pixels, count, d.lists, d.values))
        compute_distinct(s, f, count, x, first_block, last_block, &d);
    pool_cells(s, &d, first, end, cells, f->p->argmax + image * s->cells * s->co16);
    write_features(s, f->conv, image, first, end, cells,
                   f->p->y + image * ib_pad16(s->co * s->cells));
}

static void forward_item(void *context, size_t item, unsigned thread) {
    const struct forward *f = context;
    struct conv_shape s = conv_shape_of(f->conv);
    int64_t image = (int64_t)item % s.n, blocks = column_blocks(s.co16);
    int64_t first_block = (int64_t)item / s.n * f->blocks_per_item;
    int64_t last_block = smaller(first_block + f->blocks_per_item, blocks);
    float *scratch = f->scratch[thread];
    const float *x = f->p->x + image * s.image_floats;
    if (s.pad > 0) {
        IB_KERNEL(ib_frame_image)
        (x, s.h, s.w, s.ci, 1, s.pad, s.pad, scratch, s.padded_h, s.padded_w);
        x = scratch;
        scratch += s.padded_h * s.padded_w * s.ci;
    }
    if (f->conv->pool)
        pooled_image(&s, f, image, x, first_block, last_block, scratch);
    else
        plain_image(&s, f, image, x, first_block, last_block);
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

static void by_tiles(ib_cpu *cpu, const ib_conv *conv, const ib_conv_pointers *p) {
    struct conv_shape s = conv_shape_of(conv);
    pack_blocks(p->w, s.k, s.co16, cpu->shared_scratch);
    int64_t blocks = column_blocks(s.co16), threads = ib_pool_size(cpu->pool);
    struct forward f = {.conv = conv,
                        .p = p,
                        .packed = cpu->shared_scratch,
                        .scratch = cpu->thread_scratch,
                        .blocks_per_item = s.n >= 4 * threads && blocks > 0 ? blocks : 1};
    int64_t items = s.n * ((blocks + f.blocks_per_item - 1) / f.blocks_per_item);
    ib_pool_run(cpu->pool, (size_t)items, forward_item, &f);
}

static void scratch_of_tiles(const ib_conv *conv, size_t *per_thread, size_t *shared) {
    struct conv_shape s = conv_shape_of(conv);
    size_t frame = s.pad > 0 ? (size_t)(s.padded_h * s.padded_w * s.ci) : 0;
    size_t pooled = distinct_layout(&s, NULL, NULL) + (size_t)(s.cells * s.co16);
    *per_thread = frame + (conv->pool ? pooled : 0);
    *shared = (size_t)(s.k * s.co16);
}

const ib_cpu_conv_kernel IB_KERNEL(ib_conv_forward)[] = {
    {"batched", conv_is_batched, IB_KERNEL(ib_conv_batched_forward_scratch),
     IB_KERNEL(ib_conv_batched_forward)},
    {"tiles", NULL, scratch_of_tiles, by_tiles},
    {NULL, NULL, NULL, NULL},
};
