/* Convolution 3x3 before ReLU, 2x2 max-pool and dropout: the backward pass by lists.
 *
 * The pool lets at most one of four gradients through, ReLU and dropout fewer still. A term with a
 * zero factor leaves a finite chain as it is (NUMERICS.md, "Chains"), so only the others are
 * visited, in the same order: the bits are those of conv_backward.c.
 *
 * Data: a list for every output pixel (oy, ox) of its channels co with a gradient. The 3 x 3 window
 * of dx that one pixel touches stays in 9 registers while it slides along the row; each entry costs
 * 1 broadcast and 9 FMAs with weights from L1 (one vector of ci at a time: 64 co x 9 taps x 64 B =
 * 36 KB). 9 accumulators cover latency 4 x 2 ports. Work items: images.
 *
 * Weights: a list for every channel co and band of rows of its pixels with a gradient; 9 taps x 1
 * or 2 vectors of ci stay in registers while the band's input (8 rows x 26 x 128 B = 27 KB) stays
 * in L1. Work items: (group of channels, leaf). */
#include <string.h>

#include "conv.h"
#include "leaf_sum.h"
#include "product.h"

enum {
    TAPS = 9,
    BAND_CELLS = 3,                /* rows of pooled cells whose input rows fit L1 together */
    CI_VECTORS = VL == 16 ? 2 : 1, /* 18 or 9 accumulators */
};

struct sparse {
    ib_cpu *cpu;
    const ib_conv *conv;
    const ib_conv_pointers *p;
    float *by_block; /* weights as [vector of ci][co][tap][VL] */
    float *partials; /* [leaf][co][10][ci]: 9 taps, then the bias in every lane */
    float *values;   /* [image][co * cells + slack]: gradients, by band, then channel, then pixel */
    int32_t *offsets; /* input offset of each */
    int32_t *starts;  /* [image][band * co + 1] */
    int64_t groups;
};

int IB_KERNEL(ib_conv_is_sparse)(const ib_conv *c) {
    return c->pool && c->mask_input && c->kh == 3 && c->kw == 3 && c->stride == 1 && c->pad == 0 &&
           c->ci > 1 && c->co % 16 == 0 &&
           TAPS * c->co <= IB_SEGMENT; /* one chain an input gradient */
}

static int64_t list_capacity(const struct conv_shape *s) {
    return s->co * s->cells + 16; /* a compressed store may write a whole vector at the end */
}
static int64_t bands_of(const struct conv_shape *s) {
    return (s->oh / 2 + BAND_CELLS - 1) / BAND_CELLS;
}
static int64_t starts_of(const struct conv_shape *s) {
    return bands_of(s) * s->co + 1;
}

/* ---- lists ------------------------------------------------------------------------------------
 */

struct lists {
    float *cells;       /* [cell][co]: gradients of one image */
    int32_t *positions; /* [co][cell + slack]: argmax */
    float *values;      /* entries of all pixels, in order */
    int32_t *channels;  /* weight offset of each: co * TAPS * VL */
    int32_t *starts;    /* [pixel of the pooled area + 1] */
};

static int64_t position_row(const struct conv_shape *s) {
    return ib_pad16(s->cells) + 16;
}

/* Scratch of one thread, cut up; returns the floats used. */
static size_t lists_layout(const struct conv_shape *s, float *scratch, struct lists *lists) {
    size_t cells = (size_t)(s->cells * s->co16), list = (size_t)list_capacity(s);
    size_t positions = (size_t)(s->co * position_row(s));
    size_t starts = (size_t)(4 * s->cells + 1);
    if (lists != NULL) {
        lists->cells = scratch;
        lists->positions = (int32_t *)(void *)(scratch + cells);
        lists->values = scratch + cells + positions;
        lists->channels = (int32_t *)(void *)(scratch + cells + positions + list);
        lists->starts = (int32_t *)(void *)(scratch + cells + positions + 2 * list);
    }
    return cells + positions + 2 * list + starts;
}

