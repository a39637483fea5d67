/* Batch normalisation of images [n][pixels][C16], vectorised over channels.
 *
 * Bound by memory: a work item is one block of 16 channels (one line of 64 B a pixel) through all
 * of its passes, so that only the first reads x from afar: for batch 32 a block is 401 KB after the
 * stem, 100 KB in the first stage, 2 KB in the last. Forward: the mean; its rest and the variance
 * in one pass; y with the addition and the ReLU in one. Backward: g and both of its sums in one
 * pass, then dx.
 *
 * A chain of additions waits for each addition (4 cycles); so the chains of four samples advance
 * side by side. */
#include "kernel.h"
#include "leaf_sum.h"
#include "product.h"
#include "tile.h"

enum { SIDE_BY_SIDE = 4, CHANNELS_PER_ITEM = 16 };

struct norm {
    const ib_norm *shape;
    const ib_norm_pointers *p;
    int64_t c16;
};

/* Forward: x alone, or x - mean and its square. Backward: g and g (x - mean). */
enum sum_kind { SUM_X, SUM_DEVIATIONS, SUM_GRADIENTS };

/* One vector of channels of one pass over the batch. */
struct column {
    const struct norm *norm;
    int64_t c;
    vf mean, scale, beta; /* scale, beta: for the ReLU's mask */
    float *g;             /* backward: where the gradient before the ReLU goes */
};

/* The sums of a pass; SUM_X has the first only. */
struct sums {
    vf first, second;
};

/* The gradient before the ReLU. */
ALWAYS_INLINE vf masked_gradient(const struct column *k, int64_t at, vf d) {
    const ib_norm_pointers *p = k->norm->p;
    vf g = v_load(p->dy + at);
    if (p->second != NULL)
        g = v_settle(v_add(g, v_load(p->second + at)));
    if (!k->norm->shape->relu)
        return g;
    /* both tests in one: y_kept is settled, the y computed again is not */
    vf y = p->y_kept != NULL ? v_load(p->y_kept + at) : v_fma(d, k->scale, k->beta);
    return v_select(v_ge(y, v_set1(0x1p-40f)), g, v_zero());
}

ALWAYS_INLINE void add_terms(const enum sum_kind kind, const struct column *k, int64_t at,
                             struct sums *chain) {
    vf x = v_load(k->norm->p->x + at);
    if (kind == SUM_X) {
        chain->first = v_add(chain->first, x);
        return;
    }
    vf d = v_sub(x, k->mean), term = d;
    if (kind == SUM_GRADIENTS) {
        term = masked_gradient(k, at, d);
        v_store(k->g + at, term);
    }
    chain->first = v_add(chain->first, term);
    chain->second = v_fma(term, d, chain->second);
}

/* Adds the `count` chains of `length` pixels each that follow each other from `first` on. */
ALWAYS_INLINE void chains(const enum sum_kind kind, const int count, const struct column *k,
                          int64_t first, int64_t length, struct sums *sum) {
    int64_t c16 = k->norm->c16;
    struct sums chain[SIDE_BY_SIDE];
    for (int i = 0; i < count; ++i)
        chain[i] = (struct sums){v_zero(), v_zero()};
    for (int64_t pixel = first; pixel < first + length; ++pixel)
#pragma GCC unroll 4
        for (int i = 0; i < count; ++i)
            add_terms(kind, k, (pixel + i * length) * c16 + k->c, &chain[i]);
    for (int i = 0; i < count; ++i) { /* the first to +0: only the sign of a zero could differ */
        sum->first = v_add(sum->first, chain[i].first);
        sum->second = v_add(sum->second, chain[i].second);
    }
}

/* Adds `count` chains of `length` pixels, side by side as far as they go. */
ALWAYS_INLINE void many_chains(const enum sum_kind kind, const struct column *k, int64_t first,
                               int64_t length, int64_t count, struct sums *sum) {
    int64_t done = 0;
    for (; done + SIDE_BY_SIDE <= count; done += SIDE_BY_SIDE)
        chains(kind, SIDE_BY_SIDE, k, first + done * length, length, sum);
    for (; done < count; ++done)
        chains(kind, 1, k, first + done * length, length, sum);
}

