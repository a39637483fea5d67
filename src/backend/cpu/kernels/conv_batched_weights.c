/* Weight gradient of an unpooled convolution, over the whole batch.
 *
 *   dw[tap][ci][co] = leaf tree of chains over (sample, y, x) of x * dy, where the tap exists
 *
 * First x is packed as [tile of up to 12 ci][sample][pixel][rows] and dy as [block of co][sample]
 * [pixel][columns]. Then an item is a few (tap, tile) of one block: for every leaf a chain walks
 * the list of (x pixel, dy pixel) pairs of the tap, in registers (12 x 2 vectors, 24 FMAs for 14
 * loads), takes up the sums of earlier leaves from a stack in L1 the way a binary counter carries,
 * and the last leaf's is the total: a weight is written once, partial sums never leave L1. The
 * block of dy (batch 32, 7x7: 1568 x 128 B = 200 KB) stays in L2 for all tiles. A tap that no pixel
 * has gets +0.
 *
 * One input channel: rows are kx, x is the framed image, and every tap of a row exists. */
#include <string.h>

#include "conv_batched.h"
#include "conv_tile.h"
#include "leaf_sum.h"

enum {
    BLOCK_VECTORS = VL == 4 ? 4 : 2,
    BLOCK = BLOCK_VECTORS * VL,
    ITEM_FMAS = 1 << 18, /* vector FMAs of an item, about 80 microseconds */
    STREAM_FLOATS =
        1 << 18, /* larger gradients bypass the caches: the optimiser reads them later */
    SLACK = (TALL_ROWS + VL - 1) / VL * VL, /* packing writes whole vectors */
    SUMS = IB_MAX_LEAF_LEVELS + 1,
};

struct pair {
    int32_t x, dy; /* pixels, from the first sample of a group */
};

struct gradient {
    struct conv_shape s;
    const ib_conv_pointers *p;
    struct pair *pairs; /* [tap][samples of a group][existing pixels] */
    int32_t *pixels;    /* of each tap: existing pixels of one sample */
    float *x, *dy;      /* packed */
    int64_t taps, rows; /* of one input channel: kh and kw; else kh * kw and ci */
    int64_t x_pixels;   /* of one sample */
    int64_t group, tiles, tiles_per_item, items_per_block, blocks;
    float **scratch;
};

static int64_t tile_begin(const struct gradient *g, int64_t tile) {
    return tile * g->rows / g->tiles;
}

/* ---- packing ----------------------------------------------------------------------------------
 */

static int64_t floats_of_x(const struct gradient *g) {
    return g->s.n * g->x_pixels * (g->s.ci == 1 ? 1 : g->rows);
}

static void pack_x(const struct gradient *g, int64_t sample) {
    const struct conv_shape *s = &g->s;
    if (s->ci == 1) {
        IB_KERNEL(ib_frame_image)
        (g->p->x + sample * s->image_floats, s->h, s->w, 1, 1, s->pad, s->pad,
         g->x + sample * g->x_pixels, s->padded_h, s->padded_w);
        return;
    }
    const float *x = g->p->x + sample * s->image_floats;
    for (int64_t tile = 0; tile < g->tiles; ++tile) {
        int64_t first = tile_begin(g, tile), rows = tile_begin(g, tile + 1) - first;
        float *to = g->x + (first * s->n + sample * rows) * g->x_pixels;
        for (int64_t pixel = 0; pixel < g->x_pixels; ++pixel) {
            const float *from = x + pixel * s->ci + first;
            if ((g->x_pixels - pixel) * rows <
                SLACK) /* whole vectors would reach the next sample */
                memcpy(to + pixel * rows, from, sizeof(float) * (size_t)rows);
            else
                for (int j = 0; j < TALL_ROWS; j += VL)
                    v_store(to + pixel * rows + j, v_load(from + j));
        }
    }
}

static void pack_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    const struct gradient *g = context;
    const struct conv_shape *s = &g->s;
    int64_t sample = (int64_t)item, pixels = s->oh * s->ow;
    pack_x(g, sample);
    const float *dy = g->p->dy + sample * pixels * s->co16;
    for (int64_t column = 0; column < s->co16; column += BLOCK) {
        int64_t width = smaller(BLOCK, s->co16 - column);
        float *to = g->dy + (column * s->n + sample * width) * pixels;
        for (int64_t pixel = 0; pixel < pixels; ++pixel)
            for (int64_t j = 0; j < width; j += VL)
                v_store(to + pixel * width + j, v_load(dy + pixel * s->co16 + column + j));
    }
}

