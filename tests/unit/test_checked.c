/* The checks before a backend, for every operation of the list: no shape, however large or wrong,
 * is let through to it, none of the checks overflows on the way (the sanitizer build counts), and
 * no operand may be missing or one byte too small. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "backend/backend.h"

static ib_backend *backend;
static ib_buffer memory; /* cut into exactly sized operands */

enum { MEMORY = 1 << 20, MOST_OPERANDS = 20, MOST_SIZES = 10 };

/* ---- the operations, alike --------------------------------------------------------------------
 */

/* The smallest shapes that are right, and the members of each that must be sizes. */
static const ib_load SMALL_load = {1, 3, 3, 48};
static const ib_conv SMALL_conv = {
    .n = 1, .h = 3, .w = 3, .ci = 2, .co = 1, .kh = 3, .kw = 3, .stride = 1};
static const ib_linear SMALL_linear = {.n = 1, .in = 1, .out = 1};
static const ib_norm SMALL_norm = {1, 1, 1, .training = 1, .momentum = 0.1f, .eps = 1e-5f};
static const ib_norm_part SMALL_norm_part = {1,           1, 1, .training = 1, .momentum = 0.1f,
                                             .eps = 1e-5f};
static const ib_max_pool SMALL_max_pool = {1, 3, 3, 1, 2, 1, 0};
static const ib_average_pool SMALL_average_pool = {1, 3, 3, 1, 2, 1, 0, 0.25f};
static const ib_mean SMALL_mean = {1, 1, 1, 1.0f};
static const ib_elementwise SMALL_elementwise = {16, 0};
static const ib_drop SMALL_drop = {.n = 1, .pixels = 1, .channels = 1};
static const ib_flatten SMALL_flatten = {1, 1, 1};
static const ib_loss SMALL_loss = {1, 2, 1.0f, 1};
static const ib_update SMALL_update = {.kind = IB_ADAM, .count = 16};
static const ib_average SMALL_average = {16, 0.5f, 0};
static const ib_tree SMALL_tree = {2, 16};

#define SIZES_load(S)         S(n) S(pixels) S(channels) S(stride)
#define SIZES_conv(S)         S(n) S(h) S(w) S(ci) S(co) S(kh) S(kw) S(stride)
#define SIZES_linear(S)       S(n) S(in) S(out)
#define SIZES_norm(S)         S(n) S(pixels) S(channels)
#define SIZES_norm_part(S)    S(n) S(pixels) S(channels)
#define SIZES_max_pool(S)     S(n) S(h) S(w) S(channels) S(kernel) S(stride)
#define SIZES_average_pool(S) S(n) S(h) S(w) S(channels) S(kernel) S(stride)
#define SIZES_mean(S)         S(n) S(pixels) S(channels)
#define SIZES_elementwise(S)  S(count)
#define SIZES_drop(S)         S(n) S(pixels) S(channels)
#define SIZES_flatten(S)      S(n) S(pixels) S(channels)
#define SIZES_loss(S)         S(n) S(classes)
#define SIZES_update(S)       S(count)
#define SIZES_average(S)      S(count)
#define SIZES_tree(S)         S(leaves) S(width)

struct operand {
    const char *name;
    size_t offset; /* in the operands */
    int64_t elements;
    size_t element_bytes;
};

union shape {
#define IB_OPERATION(name, kind, direction) ib_##kind name;
#include "backend/operations.inc"
#undef IB_OPERATION
};
union operands {
#define IB_OPERATION(name, kind, direction) ib_##kind##_operands name;
#include "backend/operations.inc"
#undef IB_OPERATION
};

struct operation {
    const char *name;
    const void *small;
    size_t shape_bytes, sizes[MOST_SIZES], size_count;
    ib_status (*plan)(const void *shape, ib_error *err);
    ib_status (*run)(const void *shape, const void *operands, ib_error *err);
    size_t (*list)(const void *shape, struct operand *list);
};

#define LIST(type, member)                                                                         \
    list[count++] =                                                                                \
        (struct operand){#member, (size_t)((const char *)&at.member - (const char *)&at),          \
                         sizes.member, sizeof(type)};
#define IB_OPERATION(operation, kind, direction)                                                   \
    static ib_status plan_##operation(const void *shape, ib_error *err) {                          \
        return ib_plan_##operation(backend, shape, err);                                           \
    }                                                                                              \
    static ib_status run_##operation(const void *shape, const void *operands, ib_error *err) {     \
        return ib_##operation(backend, shape, operands, err);                                      \
    }                                                                                              \
    static size_t list_##operation(const void *shape, struct operand *list) {                      \
        ib_##kind##_sizes sizes;                                                                   \
        ib_##kind##_operands at;                                                                   \
        size_t count = 0;                                                                          \
        ib_##kind##_need(shape, direction, &sizes);                                                \
        IB_OPERANDS_##kind(LIST, LIST) return count;                                               \
    }