/* The chains of one leaf in order: one for each sample, or the stretches of large samples. */
ALWAYS_INLINE struct sums leaf_chains(const enum sum_kind kind, const struct column *k,
                                      int64_t begin, int64_t count) {
    int64_t pixels = k->norm->shape->pixels;
    int64_t stretches = pixels / IB_CHAIN_PIXELS, rest = pixels % IB_CHAIN_PIXELS;
    struct sums sum = {v_zero(), v_zero()};
    if (pixels <= IB_CHAIN_PIXELS)
        many_chains(kind, k, begin * pixels, pixels, count, &sum);
    else
        for (int64_t first = begin * pixels; first < (begin + count) * pixels; first += pixels) {
            many_chains(kind, k, first, IB_CHAIN_PIXELS, stretches, &sum);
            many_chains(kind, k, first + pixels - rest, rest, rest > 0, &sum);
        }
    return sum;
}

/* The leaves' sums by the tree; not settled: that follows the product they enter. */
ALWAYS_INLINE struct sums batch_sums(const enum sum_kind kind, const struct column *k) {
    int64_t n = k->norm->shape->n, leaves = (n + IB_LEAF - 1) / IB_LEAF;
    vf first[IB_MAX_LEAF_LEVELS], second[IB_MAX_LEAF_LEVELS];
    int64_t leaf = 0;
    do {
        int64_t begin = leaf * IB_LEAF;
        struct sums sum = leaf_chains(kind, k, begin, smaller(IB_LEAF, n - begin));
        leaf_push(first, leaf, sum.first);
        leaf_push(second, leaf, sum.second);
    } while (++leaf < leaves);
    return (struct sums){leaf_total(first, leaves), leaf_total(second, leaves)};
}

/* ---- forward ----------------------------------------------------------------------------------
 */

/* Mean and variance of the batch; moves the running ones. */
static void batch_statistics(const struct norm *b, int64_t c, vf *mean, vf *variance) {
    const ib_norm *s = b->shape;
    float *running_mean = b->p->running + c, *running_variance = b->p->running + b->c16 + c;
    struct column k = {.norm = b, .c = c};
    vf count = v_set1(s->inverse_count), momentum = v_set1(s->momentum);
    k.mean = v_settle(v_mul(batch_sums(SUM_X, &k).first, count));
    struct sums rests = batch_sums(SUM_DEVIATIONS, &k);
    vf rest = v_settle(v_mul(rests.first, count));
    vf squares = v_settle_square(v_mul(v_settle_square(rests.second), count));
    *mean = v_settle(v_add(k.mean, rest));
    *variance = v_relu(v_fma(v_sub(v_set1(-0.0f), rest), rest, squares));
    vf old = v_load(running_mean);
    v_store(running_mean, v_settle(v_fma(momentum, v_sub(*mean, old), old)));
    old = v_load(running_variance);
    vf unbiased = v_mul(*variance, v_set1(s->unbiased)); /* by at least 1: stays settled */
    v_store(running_variance, v_settle(v_fma(momentum, v_sub(unbiased, old), old)));
}

