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

/* A chain a sample; a leaf's samples in order; the tree. */
static float batch_sum(const struct channel *k, enum sum_kind kind, float mean, const float *g) {
    const ib_norm *norm = k->norm;
    int64_t leaves = (norm->n + IB_LEAF - 1) / IB_LEAF;
    float stack[IB_MAX_LEAF_LEVELS] = {0};
    for (int64_t leaf = 0; leaf < leaves; ++leaf) {
        int64_t begin = leaf * IB_LEAF, end = begin + IB_LEAF < norm->n ? begin + IB_LEAF : norm->n;
        float sum = 0.0f;
        for (int64_t sample = begin; sample < end; ++sample) {
            float chain = 0.0f;
            for (int64_t pixel = 0; pixel < norm->pixels; ++pixel)
                chain = add_term(k, kind, mean, g, sample * norm->pixels + pixel, chain);
            sum = sample == begin ? chain : sum + chain;
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

static void forward_channel(const struct channel *k) {
    const ib_norm *norm = k->norm;
    const ib_norm_pointers *p = k->p;
    float *running_mean = p->running + k->c, *running_variance = p->running + k->c16 + k->c;
    float mean = *running_mean, variance = *running_variance;
    if (norm->training) {
        float first = batch_sum(k, SUM_X, 0.0f, NULL) * norm->inverse_count;
        float rest = batch_sum(k, SUM_D, first, NULL) * norm->inverse_count;
        float squares = batch_sum(k, SUM_SQUARES, first, NULL) * norm->inverse_count;
        mean = first + rest;
        variance = exact_fma(-rest, rest, squares);
        variance = variance > 0.0f ? variance : 0.0f;
        *running_mean = exact_fma(norm->momentum, mean - *running_mean, *running_mean);
        *running_variance = exact_fma(norm->momentum, variance * norm->unbiased - *running_variance,
                                      *running_variance);
    }
    float inverse = 1.0f / exact_sqrt(variance + norm->eps);
    float scale = p->gamma[k->c] * inverse;
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
            y = y + p->add[at(k, row)];
        p->y[at(k, row)] = norm->relu ? ref_relu(y) : y;
    }
}

/* The gradient before the ReLU. */
static float masked(const struct channel *k, int64_t row) {
    const ib_norm_pointers *p = k->p;
    float g = p->dy[at(k, row)];
    if (p->second != NULL)
        g = g + p->second[at(k, row)];
    if (!k->norm->relu)
        return g;
    if (p->y_kept != NULL)
        return p->y_kept[at(k, row)] > 0.0f ? g : 0.0f;
    const float *saved = p->saved + k->c;
    float d = p->x[at(k, row)] - saved[IB_SAVED_MEAN * k->c16];
    float y = exact_fma(d, saved[IB_SAVED_SCALE * k->c16], saved[IB_SAVED_BETA * k->c16]);
    return y > 0.0f ? g : 0.0f;
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
    float sum = batch_sum(k, SUM_G, 0.0f, g);
    float dgamma = batch_sum(k, SUM_PRODUCTS, mean, g) * inverse;
    p->dbeta[k->c] = sum;
    p->dgamma[k->c] = dgamma;
    float slope = -(scale * ((dgamma * inverse) * r)), level = -(scale * (sum * r));
    for (int64_t row = 0; row < rows; ++row) {
        float d = p->x[at(k, row)] - mean;
        p->dx[at(k, row)] = exact_fma(g[at(k, row)], scale, exact_fma(d, slope, level));
    }
}

void IB_REF(ib_norm_forward_run)(ib_cpu *cpu, const ib_norm *norm, const ib_norm_pointers *p) {
    (void)cpu;
    for (int64_t c = 0; c < ib_pad16(norm->channels); ++c)
        forward_channel(&(struct channel){norm, p, c, ib_pad16(norm->channels)});
}

void IB_REF(ib_norm_backward_run)(ib_cpu *cpu, const ib_norm *norm, const ib_norm_pointers *p) {
    (void)cpu;
    for (int64_t c = 0; c < ib_pad16(norm->channels); ++c)
        backward_channel(&(struct channel){norm, p, c, ib_pad16(norm->channels)});
}
