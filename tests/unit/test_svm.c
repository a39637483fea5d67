/* Support vector machines: kernels against the reference on every instruction set, the solution
 * against its optimality conditions, caches and files. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/cpu/cpu.h"
#include "svm/parts.h"
#include "temp_dir.h"

#if defined(__x86_64__)
void ib_svm_kernel_block_plain(const ib_svm_kernel *kernel, const ib_svm_block *b);
#endif

enum { WIDTH = 784, IMAGES = 120 };

static uint32_t mix(uint32_t x) {
    x = (x ^ x >> 16) * 0x7FEB352Du;
    x = (x ^ x >> 15) * 0x846CA68Bu;
    return x ^ x >> 16;
}

/* Noise around a pattern for each class; classes overlap. The extremes 0 and 255 are frequent. */
static void draw(uint8_t *image, uint32_t number, int label, int contrast) {
    for (uint32_t k = 0; k < WIDTH; ++k) {
        int value = (int)(mix(number * 784 + k) % 400) - 70;
        if ((mix((uint32_t)label * 1000 + k) & 7) == 0)
            value += contrast;
        image[k] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
    }
}

struct images {
    uint8_t pixels[IMAGES][WIDTH];
    const uint8_t *rows[IMAGES];
    uint8_t labels[IMAGES];
};

static struct images *make_images(int classes) {
    struct images *images = calloc(1, sizeof *images);
    assert_non_null(images);
    for (uint32_t i = 0; i < IMAGES; ++i) {
        images->labels[i] = (uint8_t)(mix(i + 77) % (uint32_t)classes);
        images->rows[i] = images->pixels[i];
        draw(images->pixels[i], i, images->labels[i], 90);
    }
    memset(images->pixels[3], 255, WIDTH);
    memset(images->pixels[4], 0, WIDTH);
    return images;
}

static ib_svm_options make_options(ib_svm_kernel_kind kind) {
    return (ib_svm_options){.kernel = kind,
                            .gamma_kind = IB_SVM_GAMMA_SCALE,
                            .c = 1,
                            .coef0 = kind == IB_SVM_RBF ? 0 : 0.5,
                            .tolerance = 1e-3,
                            .mean = 0.1307,
                            .deviation = 0.3081,
                            .degree = 3,
                            .cache_bytes = 64 << 20};
}

/* ---- kernels ------------------------------------------------------------------------------------
 */

typedef void block_function(const ib_svm_kernel *kernel, const ib_svm_block *block);

/* A block of some rows and columns by one function and by the reference: the same bits. */
static void compare_block(block_function *function, block_function *reference, const char *isa,
                          const ib_svm_kernel *kernel, const ib_svm_images *rows,
                          const ib_svm_images *columns, size_t first, size_t count) {
    size_t stride = ib_svm_padded(columns->count), size = count * stride;
    float *out[2], *turned[2];
    for (int n = 0; n < 2; ++n) {
        out[n] = calloc(size, sizeof(float));
        turned[n] = calloc(size + 8, sizeof(float));
        for (size_t i = 0; i < size + 8; ++i)
            turned[n][i] = 77.0f;
        ib_svm_block block = {rows, columns, first, count, out[n], stride, turned[n], count};
        (n == 0 ? function : reference)(kernel, &block);
    }
    for (size_t r = 0; r < count; ++r)
        if (memcmp(out[0] + r * stride, out[1] + r * stride, columns->count * sizeof(float)) != 0)
            fail_msg("%s, kernel %d, %zu rows from %zu, %zu columns: row %zu differs", isa,
                     (int)kernel->kind, count, first, columns->count, r);
    assert_memory_equal(turned[0], turned[1], (size + 8) * sizeof(float));
    for (int n = 0; n < 2; ++n) {
        free(out[n]);
        free(turned[n]);
    }
}

