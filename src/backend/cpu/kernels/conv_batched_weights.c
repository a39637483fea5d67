/* Weight gradient of an unpooled convolution, over the whole batch.
 *
 *   dw[tap][ci][co] = leaf tree of chains over (sample, y, x) of x * dy, where the tap exists
 *
 * First dy is packed as [block of co][sample][pixel][columns], unless a pixel is short; x is read
 * in place. Then an item is a few (tap, tile of up to 12 ci) of one block of co: for every leaf a
 * chain walks the list of (x pixel, dy pixel) pairs of the tap, in registers (AVX-512: 12 x 2
 * vectors, 24 FMAs for 14 loads), and takes up the sums of earlier leaves from a stack in L1 the
 * way a binary counter carries (24 loads and stores a leaf, beside 8 * pixels * 24 FMAs). The last
 * leaf's is the total: a weight is written once, partial sums never leave L1. A block of dy (batch
 * 32, 7x7: 1568 x 128 B = 200 KB) stays in L2 for all tiles. A tap that no pixel has gets +0.
 *
 * One input channel: rows are kx, x is the framed image, and every tap of a row exists. */
#include <string.h>

#include "conv_batched.h"
#include "conv_tile.h"
#include "leaf_sum.h"

enum {
    BLOCK_VECTORS = VL == 4 ? 4 : 2,
    BLOCK = BLOCK_VECTORS * VL,
    SHORT_PIXEL = 64,        /* channels that are read in place */
    PACKED_FLOATS = 1 << 17, /* half of L2; a larger block of dy is read in place, too */
    ITEM_FMAS = 1 << 19,     /* vector FMAs of an item, about 150 microseconds */
    STREAM_FLOATS =
        1 << 18, /* larger gradients bypass the caches: the optimiser reads them later */
    SUM_FLOATS = 12 * BLOCK,
    SUMS = 1 + IB_MAX_LEAF_LEVELS, /* the groups of a leaf so far, then the levels of the stack */
};

struct pair {
    int32_t x, dy; /* pixels, from the first sample of a group */
};

/* One chain: samples [first, first + samples), then the sums to add in ascending order (bits), and
 * where the result goes: a sum, or the weights. */
struct step {
    int64_t first, samples;
    uint64_t sums;
    int to;          /* -1: weights */
    int32_t stretch; /* of the pixels of a sample; 0: all of them, if they fit one chain */
};

struct gradient {
    struct conv_shape s;
    int dw_begins_zero, node;
    const ib_conv_pointers *p;
    struct pair *pairs; /* [tap][samples of a group][existing pixels] */
    int32_t *cuts; /* [tap][stretches + 1]: existing pixels of one sample before each stretch */
    struct step *steps;
    float *framed;      /* x of one input channel */
    int64_t taps, rows; /* of one input channel: kh and kw; else kh * kw and ci */
    int64_t x_pixels, dy_pixels, stretches, step_count;
    int64_t group, tiles, tiles_per_item, items_per_block, blocks;
    float **scratch;
};

/* ---- packing ----------------------------------------------------------------------------------
 */

static int packs_dy(const struct gradient *g) {
    return g->s.co16 > SHORT_PIXEL && g->s.n * g->dy_pixels * BLOCK <= PACKED_FLOATS;
}

static void frame_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    const struct gradient *g = context;
    const struct conv_shape *s = &g->s;
    int64_t sample = (int64_t)item;
    IB_KERNEL(ib_frame_image)
    (g->p->x + sample * s->image_floats, s->h, s->w, 1, 1, s->pad, s->pad,
     g->framed + sample * g->x_pixels, s->padded_h, s->padded_w);
}

/* Columns [column, column + width) of every pixel of dy. */
static void pack_dy(const struct gradient *g, int64_t column, int64_t width, float *to) {
    const float *dy = g->p->dy + column;
    for (int64_t pixel = 0; pixel < g->s.n * g->dy_pixels; ++pixel)
        for (int64_t j = 0; j < width; j += VL)
            v_store(to + pixel * width + j, v_load(dy + pixel * g->s.co16 + j));
}

/* ---- plan -------------------------------------------------------------------------------------
 */

