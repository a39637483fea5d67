/* --normalize standard for networks: images by a mean and a scale for each byte, on every
 * instruction set as the reference has them, and models that refuse images without their table. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/cpu/cpu.h"
#include "base/fpenv.h"
#include "base/settle.h"
#include "model/model.h"

enum { IMAGES = 5, MOST = 29 * 29 * 3 };

static uint32_t mix(uint32_t x) {
    x = (x ^ x >> 16) * 0x7FEB352Du;
    x = (x ^ x >> 15) * 0x846CA68Bu;
    return x ^ x >> 16;
}

/* What the images and their table are; every seventh byte of an image is constant. */
typedef struct batch {
    ib_load load;
    size_t bytes; /* of an image */
    uint8_t pixels[IMAGES * MOST];
    float table[2 * MOST];
    uint32_t order[IMAGES];
} batch;

static void draw(int64_t pixels, int64_t channels, batch *b) {
    b->bytes = (size_t)(pixels * channels);
    int64_t stride = channels == 1 ? (pixels + 15) / 16 * 16 : pixels * 16;
    b->load = (ib_load){IMAGES, pixels, channels, stride, 1};
    for (uint32_t i = 0; i < IMAGES; ++i) {
        b->order[i] = IMAGES - 1 - i;
        for (uint32_t k = 0; k < b->bytes; ++k)
            b->pixels[i * b->bytes + k] = (uint8_t)(k % 7 == 0 ? 9 : mix(i * 5000 + k) >> 24);
    }
    for (uint32_t k = 0; k < b->bytes; ++k) {
        b->table[k] = k % 7 == 0 ? 9.0f : (float)(mix(k) >> 8) * 0x1p-16f;
        b->table[b->bytes + k] = k % 7 == 0 ? 0.0f : 1.0f / (0.01f + (float)(mix(k + 1) >> 25));
    }
}

static void check(ib_status status, const ib_error *err) {
    if (status != IB_OK)
        fail_msg("%s", ib_error_text(err));
}

/* The images as the operation gives them; fresh memory. */
static float *load_by(const batch *b, const char *isa, unsigned threads) {
    ib_backend_options options = {"cpu", isa, threads};
    ib_backend *backend = NULL;
    ib_error err = {0};
    check(ib_backend_open(&options, &backend, &err), &err);
    const ib_backend_ops *ops = backend->ops;
    size_t floats = (size_t)(b->load.n * b->load.stride), bytes = floats * sizeof(float);
    float *x = calloc(floats, sizeof *x);
    assert_non_null(x);
    ib_buffer order, table, images;
    check(ib_plan_load_batch(backend, &b->load, &err), &err);
    check(ops->buffer_create(backend, sizeof b->order, &order, &err), &err);
    check(ops->buffer_create(backend, 2 * b->bytes * sizeof(float), &table, &err), &err);
    check(ops->buffer_create(backend, bytes, &images, &err), &err);
    check(ops->upload(backend, &order, b->order, sizeof b->order, &err), &err);
    check(ops->upload(backend, &table, b->table, 2 * b->bytes * sizeof(float), &err), &err);
    check(ops->upload(backend, &images, x, bytes, &err), &err);
    ib_data_view data = {.part = {{b->pixels, IMAGES}}, .image_bytes = b->bytes};
    check(ops->attach_data(backend, &data, &err), &err);
    ib_load_operands operands = {.order = order, .table = table, .x = images};
    check(ib_load_batch(backend, &b->load, &operands, &err), &err);
    check(ops->download(backend, &images, x, bytes, &err), &err);
    ops->buffer_destroy(backend, &order);
    ops->buffer_destroy(backend, &table);
    ops->buffer_destroy(backend, &images);
    ib_backend_close(backend);
    return x;
}