static void kernels_give_the_references_bits(void **state) {
    (void)state;
    struct images *images = make_images(3);
    const ib_cpu_kernels *const *tables = ib_cpu_kernel_tables();
    const ib_cpu_kernels *reference = NULL;
    for (const ib_cpu_kernels *const *t = tables; *t != NULL; ++t)
        if (strcmp((*t)->isa, "scalar") == 0 && ib_cpu_supports(*t))
            reference = *t;
    ib_svm_packed all;
    assert_int_equal(ib_svm_pack(images->rows, IMAGES, WIDTH, &all, NULL), IB_OK);
    for (int kind = IB_SVM_LINEAR; kind <= IB_SVM_SIGMOID; ++kind) {
        ib_svm_options options = make_options((ib_svm_kernel_kind)kind);
        ib_svm_set set = {IMAGES, WIDTH, images->rows, images->labels};
        options.gamma = ib_svm_scale_gamma(&options, &set);
        ib_svm_kernel kernel = ib_svm_kernel_of(&options, WIDTH);
        static const size_t COLUMNS[] = {1, 33, 64, IMAGES};
        for (size_t c = 0; c < sizeof COLUMNS / sizeof COLUMNS[0]; ++c) {
            ib_svm_packed columns;
            assert_int_equal(ib_svm_pack(images->rows, COLUMNS[c], WIDTH, &columns, NULL), IB_OK);
            for (const ib_cpu_kernels *const *t = tables; *t != NULL; ++t)
                for (size_t first = 0; first < 100 && ib_cpu_supports(*t); first += 71)
                    for (size_t rows = 1; rows <= 48; rows += 47)
                        compare_block((*t)->svm->kernel_block, reference->svm->kernel_block,
                                      (*t)->isa, &kernel, &all.images, &columns.images, first,
                                      rows);
#if defined(__x86_64__)
            if (strcmp(tables[0]->isa, "avx512") == 0 && ib_cpu_supports(tables[0]))
                compare_block(ib_svm_kernel_block_plain, reference->svm->kernel_block,
                              "avx512 without VNNI", &kernel, &all.images, &columns.images, 5, 97);
#endif
            ib_svm_unpack(&columns);
        }
    }
    ib_svm_unpack(&all);
    free(images);
}

/* From a single byte to the widest image; whole groups, vectors and blocks of rows, and not. All
 * bytes 255 is where 32 bits are nearly full. */
static void any_width_gives_the_references_bits(void **state) {
    (void)state;
    enum { ROWS = 55, COLUMNS = 40 };
    static const size_t WIDTHS[] = {
        1, 3, 5, 483, 2753, 3072, IB_SVM_MAX_WIDTH - 3, IB_SVM_MAX_WIDTH};
    const ib_cpu_kernels *const *tables = ib_cpu_kernel_tables();
    const ib_cpu_kernels *reference = NULL;
    for (const ib_cpu_kernels *const *t = tables; *t != NULL; ++t)
        if (strcmp((*t)->isa, "scalar") == 0 && ib_cpu_supports(*t))
            reference = *t;
    for (size_t w = 0; w < sizeof WIDTHS / sizeof WIDTHS[0]; ++w) {
        size_t width = WIDTHS[w];
        uint8_t *pixels = malloc(ROWS * width); /* no byte more: reads past an image's end show */
        const uint8_t *images[ROWS];
        for (uint32_t i = 0; i < ROWS; ++i)
            images[i] = pixels + i * width;
        for (uint32_t k = 0; k < ROWS * width; ++k)
            pixels[k] = k < 3 * width ? 255 : (uint8_t)mix(k);
        ib_svm_packed rows, columns;
        assert_int_equal(ib_svm_pack(images, ROWS, width, &rows, NULL), IB_OK);
        assert_int_equal(ib_svm_pack(images, COLUMNS, width, &columns, NULL), IB_OK);
        for (int kind = IB_SVM_LINEAR; kind <= IB_SVM_RBF; kind += 2) {
            ib_svm_options options = make_options((ib_svm_kernel_kind)kind);
            options.gamma = 1.0 / (double)width;
            ib_svm_kernel kernel = ib_svm_kernel_of(&options, width);
            for (const ib_cpu_kernels *const *t = tables; *t != NULL; ++t)
                if (ib_cpu_supports(*t))
                    compare_block((*t)->svm->kernel_block, reference->svm->kernel_block, (*t)->isa,
                                  &kernel, &rows.images, &columns.images, 1, ROWS - 1);
#if defined(__x86_64__)
            if (strcmp(tables[0]->isa, "avx512") == 0 && ib_cpu_supports(tables[0]))
                compare_block(ib_svm_kernel_block_plain, reference->svm->kernel_block,
                              "avx512 without VNNI", &kernel, &rows.images, &columns.images, 0,
                              ROWS);
#endif
        }
        ib_svm_unpack(&rows);
        ib_svm_unpack(&columns);
        free(pixels);
    }
}

