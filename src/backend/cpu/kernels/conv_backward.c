/* Convolution, backward, for any kernel, stride and padding.
 *
 * Data: dx is the forward convolution of the framed (dilated, padded) output gradient with the
 * flipped kernel, so that its chains run over (oy, ox, co) ascending. Work items: images.
 *
 * Weights: dw[k][co], k = (ky, kx, ci), as tiles of 6 rows of k x 4 vectors of co; one chain runs
 * over the output pixels (sample, y, x) of ib_samples_per_chain samples. Work items: leaves; each
 * writes its partial, and the leaf tree then adds them. */
#include <string.h>

#include "conv_batched.h"
#include "conv_tile.h"
#include "kernel.h"
#include "leaf_sum.h"

struct backward {
    const ib_conv *conv;
    const ib_conv_pointers *p;
    float **scratch;
    const float *flipped; /* [block][ky'][kx'][co][columns of ci] */
    float *partials;      /* [leaf][k + 1][co16]; row k: the bias */
};

/* The forward shape whose output is dx. */
static struct conv_shape data_shape(const struct conv_shape *s) {
    struct conv_shape d = *s;
    d.ci = s->co16;
    d.co = d.co16 = s->ci;
    d.stride = 1;
    d.padded_h = s->h + s->kh - 1;
    d.padded_w = s->w + s->kw - 1;
    d.oh = s->h;
    d.ow = s->w;
    d.k = s->kh * s->kw * s->co16;
    return d;
}

/* dy of one image as [oh][ow][co16]: as stored, or spread from pooled features to scratch. */
static const float *dense_gradient(const struct conv_shape *s, const struct backward *b,
                                   int64_t image, float *scratch) {
    if (!b->conv->pool)
        return b->p->dy + image * s->oh * s->ow * s->co16;
    const float *features = b->p->dy + image * ib_pad16(s->co * s->cells);
    const uint8_t *argmax = b->p->argmax + image * s->cells * s->co16;
    memset(scratch, 0, sizeof(float) * (size_t)(s->oh * s->ow * s->co16));
    for (int64_t cell = 0; cell < s->cells; ++cell) {
        int64_t cy = cell / (s->ow / 2), cx = cell % (s->ow / 2);
        for (int64_t c = 0; c < s->co; ++c) {
            int q = argmax[cell * s->co16 + c];
            int64_t pixel = (2 * cy + q / 2) * s->ow + 2 * cx + q % 2;
            scratch[pixel * s->co16 + c] = features[c * s->cells + cell];
        }
    }
    return scratch;
}

static void data_item(void *context, size_t item, unsigned thread) {
    const struct backward *b = context;
    struct conv_shape s = conv_shape_of(b->conv), d = data_shape(&s);
    int64_t image = (int64_t)item;
    float *dense = b->scratch[thread], *frame = dense + s.oh * s.ow * s.co16;
    const float *dy = dense_gradient(&s, b, image, dense);
    IB_KERNEL(ib_frame_image)
    (dy, s.oh, s.ow, s.co16, s.stride, s.kh - 1 - s.pad, s.kw - 1 - s.pad, frame, d.padded_h,
     d.padded_w);
    const float *x = b->p->x + image * s.image_floats;
    float *dx = b->p->dx + image * s.image_floats;
    const vf scale = v_set1(b->conv->input_scale);
    float out[TILE_FLOATS];
    int64_t blocks = column_blocks(d.co16), first;
    for (int64_t block = 0; block < blocks; ++block) {
        struct tile_plan plan = column_block(d.co16, block, &first);
        for (int64_t y = 0; y < d.oh; ++y)
            for (int64_t left = 0; left < d.ow; left += plan.rows) {
                int rows = (int)smaller(plan.rows, d.ow - left);
                conv_pixels(&d, frame, b->flipped + first * d.k, &plan, y, left, rows, out);
                for (int i = 0; i < rows; ++i)
                    for (int j = 0; j < plan.columns; j += VL) {
                        int64_t at = (y * d.ow + left + i) * d.co16 + first + j;
                        vf g = v_load(out + i * TILE_STRIDE + j);
                        g = b->conv->mask_input ? v_mask(v_load(x + at), g, scale) : v_settle(g);
                        v_store(dx + at, g);
                    }
            }
    }
}

/* w[ky][kx][ci][co16] to [block][kh-1-ky][kw-1-kx][co][columns of ci]. */
static void flip_weights(const struct conv_shape *s, const float *w, float *flipped) {
    int64_t taps = s->kh * s->kw, blocks = column_blocks(s->ci), first;
    for (int64_t block = 0; block < blocks; ++block) {
        struct tile_plan plan = column_block(s->ci, block, &first);
        float *to = flipped + first * taps * s->co16;
        for (int64_t tap = 0; tap < taps; ++tap)
            for (int64_t ci = 0; ci < plan.columns; ++ci)
                for (int64_t co = 0; co < s->co16; ++co)
                    to[((taps - 1 - tap) * s->co16 + co) * plan.columns + ci] =
                        w[(tap * s->ci + first + ci) * s->co16 + co];
    }
}

