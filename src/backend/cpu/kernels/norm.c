/* Batch normalisation of images [n][pixels][C16], vectorised over channels.
 *
 * Bound by memory: a work item is one block of 16 channels (one line of 64 B a pixel) through all
 * of its passes, so that only the first pass reads x from afar: for batch 32 a block is 401 KB
 * after the stem, 100 KB in the first stage, 2 KB in the last. Forward: sums, squares, then y in
 * one pass with the addition and the ReLU. Backward: both sums in one pass, then dx.
 *
 * A chain of additions waits for each addition (4 cycles); so four groups of samples, whose chains
 * the definition keeps apart, advance side by side. */
#include "leaf_sum.h"
#include "product.h"
#include "tile.h"

enum { SIDE_BY_SIDE = 4, CHANNELS_PER_ITEM = 16 };

struct norm {
    const ib_norm *shape;
    const ib_norm_pointers *p;
    int64_t c16;
};

/* What one sum over the batch adds up, at one vector of channels. */
struct terms {
    const float *x, *g;
    vf mean;
};

enum sum_kind { SUM_X, SUM_SQUARES, SUM_G, SUM_PRODUCTS };

ALWAYS_INLINE vf add_term(const enum sum_kind kind, const struct terms *t, int64_t at, vf chain) {
    if (kind == SUM_X)
        return v_add(chain, v_load(t->x + at));
    if (kind == SUM_G)
        return v_add(chain, v_load(t->g + at));
    vf d = v_sub(v_load(t->x + at), t->mean);
    return v_fma(kind == SUM_SQUARES ? d : v_load(t->g + at), d, chain);
}

/* Chains of `count` groups of `rows` pixels each, one behind the other. */
ALWAYS_INLINE void chains(const enum sum_kind kind, const int count, const struct terms *t,
                          int64_t first, int64_t rows, int64_t c16, vf *sums) {
    vf chain[SIDE_BY_SIDE];
    for (int i = 0; i < count; ++i)
        chain[i] = v_zero();
    for (int64_t row = first; row < first + rows; ++row)
#pragma GCC unroll 4
        for (int i = 0; i < count; ++i)
            chain[i] = add_term(kind, t, (row + i * rows) * c16, chain[i]);
    for (int i = 0; i < count; ++i)
        sums[i] = chain[i];
}

/* Section 3: groups of samples, leaves, tree. */
ALWAYS_INLINE vf batch_sum(const enum sum_kind kind, const struct norm *b, const struct terms *t) {
    int64_t n = b->shape->n, pixels = b->shape->pixels, group = ib_samples_per_chain(pixels);
    int64_t rows = group * pixels, groups = (n + group - 1) / group, leaves = 0;
    vf stack[IB_MAX_LEAF_LEVELS], leaf = v_zero(), sums[SIDE_BY_SIDE];
    for (int64_t first = 0; first < groups; first += SIDE_BY_SIDE) {
        int64_t count = smaller(SIDE_BY_SIDE, groups - first);
        if ((first + SIDE_BY_SIDE) * group <= n)
            chains(kind, SIDE_BY_SIDE, t, first * rows, rows, b->c16, sums);
        else
            for (int64_t i = 0; i < count; ++i) {
                int64_t from = (first + i) * rows;
                chains(kind, 1, t, from, smaller(rows, n * pixels - from), b->c16, sums + i);
            }
        for (int64_t i = first; i < first + count; ++i) {
            leaf = i * group % IB_LEAF == 0 ? sums[i - first] : v_add(leaf, sums[i - first]);
            if ((i + 1) * group % IB_LEAF == 0 || i + 1 == groups)
                leaf_push(stack, leaves++, leaf);
        }
    }
    return leaf_total(stack, leaves);
}

/* ---- forward ----------------------------------------------------------------------------------
 */

static void forward_vector(const struct norm *b, int64_t c) {
    const ib_norm *s = b->shape;
    const ib_norm_pointers *p = b->p;
    vf mean = v_load(p->running + c), variance = v_load(p->running + b->c16 + c);
    if (s->training) {
        struct terms t = {.x = p->x + c};
        vf count = v_set1(s->inverse_count), momentum = v_set1(s->momentum);
        vf running_mean = mean, running_variance = variance;
        t.mean = mean = v_mul(batch_sum(SUM_X, b, &t), count);
        variance = v_mul(batch_sum(SUM_SQUARES, b, &t), count);
        v_store(p->running + c, v_fma(momentum, v_sub(mean, running_mean), running_mean));
        vf unbiased = v_mul(variance, v_set1(s->unbiased));
        v_store(p->running + b->c16 + c,
                v_fma(momentum, v_sub(unbiased, running_variance), running_variance));
    }
    vf inverse = v_div(v_set1(1.0f), v_sqrt(v_add(variance, v_set1(s->eps))));
    vf scale = v_mul(v_load(p->gamma + c), inverse);
    vf shift = v_fma(v_sub(v_set1(-0.0f), mean), scale, v_load(p->beta + c));
    if (s->training) {
        v_store(p->saved + IB_SAVED_MEAN * b->c16 + c, mean);
        v_store(p->saved + IB_SAVED_INVERSE * b->c16 + c, inverse);
        v_store(p->saved + IB_SAVED_SCALE * b->c16 + c, scale);
        v_store(p->saved + IB_SAVED_SHIFT * b->c16 + c, shift);
    }
    int64_t end = s->n * s->pixels * b->c16;
    if (p->add != NULL)
        for (int64_t at = c; at < end; at += b->c16) {
            vf y = v_add(v_fma(v_load(p->x + at), scale, shift), v_load(p->add + at));
            v_store(p->y + at, s->relu ? v_relu(y) : y);
        }
    else
        for (int64_t at = c; at < end; at += b->c16) {
            vf y = v_fma(v_load(p->x + at), scale, shift);
            v_store(p->y + at, s->relu ? v_relu(y) : y);
        }
}