/* Features [co][cell] to cells [cell][co], and argmax bytes [cell][co] to positions [co][cell]. */
static void turn(const struct conv_shape *s, const float *features, const uint8_t *argmax,
                 struct lists *lists) {
    int64_t count = s->cells, whole = count / 16 * 16, row = position_row(s);
    int32_t bytes[16 * 16];
    for (int64_t c = 0; c < s->co; c += 16) {
        for (int64_t cell = 0; cell < whole; cell += 16) {
            transpose16(features + c * count + cell, count, lists->cells + cell * s->co16 + c,
                        s->co16);
            for (int i = 0; i < 16; ++i)
                for (int j = 0; j < 16; j += VL)
                    vi_store(bytes + 16 * i + j,
                             vi_load_bytes(argmax + (cell + i) * s->co16 + c + j));
            transpose16((const float *)(const void *)bytes, 16,
                        (float *)(void *)(lists->positions + c * row + cell), row);
        }
        for (int64_t cell = whole; cell < count; ++cell)
            for (int64_t i = 0; i < 16; ++i) {
                lists->cells[cell * s->co16 + c + i] = features[(c + i) * count + cell];
                lists->positions[(c + i) * row + cell] = argmax[cell * s->co16 + c + i];
            }
    }
}

static void list_by_pixel(const struct conv_shape *s, const uint8_t *argmax, struct lists *lists) {
    static const int32_t LANES[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    int32_t count = 0;
    int64_t cells_w = s->ow / 2, pixel = 0;
    for (int64_t oy = 0; oy < s->oh / 2 * 2; ++oy)
        for (int64_t ox = 0; ox < cells_w * 2; ++ox) {
            int64_t cell = (oy / 2) * cells_w + ox / 2;
            vi position = vi_set1((int32_t)(oy % 2 * 2 + ox % 2));
            lists->starts[pixel++] = count;
            for (int64_t c = 0; c < s->co; c += VL) {
                vf value = v_load(lists->cells + cell * s->co16 + c);
                vmask here = vi_eq(vi_load_bytes(argmax + cell * s->co16 + c), position);
                vi channel = vi_add(vi_set1((int32_t)c), vi_load(LANES));
                count += v_compress(lists->values + count, lists->channels + count, value, channel,
                                    v_and(here, v_ne(value, v_zero())));
            }
        }
    lists->starts[pixel] = count;
}

/* For each band, channel and output pixel in order: the gradient and its input pixel's offset. */
static void list_by_channel(const struct conv_shape *s, const float *features,
                            const struct lists *lists, float *values, int32_t *offsets,
                            int32_t *starts) {
    int64_t cells_w = s->ow / 2, cells_h = s->oh / 2, row = position_row(s);
    int32_t lane_offset[16], lane[16], count = 0;
    for (int i = 0; i < 16; ++i) {
        lane[i] = i;
        lane_offset[i] = (int32_t)(2 * i * s->ci);
    }
    for (int64_t band = 0; band < cells_h; band += BAND_CELLS)
        for (int64_t c = 0; c < s->co; ++c) {
            *starts++ = count;
            for (int64_t cy = band; cy < smaller(band + BAND_CELLS, cells_h); ++cy)
                for (int dy = 0; dy < 2; ++dy)
                    for (int64_t cx = 0; cx < cells_w; cx += VL) {
                        int64_t at = c * s->cells + cy * cells_w + cx;
                        vf value = v_load(features + at);
                        vi position = vi_load(lists->positions + c * row + cy * cells_w + cx);
                        vmask left = vi_eq(position, vi_set1(2 * dy));
                        vmask right = vi_eq(position, vi_set1(2 * dy + 1));
                        vmask inside =
                            vi_lt_unsigned(vi_load(lane), vi_set1((int32_t)(cells_w - cx)));
                        vmask some = v_and(inside, v_ne(value, v_zero()));
                        int32_t base = (int32_t)(((2 * cy + dy) * s->w + 2 * cx) * s->ci);
                        vi offset = vi_add(vi_load(lane_offset), vi_set1(base));
                        offset = vi_select(right, vi_add(offset, vi_set1((int32_t)s->ci)), offset);
                        vmask here = v_or(left, right);
                        count += v_compress(values + count, offsets + count, value, offset,
                                            v_and(here, some));
                    }
        }
    *starts = count;
}

/* ---- data -------------------------------------------------------------------------------------
 */

/* One vector of ci: slides the window along the rows of one image. */
static void scatter(const struct conv_shape *s, const struct lists *lists, const float *weights,
                    float *dx) {
    int64_t w = s->w, ci = s->ci, pixel = 0;
    for (int64_t oy = 0; oy < s->oh / 2 * 2; ++oy) {
        float *at = dx + oy * w * ci;
        vf acc[3][3]; /* [row][column] of the window */
#pragma GCC unroll 3
        for (int i = 0; i < 3; ++i)
#pragma GCC unroll 3
            for (int j = 0; j < 3; ++j)
                acc[i][j] = v_load(at + (i * w + j) * ci);
        for (int64_t ox = 0; ox < s->ow / 2 * 2; ++ox, ++pixel, at += ci) {
            for (int32_t e = lists->starts[pixel]; e < lists->starts[pixel + 1]; ++e) {
                const float *tap = weights + lists->channels[e] * (TAPS * VL);
                vf g = v_set1(lists->values[e]);
#pragma GCC unroll 3
                for (int i = 0; i < 3; ++i)
#pragma GCC unroll 3
                    for (int j = 0; j < 3; ++j)
                        acc[i][j] = v_fma(g, v_load(tap + (3 * i + j) * VL), acc[i][j]);
            }
#pragma GCC unroll 3
            for (int i = 0; i < 3; ++i) {
                v_store(at + i * w * ci, acc[i][0]);
                acc[i][0] = acc[i][1];
                acc[i][1] = acc[i][2];
                if (ox + 3 < w)
                    acc[i][2] = v_load(at + (i * w + 3) * ci);
            }
        }
#pragma GCC unroll 3
        for (int i = 0; i < 3; ++i) {
            v_store(at + i * w * ci, acc[i][0]);
            v_store(at + (i * w + 1) * ci, acc[i][1]);
        }
    }
}

static void data_item(void *context, size_t item, unsigned thread) {
    const struct sparse *b = context;
    struct conv_shape s = conv_shape_of(b->conv);
    int64_t image = (int64_t)item;
    struct lists lists;
    lists_layout(&s, b->cpu->thread_scratch[thread], &lists);
    const float *features = b->p->dy + image * ib_pad16(s.co * s.cells);
    const uint8_t *argmax = b->p->argmax + image * s.cells * s.co16;
    turn(&s, features, argmax, &lists);
    list_by_channel(&s, features, &lists, b->values + image * list_capacity(&s),
                    b->offsets + image * list_capacity(&s), b->starts + image * starts_of(&s));
    if (b->p->dx == NULL)
        return;
    list_by_pixel(&s, argmax, &lists);
    const float *x = b->p->x + image * s.image_floats;
    float *dx = b->p->dx + image * s.image_floats;
    memset(dx, 0, sizeof(float) * (size_t)s.image_floats);
    for (int64_t c = 0; c < s.ci; c += VL)
        scatter(&s, &lists, b->by_block + c * s.co * TAPS, dx + c);
    const vf scale = v_set1(b->conv->input_scale);
    vf bad = v_zero();
    for (int64_t i = 0; i < s.image_floats; i += VL) {
        vf received = v_load(x + i);
        v_store(dx + i, v_mask(received, v_load(dx + i), scale));
        bad = v_fma(received, v_zero(), bad); /* NaN for an infinite or NaN value only */
    }
    if (v_any(v_ne(bad, v_zero())))
        ib_cpu_report_unbounded(b->cpu);
}

/* w[tap][ci][co16] to [vector of ci][co][tap][VL]. */
static void weights_by_block(const struct conv_shape *s, const float *w, float *to) {
    for (int64_t c = 0; c < s->ci; c += VL)
        for (int64_t co = 0; co < s->co; ++co)
            for (int64_t tap = 0; tap < TAPS; ++tap)
                for (int64_t lane = 0; lane < VL; ++lane)
                    *to++ = w[(tap * s->ci + c + lane) * s->co16 + co];
}

/* ---- weights ----------------------------------------------------------------------------------
 */

enum { SUM_ROWS = TAPS + 1 }; /* of ci floats: the taps, and the bias */

/* Goes on with the chains of one channel over one band's entries, for `vectors` vectors of ci (a
 * constant at each use). */
ALWAYS_INLINE void gather(const int vectors, const float *values, const int32_t *offsets,
                          int32_t count, const float *x, int64_t input_row, int64_t ci,
                          float *sums) {
    vf acc[TAPS][CI_VECTORS], bias = v_load(sums + TAPS * ci);
#pragma GCC unroll 9
    for (int t = 0; t < TAPS; ++t)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; ++v)
            acc[t][v] = v_load(sums + t * ci + v * VL);
    for (int32_t e = 0; e < count; ++e) {
        const float *rows[3] = {x + offsets[e], x + offsets[e] + input_row,
                                x + offsets[e] + 2 * input_row};
        vf g = v_set1(values[e]);
        bias = v_add(bias, g);
#pragma GCC unroll 9
        for (int t = 0; t < TAPS; ++t)
#pragma GCC unroll 2
            for (int v = 0; v < vectors; ++v)
                acc[t][v] = v_fma(g, v_load(rows[t / 3] + (t % 3) * ci + v * VL), acc[t][v]);
    }
    v_store(sums + TAPS * ci, bias);
#pragma GCC unroll 9
    for (int t = 0; t < TAPS; ++t)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; ++v)
            v_store(sums + t * ci + v * VL, acc[t][v]);
}