/* out = one chain over the pixels [first, last) of `samples` images, all of them where there are
 * several: rows of k starting at (ky, r). */
static void weight_tile(const struct conv_shape *s, const struct tile_plan *plan,
                        const float *const *x, const float *const *dy, int64_t samples,
                        int64_t first, int64_t last, int64_t ky, int64_t r, int rows,
                        int64_t column, float *out) {
    tile_function *function = IB_KERNEL(ib_tile)(rows, plan->vectors);
    for (int64_t i = 0; i < samples; ++i) {
        struct tile tile = {
            .a = x[i] + ky * s->padded_w * s->ci + r,
            .a_row = 1,
            .a_k = s->stride * s->ci,
            .a_run = s->stride * s->padded_w * s->ci,
            .b = dy[i] + column,
            .b_k = s->co16,
            .b_run = s->ow * s->co16,
            .runs = s->oh,
            .run_length = s->ow,
            .carry = i > 0,
        };
        chain_of_terms(function, &tile, first, last, out);
    }
}

static void add_tile(const float *out, int rows, int columns, float *to, int64_t to_row,
                     int first) {
    for (int i = 0; i < rows; ++i)
        for (int j = 0; j < columns; j += VL) {
            vf value = v_load(out + i * TILE_STRIDE + j);
            float *at = to + i * to_row + j;
            v_store(at, first ? value : v_add(v_load(at), value));
        }
}

static void bias_chain(const struct conv_shape *s, const float *const *dy, int64_t samples,
                       int64_t first, int64_t last, float *to, int begins) {
    for (int64_t c = 0; c < s->co16; c += VL) {
        vf sum = v_zero();
        for (int64_t i = 0; i < samples; ++i)
            for (int64_t pixel = first; pixel < last; ++pixel)
                sum = v_add(sum, v_load(dy[i] + pixel * s->co16 + c));
        v_store(to + c, begins ? sum : v_add(v_load(to + c), sum));
    }
}

/* The chains over pixels [first, last) of these samples, added to the leaf's partial sums. */
static void weight_chains(const struct conv_shape *s, const float *const *x, const float *const *dy,
                          int64_t samples, int64_t first, int64_t last, int begins, int with_bias,
                          float *partial) {
    float out[TILE_FLOATS];
    int64_t run = s->kw * s->ci;
    for (int64_t column = 0; column < s->co16;) {
        struct tile_plan plan = tile_plan_for(s->co16 - column, 0);
        for (int64_t ky = 0; ky < s->kh; ++ky)
            for (int64_t r = 0; r < run; r += plan.rows) {
                int rows = (int)smaller(plan.rows, run - r);
                weight_tile(s, &plan, x, dy, samples, first, last, ky, r, rows, column, out);
                add_tile(out, rows, plan.columns, partial + (ky * run + r) * s->co16 + column,
                         s->co16, begins);
            }
        column += plan.columns;
    }
    if (with_bias)
        bias_chain(s, dy, samples, first, last, partial + s->k * s->co16, begins);
}

static void weight_item(void *context, size_t item, unsigned thread) {
    const struct backward *b = context;
    struct conv_shape s = conv_shape_of(b->conv);
    int64_t begin = (int64_t)item * IB_LEAF, end = smaller(begin + IB_LEAF, s.n);
    int64_t pixels = s.oh * s.ow, group = ib_samples_per_chain(pixels);
    float *partial = b->partials + (int64_t)item * (s.k + 1) * s.co16;
    for (int64_t from = begin; from < end; from += group) {
        int64_t samples = smaller(group, end - from);
        const float *x[IB_LEAF], *dy[IB_LEAF];
        float *scratch = b->scratch[thread];
        for (int64_t i = 0; i < samples; ++i) {
            dy[i] = dense_gradient(&s, b, from + i, scratch);
            scratch += s.oh * s.ow * s.co16;
            x[i] = b->p->x + (from + i) * s.image_floats;
            if (s.pad > 0) {
                IB_KERNEL(ib_frame_image)
                (x[i], s.h, s.w, s.ci, 1, s.pad, s.pad, scratch, s.padded_h, s.padded_w);
                x[i] = scratch;
                scratch += s.padded_h * s.padded_w * s.ci;
            }
        }
        for (int64_t first = 0; first < pixels; first += IB_CHAIN_PIXELS)
            weight_chains(&s, x, dy, samples, first, smaller(first + IB_CHAIN_PIXELS, pixels),
                          from == begin && first == 0, b->p->db != NULL, partial);
    }
}