static void forward_vector(const struct norm *b, int64_t c) {
    const ib_norm *s = b->shape;
    const ib_norm_pointers *p = b->p;
    vf mean = v_load(p->running + c), variance = v_load(p->running + b->c16 + c);
    if (s->training)
        batch_statistics(b, c, &mean, &variance);
    vf inverse = v_settle(v_div(v_set1(1.0f), v_sqrt(v_add(variance, v_set1(s->eps)))));
    vf scale = v_settle(v_mul(v_load(p->gamma + c), inverse));
    vf beta = v_load(p->beta + c);
    if (s->training) {
        v_store(p->saved + IB_SAVED_MEAN * b->c16 + c, mean);
        v_store(p->saved + IB_SAVED_INVERSE * b->c16 + c, inverse);
        v_store(p->saved + IB_SAVED_SCALE * b->c16 + c, scale);
        v_store(p->saved + IB_SAVED_BETA * b->c16 + c, beta);
    }
    int64_t end = s->n * s->pixels * b->c16;
    if (p->add != NULL)
        for (int64_t at = c; at < end; at += b->c16) {
            vf d = v_sub(v_load(p->x + at), mean);
            vf y = v_add(v_settle(v_fma(d, scale, beta)), v_load(p->add + at));
            v_store(p->y + at, v_output(s->relu, y));
        }
    else
        for (int64_t at = c; at < end; at += b->c16) {
            vf y = v_fma(v_sub(v_load(p->x + at), mean), scale, beta);
            v_store(p->y + at, v_output(s->relu, y));
        }
}

static void forward_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    int64_t first = (int64_t)item * CHANNELS_PER_ITEM;
    for (int64_t c = first; c < first + CHANNELS_PER_ITEM; c += VL)
        forward_vector(context, c);
}

static void norm_forward(ib_cpu *cpu, const ib_norm *norm, const ib_norm_pointers *p) {
    struct norm b = {norm, p, ib_pad16(norm->channels)};
    ib_pool_run(cpu->pool, (size_t)(b.c16 / CHANNELS_PER_ITEM), forward_item, &b);
}

/* ---- backward ---------------------------------------------------------------------------------
 */

static void backward_vector(const struct norm *b, int64_t c) {
    const ib_norm_pointers *p = b->p;
    vf scale = v_load(p->saved + IB_SAVED_SCALE * b->c16 + c);
    vf inverse = v_load(p->saved + IB_SAVED_INVERSE * b->c16 + c);
    vf mean = v_load(p->saved + IB_SAVED_MEAN * b->c16 + c);
    vf beta = v_load(p->saved + IB_SAVED_BETA * b->c16 + c);
    float *g = p->g != NULL ? p->g : p->dx;
    struct column k = {b, c, mean, scale, beta, g};
    struct sums sums = batch_sums(SUM_GRADIENTS, &k);
    vf sum = v_settle(sums.first);
    vf dgamma = v_settle(v_mul(v_settle_square(sums.second), inverse));
    v_store(p->dbeta + c, sum);
    v_store(p->dgamma + c, dgamma);
    vf count = v_set1(b->shape->inverse_count), minus = v_set1(-0.0f);
    vf share = v_settle(v_mul(v_settle(v_mul(dgamma, inverse)), count));
    vf slope = v_settle(v_sub(minus, v_mul(scale, share)));
    vf level = v_settle(v_sub(minus, v_mul(scale, v_settle(v_mul(sum, count)))));
    int64_t end = b->shape->n * b->shape->pixels * b->c16;
    for (int64_t at = c; at < end; at += b->c16) {
        vf d = v_sub(v_load(p->x + at), mean);
        v_store(p->dx + at, v_settle(v_fma(v_load(g + at), scale, v_fma(d, slope, level))));
    }
}

static void backward_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    int64_t first = (int64_t)item * CHANNELS_PER_ITEM;
    for (int64_t c = first; c < first + CHANNELS_PER_ITEM; c += VL)
        backward_vector(context, c);
}

static void norm_backward(ib_cpu *cpu, const ib_norm *norm, const ib_norm_pointers *p) {
    struct norm b = {norm, p, ib_pad16(norm->channels)};
    ib_pool_run(cpu->pool, (size_t)(b.c16 / CHANNELS_PER_ITEM), backward_item, &b);
}

IB_ONE_KERNEL(norm, IB_KERNEL(ib_norm_forward), NULL, norm_forward);
IB_ONE_KERNEL(norm, IB_KERNEL(ib_norm_backward), NULL, norm_backward);