/* exp and tanh of the C library are right to an ulp of binary64. What is below 2^-40 is +0, and met
 * no denormal on its way there. */
static void kernel_values_are_accurate(void **state) {
    (void)state;
    struct images *images = make_images(3);
    ib_svm_packed all;
    assert_int_equal(ib_svm_pack(images->rows, IMAGES, WIDTH, &all, NULL), IB_OK);
    static const double GAMMAS[] = {1e-5, 1e-3, 0.01, 0.03, 0.3};
    unsigned settled = 0;
    float values[IMAGES];
    for (size_t g = 0; g < sizeof GAMMAS / sizeof GAMMAS[0]; ++g)
        for (int kind = IB_SVM_LINEAR; kind <= IB_SVM_SIGMOID; ++kind) {
            ib_svm_options options = make_options((ib_svm_kernel_kind)kind);
            options.gamma = GAMMAS[g];
            ib_svm_kernel kernel = ib_svm_kernel_of(&options, WIDTH);
            float out[(IMAGES + 31) / 32 * 32];
            ib_svm_block block = {
                &all.images, &all.images, 7, 1, out, sizeof out / sizeof out[0], NULL, 0};
            for (const ib_cpu_kernels *const *t = ib_cpu_kernel_tables(); *t != NULL; ++t) {
                if (!ib_cpu_supports(*t))
                    continue;
                ib_fp_state saved = ib_fp_enter_as(IB_FP_WATCH);
                (*t)->svm->kernel_block(&kernel, &block);
                int met = ib_fp_met_denormal();
                ib_fp_leave(saved);
                if (met)
                    fail_msg("%s: kernel %d, gamma %g met a denormal", (*t)->isa, kind, GAMMAS[g]);
            }
            memcpy(values, out, sizeof values);
            for (size_t c = 0; c < IMAGES; ++c) {
                double dot = 0, distance = 0, want;
                for (size_t k = 0; k < WIDTH; ++k) {
                    double x = (images->pixels[7][k] / 255.0 - options.mean) / options.deviation;
                    double z = (images->pixels[c][k] / 255.0 - options.mean) / options.deviation;
                    dot += x * z;
                    distance += (x - z) * (x - z);
                }
                double base = options.gamma * dot + options.coef0;
                want = kind == IB_SVM_LINEAR ? dot
                       : kind == IB_SVM_POLY ? base * base * base
                       : kind == IB_SVM_RBF  ? exp(-options.gamma * distance)
                                             : tanh(base);
                if (fabs(want) < 0x1p-40 * (1 - 1e-7)) {
                    ++settled;
                    want = 0;
                    assert_int_equal(signbit(values[c]), 0);
                }
                double size =
                    kind == IB_SVM_POLY ? 3 * base * base * options.gamma * 784 : fabs(want);
                if (fabs((double)values[c] - want) > 1e-7 * fabs(want) + 1e-10 * size + 1e-37)
                    fail_msg("kernel %d, gamma %g: %.9g, not %.17g", kind, GAMMAS[g],
                             (double)values[c], want);
            }
        }
    assert_true(settled > 100);
    ib_svm_unpack(&all);
    free(images);
}

