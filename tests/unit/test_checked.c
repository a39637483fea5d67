/* The checks before a backend: no shape, however large or wrong, is let through to it, and none of
 * the checks overflows on the way (the sanitizer build counts). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "backend/backend.h"

static ib_backend *backend;
static ib_buffer buffer; /* one page: enough for the smallest shapes only */

static int open_backend(void **state) {
    ib_backend_options options = {"cpu", "auto", 1};
    (void)state;
    return ib_backend_open(&options, &backend, NULL) != IB_OK ||
           backend->ops->buffer_create(backend, 4096, &buffer, NULL) != IB_OK;
}

static int close_backend(void **state) {
    (void)state;
    backend->ops->buffer_destroy(backend, &buffer);
    ib_backend_close(backend);
    return 0;
}

static const int64_t WRONG[] = {INT64_MIN,        -((int64_t)1 << 32), -1,       0, (1 << 24) + 1,
                                (int64_t)1 << 32, INT64_MAX / 2,       INT64_MAX};
/* Each is a size; together, anywhere, they are no tensor. */
enum { LARGE = 1 << 24, WRONG_COUNT = sizeof WRONG / sizeof WRONG[0] };

static void refused(ib_status status, ib_error *err) {
    assert_int_equal(status, IB_ERROR_RUNTIME);
    assert_non_null(err->message);
    ib_error_clear(err);
}

static void try_conv(const ib_conv *conv) {
    ib_error err = {0};
    refused(ib_plan_conv(backend, conv, &err), &err);
    refused(ib_conv_forward(backend, conv, &buffer, &buffer, &buffer, &buffer, &buffer, &err),
            &err);
    refused(ib_conv_backward(backend, conv, &buffer, &buffer, &buffer, &buffer, NULL, &buffer,
                             &buffer, &err),
            &err);
}

static void wrong_convolutions(void **state) {
    static const ib_conv SMALL = {
        .n = 1, .h = 3, .w = 3, .ci = 1, .co = 1, .kh = 3, .kw = 3, .stride = 1};
    static const size_t SIZES[] = {offsetof(ib_conv, n),  offsetof(ib_conv, h),
                                   offsetof(ib_conv, w),  offsetof(ib_conv, ci),
                                   offsetof(ib_conv, co), offsetof(ib_conv, kh),
                                   offsetof(ib_conv, kw), offsetof(ib_conv, stride)};
    enum { COUNT = sizeof SIZES / sizeof SIZES[0] };
    (void)state;
    assert_int_equal(ib_plan_conv(backend, &SMALL, NULL), IB_OK);
    for (size_t i = 0; i < COUNT; ++i)
        for (size_t k = 0; k < WRONG_COUNT; ++k) {
            ib_conv conv = SMALL;
            memcpy((char *)&conv + SIZES[i], &WRONG[k], sizeof WRONG[k]);
            try_conv(&conv);
        }
    static const int64_t PADS[] = {INT64_MIN, -1, 3, INT64_MAX / 2, INT64_MAX};
    for (size_t k = 0; k < sizeof PADS / sizeof PADS[0]; ++k) {
        ib_conv conv = SMALL;
        conv.pad = PADS[k];
        try_conv(&conv);
    }
    static const ib_conv PRODUCTS[] = {
        {LARGE, LARGE, LARGE, LARGE, LARGE, 1, 1, 1, 0, .relu = 0},
        {1, LARGE, LARGE, 1, 1, LARGE, LARGE, 1, LARGE - 1, .relu = 0},
        {1, LARGE, LARGE, 16, LARGE, LARGE, 1, 1, 0, .relu = 0},
        {1 << 16, 1 << 16, 1 << 16, 1 << 16, 16, 1, 1, 1, 0, .relu = 0},
        {16, 1 << 12, 1 << 12, 16, LARGE, 1, 1, 1, 0, .relu = 0},
    };
    for (size_t k = 0; k < sizeof PRODUCTS / sizeof PRODUCTS[0]; ++k)
        try_conv(&PRODUCTS[k]);
}

