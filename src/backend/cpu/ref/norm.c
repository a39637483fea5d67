/* Batch normalisation by its definition, one channel after another (NUMERICS.md, "Batch
 * normalisation"): as one operation a pass, and in the pieces between which ranks exchange leaf
 * sums. x, y, dy, dx: [n][pixels][C16]. */
#include "reference.h"

/* One channel of a batch; pointers of the pieces, where those of whole passes are found too. */
struct channel {
    const ib_norm *norm;
    const ib_norm_part_pointers *p;
    int64_t c, c16;
};

static int64_t at(const struct channel *k, int64_t row) {
    return row * k->c16 + k->c;
}

static float saved(const struct channel *k, int what) {
    return k->p->saved[what * k->c16 + k->c];
}

/* Sums over the batch: of x; of d = x - mean; of d^2; of g; of g d. */
enum sum_kind { SUM_X, SUM_D, SUM_SQUARES, SUM_G, SUM_PRODUCTS };

static float add_term(const struct channel *k, enum sum_kind kind, float mean, const float *g,
                      int64_t row, float chain) {
    float x = k->p->x[at(k, row)], d = x - mean;
    switch (kind) {
    case SUM_X:
        return chain + x;
    case SUM_D:
        return chain + d;
    case SUM_SQUARES:
        return exact_fma(d, d, chain);
    case SUM_G:
        return chain + g[at(k, row)];
    case SUM_PRODUCTS:
        break;
    }
    return exact_fma(g[at(k, row)], d, chain);
}

/* A chain for each sample, or for each stretch of a large one's pixels; a leaf's in order. */
static float leaf_sum(const struct channel *k, enum sum_kind kind, float mean, const float *g,
                      int64_t leaf) {
    const ib_norm *norm = k->norm;
    int64_t begin = leaf * IB_LEAF, end = begin + IB_LEAF < norm->n ? begin + IB_LEAF : norm->n;
    float sum = 0.0f;
    for (int64_t sample = begin; sample < end; ++sample)
        for (int64_t first = 0; first < norm->pixels; first += IB_CHAIN_PIXELS) {
            float chain = 0.0f;
            for (int64_t pixel = first; pixel < norm->pixels && pixel < first + IB_CHAIN_PIXELS;
                 ++pixel)
                chain = add_term(k, kind, mean, g, sample * norm->pixels + pixel, chain);
            sum = sample == begin && first == 0 ? chain : sum + chain;
        }
    return sum;
}

/* The tree over leaves [first, first + count). */
static float node_sum(const struct channel *k, enum sum_kind kind, float mean, const float *g,
                      int64_t first, int64_t count) {
    if (count == 1)
        return leaf_sum(k, kind, mean, g, first);
    int64_t left = 1;
    while (2 * left < count)
        left *= 2;
    float sum = node_sum(k, kind, mean, g, first, left);
    return sum + node_sum(k, kind, mean, g, first + left, count - left);
}

/* Not settled: that follows the product it enters. */
static float batch_sum(const struct channel *k, enum sum_kind kind, float mean, const float *g) {
    return node_sum(k, kind, mean, g, 0, ib_leaves_of(k->norm->n)) + 0.0f;
}

static float settle_square(float x) {
    return ib_settle_below(x, IB_SETTLE_SQUARE);
}

/* ---- what follows from the sums ---------------------------------------------------------------
 */

/* The first pass's mean, which the second mends. */
static float first_mean(const struct channel *k, float sum) {
    return ib_settle(sum * k->norm->inverse_count);
}

/* Mean and variance of the batch from its sums; moves the running ones. */
static void statistics(const struct channel *k, float first, float deviations, float squares,
                       float *mean, float *variance) {
    const ib_norm *norm = k->norm;
    float *running_mean = k->p->running + k->c, *running_variance = running_mean + k->c16;
    float r = norm->inverse_count, rest = ib_settle(deviations * r);
    *mean = ib_settle(first + rest);
    *variance = ref_relu(exact_fma(-rest, rest, settle_square(settle_square(squares) * r)));
    *running_mean = ib_settle(exact_fma(norm->momentum, *mean - *running_mean, *running_mean));
    /* unbiased is at least 1: its product stays settled */
    *running_variance = ib_settle(exact_fma(
        norm->momentum, *variance * norm->unbiased - *running_variance, *running_variance));
}