/* The pairs of one tap and sample. */
static int64_t list_tap(const struct gradient *g, int64_t tap, struct pair *pairs) {
    const struct conv_shape *s = &g->s;
    int one = s->ci == 1;
    int64_t ky = one ? tap : tap / s->kw, kx = one ? 0 : tap % s->kw, count = 0;
    int64_t h = one ? s->padded_h : s->h, w = one ? s->padded_w : s->w, pad = one ? 0 : s->pad;
    for (int64_t oy = 0; oy < s->oh; ++oy) {
        int64_t y = oy * s->stride + ky - pad;
        if (y < 0 || y >= h)
            continue;
        for (int64_t ox = 0, x = kx - pad; ox < s->ow; ++ox, x += s->stride)
            if (x >= 0 && x < w)
                pairs[count++] = (struct pair){(int32_t)(y * w + x), (int32_t)(oy * s->ow + ox)};
    }
    return count;
}

static void list_pairs(struct gradient *g) {
    for (int64_t tap = 0; tap < g->taps; ++tap) {
        struct pair *pairs = g->pairs + tap * g->group * g->dy_pixels;
        int32_t *cuts = g->cuts + tap * (g->stretches + 1);
        int64_t count = list_tap(g, tap, pairs);
        for (int64_t i = count; i < count * g->group; ++i)
            pairs[i] = (struct pair){pairs[i - count].x + (int32_t)g->x_pixels,
                                     pairs[i - count].dy + (int32_t)g->dy_pixels};
        for (int64_t stretch = 0, i = 0; stretch <= g->stretches; ++stretch) {
            while (i < count && pairs[i].dy < stretch * IB_CHAIN_PIXELS)
                ++i;
            cuts[stretch] = (int32_t)(stretch == g->stretches ? count : i);
        }
    }
}

/* The chains of every weight, and how their results meet (NUMERICS.md, "Sums over the batch"). */
static void list_steps(struct gradient *g) {
    int64_t n = g->s.n, leaves = (n + IB_LEAF - 1) / IB_LEAF;
    g->step_count = 0;
    for (int64_t leaf = 0; leaf < leaves; ++leaf) {
        int64_t begin = leaf * IB_LEAF, end = smaller(begin + IB_LEAF, n);
        int rest = ib_leaf_rest_level(leaf);
        struct step *step = NULL;
        for (int64_t from = begin; from < end; from += g->group)
            for (int32_t stretch = 0; stretch < g->stretches; ++stretch) {
                uint64_t sums = step != NULL; /* the leaf's so far */
                step = &g->steps[g->step_count++];
                *step = (struct step){from, smaller(g->group, end - from), sums, 0, stretch};
            }
        step->to = 1 + rest;
        step->sums |= (((uint64_t)1 << rest) - 1) << 1;
        if (leaf + 1 == leaves) { /* then the levels that wait for the end */
            step->to = -1;
            step->sums |= (uint64_t)(leaves >> (rest + 1)) << (rest + 2);
        }
    }
}

/* ---- the tile ---------------------------------------------------------------------------------
 */

struct chain {
    const float *x, *dy;
    int64_t x_pixel, dy_pixel, x_sample, dy_sample; /* floats of one */
    const struct pair *pairs;
    const int32_t *cuts; /* pairs of one sample: where its stretches begin, and their end */
    int64_t pixels;
    const struct step *steps;
    int64_t step_count;
    float *sums; /* SUMS times SUM_FLOATS */
    float *to;
    int64_t to_row;
    float limit; /* below it `to` is +0: 2^-40, or 0 where `to` is a node of the tree */
    int stream;
};

