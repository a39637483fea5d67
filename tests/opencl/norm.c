/* Batch normalisation, forward and backward, and the mean over pixels as a GPU would share them
 * out: a chain a sample and channel, then the tree, then one work-item an element. */
#include "norm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend/cpu/cpu.h"

struct norm_case {
    int n, pixels, channels, relu, add, second;
    enum fill fill;
};

static const struct norm_case CASES[] = {
    {32, 49, 64, 1, 1, 1, PLAIN}, {9, 196, 64, 1, 0, 0, PLAIN},  {33, 1, 80, 0, 0, 0, PLAIN},
    {17, 4, 48, 1, 1, 0, WILD},   {64, 4, 16, 1, 0, 1, PLAIN},   {7, 16, 32, 0, 1, 1, WILD},
    {9, 49, 32, 1, 1, 1, TINY},   {9, 2100, 16, 1, 1, 1, PLAIN}, {3, 1030, 32, 0, 0, 0, TINY},
};

struct norm {
    ib_norm shape;
    int64_t c16, rows;
    struct array *x, *gamma, *beta, *added, *running, *saved, *y;
    struct array *dy, *second, *g, *dx, *dgamma, *dbeta, *means;
};

/* The operands and the CPU's results. */
static struct norm norm_on_cpu(struct test *t, const struct norm_case *c) {
    struct norm v = {.shape = {.n = c->n,
                               .pixels = c->pixels,
                               .channels = c->channels,
                               .training = 1,
                               .relu = c->relu,
                               .momentum = 0.1f,
                               .eps = 1e-5f}};
    ib_error err = {0};
    ib_norm_scalars(&v.shape, c->n);
    v.c16 = ib_pad16(c->channels);
    v.rows = (int64_t)c->n * c->pixels;
    v.x = drawn(t, "x", v.rows, c->channels, v.c16, c->fill);
    v.gamma = drawn(t, "gamma", 1, c->channels, v.c16, c->fill);
    v.beta = drawn(t, "beta", 1, c->channels, v.c16, c->fill);
    v.added = drawn(t, "added", v.rows, c->channels, v.c16, c->fill);
    v.dy = drawn(t, "dy", v.rows, c->channels, v.c16, c->fill);
    v.second = drawn(t, "second", v.rows, c->channels, v.c16, c->fill);
    v.running = zeros(t, "running", 2 * v.c16);
    v.saved = zeros(t, "saved", IB_SAVED_COUNT * v.c16);
    v.y = zeros(t, "norm y", v.rows * v.c16);
    v.g = zeros(t, "norm g", v.rows * v.c16);
    v.dx = zeros(t, "norm dx", v.rows * v.c16);
    v.dgamma = zeros(t, "dgamma", v.c16);
    v.dbeta = zeros(t, "dbeta", v.c16);
    v.means = zeros(t, "means", c->n * v.c16);
    const ib_buffer none = {0};
    ib_norm_operands forward = {.x = v.x->cpu,
                                .gamma = v.gamma->cpu,
                                .beta = v.beta->cpu,
                                .running = v.running->cpu,
                                .saved = v.saved->cpu,
                                .add = c->add ? v.added->cpu : none,
                                .y = v.y->cpu};
    ib_norm_operands backward = {.x = v.x->cpu,
                                 .saved = v.saved->cpu,
                                 .y_kept = c->add ? v.y->cpu : none,
                                 .dy = v.dy->cpu,
                                 .second = c->second ? v.second->cpu : none,
                                 .g = v.g->cpu,
                                 .dx = v.dx->cpu,
                                 .dgamma = v.dgamma->cpu,
                                 .dbeta = v.dbeta->cpu};
    ib_mean mean = {c->n, c->pixels, c->channels, (float)(1.0 / (double)c->pixels)};
    ib_mean_operands means = {.x = v.x->cpu, .y = v.means->cpu};
    must(ib_plan_norm_forward(t->backend, &v.shape, &err), &err);
    must(ib_plan_norm_backward(t->backend, &v.shape, &err), &err);
    must(ib_norm_forward(t->backend, &v.shape, &forward, &err), &err);
    must(ib_norm_backward(t->backend, &v.shape, &backward, &err), &err);
    must(ib_mean_forward(t->backend, &mean, &means, &err), &err);
    return v;
}