static void sweeps_give_the_references_bits(void **state) {
    (void)state;
    enum { COUNT = 96 };
    const ib_cpu_kernels *const *tables = ib_cpu_kernel_tables();
    double f[COUNT], beta[COUNT], copy[2][COUNT];
    float ki[COUNT], kj[COUNT], diagonal[COUNT];
    for (uint32_t seed = 0; seed < 300; ++seed) {
        for (uint32_t k = 0; k < COUNT; ++k) {
            uint32_t r = mix(seed * 1000 + k);
            f[k] = (double)(r % 16) / 8 - 1; /* many ties */
            beta[k] = r % 5 == 0 ? 0 : r % 5 == 1 ? 1 : (double)(r >> 8 & 255) / 256;
            if (k >= COUNT - seed % 40)
                beta[k] = NAN;
            ki[k] = (float)(r >> 16 & 7) / 8;
            kj[k] = (float)(r >> 20 & 7) / 8;
            diagonal[k] = 1;
        }
        double t = seed % 3 == 0 ? 0 : 0.25;
        ib_svm_extremes want = {0}, got;
        ib_svm_partner want_partner = {0, 0}, got_partner;
        for (size_t n = 0; tables[n] != NULL; ++n)
            ; /* the last table is scalar: it goes first below */
        size_t last = 0;
        while (tables[last + 1] != NULL)
            ++last;
        for (size_t n = last + 1; n-- > 0;) {
            if (!ib_cpu_supports(tables[n]))
                continue;
            memcpy(copy[n != last], f, sizeof f);
            ib_svm_part part = {COUNT, copy[n != last], beta, diagonal, 0, 1};
            tables[n]->svm->step(&part, t, ki, kj, n == last ? &want : &got);
            double high = want.high;
            tables[n]->svm->partner(&part, high, 1, ki, n == last ? &want_partner : &got_partner);
            if (n == last)
                continue;
            assert_memory_equal(copy[0], copy[1], sizeof f);
            assert_true(got.high == want.high && got.low == want.low);
            assert_int_equal(got.high_index, want.high_index);
            assert_true(got_partner.gain == want_partner.gain);
            assert_int_equal(got_partner.index, want_partner.index);
        }
    }
}

/* ---- solutions ----------------------------------------------------------------------------------
 */

static ib_svm_model train(const ib_svm_options *options, const struct images *images, size_t count,
                          const char *isa, unsigned threads) {
    ib_backend_options backend_options = {"cpu", isa, threads};
    ib_backend *backend = NULL;
    ib_error err = {0};
    ib_svm_model model = {0};
    ib_svm_set set = {count, WIDTH, images->rows, images->labels};
    if (ib_backend_open(&backend_options, &backend, &err) != IB_OK ||
        ib_svm_train(backend->host, options, &set, NULL, &model, &err) != IB_OK)
        fail_msg("%s", ib_error_text(&err));
    ib_backend_close(backend);
    return model;
}

static double *decide(const ib_svm_model *model, const struct images *images) {
    ib_backend_options options = {"cpu", "auto", 2};
    ib_backend *backend;
    size_t pairs = ib_svm_pair_count(model->class_count);
    double *decisions = calloc(IMAGES * pairs, sizeof *decisions);
    assert_int_equal(ib_backend_open(&options, &backend, NULL), IB_OK);
    assert_int_equal(ib_svm_decide(backend->host, model, images->rows, IMAGES, decisions, NULL),
                     IB_OK);
    ib_backend_close(backend);
    return decisions;
}

/* The coefficient of a training image for the pair of class positions (a, b); 0: no vector. */
static double coefficient_of(const ib_svm_model *model, uint32_t image, size_t own, size_t other) {
    for (size_t s = 0; s < model->count; ++s)
        if (model->indices[s] == image)
            return model->coefficients[(other > own ? other - 1 : other) * model->count + s];
    return 0;
}