/* Every sum is ended by +0, which changes none but a -0. */
ALWAYS_INLINE void chain_tile(const int rows, const int vectors, const struct chain *t) {
    const int64_t x_pixel = t->x_pixel, dy_pixel = t->dy_pixel;
    for (int64_t s = 0; s < t->step_count; ++s) {
        const struct step *step = &t->steps[s];
        const float *x = t->x + step->first * t->x_sample;
        const float *dy = t->dy + step->first * t->dy_sample;
        const struct pair *begin = t->pairs + t->cuts[step->stretch];
        const struct pair *end =
            t->pairs + t->cuts[step->stretch + 1] + (step->samples - 1) * t->pixels;
        vf acc[12][4];
#pragma GCC unroll 12
        for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
            for (int j = 0; j < vectors; ++j)
                acc[i][j] = v_zero();
        for (const struct pair *pair = begin; pair < end; ++pair) {
            const float *from = x + pair->x * x_pixel, *columns = dy + pair->dy * dy_pixel;
            vf column[4];
#pragma GCC unroll 4
            for (int j = 0; j < vectors; ++j)
                column[j] = v_load(columns + j * VL);
#pragma GCC unroll 12
            for (int i = 0; i < rows; ++i) {
                vf factor = v_set1(from[i]);
#pragma GCC unroll 4
                for (int j = 0; j < vectors; ++j)
                    acc[i][j] = v_fma(factor, column[j], acc[i][j]);
            }
        }
        for (uint64_t sums = step->sums; sums != 0; sums &= sums - 1) {
            const float *sum = t->sums + __builtin_ctzll(sums) * SUM_FLOATS;
#pragma GCC unroll 12
            for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
                for (int j = 0; j < vectors; ++j)
                    acc[i][j] = v_add(v_load(sum + (i * vectors + j) * VL), acc[i][j]);
        }
        float *to = step->to < 0 ? t->to : t->sums + step->to * SUM_FLOATS;
        int64_t to_row = step->to < 0 ? t->to_row : vectors * VL;
        const vf limit = v_set1(step->to < 0 ? t->limit : 0.0f); /* sums do not settle */
        if (step->to < 0 && t->stream) {
#pragma GCC unroll 12
            for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
                for (int j = 0; j < vectors; ++j)
                    v_stream(to + i * to_row + j * VL,
                             v_settle_below(v_add(acc[i][j], v_zero()), limit));
            return;
        }
#pragma GCC unroll 12
        for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
            for (int j = 0; j < vectors; ++j)
                v_store(to + i * to_row + j * VL,
                        v_settle_below(v_add(acc[i][j], v_zero()), limit));
    }
}

#include "chains.h"

/* ---- items ------------------------------------------------------------------------------------
 */

static void zero_weights(float *dw, int64_t rows, int64_t width, int64_t dw_row, int stream) {
    for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < width; j += VL)
            if (stream)
                v_stream(dw + i * dw_row + j, v_zero());
            else
                v_store(dw + i * dw_row + j, v_zero());
}

/* One tile of one tap, for one block of co. */
static void weight_tile(const struct gradient *g, int64_t tap, int64_t tile, int64_t column,
                        const float *packed_dy, float *sums) {
    const struct conv_shape *s = &g->s;
    int64_t width = smaller(BLOCK, s->co16 - column);
    int64_t first = tile * g->rows / g->tiles, rows = (tile + 1) * g->rows / g->tiles - first;
    float *dw = g->p->dw + (tap * g->rows + first) * s->co16 + column;
    int stream = s->k * s->co16 >= STREAM_FLOATS && (uintptr_t)dw % 64 == 0;
    const int32_t *cuts = g->cuts + tap * (g->stretches + 1);
    if (cuts[g->stretches] == 0) {
        if (!g->dw_begins_zero)
            zero_weights(dw, rows, width, s->co16, stream);
        return;
    }
    struct chain chain = {
        .x = (s->ci == 1 ? g->framed : g->p->x) + first,
        .x_pixel = s->ci,
        .dy = g->p->dy + column,
        .dy_pixel = s->co16,
        .pairs = g->pairs + tap * g->group * g->dy_pixels,
        .cuts = cuts,
        .pixels = cuts[g->stretches],
        .steps = g->steps,
        .step_count = g->step_count,
        .sums = sums,
        .to = dw,
        .to_row = s->co16,
        .limit = g->node ? 0.0f : 0x1p-40f,
        .stream = stream,
    };
    if (packs_dy(g)) {
        chain.dy = packed_dy;
        chain.dy_pixel = width;
    }
    chain.x_sample = chain.x_pixel * g->x_pixels;
    chain.dy_sample = chain.dy_pixel * g->dy_pixels;
    chain_for(rows, width)(&chain);
}

/* db: chains of additions. */
static void bias_block(const struct gradient *g, int64_t column) {
    const struct conv_shape *s = &g->s;
    int64_t pixels = g->dy_pixels, leaves = (s->n + IB_LEAF - 1) / IB_LEAF;
    for (int64_t c = column; c < smaller(column + BLOCK, s->co16); c += VL) {
        vf stack[IB_MAX_LEAF_LEVELS];
        for (int64_t leaf = 0; leaf < leaves; ++leaf) {
            int64_t end = smaller((leaf + 1) * IB_LEAF, s->n);
            vf sum = v_zero();
            /* chains of `group` samples, or of the stretches of one */
            for (int64_t from = leaf * IB_LEAF; from < end; from += g->group)
                for (int64_t first = 0; first < pixels; first += IB_CHAIN_PIXELS) {
                    int64_t last = g->stretches > 1 ? smaller(first + IB_CHAIN_PIXELS, pixels)
                                                    : pixels * smaller(g->group, end - from);
                    vf chain = v_zero();
                    for (int64_t i = from * pixels + first; i < from * pixels + last; ++i)
                        chain = v_add(chain, v_load(g->p->dy + i * s->co16 + c));
                    sum = v_add(sum, chain); /* from +0: only the sign of a zero could differ */
                }
            leaf_push(stack, leaf, sum);
        }
        v_store(g->p->db + c, leaf_end(leaf_total(stack, leaves), g->node));
    }
}

