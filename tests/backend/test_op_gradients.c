/* Backward operations against differences of forward ones, over small cases of every kind of the
 * case table: for random elements of each input, the change of sum(dy * y), in binary64, by a nudge
 * of the element, against the gradient that the backward operation gives. The inputs are positive
 * (fill SMOOTH), so that no ReLU, and no pool by these nudges, changes its mind. */
#include <math.h>

#include "op_subjects.h"

/* An input by its place among the operands, its gradient among the outputs. */
struct pair {
    int input;
    const char *gradient;
    int64_t offset; /* of the gradient in its output, in floats */
};

struct subject_case {
    const char *name;
    enum op_kind kind;
    const void *item;
    int dy;        /* the operand that holds the gradient of y, from 1; 0: y is one value */
    const char *y; /* the output */
    struct pair pairs[4];
    float step;
    double tolerance; /* of the greatest gradient */
};

static const struct conv_case CONV = {9, 5, 4, 3, 5, 3, 3, 1, 1, 0, 0, 0, SMOOTH};
static const struct conv_case STRIDED = {2, 7, 6, 3, 4, 2, 3, 2, 1, 0, 0, 0, SMOOTH};
static const struct conv_case POOLED = {3, 6, 7, 2, 3, 3, 3, 1, 0, 1, 1, 0, SMOOTH};
static const struct linear_case LINEAR = {9, 21, 7, 0, 0, SMOOTH};
static const struct norm_case NORM = {5, 6, 3, 0, 0, 0, SMOOTH};
static const struct norm_case NORM_ADD = {9, 3, 3, 0, 1, 0, SMOOTH};
static const struct dropout_case DROP = {3, 6, 5, 50, 8, 0, SMOOTH};
static const struct flatten_case FLATTEN = {3, 6, 5, SMOOTH};
static const struct max_pool_case POOL = {2, 6, 5, 3, 3, 2, 1, 0, SMOOTH};
static const struct max_pool_case POOL2 = {2, 7, 5, 3, 2, 2, 0, 0, SMOOTH};
static const struct max_pool_case AVERAGE = {2, 6, 5, 3, 3, 2, 1, 0, SMOOTH};
static const struct pool_case BOTH = {2, 6, 5, 3, 0, SMOOTH};
static const struct softmax_case LOSS = {11, 7, 3.0f};
static const struct softmax_case SMOOTH_LOSS = {11, 7, 3.0f, 0.2f};
static const struct elementwise_case RELU = {32, 0, SMOOTH};

static const struct subject_case CASES[] = {
    {"conv", OP_BARE_CONV, &CONV, 4, "y", {{1, "dx", 0}, {2, "dw", 0}}, 0x1p-6f, 2e-4},
    {"conv with bias",
     OP_CONV,
     &CONV,
     4,
     "y",
     {{1, "dx", 0}, {2, "dw", 0}, {3, "db", 0}},
     0x1p-6f,
     2e-4},
    {"strided conv",
     OP_CONV,
     &STRIDED,
     4,
     "y",
     {{1, "dx", 0}, {2, "dw", 0}, {3, "db", 0}},
     0x1p-6f,
     2e-4},
    {"pooled conv",
     OP_CONV,
     &POOLED,
     4,
     "y",
     {{1, "dx", 0}, {2, "dw", 0}, {3, "db", 0}},
     0x1p-10f,
     3e-3},
    {"linear",
     OP_LINEAR,
     &LINEAR,
     4,
     "y",
     {{1, "dx", 0}, {2, "dw", 0}, {3, "db", 0}},
     0x1p-6f,
     2e-4},
    {"bare linear", OP_BARE_LINEAR, &LINEAR, 4, "y", {{1, "dx", 0}, {2, "dw", 0}}, 0x1p-6f, 2e-4},
    {"norm",
     OP_NORM,
     &NORM,
     4,
     "y",
     {{1, "dx", 0}, {2, "dgamma, dbeta", 0}, {3, "dgamma, dbeta", 16}},
     0x1p-8f,
     4e-3},
    {"norm with another",
     OP_NORM_PARTS,
     &NORM,
     4,
     "y",
     {{1, "dx", 0}, {2, "dgamma, dbeta", 0}, {3, "dgamma, dbeta", 16}},
     0x1p-8f,
     4e-3},
    {"norm, add",
     OP_NORM,
     &NORM_ADD,
     4,
     "y",
     {{1, "dx", 0}, {2, "dgamma, dbeta", 0}, {3, "dgamma, dbeta", 16}, {5, "g", 0}},
     0x1p-8f,
     4e-3},
    {"max-pool, mean", OP_POOL, &BOTH, 2, "mean", {{1, "dx", 0}}, 0x1p-12f, 4e-3},
    {"loss", OP_LOSS, &LOSS, 0, "mean", {{1, "dlogits", 0}}, 0x1p-6f, 4e-3},
    {"smoothed loss", OP_LOSS, &SMOOTH_LOSS, 0, "mean", {{1, "dlogits", 0}}, 0x1p-6f, 4e-3},
    {"dropout", OP_DROPOUT, &DROP, 2, "y", {{1, "dx", 0}}, 0x1p-4f, 1e-4},
    {"flatten", OP_FLATTEN, &FLATTEN, 2, "y", {{1, "dx", 0}}, 0x1p-4f, 1e-4},
    {"max-pool", OP_MAX_POOL, &POOL, 2, "y", {{1, "dx", 0}}, 0x1p-12f, 2e-3},
    {"max-pool 2", OP_MAX_POOL, &POOL2, 2, "y", {{1, "dx", 0}}, 0x1p-12f, 2e-3},
    {"average-pool", OP_AVERAGE_POOL, &AVERAGE, 2, "y", {{1, "dx", 0}}, 0x1p-4f, 1e-4},
    {"relu", OP_ELEMENTWISE, &RELU, 3, "y", {{1, "dx", 0}}, 0x1p-4f, 1e-4},
};

