/* Every operation case by its kind and number: what test_ops.c compares, test_op_gradients.c
 * differentiates and numerics/numerics.c hashes. */
#ifndef TESTS_BACKEND_OP_TABLE_H
#define TESTS_BACKEND_OP_TABLE_H

#include "op_run.h"
#include "op_run_layers.h"

/* Kind, name, cases, what runs one. Never reordered: a case's inputs come from its kind's number
 * and its own. */
#define OP_TABLE(ROW)                                                                              \
    ROW(CONV, "conv", CONV_CASES, run_conv(k, 0, 0, salt, backend, run))                           \
    ROW(LINEAR, "linear", LINEAR_CASES, run_linear(k, 0, 0, salt, backend, run))                   \
    ROW(SOFTMAX, "softmax", SOFTMAX_CASES, run_softmax(k, 0, salt, backend, run))                  \
    ROW(UPDATE, "update", UPDATE_CASES, run_update(k, salt, backend, run))                         \
    ROW(LOAD, "load", LOAD_CASES, run_load(k, salt, backend, run))                                 \
    ROW(BARE_CONV, "bare-conv", BARE_CONV_CASES, run_conv(k, 1, 0, salt, backend, run))            \
    ROW(NORM, "norm", NORM_CASES, run_norm(k, salt, backend, run))                                 \
    ROW(POOL, "pool", POOL_CASES, run_pool(k, salt, backend, run))                                 \
    ROW(ELEMENTWISE, "elementwise", ELEMENTWISE_CASES, run_elementwise(k, salt, backend, run))     \
    ROW(DROPOUT, "dropout", DROPOUT_CASES, run_dropout(k, salt, backend, run))                     \
    ROW(FLATTEN, "flatten", FLATTEN_CASES, run_flatten(k, salt, backend, run))                     \
    ROW(MAX_POOL, "max-pool", MAX_POOL_CASES, run_max_pool(k, salt, backend, run))                 \
    ROW(CLASSIFY, "classify", CLASSIFY_CASES, run_classify(k, salt, backend, run))                 \
    ROW(TREE, "tree", TREE_CASES, run_tree(k, salt, backend, run))                                 \
    ROW(IMAGES, "images", IMAGES_CASES, run_images(k, salt, backend, run))                         \
    ROW(BARE_LINEAR, "bare-linear", BARE_LINEAR_CASES, run_linear(k, 1, 0, salt, backend, run))    \
    ROW(LATE_CONV, "late-conv", LATE_CONV_CASES, run_conv(k, 0, LATE_FIRST, salt, backend, run))   \
    ROW(LATE_LINEAR, "late-linear", LATE_LINEAR_CASES,                                             \
        run_linear(k, 0, LATE_FIRST, salt, backend, run))                                          \
    ROW(NORM_PARTS, "norm-parts", NORM_PARTS_CASES, run_norm_parts(k, salt, backend, run))         \
    ROW(LOSS, "loss", LOSS_CASES, run_softmax(k, 1, salt, backend, run))                           \
    ROW(AVERAGE_POOL, "average-pool", AVERAGE_POOL_CASES, run_average_pool(k, salt, backend, run)) \
    ROW(SMOOTH_LOSS, "smooth-loss", SMOOTH_LOSS_CASES, run_softmax(k, 1, salt, backend, run))      \
    ROW(AVERAGE, "average", AVERAGE_CASES, run_average(k, salt, backend, run))                     \
    ROW(AUGMENT, "augment", AUGMENT_CASES, run_images(k, salt, backend, run))

enum op_kind {
#define ROW(id, name, cases, call) OP_##id,
    OP_TABLE(ROW)
#undef ROW
        OP_KINDS
};

static inline const char *op_name(enum op_kind op) {
    static const char *const NAMES[OP_KINDS] = {
#define ROW(id, name, cases, call) name,
        OP_TABLE(ROW)
#undef ROW
    };
    return NAMES[op];
}

static inline size_t op_case_count(enum op_kind op) {
    static const size_t COUNTS[OP_KINDS] = {
#define ROW(id, name, cases, call) COUNT_OF(cases),
        OP_TABLE(ROW)
#undef ROW
    };
    return COUNTS[op];
}

/* The case where it is one of a convolution (of a linear layer), else NULL. */
static inline const struct conv_case *op_conv_case(enum op_kind op, size_t index) {
    return op == OP_CONV        ? &CONV_CASES[index]
           : op == OP_BARE_CONV ? &BARE_CONV_CASES[index]
           : op == OP_LATE_CONV ? &LATE_CONV_CASES[index]
                                : NULL;
}
static inline const struct linear_case *op_linear_case(enum op_kind op, size_t index) {
    return op == OP_LINEAR        ? &LINEAR_CASES[index]
           : op == OP_BARE_LINEAR ? &BARE_LINEAR_CASES[index]
           : op == OP_LATE_LINEAR ? &LATE_LINEAR_CASES[index]
                                  : NULL;
}

static inline double op_case_macs(enum op_kind op, size_t index) {
    const struct conv_case *conv = op_conv_case(op, index);
    const struct linear_case *linear = op_linear_case(op, index);
    return conv != NULL ? conv_case_macs(conv) : linear != NULL ? linear_case_macs(linear) : 0;
}

/* The caller closes the run. */
static inline void run_op(enum op_kind op, size_t index, ib_backend *backend, struct op_run *run) {
    uint64_t salt = (uint64_t)op << 32 | index;
    switch (op) {
#define ROW(id, name, cases, call)                                                                 \
    case OP_##id: {                                                                                \
        __typeof__(&(cases)[0]) k = &(cases)[index];                                               \
        call;                                                                                      \
        break;                                                                                     \
    }
        OP_TABLE(ROW)
#undef ROW
    case OP_KINDS:
        abort();
    }
}

#endif