static void gather_one(const float *values, const int32_t *offsets, int32_t count, const float *x,
                       int64_t input_row, int64_t ci, float *sums) {
    gather(1, values, offsets, count, x, input_row, ci, sums);
}

static void gather_all(const float *values, const int32_t *offsets, int32_t count, const float *x,
                       int64_t input_row, int64_t ci, float *sums) {
    gather(CI_VECTORS, values, offsets, count, x, input_row, ci, sums);
}

/* The chains of one channel over one band, for every ci. */
static void gather_channel(const struct conv_shape *s, const float *values, const int32_t *offsets,
                           int32_t count, const float *x, float *sums) {
    int64_t c = 0, row = s->w * s->ci;
    for (; c + CI_VECTORS * VL <= s->ci; c += CI_VECTORS * VL)
        gather_all(values, offsets, count, x + c, row, s->ci, sums + c);
    for (; c < s->ci; c += VL)
        gather_one(values, offsets, count, x + c, row, s->ci, sums + c);
}

/* Goes on with the chains of channels [first, last) over output pixels [from, to) of one image. */
static void gather_image(const struct sparse *b, const struct conv_shape *s, int64_t image,
                         int64_t first, int64_t last, int64_t from, int64_t to, float *sums) {
    const float *values = b->values + image * list_capacity(s);
    const int32_t *offsets = b->offsets + image * list_capacity(s);
    const int32_t *starts = b->starts + image * starts_of(s);
    const float *x = b->p->x + image * s->image_floats;
    const int whole = from == 0 && to == s->oh * s->ow;
    /* entries of a channel ascend: these are their limits */
    int64_t low = (from / s->ow * s->w + from % s->ow) * s->ci;
    int64_t high = (to / s->ow * s->w + to % s->ow) * s->ci;
    for (int64_t band = 0; band < bands_of(s); ++band)
        for (int64_t c = first; c < last; ++c) {
            int32_t at = starts[band * s->co + c], stop = starts[band * s->co + c + 1];
            while (!whole && at < stop && offsets[at] < low)
                ++at;
            while (!whole && at < stop && offsets[stop - 1] >= high)
                --stop;
            if (at < stop)
                gather_channel(s, values + at, offsets + at, stop - at, x,
                               sums + (c - first) * SUM_ROWS * s->ci);
        }
}