static void try_linear(int64_t n, int64_t in, int64_t out) {
    ib_linear linear = {.n = n, .in = in, .out = out};
    ib_error err = {0};
    refused(ib_plan_linear(backend, &linear, &err), &err);
    refused(ib_linear_forward(backend, &linear, &buffer, &buffer, &buffer, &buffer, &err), &err);
    refused(ib_linear_backward(backend, &linear, &buffer, &buffer, &buffer, NULL, &buffer, &buffer,
                               &err),
            &err);
}

static void wrong_linear_layers(void **state) {
    (void)state;
    for (size_t k = 0; k < WRONG_COUNT; ++k) {
        try_linear(WRONG[k], 16, 16);
        try_linear(1, WRONG[k], 16);
        try_linear(1, 16, WRONG[k]);
    }
    try_linear(1, LARGE, LARGE);
    try_linear(LARGE, LARGE, 1);
}

static void wrong_image_operations(void **state) {
    static const uint8_t IMAGE[16], *const IMAGES[] = {IMAGE};
    static const float TABLE[256];
    float loss;
    uint8_t label = 0;
    (void)state;
    for (size_t k = 0; k < WRONG_COUNT; ++k)
        for (int at = 0; at < 4; ++at) {
            ib_error err = {0};
            int64_t s[4] = {1, 1, 1, 16};
            s[at] = WRONG[k];
            ib_pool3 pool = {s[0], s[1], s[2], s[3]};
            refused(ib_pool_forward(backend, &pool, &buffer, &buffer, &buffer, &err), &err);
            refused(ib_pool_backward(backend, &pool, &buffer, &buffer, NULL, &buffer, &err), &err);
            if (at == 3)
                continue;
            ib_norm norm = {s[0], s[1], s[2], .training = 1, .eps = 1e-5f};
            refused(ib_norm_forward(backend, &norm, &buffer, &buffer, &buffer, &buffer, &buffer,
                                    NULL, &buffer, &err),
                    &err);
            refused(ib_norm_backward(backend, &norm, &buffer, &buffer, NULL, &buffer, NULL, NULL,
                                     &buffer, &buffer, &buffer, &err),
                    &err);
            refused(ib_mean_forward(backend, s[0], s[1], s[2], 1, &buffer, &buffer, &err), &err);
            refused(ib_mean_backward(backend, s[0], s[1], s[2], 1, &buffer, &buffer, &err), &err);
            refused(ib_load_images(backend, s[0], s[1], s[2], IMAGES, TABLE, &buffer, &err), &err);
        }
    for (size_t k = 0; k < WRONG_COUNT; ++k) {
        ib_error err = {0};
        refused(ib_softmax_nll(backend, WRONG[k], 10, 1, &buffer, &label, &loss, NULL, NULL, &err),
                &err);
        refused(ib_softmax_nll(backend, 1, WRONG[k], 1, &buffer, &label, &loss, NULL, NULL, &err),
                &err);
    }
    ib_pool3 large = {LARGE, LARGE, LARGE, LARGE};
    ib_norm norm = {LARGE, LARGE, LARGE, .eps = 1e-5f};
    ib_error err = {0};
    refused(ib_pool_forward(backend, &large, &buffer, &buffer, &buffer, &err), &err);
    refused(ib_norm_forward(backend, &norm, &buffer, &buffer, &buffer, &buffer, &buffer, NULL,
                            &buffer, &err),
            &err);
    refused(ib_mean_forward(backend, LARGE, LARGE, LARGE, 1, &buffer, &buffer, &err), &err);
    refused(ib_load_images(backend, LARGE, 1, LARGE, IMAGES, TABLE, &buffer, &err), &err);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_convolutions),
        cmocka_unit_test(wrong_linear_layers),
        cmocka_unit_test(wrong_image_operations),
    };
    return cmocka_run_group_tests_name("checked", tests, open_backend, close_backend);
}
