/* Batch normalisation by its definition, one channel after another (NUMERICS.md, "Batch
 * normalisation"). x, y, dy, dx: [n][pixels][C16]. */
#include "../leaf_tree.h"
#include "reference.h"

/* One channel of a batch. */
struct channel {
    const ib_norm *norm;
    const ib_norm_pointers *p;
    int64_t c, c16;
};

static int64_t at(const struct channel *k, int64_t row) {
    return row * k->c16 + k->c;
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

/* A chain for each sample, or for each stretch of a large one's pixels; a leaf's in order; the
 * tree. Not settled: that follows the product it enters. */
static float batch_sum(const struct channel *k, enum sum_kind kind, float mean, const float *g) {
    const ib_norm *norm = k->norm;
    int64_t leaves = (norm->n + IB_LEAF - 1) / IB_LEAF;
    float stack[IB_MAX_LEAF_LEVELS] = {0};
    for (int64_t leaf = 0; leaf < leaves; ++leaf) {
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
        int rest = ib_leaf_rest_level(leaf);
        for (int level = 0; level < rest; ++level)
            sum = stack[level] + sum;
        stack[rest] = sum;
    }
    float total = 0.0f;
    int first = 1;
    for (int level = 0; level < IB_MAX_LEAF_LEVELS; ++level)
        if ((leaves >> level) & 1) {
            total = first ? stack[level] : stack[level] + total;
            first = 0;
        }
    return total + 0.0f;
}

static float settle_square(float x) {
    return ib_settle_below(x, IB_SETTLE_SQUARE);
}

static void forward_channel(const struct channel *k) {
    const ib_norm *norm = k->norm;
    const ib_norm_pointers *p = k->p;
    float *running_mean = p->running + k->c, *running_variance = p->running + k->c16 + k->c;
    float mean = *running_mean, variance = *running_variance;
    if (norm->training) {
        float r = norm->inverse_count;
        float first = ib_settle(batch_sum(k, SUM_X, 0.0f, NULL) * r);
        float rest = ib_settle(batch_sum(k, SUM_D, first, NULL) * r);
        float squares = settle_square(batch_sum(k, SUM_SQUARES, first, NULL));
        mean = ib_settle(first + rest);
        variance = ref_relu(exact_fma(-rest, rest, settle_square(squares * r)));
        *running_mean = ib_settle(exact_fma(norm->momentum, mean - *running_mean, *running_mean));
        /* unbiased is at least 1: its product stays settled */
        *running_variance = ib_settle(exact_fma(
            norm->momentum, variance * norm->unbiased - *running_variance, *running_variance));
    }
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
    const ib_norm_pointers *p = k->p;
    const float *second = p->second != NULL ? &p->second[at(k, row)] : NULL;
    float g = ref_reader_gradient(p->dy[at(k, row)], second);
    if (!k->norm->relu)
        return g;
    if (p->y_kept != NULL)
        return p->y_kept[at(k, row)] > 0.0f ? g : 0.0f;
    const float *saved = p->saved + k->c;
    float d = p->x[at(k, row)] - saved[IB_SAVED_MEAN * k->c16];
    float y = exact_fma(d, saved[IB_SAVED_SCALE * k->c16], saved[IB_SAVED_BETA * k->c16]);
    return y >= 0x1p-40f ? g : 0.0f; /* where the settled y is not +0 */
}

static void backward_channel(const struct channel *k) {
    const ib_norm_pointers *p = k->p;
    int64_t rows = k->norm->n * k->norm->pixels;
    float mean = p->saved[IB_SAVED_MEAN * k->c16 + k->c];
    float inverse = p->saved[IB_SAVED_INVERSE * k->c16 + k->c];
    float scale = p->saved[IB_SAVED_SCALE * k->c16 + k->c], r = k->norm->inverse_count;
    float *g = p->g != NULL ? p->g : p->dx;
    for (int64_t row = 0; row < rows; ++row)
        g[at(k, row)] = masked(k, row);
    float sum = ib_settle(batch_sum(k, SUM_G, 0.0f, g));
    float dgamma = ib_settle(settle_square(batch_sum(k, SUM_PRODUCTS, mean, g)) * inverse);
    p->dbeta[k->c] = sum;
    p->dgamma[k->c] = dgamma;
    float slope = ib_settle(-(scale * ib_settle(ib_settle(dgamma * inverse) * r)));
    float level = ib_settle(-(scale * ib_settle(sum * r)));
    for (int64_t row = 0; row < rows; ++row) {
        float d = p->x[at(k, row)] - mean;
        p->dx[at(k, row)] = ib_settle(exact_fma(g[at(k, row)], scale, exact_fma(d, slope, level)));
    }
}

void IB_REF(ib_norm_forward)(ib_cpu *cpu, const ib_norm *norm, const ib_norm_pointers *p) {
    (void)cpu;
    for (int64_t c = 0; c < ib_pad16(norm->channels); ++c)
        forward_channel(&(struct channel){norm, p, c, ib_pad16(norm->channels)});
}

void IB_REF(ib_norm_backward)(ib_cpu *cpu, const ib_norm *norm, const ib_norm_pointers *p) {
    (void)cpu;
    for (int64_t c = 0; c < ib_pad16(norm->channels); ++c)
        backward_channel(&(struct channel){norm, p, c, ib_pad16(norm->channels)});
}