/* y f(x) >= 1 where alpha = 0, = 1 in between, <= 1 where alpha = C, all within the tolerance; and
 * the coefficients of a pair add up to 0. */
static void solutions_are_optimal(void **state) {
    (void)state;
    struct images *images = make_images(3);
    size_t at_bound = 0, inside = 0;
    for (int kind = IB_SVM_LINEAR; kind <= IB_SVM_RBF; ++kind) {
        ib_svm_options options = make_options((ib_svm_kernel_kind)kind);
        options.c = kind == IB_SVM_LINEAR ? 1e-4 : 0.7;
        ib_svm_model model = train(&options, images, IMAGES, "auto", 2);
        double *decisions = decide(&model, images);
        size_t pairs = ib_svm_pair_count(model.class_count), pair = 0;
        for (size_t a = 0; a < model.class_count; ++a)
            for (size_t b = a + 1; b < model.class_count; ++b, ++pair) {
                double sum = 0;
                for (uint32_t i = 0; i < IMAGES; ++i) {
                    int is_a = images->labels[i] == model.labels[a];
                    if (!is_a && images->labels[i] != model.labels[b])
                        continue;
                    double y = is_a ? 1 : -1;
                    double beta = coefficient_of(&model, i, is_a ? a : b, is_a ? b : a);
                    double alpha = y * beta, margin = y * decisions[i * pairs + pair] - 1;
                    sum += beta;
                    assert_true(alpha >= 0 && alpha <= options.c);
                    at_bound += alpha == options.c;
                    inside += alpha > 0 && alpha < options.c;
                    if ((alpha < options.c && margin < -1.1e-3) || (alpha > 0 && margin > 1.1e-3))
                        fail_msg("kernel %d, image %u: alpha %g, margin %g", kind, i, alpha,
                                 margin);
                }
                assert_true(fabs(sum) < 1e-12);
            }
        free(decisions);
        ib_svm_model_close(&model);
    }
    assert_true(at_bound > 0 && inside > 0);
    free(images);
}

/* Two images: alpha = 2 / |x - z|^2 for both, or C; f is half way between them at 0. */
static void two_points_have_the_known_solution(void **state) {
    (void)state;
    struct images *images = make_images(2);
    images->labels[0] = 0;
    images->labels[1] = 1;
    double distance = 0;
    for (size_t k = 0; k < WIDTH; ++k) {
        double d = (images->pixels[0][k] - images->pixels[1][k]) / 255.0;
        distance += d * d;
    }
    ib_svm_options options = make_options(IB_SVM_LINEAR);
    options.mean = 0;
    options.deviation = 1;
    for (int cut = 0; cut < 2; ++cut) {
        options.c = cut ? 1 / distance : 10;
        ib_svm_model model = train(&options, images, 2, "auto", 1);
        double want = cut ? options.c : 2 / distance;
        assert_int_equal(model.count, 2);
        assert_true(fabs(model.coefficients[0] / want - 1) < 1e-6);
        assert_true(model.coefficients[1] == -model.coefficients[0]);
        double objective = want * want * distance / 2 - 2 * want;
        assert_true(fabs(model.pairs[0].objective / objective - 1) < 1e-5);
        ib_svm_model_close(&model);
    }
    free(images);
}

static int same_models(const ib_svm_model *a, const ib_svm_model *b) {
    size_t coefficients = a->count * (a->class_count - 1) * sizeof(double);
    return a->count == b->count && a->class_count == b->class_count &&
           memcmp(a->indices, b->indices, a->count * sizeof *a->indices) == 0 &&
           memcmp(a->coefficients, b->coefficients, coefficients) == 0 &&
           memcmp(a->vectors, b->vectors, a->count * a->width) == 0 &&
           memcmp(a->pairs, b->pairs, ib_svm_pair_count(a->class_count) * sizeof *a->pairs) == 0;
}