static void images_are_as_defined(void **state) {
    (void)state;
    static const int64_t SHAPES[][2] = {{1, 1},   {15, 1}, {16, 1}, {784, 1},
                                        {841, 1}, {1, 3},  {841, 3}};
    batch *b = calloc(1, sizeof *b);
    assert_non_null(b);
    for (size_t s = 0; s < sizeof SHAPES / sizeof SHAPES[0]; ++s) {
        int64_t pixels = SHAPES[s][0], channels = SHAPES[s][1];
        draw(pixels, channels, b);
        size_t floats = (size_t)(b->load.n * b->load.stride);
        float *want = load_by(b, "scalar", 1);
        for (int64_t i = 0; i < b->load.n * pixels * channels; ++i) {
            int64_t n = i / (pixels * channels), k = i % (pixels * channels);
            float x =
                want[n * b->load.stride + (channels == 1 ? k : k / channels * 16 + k % channels)];
            float byte = b->pixels[b->order[n] * b->bytes + (size_t)k];
            float exact = ib_settle((byte - b->table[k]) * b->table[b->bytes + (size_t)k]);
            if (x != exact || (signbit(x) != 0) != (x < 0))
                fail_msg("image %d, byte %d: %.9g, not %.9g", (int)n, (int)k, (double)x,
                         (double)exact);
        }
        for (const ib_cpu_kernels *const *t = ib_cpu_kernel_tables(); *t != NULL; ++t)
            for (unsigned threads = 1; threads <= 3 && ib_cpu_supports(*t); threads += 2) {
                float *got = load_by(b, (*t)->isa, threads);
                assert_memory_equal(want, got, floats * sizeof *got);
                free(got);
            }
        free(want);
    }
    free(b);
}

/* The float of each feature is that of binary64, to the rounding of mean, scale and product. */
static void inputs_are_near_the_features(void **state) {
    (void)state;
    double mean[1] = {33.31842105}, deviation[1] = {78.56748998};
    ib_pixel_table table = {.pixels = 1, .mean = mean, .deviation = deviation};
    for (unsigned v = 0; v < 256; ++v) {
        float x = ((float)v - (float)mean[0]) * (float)(1.0 / deviation[0]);
        assert_true(fabs((double)x - ib_pixel_table_feature(&table, 0, v)) < 3e-7);
    }
}

static void models_need_their_table(void **state) {
    (void)state;
    enum { PIXELS = 784 };
    ib_backend_options options = {"cpu", "auto", 1};
    ib_experiment experiment = {.model = IB_MODEL_MLP, .normalize = IB_NORMALIZE_STANDARD};
    ib_backend *backend = NULL;
    ib_model *model = NULL;
    ib_error err = {0};
    uint8_t *image = calloc(1, PIXELS);
    double *values = calloc(2, PIXELS * sizeof *values);
    ib_pixel_table table = {.pixels = PIXELS, .mean = values, .deviation = values + PIXELS};
    assert_true(image != NULL && values != NULL);
    check(ib_backend_open(&options, &backend, &err), &err);
    check(ib_model_open(backend, &experiment, ib_dataset_find("mnist"), 1, 0, &model, &err), &err);
    assert_true(ib_model_needs_table(model));
    assert_int_equal(ib_model_attach_images(model, image, NULL, 1, &err), IB_ERROR_USAGE);
    ib_error_clear(&err);
    table.pixels = PIXELS - 1;
    assert_int_equal(ib_model_standardize(model, &table, &err), IB_ERROR_VERIFY);
    ib_error_clear(&err);
    table.pixels = PIXELS;
    check(ib_model_standardize(model, &table, &err), &err);
    check(ib_model_attach_images(model, image, NULL, 1, &err), &err);
    ib_model_close(model);
    ib_backend_close(backend);
    free(values);
    free(image);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images_are_as_defined),
        cmocka_unit_test(inputs_are_near_the_features),
        cmocka_unit_test(models_need_their_table),
    };
    return cmocka_run_group_tests_name("standard", tests, NULL, NULL);
}