static void list_pairs(struct gradient *g) {
    const struct conv_shape *s = &g->s;
    const struct tap_axis ya = {s->oh, s->kh, s->h, s->stride, s->pad, 0};
    const struct tap_axis xa = {s->ow, s->kw, s->w, s->stride, s->pad, 0};
    int64_t pixels = s->oh * s->ow;
    for (int64_t tap = 0; tap < g->taps; ++tap) {
        struct pair *to = g->pairs + tap * g->group * pixels;
        for (int64_t sample = 0; sample < g->group; ++sample)
            for (int64_t pixel = 0; pixel < pixels; ++pixel) {
                int64_t oy = pixel / s->ow, ox = pixel % s->ow, from;
                if (s->ci == 1) {
                    from = (oy * s->stride + tap) * s->padded_w + ox * s->stride;
                } else {
                    int64_t y = tap_input(&ya, oy, tap / s->kw),
                            x = tap_input(&xa, ox, tap % s->kw);
                    if (y < 0 || x < 0)
                        continue;
                    from = y * s->w + x;
                }
                *to++ = (struct pair){(int32_t)(sample * g->x_pixels + from),
                                      (int32_t)(sample * pixels + pixel)};
            }
        g->pixels[tap] = (int32_t)((to - g->pairs - tap * g->group * pixels) / g->group);
    }
}

/* ---- the chain --------------------------------------------------------------------------------
 */

struct chain {
    const float *x, *dy; /* of the group's first sample */
    ptrdiff_t x_pixel;   /* floats of one */
    const struct pair *pairs;
    int64_t count;
    const float *sums[SUMS]; /* [rows][columns]: earlier sums, in the order they are added */
    int sum_count;
    float *to;
    ptrdiff_t to_row;
    int stream;
};

/* to = sums + chain. +0 is added at once: it only changes a -0, which the end of the tree would. */
ALWAYS_INLINE void chain_tile(const int rows, const int vectors, const struct chain *t) {
    vf acc[12][4];
#pragma GCC unroll 12
    for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < vectors; ++j)
            acc[i][j] = v_zero();
    const ptrdiff_t x_pixel = t->x_pixel;
    const struct pair *end = t->pairs + t->count;
    for (const struct pair *pair = t->pairs; pair < end; ++pair) {
        const float *x = t->x + pair->x * x_pixel;
        const float *dy = t->dy + (ptrdiff_t)pair->dy * (vectors * VL);
        vf column[4];
#pragma GCC unroll 4
        for (int j = 0; j < vectors; ++j)
            column[j] = v_load(dy + j * VL);
#pragma GCC unroll 12
        for (int i = 0; i < rows; ++i) {
            vf factor = v_set1(x[i]);
#pragma GCC unroll 4
            for (int j = 0; j < vectors; ++j)
                acc[i][j] = v_fma(factor, column[j], acc[i][j]);
        }
    }
    for (int k = 0; k < t->sum_count; ++k) {
        const float *sum = t->sums[k];
#pragma GCC unroll 12
        for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
            for (int j = 0; j < vectors; ++j)
                acc[i][j] = v_add(v_load(sum + (i * vectors + j) * VL), acc[i][j]);
    }
#pragma GCC unroll 12
    for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < vectors; ++j) {
            vf value = v_add(acc[i][j], v_zero());
            if (t->stream)
                v_stream(t->to + i * t->to_row + j * VL, value);
            else
                v_store(t->to + i * t->to_row + j * VL, value);
        }
}

typedef void chain_function(const struct chain *t);

#define CHAIN(rows, vectors)                                                                       \
    static void chain_##rows##x##vectors(const struct chain *t) {                                  \
        chain_tile(rows, vectors, t);                                                              \
    }
#define ENTRY(rows, vectors) [rows] = chain_##rows##x##vectors,
#define ROWS_TO_SIX(X, vectors)                                                                    \
    X(1, vectors) X(2, vectors) X(3, vectors) X(4, vectors) X(5, vectors) X(6, vectors)
#define ROWS_TO_TWELVE(X, vectors)                                                                 \
    X(7, vectors) X(8, vectors) X(9, vectors) X(10, vectors) X(11, vectors) X(12, vectors)