static void apply(const struct channel *k, float mean, float variance) {
    const ib_norm *norm = k->norm;
    const ib_norm_part_pointers *p = k->p;
    float inverse = ib_settle(1.0f / exact_sqrt(variance + norm->eps));
    float scale = ib_settle(p->gamma[k->c] * inverse);
    float beta = p->beta[k->c];
    if (norm->training) {
        p->saved[IB_SAVED_MEAN * k->c16 + k->c] = mean;
        p->saved[IB_SAVED_INVERSE * k->c16 + k->c] = inverse;
        p->saved[IB_SAVED_SCALE * k->c16 + k->c] = scale;
        p->saved[IB_SAVED_BETA * k->c16 + k->c] = beta;
    }
    for (int64_t row = 0; row < norm->n * norm->pixels; ++row) {
        float y = exact_fma(p->x[at(k, row)] - mean, scale, beta);
        if (p->add != NULL)
            y = ib_settle(y) + p->add[at(k, row)];
        p->y[at(k, row)] = ref_output(norm->relu, y);
    }
}

/* The gradient before the ReLU. */
static float masked(const struct channel *k, int64_t row) {
    const ib_norm_part_pointers *p = k->p;
    const float *second = p->second != NULL ? &p->second[at(k, row)] : NULL;
    float g = ref_reader_gradient(p->dy[at(k, row)], second);
    if (!k->norm->relu)
        return g;
    if (p->y_kept != NULL)
        return p->y_kept[at(k, row)] > 0.0f ? g : 0.0f;
    float d = p->x[at(k, row)] - saved(k, IB_SAVED_MEAN);
    float y = exact_fma(d, saved(k, IB_SAVED_SCALE), saved(k, IB_SAVED_BETA));
    return y >= 0x1p-40f ? g : 0.0f; /* where the settled y is not +0 */
}

/* From S(g) and S(g d): the parameters' gradients, and dx from g. */
static void input_gradient(const struct channel *k, float sum, float products, const float *g) {
    const ib_norm_part_pointers *p = k->p;
    float mean = saved(k, IB_SAVED_MEAN), inverse = saved(k, IB_SAVED_INVERSE);
    float scale = saved(k, IB_SAVED_SCALE), r = k->norm->inverse_count;
    float dbeta = ib_settle(sum), dgamma = ib_settle(settle_square(products) * inverse);
    p->dbeta[k->c] = dbeta;
    p->dgamma[k->c] = dgamma;
    float slope = ib_settle(-(scale * ib_settle(ib_settle(dgamma * inverse) * r)));
    float level = ib_settle(-(scale * ib_settle(dbeta * r)));
    for (int64_t row = 0; row < k->norm->n * k->norm->pixels; ++row) {
        float d = p->x[at(k, row)] - mean;
        p->dx[at(k, row)] = ib_settle(exact_fma(g[at(k, row)], scale, exact_fma(d, slope, level)));
    }
}

/* ---- whole passes -----------------------------------------------------------------------------
 */

static void forward_channel(const struct channel *k) {
    float mean = k->p->running[k->c], variance = k->p->running[k->c16 + k->c];
    if (k->norm->training) {
        float first = first_mean(k, batch_sum(k, SUM_X, 0.0f, NULL));
        statistics(k, first, batch_sum(k, SUM_D, first, NULL),
                   batch_sum(k, SUM_SQUARES, first, NULL), &mean, &variance);
    }
    apply(k, mean, variance);
}