/* A weight-gradient chain covers `group` samples, or a stretch of one; their sums add up to the
 * leaf's. */
static void weight_item(void *context, size_t item, unsigned thread) {
    const struct sparse *b = context;
    struct conv_shape s = conv_shape_of(b->conv);
    int64_t leaf = (int64_t)item / b->groups, part = (int64_t)item % b->groups;
    int64_t first = s.co * part / b->groups, last = s.co * (part + 1) / b->groups;
    int64_t begin = leaf * IB_LEAF, end = smaller(begin + IB_LEAF, s.n);
    int64_t pixels = s.oh * s.ow, group = ib_samples_per_chain(pixels);
    int64_t channel_floats = SUM_ROWS * s.ci;
    float *sums = b->cpu->thread_scratch[thread];
    float *partial = b->partials + (leaf * s.co + first) * channel_floats;
    size_t floats = (size_t)((last - first) * channel_floats);
    for (int64_t from = begin; from < end; from += group)
        for (int64_t pixel = 0; pixel < pixels; pixel += IB_CHAIN_PIXELS) {
            memset(sums, 0, sizeof(float) * floats);
            for (int64_t image = from; image < smaller(from + group, end); ++image)
                gather_image(b, &s, image, first, last, pixel,
                             smaller(pixel + IB_CHAIN_PIXELS, pixels), sums);
            int begins = from == begin && pixel == 0;
            for (size_t i = 0; i < floats; i += VL)
                v_store(partial + i,
                        begins ? v_load(sums + i) : v_add(v_load(partial + i), v_load(sums + i)));
        }
}