#include "backend/operations.inc"
#undef IB_OPERATION

#define SIZE_COUNT(member) +1

static const struct operation OPERATIONS[] = {
#define IB_OPERATION(operation, kind, direction)                                                   \
    {#operation,                                                                                   \
     &SMALL_##kind,                                                                                \
     sizeof(ib_##kind),                                                                            \
     {SIZES_##kind(SIZE_OF_##kind)},                                                               \
     0 SIZES_##kind(SIZE_COUNT),                                                                   \
     plan_##operation,                                                                             \
     run_##operation,                                                                              \
     list_##operation},
#define SIZE_OF_load(m)         offsetof(ib_load, m),
#define SIZE_OF_conv(m)         offsetof(ib_conv, m),
#define SIZE_OF_linear(m)       offsetof(ib_linear, m),
#define SIZE_OF_norm(m)         offsetof(ib_norm, m),
#define SIZE_OF_norm_part(m)    offsetof(ib_norm_part, m),
#define SIZE_OF_max_pool(m)     offsetof(ib_max_pool, m),
#define SIZE_OF_average_pool(m) offsetof(ib_average_pool, m),
#define SIZE_OF_mean(m)         offsetof(ib_mean, m),
#define SIZE_OF_elementwise(m)  offsetof(ib_elementwise, m),
#define SIZE_OF_drop(m)         offsetof(ib_drop, m),
#define SIZE_OF_flatten(m)      offsetof(ib_flatten, m),
#define SIZE_OF_loss(m)         offsetof(ib_loss, m),
#define SIZE_OF_update(m)       offsetof(ib_update, m),
#define SIZE_OF_average(m)      offsetof(ib_average, m),
#define SIZE_OF_tree(m)         offsetof(ib_tree, m),
#include "backend/operations.inc"
#undef IB_OPERATION
};
enum { OPERATION_COUNT = sizeof OPERATIONS / sizeof OPERATIONS[0] };

static int open_backend(void **state) {
    static const uint8_t IMAGE[64];
    static const uint16_t LABEL;
    ib_backend_options options = {"cpu", "auto", 1};
    ib_data_view data = {.part = {{IMAGE, 1}}, .labels = &LABEL, .image_bytes = sizeof IMAGE};
    (void)state;
    return ib_backend_open(&options, &backend, NULL) != IB_OK ||
           backend->ops->buffer_create(backend, MEMORY, &memory, NULL) != IB_OK ||
           backend->ops->attach_data(backend, &data, NULL) != IB_OK;
}

static int close_backend(void **state) {
    (void)state;
    backend->ops->buffer_destroy(backend, &memory);
    ib_backend_close(backend);
    return 0;
}

/* Every operand of this shape, exactly as large as it must be, 64-byte aligned and apart. */
static size_t exact_operands(const struct operation *o, const void *shape, struct operand *list,
                             union operands *operands) {
    size_t count = o->list(shape, list), at = 0;
    assert_true(count <= MOST_OPERANDS);
    memset(operands, 0, sizeof *operands);
    for (size_t i = 0; i < count; ++i) {
        int64_t elements = list[i].elements < 0 ? -list[i].elements : list[i].elements;
        size_t bytes = (size_t)elements * list[i].element_bytes;
        ib_buffer part = ib_buffer_part(&memory, at, bytes);
        if (elements != 0)
            memcpy((char *)operands + list[i].offset, &part, sizeof part);
        at += (bytes + 127) / 64 * 64;
    }
    assert_true(at <= MEMORY);
    return count;
}

static void refused(const struct operation *o, const char *how, ib_status status, ib_error *err) {
    if (status != IB_ERROR_RUNTIME || strstr(ib_error_text(err), o->name) == NULL)
        fail_msg("%s, %s: status %d, '%s'", o->name, how, (int)status, ib_error_text(err));
    ib_error_clear(err);
}

/* ---- operands ---------------------------------------------------------------------------------
 */

static void operands_are_needed(void **state) {
    unsigned checks = 0;
    (void)state;
    for (size_t k = 0; k < OPERATION_COUNT; ++k) {
        const struct operation *o = &OPERATIONS[k];
        struct operand list[MOST_OPERANDS];
        union operands whole, less;
        ib_error err = {0};
        size_t count = exact_operands(o, o->small, list, &whole);
        if (o->plan(o->small, &err) != IB_OK || o->run(o->small, &whole, &err) != IB_OK)
            fail_msg("%s: %s", o->name, ib_error_text(&err));
        for (size_t i = 0; i < count; ++i) {
            ib_buffer *operand = (ib_buffer *)(void *)((char *)&less + list[i].offset);
            if (list[i].elements == 0)
                continue;
            less = whole;
            --operand->bytes;
            refused(o, list[i].name, o->run(o->small, &less, &err), &err);
            less = whole;
            operand->handle = NULL;
            if (list[i].elements > 0)
                refused(o, list[i].name, o->run(o->small, &less, &err), &err);
            else if (strcmp(o->name, "classify") != 0 || strcmp(list[i].name, "labels") != 0)
                assert_int_equal(o->run(o->small, &less, &err), IB_OK);
            ++checks;
        }
    }
    print_message("%u operands of %d operations\n", checks, (int)OPERATION_COUNT);
    assert_true(checks > 3 * OPERATION_COUNT);
}

/* ---- shapes -----------------------------------------------------------------------------------
 */

static const int64_t WRONG[] = {INT64_MIN,        -((int64_t)1 << 32), -1,       0, (1 << 24) + 1,
                                (int64_t)1 << 32, INT64_MAX / 2,       INT64_MAX};
/* Each is a size; together, anywhere, they are no tensor. */
enum { LARGE = 1 << 24, WRONG_COUNT = sizeof WRONG / sizeof WRONG[0] };

/* With operands that the smallest shape would do with. A shape that no tensor is too large for is
 * refused for its operands. */
static void try_shape(const struct operation *o, const void *shape, int plans, const char *how) {
    struct operand list[MOST_OPERANDS];
    union operands operands;
    ib_error err = {0};
    exact_operands(o, o->small, list, &operands);
    if (!plans)
        refused(o, how, o->plan(shape, &err), &err);
    refused(o, how, o->run(shape, &operands, &err), &err);
}

static void wrong_sizes(void **state) {
    unsigned checks = 0;
    (void)state;
    for (size_t k = 0; k < OPERATION_COUNT; ++k)
        for (size_t i = 0; i < OPERATIONS[k].size_count; ++i)
            for (size_t w = 0; w < WRONG_COUNT; ++w) {
                const struct operation *o = &OPERATIONS[k];
                union shape shape;
                char how[80];
                int counts = strcmp(o->name, "update_weights") == 0 || o->size_count == 1;
                memcpy(&shape, o->small, o->shape_bytes);
                memcpy((char *)&shape + o->sizes[i], &WRONG[w], sizeof WRONG[w]);
                snprintf(how, sizeof how, "size %zu is %lld", i, (long long)WRONG[w]);
                /* A count of elements may be 2^32. */
                try_shape(o, &shape, counts && WRONG[w] == (int64_t)1 << 32, how);
                ++checks;
            }
    print_message("%u wrong sizes\n", checks);
}

/* All sizes at once so large that their products do not fit in 64 bits. */
static void sizes_without_product(void **state) {
    (void)state;
    for (size_t k = 0; k < OPERATION_COUNT; ++k) {
        const struct operation *o = &OPERATIONS[k];
        static const int64_t SIDES[] = {LARGE, 1 << 20, 1 << 16};
        for (size_t side = 0; side < sizeof SIDES / sizeof SIDES[0]; ++side) {
            union shape shape;
            memcpy(&shape, o->small, o->shape_bytes);
            for (size_t i = 0; i < o->size_count; ++i)
                memcpy((char *)&shape + o->sizes[i], &SIDES[side], sizeof SIDES[side]);
            try_shape(o, &shape, 1, "large");
        }
    }
}

/* ---- what single kinds refuse -----------------------------------------------------------------
 */

static void try_conv(const ib_conv *conv) {
    ib_error err = {0};
    ib_conv_operands all = {memory, memory, memory, memory, memory, memory, memory, memory, memory};
    for (int i = 0; i < 2; ++i) {
        const struct operation forward = {.name = "conv_forward"},
                               backward = {.name = "conv_backward"};
        refused(&forward, "plan", ib_plan_conv_forward(backend, conv, &err), &err);
        refused(&backward, "plan", ib_plan_conv_backward(backend, conv, &err), &err);
        refused(&forward, "run", ib_conv_forward(backend, conv, &all, &err), &err);
        refused(&backward, "run", ib_conv_backward(backend, conv, &all, &err), &err);
    }
}

static void wrong_convolutions(void **state) {
    static const int64_t PADS[] = {INT64_MIN, -1, 3, INT64_MAX / 2, INT64_MAX};
    (void)state;
    for (size_t k = 0; k < sizeof PADS / sizeof PADS[0]; ++k) {
        ib_conv conv = SMALL_conv;
        conv.pad = PADS[k];
        try_conv(&conv);
    }
    static const ib_conv FAULTS[] = {
        {LARGE, LARGE, LARGE, LARGE, LARGE, 1, 1, 1, 0, .relu = 0},
        {1, LARGE, LARGE, 1, 1, LARGE, LARGE, 1, LARGE - 1, .relu = 0},
        {1, LARGE, LARGE, 16, LARGE, LARGE, 1, 1, 0, .relu = 0},
        {1 << 16, 1 << 16, 1 << 16, 1 << 16, 16, 1, 1, 1, 0, .relu = 0},
        {16, 1 << 12, 1 << 12, 16, LARGE, 1, 1, 1, 0, .relu = 0},
        {1, 4, 4, 2, 2, 5, 5, 1, 0, .relu = 0},                 /* larger than the image */
        {1, 4, 4, 2, 2, 3, 3, 1, 0, .relu = 0, .pool = 1},      /* a pool without ReLU */
        {1, 4, 4, 2, 2, 3, 3, 1, 0, .dropout = {.enabled = 1}}, /* dropout without one */
        {1, 3, 4, 2, 2, 3, 3, 1, 0, .relu = 1, .pool = 1},      /* nothing to pool */
    };
    for (size_t k = 0; k < sizeof FAULTS / sizeof FAULTS[0]; ++k)
        try_conv(&FAULTS[k]);
}

static void wrong_others(void **state) {
    static const ib_max_pool POOLS[] = {
        {1, 20, 20, 1, 16, 1, 0}, /* 256 taps */
        {1, 5, 5, 1, 3, 1, 2},    /* more than half the window is padding */
        {1, 5, 5, 1, 3, 1, -1},   {1, 2, 5, 1, 3, 1, 0}, {1, 5, 2, 1, 3, 1, 0},
    };
    ib_error err = {0};
    struct operation named = {.name = "max_pool_forward"};
    (void)state;
    for (size_t k = 0; k < sizeof POOLS / sizeof POOLS[0]; ++k)
        refused(&named, "pool", ib_plan_max_pool_forward(backend, &POOLS[k], &err), &err);
    ib_linear drops = {.n = 1, .in = 1, .out = 1, .dropout = {.enabled = 1}};
    named.name = "linear_forward";
    refused(&named, "no ReLU", ib_plan_linear_forward(backend, &drops, &err), &err);
    ib_norm norm = SMALL_norm;
    norm.eps = 0;
    named.name = "norm_forward";
    refused(&named, "eps", ib_plan_norm_forward(backend, &norm, &err), &err);
    ib_loss loss = {1, IB_LOSS_CLASSES + 1, 1};
    named.name = "classify";
    refused(&named, "classes", ib_plan_classify(backend, &loss, &err), &err);
    ib_load load = {1, 4, 3, 63}; /* an image of 4 pixels with 16 channels takes 64 */
    named.name = "load_batch";
    refused(&named, "stride", ib_plan_load_batch(backend, &load, &err), &err);
    load = (ib_load){1, 4, 17, 1000};
    refused(&named, "channels", ib_plan_load_batch(backend, &load, &err), &err);
    static const int64_t COUNTS[] = {1, 15, 17, 40};
    for (size_t k = 0; k < sizeof COUNTS / sizeof COUNTS[0]; ++k) {
        ib_elementwise e = {COUNTS[k], 0};
        ib_update u = {.count = COUNTS[k]};
        ib_tree t = {1, COUNTS[k]};
        named.name = "relu_forward";
        refused(&named, "count", ib_plan_relu_forward(backend, &e, &err), &err);
        named.name = "update_weights";
        refused(&named, "count", ib_plan_update_weights(backend, &u, &err), &err);
        named.name = "tree_sum";
        refused(&named, "width", ib_plan_tree_sum(backend, &t, &err), &err);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operands_are_needed),   cmocka_unit_test(wrong_sizes),
        cmocka_unit_test(sizes_without_product), cmocka_unit_test(wrong_convolutions),
        cmocka_unit_test(wrong_others),
    };
    return cmocka_run_group_tests_name("checked", tests, open_backend, close_backend);
}
