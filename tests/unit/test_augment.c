/* Augmentations: what the list says, what is drawn, and where pixels come from, against the same
 * computed in real numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "backend/backend.h"

enum { H = 24, W = 31, SAMPLES = 64 };

static const double PI = 3.14159265358979323846;

static void refuse(const char *text, const char *message) {
    int64_t amount[IB_AUGMENTATIONS];
    ib_error err = {0};
    char *form = NULL;
    assert_int_equal(ib_augment_parse(text, "--augment", amount, &form, &err), IB_ERROR_USAGE);
    if (strstr(ib_error_text(&err), message) == NULL)
        fail_msg("%s: %s, where '%s' was expected", text, ib_error_text(&err), message);
    assert_null(form);
    ib_error_clear(&err);
}

static void a_list_has_one_form(void **state) {
    (void)state;
    int64_t amount[IB_AUGMENTATIONS];
    char *form = NULL;
    assert_int_equal(ib_augment_parse("flip,scale=.10,cutout=8,shift=2", "x", amount, &form, NULL),
                     IB_OK);
    assert_string_equal(form, "shift=2,scale=0.1,flip,cutout=8");
    assert_int_equal(amount[IB_AUGMENT_SHIFT], 2);
    assert_int_equal(amount[IB_AUGMENT_ROTATE], 0);
    assert_int_equal(amount[IB_AUGMENT_SCALE], 6554);
    assert_int_equal(amount[IB_AUGMENT_FLIP], 1);
    assert_int_equal(amount[IB_AUGMENT_CUTOUT], 8);
    free(form);
    assert_int_equal(ib_augment_parse(NULL, "x", amount, NULL, NULL), IB_OK);
    for (size_t i = 0; i < IB_AUGMENTATIONS; ++i)
        assert_int_equal(amount[i], 0);
    refuse("blur=2", "'blur=2' is no augmentation: give a list of shift=N, rotate=X");
    refuse("", "is no augmentation");
    refuse("flip,", "is no augmentation");
    refuse("flip=1", "flip takes no value");
    refuse("shift", "shift needs an integer from 1 to 1024");
    refuse("shift=1.5", "shift needs an integer");
    refuse("shift=0", "shift needs an integer");
    refuse("rotate=181", "rotate needs a number");
    refuse("rotate=nan", "rotate needs a number");
    refuse("scale=1e-9", "scale needs a number");
    refuse("flip,shift=1,flip", "flip is there twice");
}

/* A smooth image, so that a source that is off by little is a grey level that is. */
static uint8_t grey(double y, double x) {
    return (uint8_t)(128 + 60 * sin(0.35 * x) + 60 * cos(0.29 * y) + 0.5);
}

static uint8_t pixels[SAMPLES][H * W];
static float found[SAMPLES][H * W];

static void load(const int64_t amount[IB_AUGMENTATIONS], const char *isa, uint64_t step,
                 ib_augment *augment) {
    static float table[256];
    static uint32_t order[SAMPLES];
    ib_backend_options options = {"cpu", isa, 3};
    ib_backend *backend;
    ib_buffer buffers[3] = {{0}};
    const void *from[3] = {order, table, NULL};
    const size_t bytes[3] = {sizeof order, sizeof table, sizeof found};
    *augment = (ib_augment){
        .enabled = 1, .height = H, .width = W, .rng = ib_rng_make(1, IB_STREAM_AUGMENT, 0, step)};
    memcpy(augment->amount, amount, sizeof augment->amount);
    for (int i = 0; i < 256; ++i)
        table[i] = (float)i;
    for (uint32_t n = 0; n < SAMPLES; ++n) {
        order[n] = n;
        for (int i = 0; i < H * W; ++i)
            pixels[n][i] = grey(i / W, i % W);
    }
    assert_int_equal(ib_backend_open(&options, &backend, NULL), IB_OK);
    ib_data_view data = {.part = {{pixels[0], SAMPLES}}, .image_bytes = H * W};
    assert_int_equal(backend->ops->attach_data(backend, &data, NULL), IB_OK);
    for (int i = 0; i < 3; ++i) {
        assert_int_equal(backend->ops->buffer_create(backend, bytes[i], &buffers[i], NULL), IB_OK);
        if (from[i] != NULL)
            assert_int_equal(backend->ops->upload(backend, &buffers[i], from[i], bytes[i], NULL),
                             IB_OK);
    }
    ib_load shape = {
        .n = SAMPLES, .pixels = H * W, .channels = 1, .stride = H * W, .augment = *augment};
    ib_load_operands p = {.order = buffers[0], .table = buffers[1], .x = buffers[2]};
    assert_int_equal(ib_plan_load_batch(backend, &shape, NULL), IB_OK);
    assert_int_equal(ib_load_batch(backend, &shape, &p, NULL), IB_OK);
    assert_int_equal(backend->ops->download(backend, &buffers[2], found, sizeof found, NULL),
                     IB_OK);
    for (int i = 0; i < 3; ++i)
        backend->ops->buffer_destroy(backend, &buffers[i]);
    ib_backend_close(backend);
}