static void run_case(const struct subject_case *c, ib_backend *backend, struct op_run *run) {
    uint64_t salt = 500; /* even: no input scale */
    switch (c->kind) {
    case OP_CONV:
        run_conv(c->item, 0, 0, salt, backend, run);
        break;
    case OP_BARE_CONV:
        run_conv(c->item, 1, 0, salt, backend, run);
        break;
    case OP_LINEAR:
        run_linear(c->item, 0, 0, salt, backend, run);
        break;
    case OP_BARE_LINEAR:
        run_linear(c->item, 1, 0, salt, backend, run);
        break;
    case OP_NORM:
        run_norm(c->item, salt, backend, run);
        break;
    case OP_NORM_PARTS:
        run_norm_parts(c->item, salt, backend, run);
        break;
    case OP_DROPOUT:
        run_dropout(c->item, salt, backend, run);
        break;
    case OP_FLATTEN:
        run_flatten(c->item, salt, backend, run);
        break;
    case OP_MAX_POOL:
        run_max_pool(c->item, salt, backend, run);
        break;
    case OP_AVERAGE_POOL:
        run_average_pool(c->item, salt, backend, run);
        break;
    case OP_POOL:
        run_pool(c->item, salt, backend, run);
        break;
    case OP_LOSS:
        run_softmax(c->item, 1, salt, backend, run);
        break;
    case OP_ELEMENTWISE:
        run_elementwise(c->item, salt, backend, run);
        break;
    default:
        fail_msg("%s: no such kind here", c->name);
    }
    if (run->status != IB_OK)
        fail_msg("%s: %s", c->name, ib_error_text(&run->err));
}

static const struct operand *result_named(const struct op_run *run, const char *name) {
    for (int i = 0; i < run->output_count; ++i)
        if (strcmp(run->outputs[i].name, name) == 0)
            return run_result(run, i);
    fail_msg("no output %s", name);
    return NULL;
}

static const float *floats(const struct operand *operand) {
    return (const float *)(const void *)operand->host;
}

/* sum(dy * y) with one element of an input moved. */
static double objective(const struct subject_case *c, ib_backend *backend, int input,
                        size_t element, float by) {
    struct op_run run = {.nudge = {input, element, by}};
    double sum = 0;
    run_case(c, backend, &run);
    const struct operand *y = result_named(&run, c->y);
    const struct operand *dy = c->dy > 0 ? &run.operands[c->dy - 1] : NULL;
    assert_int_equal(y->bytes, dy != NULL ? dy->bytes : sizeof(float));
    for (size_t i = 0; i < y->bytes / sizeof(float); ++i)
        sum += (dy != NULL ? (double)floats(dy)[i] : 1.0) * (double)floats(y)[i];
    run_close(&run);
    return sum;
}

static unsigned check_pair(const struct subject_case *c, const struct pair *pair,
                           ib_backend *backend, const struct op_run *run) {
    const struct operand *input = &run->operands[pair->input - 1];
    const float *x = floats(input), *gradient = floats(result_named(run, pair->gradient));
    size_t count = input->bytes / sizeof(float), tried = 0;
    double greatest = 0;
    for (size_t i = 0; i < count; ++i)
        greatest = fmax(greatest, fabs((double)gradient[pair->offset + (int64_t)i]));
    for (size_t k = 0; k < count && tried < 60; ++k) {
        size_t at = k * 7919 % count;
        if (x[at] == 0) /* padding */
            continue;
        float up = x[at] + c->step, down = x[at] - c->step;
        double change = objective(c, backend, pair->input, at, c->step) -
                        objective(c, backend, pair->input, at, -c->step);
        double want = change / ((double)up - (double)down);
        double got = (double)gradient[pair->offset + (int64_t)at];
        if (!(fabs(got - want) <= c->tolerance * greatest))
            fail_msg("%s: %s of element %zu is %.7g, by differences %.7g (of at most %.4g)",
                     c->name, pair->gradient, at, got, want, greatest);
        ++tried;
    }
    assert_true(tried > 0 && greatest > 0);
    return (unsigned)tried;
}

static void gradients_are_differences(void **state) {
    unsigned checks = 0;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); ++i) {
        struct op_run run = {0};
        run_case(&CASES[i], reference, &run);
        for (int p = 0; p < 4 && CASES[i].pairs[p].input != 0; ++p)
            checks += check_pair(&CASES[i], &CASES[i].pairs[p], reference, &run);
        run_close(&run);
    }
    print_message("%u gradients\n", checks);
    assert_true(checks > 500);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(gradients_are_differences)};
    ib_fp_enter();
    return cmocka_run_group_tests_name("gradients of operations", tests, open_subjects,
                                       close_subjects);
}