/* Two rows, some rows, most rows, everything; one thread and more: one result. */
static void caches_and_threads_change_nothing(void **state) {
    (void)state;
    struct images *images = make_images(4);
    ib_svm_options options = make_options(IB_SVM_RBF);
    options.c = 10;
    ib_svm_model want = train(&options, images, IMAGES, "auto", 1);
    assert_true(want.pairs[0].iterations > 20);
    static const size_t CACHES[] = {1024, 1600, 4000, 14000, 64 << 20};
    for (size_t c = 0; c < sizeof CACHES / sizeof CACHES[0]; ++c)
        for (unsigned threads = 1; threads <= 7; threads += 2) {
            options.cache_bytes = CACHES[c];
            ib_svm_model got = train(&options, images, IMAGES, "auto", threads);
            if (!same_models(&want, &got))
                fail_msg("another model with %zu bytes and %u threads", CACHES[c], threads);
            ib_svm_model_close(&got);
        }
    ib_svm_model_close(&want);
    free(images);
}

/* ---- refusals -----------------------------------------------------------------------------------
 */

static void expect_refusal(const ib_svm_options *options, const struct images *images, size_t count,
                           const char *in_message) {
    ib_error err = {0};
    ib_svm_set set = {count, WIDTH, images->rows, images->labels};
    ib_status status = ib_svm_check(options, &set, &err);
    if (status != IB_ERROR_USAGE || strstr(ib_error_text(&err), in_message) == NULL)
        fail_msg("status %d, '%s'; wanted '%s'", (int)status, ib_error_text(&err), in_message);
    ib_error_clear(&err);
}

static void bad_options_are_told_before_training(void **state) {
    (void)state;
    struct images *images = make_images(3);
    const ib_svm_options good = make_options(IB_SVM_POLY);
    ib_svm_set set = {IMAGES, WIDTH, images->rows, images->labels};
    assert_int_equal(ib_svm_check(&good, &set, NULL), IB_OK);
    static const double BAD[] = {0, -1, NAN, INFINITY};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; ++i) {
        ib_svm_options bad = good;
        bad.c = BAD[i];
        expect_refusal(&bad, images, IMAGES, "--C");
        bad = good;
        bad.tolerance = BAD[i];
        expect_refusal(&bad, images, IMAGES, "--tolerance");
        bad = good;
        bad.gamma_kind = IB_SVM_GAMMA_VALUE;
        bad.gamma = BAD[i];
        expect_refusal(&bad, images, IMAGES, "--svm-gamma");
        bad = good;
        bad.coef0 = i < 2 ? NAN : -INFINITY;
        expect_refusal(&bad, images, IMAGES, "--coef0");
    }
    ib_svm_options bad = good;
    bad.degree = 0;
    expect_refusal(&bad, images, IMAGES, "--degree");
    bad.degree = 100;
    bad.coef0 = 100;
    expect_refusal(&bad, images, IMAGES, "binary32");
    bad = good;
    bad.cache_bytes = 511;
    expect_refusal(&bad, images, IMAGES, "--cache-mb");
    images->labels[1] = images->labels[0];
    expect_refusal(&good, images, 2, "one class");
    for (size_t i = 0; i < IMAGES; ++i)
        memset(images->pixels[i], 9, WIDTH);
    expect_refusal(&good, images, IMAGES, "alike");
    free(images);
}

/* ---- files --------------------------------------------------------------------------------------
 */