static void backward_channel(const struct channel *k) {
    float *g = k->p->g != NULL ? k->p->g : k->p->dx;
    for (int64_t row = 0; row < k->norm->n * k->norm->pixels; ++row)
        g[at(k, row)] = masked(k, row);
    float sum = batch_sum(k, SUM_G, 0.0f, g);
    input_gradient(k, sum, batch_sum(k, SUM_PRODUCTS, saved(k, IB_SAVED_MEAN), g), g);
}

static void each_channel(const ib_norm *norm, const ib_norm_part_pointers *p,
                         void (*channel)(const struct channel *k)) {
    int64_t c16 = ib_pad16(norm->channels);
    for (int64_t c = 0; c < c16; ++c)
        channel(&(struct channel){norm, p, c, c16});
}

static ib_norm_part_pointers whole(const ib_norm_pointers *p) {
    return (ib_norm_part_pointers){.x = p->x,
                                   .gamma = p->gamma,
                                   .beta = p->beta,
                                   .add = p->add,
                                   .dy = p->dy,
                                   .second = p->second,
                                   .y_kept = p->y_kept,
                                   .running = p->running,
                                   .saved = p->saved,
                                   .y = p->y,
                                   .g = p->g,
                                   .dx = p->dx,
                                   .dgamma = p->dgamma,
                                   .dbeta = p->dbeta};
}

void IB_REF(ib_norm_forward_run)(ib_cpu *cpu, const ib_norm *norm, const ib_norm_pointers *p) {
    (void)cpu;
    ib_norm_part_pointers all = whole(p);
    each_channel(norm, &all, forward_channel);
}

void IB_REF(ib_norm_backward_run)(ib_cpu *cpu, const ib_norm *norm, const ib_norm_pointers *p) {
    (void)cpu;
    ib_norm_part_pointers all = whole(p);
    each_channel(norm, &all, backward_channel);
}

/* ---- the pieces -------------------------------------------------------------------------------
 */

/* The sums of every leaf, two a channel; the second may be the first's kind: then it is +0. */
static void leaf_sums(const struct channel *k, enum sum_kind first, enum sum_kind second,
                      float mean) {
    for (int64_t leaf = 0; leaf < ib_leaves_of(k->norm->n); ++leaf) {
        float *to = k->p->leaves + leaf * 2 * k->c16 + k->c;
        to[0] = leaf_sum(k, first, mean, k->p->g, leaf);
        to[k->c16] = first == second ? 0.0f : leaf_sum(k, second, mean, k->p->g, leaf);
    }
}

static void sums_channel(const struct channel *k) {
    leaf_sums(k, SUM_X, SUM_X, 0.0f);
}

static void deviations_channel(const struct channel *k) {
    leaf_sums(k, SUM_D, SUM_SQUARES, first_mean(k, k->p->totals[k->c]));
}

static void apply_channel(const struct channel *k) {
    float mean, variance;
    statistics(k, first_mean(k, k->p->totals[k->c]), k->p->totals2[k->c],
               k->p->totals2[k->c16 + k->c], &mean, &variance);
    apply(k, mean, variance);
}

static void gradients_channel(const struct channel *k) {
    for (int64_t row = 0; row < k->norm->n * k->norm->pixels; ++row)
        k->p->g[at(k, row)] = masked(k, row);
    leaf_sums(k, SUM_G, SUM_PRODUCTS, saved(k, IB_SAVED_MEAN));
}

static void input_channel(const struct channel *k) {
    input_gradient(k, k->p->totals[k->c], k->p->totals[k->c16 + k->c], k->p->g);
}

#define PIECE(operation, channel)                                                                  \
    void IB_REF(ib_##operation##_run)(ib_cpu * cpu, const ib_norm_part *norm,                      \
                                      const ib_norm_part_pointers *p) {                            \
        (void)cpu;                                                                                 \
        each_channel(norm, p, channel);                                                            \
    }
PIECE(norm_sums, sums_channel)
PIECE(norm_deviations, deviations_channel)
PIECE(norm_apply, apply_channel)
PIECE(norm_gradients, gradients_channel)
PIECE(norm_input, input_channel)