static void forward_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    int64_t first = (int64_t)item * CHANNELS_PER_ITEM;
    for (int64_t c = first; c < first + CHANNELS_PER_ITEM; c += VL)
        forward_vector(context, c);
}

void IB_KERNEL(ib_norm_forward)(ib_cpu *cpu, const ib_norm *norm, const ib_norm_pointers *p);
void IB_KERNEL(ib_norm_forward)(ib_cpu *cpu, const ib_norm *norm, const ib_norm_pointers *p) {
    struct norm b = {norm, p, ib_pad16(norm->channels)};
    ib_pool_run(cpu->pool, (size_t)(b.c16 / CHANNELS_PER_ITEM), forward_item, &b);
}

/* ---- backward ---------------------------------------------------------------------------------
 */

/* The gradient before the ReLU of every pixel, to g: it is read twice more, and where it is needed
 * elsewhere it stays there. */
static void mask_vector(const struct norm *b, int64_t c, vf scale, vf shift, float *g) {
    const ib_norm_pointers *p = b->p;
    int64_t end = b->shape->n * b->shape->pixels * b->c16;
    for (int64_t at = c; at < end; at += b->c16) {
        vf value = v_load(p->dy + at);
        if (p->second != NULL)
            value = v_add(value, v_load(p->second + at));
        if (b->shape->relu) {
            vf y =
                p->y_kept != NULL ? v_load(p->y_kept + at) : v_fma(v_load(p->x + at), scale, shift);
            value = v_select(v_gt(y, v_zero()), value, v_zero());
        }
        v_store(g + at, value);
    }
}

static void backward_vector(const struct norm *b, int64_t c) {
    const ib_norm_pointers *p = b->p;
    vf scale = v_load(p->saved + IB_SAVED_SCALE * b->c16 + c);
    vf inverse = v_load(p->saved + IB_SAVED_INVERSE * b->c16 + c);
    vf mean = v_load(p->saved + IB_SAVED_MEAN * b->c16 + c);
    vf shift = v_load(p->saved + IB_SAVED_SHIFT * b->c16 + c);
    float *g = p->g != NULL ? p->g : p->dx;
    mask_vector(b, c, scale, shift, g);
    struct terms t = {.x = p->x + c, .g = g + c, .mean = mean};
    vf sum = batch_sum(SUM_G, b, &t);
    vf dgamma = v_mul(batch_sum(SUM_PRODUCTS, b, &t), inverse);
    v_store(p->dbeta + c, sum);
    v_store(p->dgamma + c, dgamma);
    vf count = v_set1(b->shape->inverse_count), minus = v_set1(-0.0f);
    vf slope = v_sub(minus, v_mul(scale, v_mul(v_mul(dgamma, inverse), count)));
    vf level = v_sub(minus, v_mul(scale, v_mul(sum, count)));
    int64_t end = b->shape->n * b->shape->pixels * b->c16;
    for (int64_t at = c; at < end; at += b->c16) {
        vf d = v_sub(v_load(p->x + at), mean);
        v_store(p->dx + at, v_fma(v_load(g + at), scale, v_fma(d, slope, level)));
    }
}

static void backward_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    int64_t first = (int64_t)item * CHANNELS_PER_ITEM;
    for (int64_t c = first; c < first + CHANNELS_PER_ITEM; c += VL)
        backward_vector(context, c);
}

void IB_KERNEL(ib_norm_backward)(ib_cpu *cpu, const ib_norm *norm, const ib_norm_pointers *p);
void IB_KERNEL(ib_norm_backward)(ib_cpu *cpu, const ib_norm *norm, const ib_norm_pointers *p) {
    struct norm b = {norm, p, ib_pad16(norm->channels)};
    ib_pool_run(cpu->pool, (size_t)(b.c16 / CHANNELS_PER_ITEM), backward_item, &b);
}