/* The element of a sample's draw, from the numbers that NUMERICS.md names. */
static uint32_t drawn(uint32_t number, uint64_t step, uint64_t element, uint32_t bound) {
    ib_rng rng = ib_rng_make(1, IB_STREAM_AUGMENT, number, step);
    return ib_rng_below(&rng, element, bound);
}

static double spread(uint32_t number, uint64_t step, uint64_t element, int64_t limit) {
    return (double)drawn(number, step, element, (uint32_t)(2 * limit + 1)) - (double)limit;
}

/* Everything together, each pixel from its source in real numbers. */
static void sources_are_where_they_should_be(void **state) {
    static const int64_t AMOUNT[IB_AUGMENTATIONS] = {3, (1 << 24) / 9, 13107, 1, 5};
    enum { STEP = 11 };
    size_t compared = 0, cut = 0, flipped = 0;
    double worst = 0;
    ib_augment augment;
    (void)state;
    load(AMOUNT, "auto", STEP, &augment);
    for (uint64_t n = 0; n < SAMPLES; ++n) {
        double sx = spread(0, STEP, 2 * n, 3), sy = spread(0, STEP, 2 * n + 1, 3);
        double angle = 2 * PI * spread(1, STEP, 2 * n, AMOUNT[1]) / (1 << 24);
        double factor = 1 + spread(2, STEP, 2 * n, 13107) / 65536;
        int flip = drawn(3, STEP, 2 * n, 2) == 1;
        int row = (int)drawn(4, STEP, 2 * n, H) - 2, column = (int)drawn(4, STEP, 2 * n + 1, W) - 2;
        flipped += (size_t)flip;
        for (int i = 0; i < H * W; ++i) {
            double x = i % W - (W - 1) / 2.0 - sx, y = i / W - (H - 1) / 2.0 - sy;
            double u = (cos(angle) * x + sin(angle) * y) / factor;
            double v = (-sin(angle) * x + cos(angle) * y) / factor;
            u = (flip ? -u : u) + (W - 1) / 2.0;
            v += (H - 1) / 2.0;
            int is_cut = i / W >= row && i / W < row + 5 && i % W >= column && i % W < column + 5;
            int outside = u < -1 || u > W || v < -1 || v > H;
            if (is_cut || outside)
                assert_true(found[n][i] == 0);
            cut += (size_t)is_cut;
            if (is_cut || u < 0 || u > W - 1 || v < 0 || v > H - 1)
                continue;
            double error = fabs((double)found[n][i] - grey(v, u));
            worst = error > worst ? error : worst;
            ++compared;
        }
    }
    print_message("%zu pixels, off by %g at most; %zu cut, %zu images flipped\n", compared, worst,
                  cut, flipped);
    assert_true(compared > SAMPLES * H * W / 2 && cut > SAMPLES * 10);
    assert_true(flipped > SAMPLES / 4 && flipped < SAMPLES * 3 / 4);
    assert_true(worst <= 4); /* between grey levels of curved slopes, in bytes */
}

static void turns_are_close(void **state) {
    (void)state;
    ib_augment augment = {.height = H, .width = W, .amount = {0, 1 << 23}};
    double worst = 0;
    for (uint64_t step = 0; step < 20000; ++step) {
        augment.rng = ib_rng_make(1, IB_STREAM_AUGMENT, 0, step);
        double angle = 2 * PI * spread(1, step, 0, 1 << 23) / (1 << 24);
        ib_placement p = ib_augment_place(&augment, 0);
        double off =
            fabs((double)p.xx - 65536 * cos(angle)) + fabs((double)p.xy - 65536 * sin(angle));
        worst = off > worst ? off : worst;
        assert_true(p.yy == p.xx && p.yx == -p.xy);
    }
    print_message("matrices off by %g of 65536\n", worst);
    assert_true(worst < 1.1); /* half a unit each, by rounding */
}

/* Whole pixels are moved, not blurred; and another step draws other numbers. */
static void shifts_keep_bytes(void **state) {
    static const int64_t AMOUNT[IB_AUGMENTATIONS] = {4};
    ib_augment augment;
    int differ = 0;
    (void)state;
    for (uint64_t step = 0; step < 2; ++step) {
        load(AMOUNT, step == 0 ? "scalar" : "auto", step, &augment);
        for (uint64_t n = 0; n < SAMPLES; ++n) {
            int sx = (int)spread(0, step, 2 * n, 4), sy = (int)spread(0, step, 2 * n + 1, 4);
            differ += sx != (int)spread(0, 1 - step, 2 * n, 4);
            for (int i = 0; i < H * W; ++i) {
                int x = i % W - sx, y = i / W - sy;
                float want = x < 0 || x >= W || y < 0 || y >= H ? 0 : pixels[n][y * W + x];
                assert_true(found[n][i] == want);
            }
        }
    }
    assert_true(differ > SAMPLES);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_has_one_form),
        cmocka_unit_test(sources_are_where_they_should_be),
        cmocka_unit_test(turns_are_close),
        cmocka_unit_test(shifts_keep_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