#if defined(IB_ISA_AVX512)
ROWS_TO_SIX(CHAIN, 1)
ROWS_TO_TWELVE(CHAIN, 1)
ROWS_TO_SIX(CHAIN, 2)
ROWS_TO_TWELVE(CHAIN, 2)
static chain_function *const HALF_CHAINS[13] = {ROWS_TO_SIX(ENTRY, 1) ROWS_TO_TWELVE(ENTRY, 1)};
static chain_function *const CHAINS[13] = {ROWS_TO_SIX(ENTRY, 2) ROWS_TO_TWELVE(ENTRY, 2)};
#elif defined(IB_ISA_AVX2)
ROWS_TO_SIX(CHAIN, 2)
static chain_function *const CHAINS[13] = {ROWS_TO_SIX(ENTRY, 2)};
#else
ROWS_TO_SIX(CHAIN, 4)
static chain_function *const CHAINS[13] = {ROWS_TO_SIX(ENTRY, 4)};
#endif

/* columns: BLOCK, or the 16 that are left of an odd multiple. */
static chain_function *chain_for(int64_t rows, int64_t columns) {
#if defined(IB_ISA_AVX512)
    if (columns < BLOCK)
        return HALF_CHAINS[rows];
#endif
    (void)columns;
    return CHAINS[rows];
}

/* ---- items ------------------------------------------------------------------------------------
 */

/* One tile of one tap: all leaves. sums: SUMS tiles of scratch. */
static void weight_tile(const struct gradient *g, int64_t tap, int64_t tile, int64_t column,
                        float *sums) {
    const struct conv_shape *s = &g->s;
    enum { TILE = 12 * BLOCK };
    int64_t width = smaller(BLOCK, s->co16 - column), pixels = s->oh * s->ow;
    int64_t first = tile_begin(g, tile), rows = tile_begin(g, tile + 1) - first;
    float *dw = g->p->dw + (tap * g->rows + first) * s->co16 + column;
    int stream = s->k * s->co16 >= STREAM_FLOATS && (uintptr_t)dw % 64 == 0;
    if (g->pixels[tap] == 0) {
        for (int64_t i = 0; i < rows; ++i)
            for (int64_t j = 0; j < width; j += VL)
                if (stream)
                    v_stream(dw + i * s->co16 + j, v_zero());
                else
                    v_store(dw + i * s->co16 + j, v_zero());
        return;
    }
    chain_function *function = chain_for(rows, width);
    struct chain chain = {.pairs = g->pairs + tap * g->group * pixels, .x_pixel = rows};
    const float *x = g->x + first * s->n * g->x_pixels;
    int64_t x_sample = g->x_pixels * rows;
    if (s->ci == 1) {
        chain.x_pixel = 1;
        x = g->x + first;
        x_sample = g->x_pixels;
    }
    const float *dy = g->dy + column * s->n * pixels;
    int64_t leaves = (s->n + IB_LEAF - 1) / IB_LEAF;
    float *group_sum = sums + IB_MAX_LEAF_LEVELS * TILE;
    for (int64_t leaf = 0; leaf < leaves; ++leaf) {
        int64_t end = smaller((leaf + 1) * IB_LEAF, s->n);
        for (int64_t from = leaf * IB_LEAF; from < end; from += g->group) {
            chain.x = x + from * x_sample;
            chain.dy = dy + from * pixels * width;
            chain.count = smaller(g->group, end - from) * g->pixels[tap];
            chain.sum_count = 0;
            chain.stream = 0;
            chain.to = group_sum;
            chain.to_row = width;
            if (from > leaf * IB_LEAF)
                chain.sums[chain.sum_count++] = group_sum;
            if (from + g->group >= end) {
                int rest = ib_leaf_rest_level(leaf);
                for (int level = 0; level < rest; ++level)
                    chain.sums[chain.sum_count++] = sums + level * TILE;
                chain.to = sums + rest * TILE;
                if (leaf == leaves - 1) {
                    for (int level = rest + 1; leaves >> level != 0; ++level)
                        if (leaves >> level & 1)
                            chain.sums[chain.sum_count++] = sums + level * TILE;
                    chain.to = dw;
                    chain.to_row = s->co16;
                    chain.stream = stream;
                }
            }
            function(&chain);
        }
    }
}