/* The sums over the batch of x - mean and its square, or of g and g (x - mean). */
static void products(struct test *t, const struct norm *v, const struct array *mean,
                     const struct array *g, const struct array *first, const struct array *second) {
    int64_t stretches = ib_chain_stretches(v->shape.pixels), rows = v->shape.n * stretches;
    struct array *chains = zeros(t, "chains", rows * v->c16);
    struct array *more = zeros(t, "more chains", rows * v->c16);
    DEVICE_RUN(&t->device, "norm_products", NULL, v->c16, rows, 1, ARGUMENT_INT(v->shape.pixels),
               ARGUMENT_INT(stretches), ARGUMENT(v->x->gpu), ARGUMENT(mean->gpu),
               ARGUMENT_INT(g != NULL), ARGUMENT((g != NULL ? g : v->x)->gpu),
               ARGUMENT(chains->gpu), ARGUMENT(more->gpu));
    leaf_tree(t, v->c16, rows, IB_LEAF * stretches, g != NULL, chains, first);
    leaf_tree(t, v->c16, rows, IB_LEAF * stretches, 0, more, second);
}

static void forward_on_device(struct test *t, const struct norm *v, int add) {
    int64_t stretches = ib_chain_stretches(v->shape.pixels), rows = v->shape.n * stretches;
    struct array *chains = zeros(t, "chains", rows * v->c16);
    struct array *sums = zeros(t, "sums", v->c16), *mean = zeros(t, "mean", v->c16);
    struct array *rests = zeros(t, "rests", v->c16), *squares = zeros(t, "squares", v->c16);
    DEVICE_RUN(&t->device, "norm_sums", NULL, v->c16, rows, 1, ARGUMENT_INT(v->shape.pixels),
               ARGUMENT_INT(stretches), ARGUMENT(v->x->gpu), ARGUMENT(chains->gpu));
    leaf_tree(t, v->c16, rows, IB_LEAF * stretches, 0, chains, sums);
    DEVICE_RUN(&t->device, "norm_mean", NULL, v->c16, 1, 1, ARGUMENT(sums->gpu),
               ARGUMENT(v->shape.inverse_count), ARGUMENT(mean->gpu));
    products(t, v, mean, NULL, rests, squares);
    DEVICE_RUN(&t->device, "norm_statistics", NULL, v->c16, 1, 1, ARGUMENT(mean->gpu),
               ARGUMENT(rests->gpu), ARGUMENT(squares->gpu), ARGUMENT(v->shape.inverse_count),
               ARGUMENT(v->shape.unbiased), ARGUMENT(v->shape.momentum), ARGUMENT(v->shape.eps),
               ARGUMENT(v->gamma->gpu), ARGUMENT(v->beta->gpu), ARGUMENT(v->running->gpu),
               ARGUMENT(v->saved->gpu));
    DEVICE_RUN(&t->device, "norm_outputs", NULL, v->c16, v->rows, 1, ARGUMENT(v->x->gpu),
               ARGUMENT(v->saved->gpu), ARGUMENT_INT(add), ARGUMENT(v->added->gpu),
               ARGUMENT_INT(v->shape.relu), ARGUMENT(v->y->gpu));
}

static void backward_on_device(struct test *t, const struct norm *v, int second) {
    struct array *sums = zeros(t, "products", v->c16);
    DEVICE_RUN(&t->device, "norm_masked", NULL, v->c16, v->rows, 1, ARGUMENT(v->dy->gpu),
               ARGUMENT_INT(second), ARGUMENT(v->second->gpu), ARGUMENT_INT(v->shape.relu),
               ARGUMENT(v->y->gpu), ARGUMENT(v->g->gpu));
    products(t, v, v->saved, v->g, v->dbeta, sums); /* saved begins with the mean */
    DEVICE_RUN(&t->device, "norm_input_gradients", NULL, v->c16, v->rows, 1, ARGUMENT(v->x->gpu),
               ARGUMENT(v->saved->gpu), ARGUMENT(v->g->gpu), ARGUMENT(v->dbeta->gpu),
               ARGUMENT(sums->gpu), ARGUMENT(v->shape.inverse_count), ARGUMENT(v->dgamma->gpu),
               ARGUMENT(v->dx->gpu));
}

void normalisations(void **state) {
    struct test *t = able(state);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; ++i) {
        struct norm v = norm_on_cpu(t, &CASES[i]);
        forward_on_device(t, &v, CASES[i].add);
        compare(t, v.running);
        compare(t, v.saved);
        compare(t, v.y);
        backward_on_device(t, &v, CASES[i].second);
        compare(t, v.g);
        compare(t, v.dbeta);
        compare(t, v.dgamma);
        compare(t, v.dx);
        DEVICE_RUN(&t->device, "mean_outputs", NULL, v.c16, v.shape.n, 1,
                   ARGUMENT_INT(v.shape.pixels),
                   ARGUMENT_FLOAT((float)(1.0 / (double)v.shape.pixels)), ARGUMENT(v.x->gpu),
                   ARGUMENT(v.means->gpu));
        compare(t, v.means);
        arrays_drop(t);
    }
}
