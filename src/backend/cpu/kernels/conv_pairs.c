/* Convolution, forward, by lists of terms that are not zero. Behind a ReLU about half of the input
 * is zero, and a zero term may be skipped (NUMERICS.md, "Chains").
 *
 * Two output pixels beside each other, (oy, ox) and (oy, ox + 1), share their list: it names the
 * input channels that are not zero in at least one of their two input pixels (61 % of them in a
 * trained CNN, where 52 % are not zero in one). Twice 4 vectors of channels are then 8 chains,
 * which is what hides the latency of two FMA units, and each weight that is loaded serves two FMAs.
 *
 * An entry is the position of a float in its row of the image. That is enough: the second pixel's
 * is ci floats further, and with NHWC images and weights [ky][kx][ci][co] the weight's row is the
 * entry less where the pair's window begins. So the list of a window is a stretch of the row's
 * list.
 *
 * One kernel row at a time for all pixels, so that its weights (96 x 64 floats = 24 KB) stay in
 * L1; chains are put down in between: 16 vectors moved for about 59 x 8 FMAs. */
#include "conv_pairs.h"

#include "tile.h"

enum { PASS_VECTORS = 4, PASS = PASS_VECTORS * VL };

struct pair {
    int32_t pixel;   /* the left one */
    int32_t slot[2]; /* rows of values */
};
struct lists {
    int32_t *starts; /* [padded_h][padded_w]: where the list of input pixels x, x + 1 begins */
    int32_t *terms;
    struct pair *pairs;
};

static size_t lists_layout(const struct conv_shape *s, float *scratch, struct lists *l) {
    size_t starts = (size_t)ib_pad16(s->padded_h * s->padded_w);
    size_t terms = (size_t)(s->padded_h * s->padded_w * s->ci) + 16; /* stores are whole vectors */
    size_t pairs = (size_t)(s->oh * s->ow) * (sizeof(struct pair) / sizeof(float));
    if (l != NULL) {
        l->starts = (int32_t *)(void *)scratch;
        l->terms = l->starts + starts;
        l->pairs = (struct pair *)(void *)(l->terms + terms);
    }
    return starts + terms + pairs;
}

int IB_KERNEL(ib_conv_pairs_fit)(const struct conv_shape *s) {
    return s->stride == 1 && s->k <= IB_SEGMENT && s->ci >= VL && s->ow >= 2 &&
           s->co16 % PASS == 0 && s->padded_h * s->padded_w * s->ci <= INT32_MAX / 2;
}

size_t IB_KERNEL(ib_conv_pairs_scratch)(const struct conv_shape *s) {
    return IB_KERNEL(ib_conv_pairs_fit)(s) ? lists_layout(s, NULL, NULL) : 0;
}