/* db: chains of additions, four vectors side by side where there are as many. */
static void bias_block(const struct gradient *g, int64_t column) {
    const struct conv_shape *s = &g->s;
    int64_t pixels = s->oh * s->ow, leaves = (s->n + IB_LEAF - 1) / IB_LEAF;
    for (int64_t c = column; c < smaller(column + BLOCK, s->co16); c += VL) {
        vf stack[IB_MAX_LEAF_LEVELS];
        for (int64_t leaf = 0; leaf < leaves; ++leaf) {
            int64_t end = smaller((leaf + 1) * IB_LEAF, s->n);
            vf sum = v_zero();
            for (int64_t from = leaf * IB_LEAF; from < end; from += g->group) {
                vf chain = v_zero();
                for (int64_t i = from * pixels; i < smaller(from + g->group, end) * pixels; ++i)
                    chain = v_add(chain, v_load(g->p->dy + i * s->co16 + c));
                sum = from == leaf * IB_LEAF ? chain : v_add(sum, chain);
            }
            leaf_push(stack, leaf, sum);
        }
        v_store(g->p->db + c, leaf_total(stack, leaves));
    }
}

static void weights_item(void *context, size_t item, unsigned thread) {
    const struct gradient *g = context;
    int64_t column = (int64_t)item / g->items_per_block * BLOCK;
    int64_t first = (int64_t)item % g->items_per_block * g->tiles_per_item;
    int64_t end = smaller(first + g->tiles_per_item, g->taps * g->tiles);
    for (int64_t i = first; i < end; ++i)
        weight_tile(g, i / g->tiles, i % g->tiles, column, g->scratch[thread]);
    v_stream_end();
    if (first == 0 && g->p->db != NULL)
        bias_block(g, column);
}

static struct gradient gradient_of(const ib_conv *c) {
    struct gradient g = {.s = conv_shape_of(c)};
    int one = g.s.ci == 1;
    g.taps = one ? g.s.kh : g.s.kh * g.s.kw;
    g.rows = one ? g.s.kw : g.s.ci;
    g.x_pixels = one ? g.s.padded_h * g.s.padded_w : g.s.h * g.s.w;
    g.group = ib_samples_per_chain(g.s.oh * g.s.ow);
    g.tiles = (g.rows + TALL_ROWS - 1) / TALL_ROWS;
    g.blocks = (g.s.co16 + BLOCK - 1) / BLOCK;
    return g;
}

static size_t lay_out(struct gradient *g, float *memory) {
    int64_t pixels = g->s.oh * g->s.ow, floats = 0, at[4];
    int64_t sizes[4] = {2 * g->taps * g->group * pixels, g->taps, floats_of_x(g),
                        g->s.n * pixels * g->s.co16};
    for (int i = 0; i < 4; ++i) {
        at[i] = floats;
        floats += ib_pad16(sizes[i]);
    }
    if (memory != NULL) {
        g->pairs = (struct pair *)(void *)(memory + at[0]);
        g->pixels = (int32_t *)(void *)(memory + at[1]);
        g->x = memory + at[2];
        g->dy = memory + at[3];
    }
    return (size_t)floats;
}

void IB_KERNEL(ib_conv_batched_weights)(ib_cpu *cpu, const ib_conv *conv,
                                        const ib_conv_pointers *p) {
    struct gradient g = gradient_of(conv);
    lay_out(&g, cpu->shared_scratch);
    g.p = p;
    g.scratch = cpu->thread_scratch;
    list_pairs(&g);
    ib_pool_run(cpu->pool, (size_t)g.s.n, pack_item, &g);
    int64_t per_tile = g.s.n * g.s.oh * g.s.ow * (TALL_ROWS * BLOCK_VECTORS);
    int64_t all = g.taps * g.tiles;
    int64_t share = (all * g.blocks + 8 * (int64_t)ib_pool_size(cpu->pool) - 1) /
                    (8 * (int64_t)ib_pool_size(cpu->pool));
    g.tiles_per_item = ITEM_FMAS / per_tile < share ? ITEM_FMAS / per_tile : share;
    if (g.tiles_per_item < 1)
        g.tiles_per_item = 1;
    g.items_per_block = (all + g.tiles_per_item - 1) / g.tiles_per_item;
    ib_pool_run(cpu->pool, (size_t)(g.items_per_block * g.blocks), weights_item, &g);
}

void IB_KERNEL(ib_conv_batched_weights_scratch)(const ib_conv *conv, size_t *per_thread,
                                                size_t *shared) {
    struct gradient g = gradient_of(conv);
    *per_thread = (size_t)SUMS * 12 * BLOCK;
    *shared = lay_out(&g, NULL);
}