static void files_keep_the_model(void **state) {
    (void)state;
    char *directory = temp_dir_make();
    char *path = ib_path_join(directory, "m.safetensors"),
         *text = ib_path_join(directory, "m.model");
    struct images *images = make_images(3);
    ib_svm_options options = make_options(IB_SVM_SIGMOID);
    ib_svm_model model = train(&options, images, IMAGES, "auto", 1), read;
    double *want = decide(&model, images), *got;
    char first[IB_SHA256_HEX_SIZE], second[IB_SHA256_HEX_SIZE];
    size_t bytes = IMAGES * ib_svm_pair_count(model.class_count) * sizeof *want;
    assert_int_equal(ib_svm_save(&model, NULL, path, first, NULL), IB_OK);
    assert_int_equal(ib_svm_load(path, &read, NULL), IB_OK);
    got = decide(&read, images);
    assert_memory_equal(want, got, bytes);
    free(got);
    assert_int_equal(ib_svm_save(&read, NULL, path, second, NULL), IB_OK);
    assert_string_equal(first, second);
    ib_svm_model_close(&read);
    assert_int_equal(ib_svm_write_libsvm(&model, text, NULL), IB_OK);
    assert_int_equal(ib_svm_read_libsvm(text, options.mean, options.deviation, WIDTH, &read, NULL),
                     IB_OK);
    got = decide(&read, images);
    assert_memory_equal(want, got, bytes);
    free(got);
    ib_svm_model_close(&read);
    ib_error err = {0};
    assert_int_equal(ib_svm_read_libsvm(text, 0.5, 0.5, WIDTH, &read, &err), IB_ERROR_VERIFY);
    assert_non_null(strstr(ib_error_text(&err), "--normalize"));
    ib_error_clear(&err);
    free(want);
    ib_svm_model_close(&model);
    free(images);
    free(path);
    free(text);
    temp_dir_remove(directory);
}

/* Every cut and a change of each of the first bytes: refused or read, never worse. */
static void damaged_libsvm_files_are_refused(void **state) {
    (void)state;
    static const char GOOD[] =
        "svm_type c_svc\nkernel_type rbf\ngamma 0.5\nnr_class 2\ntotal_sv 2\n"
        "rho 0.25\nlabel 0 1\nnr_sv 1 1\nSV\n1 1:0.2 3:1 \n-1 2:0.4 \n";
    char *directory = temp_dir_make(), *path = ib_path_join(directory, "m.model");
    ib_svm_model model;
    for (size_t size = 0; size < sizeof GOOD - 1; ++size) {
        temp_dir_write(directory, "m.model", GOOD, size);
        ib_status status = ib_svm_read_libsvm(path, 0, 1, 4, &model, NULL);
        int complete = size >= sizeof GOOD - 3; /* the last blank and newline may go */
        if (status == IB_OK)
            ib_svm_model_close(&model);
        if (size < sizeof GOOD - 16 || complete)
            assert_int_equal(status, complete ? IB_OK : IB_ERROR_VERIFY);
    }
    for (size_t at = 0; at < sizeof GOOD - 1; ++at)
        for (int change = 0; change < 4; ++change) {
            char bad[sizeof GOOD];
            memcpy(bad, GOOD, sizeof bad);
            bad[at] = "\0 -9"[change];
            temp_dir_write(directory, "m.model", bad, sizeof GOOD - 1);
            if (ib_svm_read_libsvm(path, 0, 1, 4, &model, NULL) == IB_OK)
                ib_svm_model_close(&model);
        }
    free(path);
    temp_dir_remove(directory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernels_give_the_references_bits),
        cmocka_unit_test(any_width_gives_the_references_bits),
        cmocka_unit_test(kernel_values_are_accurate),
        cmocka_unit_test(sweeps_give_the_references_bits),
        cmocka_unit_test(solutions_are_optimal),
        cmocka_unit_test(two_points_have_the_known_solution),
        cmocka_unit_test(caches_and_threads_change_nothing),
        cmocka_unit_test(bad_options_are_told_before_training),
        cmocka_unit_test(files_keep_the_model),
        cmocka_unit_test(damaged_libsvm_files_are_refused),
    };
    return cmocka_run_group_tests_name("svm", tests, NULL, NULL);
}