static void list_terms(const struct conv_shape *s, const float *image, struct lists *l) {
    static const int32_t LANES[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    int32_t count = 0;
    for (int64_t y = 0; y < s->padded_h; ++y) {
        const float *row = image + y * s->padded_w * s->ci;
        int32_t *starts = l->starts + y * s->padded_w;
        for (int64_t x = 0; x + 1 < s->padded_w; ++x) {
            starts[x] = count;
            for (int64_t e = x * s->ci; e < (x + 1) * s->ci; e += VL) {
                vmask left = v_ne(v_load(row + e), v_zero());
                vmask right = v_ne(v_load(row + e + s->ci), v_zero());
                vi entry = vi_add(vi_load(LANES), vi_set1((int32_t)e));
                count += vi_compress(l->terms + count, entry, v_or(left, right));
            }
        }
        starts[s->padded_w - 1] = count;
    }
}

/* A pixel without a right neighbour to compute takes one whose value is not needed: slot `spare`.
 */
static int64_t make_pairs(const struct conv_shape *s, const int32_t *pixels, int64_t count,
                          struct pair *pairs) {
    int64_t made = 0;
    const int32_t spare = (int32_t)count;
    for (int64_t i = 0; i < count; ++made) {
        int at_end = pixels[i] % s->ow == s->ow - 1;
        int both = !at_end && i + 1 < count && pixels[i + 1] == pixels[i] + 1;
        int32_t slot = (int32_t)i;
        pairs[made] = at_end ? (struct pair){pixels[i] - 1, {spare, slot}}
                             : (struct pair){pixels[i], {slot, both ? slot + 1 : spare}};
        i += both ? 2 : 1;
    }
    return made;
}

static int64_t count_terms(const struct conv_shape *s, const struct lists *l, int64_t pairs) {
    int64_t terms = 0;
    for (int64_t i = 0; i < pairs; ++i)
        for (int64_t ky = 0; ky < s->kh; ++ky) {
            const int32_t pixel = l->pairs[i].pixel;
            const int32_t *starts = l->starts + (pixel / s->ow + ky) * s->padded_w + pixel % s->ow;
            terms += starts[s->kw] - starts[0];
        }
    return terms;
}

/* Goes on with the chains of a pair, PASS channels. left and right: where the two pixels' entries
 * count from; an entry's weights are at origin + entry * stride, an address that only entries of
 * this window bring into the weights. */
ALWAYS_INLINE void pair_chains(const float *left, const float *right, uintptr_t origin,
                               ptrdiff_t stride, const int32_t *terms, const int32_t *end,
                               vf acc[2][PASS_VECTORS]) {
    for (; terms < end; ++terms) {
        const ptrdiff_t entry = *terms;
        const float *weights = (const float *)(origin + (uintptr_t)(entry * stride));
        vf a = v_set1(left[entry]), b = v_set1(right[entry]);
#pragma GCC unroll 4
        for (int j = 0; j < PASS_VECTORS; ++j) {
            vf weight = v_load(weights + j * VL);
            v_in_register(&weight);
            acc[0][j] = v_fma(a, weight, acc[0][j]);
            acc[1][j] = v_fma(b, weight, acc[1][j]);
        }
    }
}

/* Where a chain ends: the bias, ReLU. */
ALWAYS_INLINE void end_chains(const float *bias, vf acc[2][PASS_VECTORS]) {
#pragma GCC unroll 4
    for (int j = 0; j < PASS_VECTORS; ++j) {
        vf b = bias != NULL ? v_load(bias + j * VL) : v_zero();
        acc[0][j] = v_relu(v_add(acc[0][j], b));
        acc[1][j] = v_relu(v_add(acc[1][j], b));
    }
}

/* Kernel row ky of all pairs, PASS channels: w, bias and values begin at the first of them. */
static void pass(const struct conv_shape *s, const struct lists *l, int64_t pairs,
                 const float *image, const float *w, const float *bias, int64_t ky, float *values) {
    const int first = ky == 0, last = ky == s->kh - 1;
    const ptrdiff_t ci = s->ci, co16 = s->co16, stride = co16 * (ptrdiff_t)sizeof(float);
    for (int64_t i = 0; i < pairs; ++i) {
        const struct pair *pair = &l->pairs[i];
        const int64_t y = pair->pixel / s->ow + ky, x = pair->pixel % s->ow;
        const int32_t *starts = l->starts + y * s->padded_w + x;
        float *to[2] = {values + pair->slot[0] * co16, values + pair->slot[1] * co16};
        vf acc[2][PASS_VECTORS];
#pragma GCC unroll 4
        for (int j = 0; j < PASS_VECTORS; ++j) {
            acc[0][j] = first ? v_zero() : v_load(to[0] + j * VL);
            acc[1][j] = first ? v_zero() : v_load(to[1] + j * VL);
        }
        const float *row = image + y * s->padded_w * ci;
        pair_chains(row, row + ci, (uintptr_t)w - (uintptr_t)(x * ci * stride), stride,
                    l->terms + starts[0], l->terms + starts[s->kw], acc);
        if (last)
            end_chains(bias, acc);
#pragma GCC unroll 4
        for (int j = 0; j < PASS_VECTORS; ++j) {
            v_store(to[0] + j * VL, acc[0][j]);
            v_store(to[1] + j * VL, acc[1][j]);
        }
    }
}

int IB_KERNEL(ib_conv_pairs)(const struct conv_shape *s, const float *image, const float *w,
                             const float *bias, const int32_t *pixels, int64_t count,
                             float *scratch, float *values) {
    struct lists l;
    lists_layout(s, scratch, &l);
    list_terms(s, image, &l);
    int64_t pairs = make_pairs(s, pixels, count, l.pairs);
    /* A listed term costs about a tenth more than one of the tile. */
    if (count_terms(s, &l, pairs) * 2 * 11 > count * s->k * 10)
        return 0;
    for (int64_t c = 0; c < s->co16; c += PASS)
        for (int64_t ky = 0; ky < s->kh; ++ky)
            pass(s, &l, pairs, image, w + ky * s->kw * s->ci * s->co16 + c,
                 bias != NULL ? bias + c : NULL, ky, values + c);
    return 1;
}