static void reduce_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    const struct backward *b = context;
    struct conv_shape s = conv_shape_of(b->conv);
    int64_t row = (int64_t)item, leaves = (s.n + IB_LEAF - 1) / IB_LEAF;
    float *to = row < s.k ? b->p->dw + row * s.co16 : b->p->db;
    for (int64_t c = 0; c < s.co16; c += VL)
        v_store(to + c,
                leaf_end(leaf_sum(b->partials + row * s.co16 + c, (s.k + 1) * s.co16, leaves),
                         b->conv->node));
}

/* ---- dx ---------------------------------------------------------------------------------------
 */

static void input_by_tiles(ib_cpu *cpu, const ib_conv *conv, const ib_conv_pointers *p) {
    struct conv_shape s = conv_shape_of(conv);
    struct backward b = {conv, p, cpu->thread_scratch, cpu->shared_scratch, NULL};
    flip_weights(&s, p->w, cpu->shared_scratch);
    ib_pool_run(cpu->pool, (size_t)s.n, data_item, &b);
}

static void scratch_of_input(const ib_conv *conv, size_t *per_thread, size_t *shared) {
    struct conv_shape s = conv_shape_of(conv), d = data_shape(&s);
    *per_thread = (size_t)(s.oh * s.ow * s.co16 + d.padded_h * d.padded_w * d.ci);
    *shared = (size_t)(s.k * s.co16);
}

static const ib_cpu_conv_kernel INPUT_GRADIENTS[] = {
    {"batched", conv_is_batched, IB_KERNEL(ib_conv_batched_input_scratch),
     IB_KERNEL(ib_conv_batched_input)},
    {"tiles", NULL, scratch_of_input, input_by_tiles},
};

/* ---- dw, db -----------------------------------------------------------------------------------
 */

static void weights_by_tiles(ib_cpu *cpu, const ib_conv *conv, const ib_conv_pointers *p) {
    struct conv_shape s = conv_shape_of(conv);
    struct backward b = {conv, p, cpu->thread_scratch, NULL, cpu->shared_scratch};
    ib_pool_run(cpu->pool, (size_t)((s.n + IB_LEAF - 1) / IB_LEAF), weight_item, &b);
    ib_pool_run(cpu->pool, (size_t)(s.k + (p->db != NULL)), reduce_item, &b);
}

static void scratch_of_weights(const ib_conv *conv, size_t *per_thread, size_t *shared) {
    struct conv_shape s = conv_shape_of(conv);
    size_t dense = (size_t)(s.oh * s.ow * s.co16);
    size_t framed = (size_t)(s.padded_h * s.padded_w * s.ci);
    *per_thread = (size_t)ib_samples_per_chain(s.oh * s.ow) * (dense + framed);
    *shared = (size_t)((s.n + IB_LEAF - 1) / IB_LEAF) * (size_t)(s.k + 1) * (size_t)s.co16;
}

static const ib_cpu_conv_kernel WEIGHT_GRADIENTS[] = {
    {"batched", conv_weights_are_batched, IB_KERNEL(ib_conv_batched_weights_scratch),
     IB_KERNEL(ib_conv_batched_weights)},
    {"tiles", NULL, scratch_of_weights, weights_by_tiles},
};

/* ---- both -------------------------------------------------------------------------------------
 */

static const ib_cpu_conv_kernel *first_fit(const ib_cpu_conv_kernel *list, const ib_conv *conv) {
    while (list->fits != NULL && !list->fits(conv))
        ++list;
    return list;
}

static void one_by_one(ib_cpu *cpu, const ib_conv *conv, const ib_conv_pointers *p) {
    if (p->dx != NULL)
        first_fit(INPUT_GRADIENTS, conv)->run(cpu, conv, p);
    first_fit(WEIGHT_GRADIENTS, conv)->run(cpu, conv, p);
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

static void scratch_of_both(const ib_conv *conv, size_t *per_thread, size_t *shared) {
    size_t thread_floats = 0, shared_floats = 0;
    if (conv->ci > 1)
        first_fit(INPUT_GRADIENTS, conv)->scratch(conv, &thread_floats, &shared_floats);
    first_fit(WEIGHT_GRADIENTS, conv)->scratch(conv, per_thread, shared);
    *per_thread = larger(*per_thread, thread_floats);
    *shared = larger(*shared, shared_floats);
}

const ib_cpu_conv_kernel IB_KERNEL(ib_conv_backward)[] = {
    {"lists", IB_KERNEL(ib_conv_is_sparse), IB_KERNEL(ib_conv_sparse_scratch),
     IB_KERNEL(ib_conv_backward_sparse)},
    {"one by one", NULL, scratch_of_both, one_by_one},
    {NULL, NULL, NULL, NULL},
};