static void reduce_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    const struct sparse *b = context;
    struct conv_shape s = conv_shape_of(b->conv);
    int64_t co = (int64_t)item, leaves = (s.n + IB_LEAF - 1) / IB_LEAF;
    const int node = b->conv->node;
    float lanes[VL];
    const float *channel = b->partials + co * SUM_ROWS * s.ci;
    for (int64_t i = 0; i < TAPS * s.ci; i += VL) {
        v_store(lanes, leaf_end(leaf_sum(channel + i, s.co * SUM_ROWS * s.ci, leaves), node));
        for (int64_t lane = 0; lane < VL; ++lane)
            b->p->dw[(i + lane) * s.co16 + co] = lanes[lane];
    }
    v_store(lanes, leaf_end(leaf_sum(channel + TAPS * s.ci, s.co * SUM_ROWS * s.ci, leaves), node));
    b->p->db[co] = lanes[0];
}

/* ---- entry ------------------------------------------------------------------------------------
 */

static size_t shared_layout(const struct conv_shape *s, float *shared, struct sparse *b) {
    size_t leaves = (size_t)((s->n + IB_LEAF - 1) / IB_LEAF), n = (size_t)s->n;
    size_t weights = (size_t)(s->k * s->co), list = n * (size_t)list_capacity(s);
    size_t partials = leaves * (size_t)(s->co * SUM_ROWS * s->ci);
    if (b != NULL) {
        b->by_block = shared;
        b->partials = shared + weights;
        b->values = b->partials + partials;
        b->offsets = (int32_t *)(void *)(b->values + list);
        b->starts = b->offsets + list;
    }
    return weights + partials + 2 * list + n * (size_t)starts_of(s);
}

void IB_KERNEL(ib_conv_sparse_scratch)(const ib_conv *conv, size_t *per_thread, size_t *shared) {
    struct conv_shape s = conv_shape_of(conv);
    size_t lists = lists_layout(&s, NULL, NULL), sums = (size_t)(s.co * SUM_ROWS * s.ci);
    *per_thread = lists > sums ? lists : sums;
    *shared = shared_layout(&s, NULL, NULL);
}

void IB_KERNEL(ib_conv_backward_sparse)(ib_cpu *cpu, const ib_conv *conv,
                                        const ib_conv_pointers *p) {
    struct conv_shape s = conv_shape_of(conv);
    struct sparse b = {.cpu = cpu, .conv = conv, .p = p};
    shared_layout(&s, cpu->shared_scratch, &b);
    if (p->dx != NULL)
        weights_by_block(&s, p->w, b.by_block);
    ib_pool_run(cpu->pool, (size_t)s.n, data_item, &b);
    int64_t leaves = (s.n + IB_LEAF - 1) / IB_LEAF, threads = ib_pool_size(cpu->pool);
    b.groups = 1; /* enough items for an even share; any number gives the same bits */
    while (b.groups < s.co / 4 && leaves * b.groups < 8 * threads)
        b.groups *= 2;
    ib_pool_run(cpu->pool, (size_t)(leaves * b.groups), weight_item, &b);
    ib_pool_run(cpu->pool, (size_t)s.co, reduce_item, &b);
}