static void weights_item(void *context, size_t item, unsigned thread) {
    const struct gradient *g = context;
    int64_t column = (int64_t)item / g->items_per_block * BLOCK;
    int64_t first = (int64_t)item % g->items_per_block * g->tiles_per_item;
    int64_t end = smaller(first + g->tiles_per_item, g->taps * g->tiles);
    float *sums = g->scratch[thread], *packed_dy = sums + SUMS * SUM_FLOATS;
    if (packs_dy(g))
        pack_dy(g, column, smaller(BLOCK, g->s.co16 - column), packed_dy);
    for (int64_t i = first; i < end; ++i)
        weight_tile(g, i / g->tiles, i % g->tiles, column, packed_dy, sums);
    v_stream_end();
    if (first == 0 && g->p->db != NULL)
        bias_block(g, column);
}

static struct gradient gradient_of(const ib_conv *c) {
    struct gradient g = {
        .s = conv_shape_of(c), .dw_begins_zero = c->dw_begins_zero, .node = c->node};
    int one = g.s.ci == 1;
    g.taps = one ? g.s.kh : g.s.kh * g.s.kw;
    g.rows = one ? g.s.kw : g.s.ci;
    g.x_pixels = one ? g.s.padded_h * g.s.padded_w : g.s.h * g.s.w;
    g.dy_pixels = g.s.oh * g.s.ow;
    g.group = ib_samples_per_chain(g.dy_pixels);
    g.stretches = ib_chain_stretches(g.dy_pixels);
    g.tiles = (g.rows + TALL_ROWS - 1) / TALL_ROWS;
    g.blocks = (g.s.co16 + BLOCK - 1) / BLOCK;
    return g;
}

/* Lays plan and packed operands out in memory (NULL: only counts); returns the floats. */
static size_t lay_out(struct gradient *g, float *memory) {
    enum { STEP_FLOATS = sizeof(struct step) / sizeof(float) };
    int64_t n = g->s.n;
    int64_t sizes[4] = {2 * g->taps * g->group * g->dy_pixels, g->taps * (g->stretches + 1),
                        STEP_FLOATS * n * g->stretches, g->s.ci == 1 ? n * g->x_pixels : 0};
    int64_t floats = 0, at[4];
    for (int i = 0; i < 4; ++i) {
        at[i] = floats;
        floats += ib_pad16(sizes[i]);
    }
    if (memory != NULL) {
        g->pairs = (struct pair *)(void *)(memory + at[0]);
        g->cuts = (int32_t *)(void *)(memory + at[1]);
        g->steps = (struct step *)(void *)(memory + at[2]);
        g->framed = memory + at[3];
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
    list_steps(&g);
    if (g.s.ci == 1)
        ib_pool_run(cpu->pool, (size_t)g.s.n, frame_item, &g);
    int64_t per_tile = g.s.n * g.dy_pixels * (TALL_ROWS * BLOCK_VECTORS);
    int64_t all = g.taps * g.tiles, wanted = 4 * (int64_t)ib_pool_size(cpu->pool);
    int64_t share = (all * g.blocks + wanted - 1) / wanted;
    g.tiles_per_item = smaller(smaller(ITEM_FMAS / per_tile + 1, share), all);
    g.items_per_block = (all + g.tiles_per_item - 1) / g.tiles_per_item;
    ib_pool_run(cpu->pool, (size_t)(g.items_per_block * g.blocks), weights_item, &g);
}

void IB_KERNEL(ib_conv_batched_weights_scratch)(const ib_conv *conv, size_t *per_thread,
                                                size_t *shared) {
    struct gradient g = gradient_of(conv);
    *per_thread = (size_t)(SUMS * SUM_FLOATS + (packs_dy(&g) ? g.s.n * g.dy_pixels * BLOCK : 0));
    *shared = lay_out(&g, NULL);
}
