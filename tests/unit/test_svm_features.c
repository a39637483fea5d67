/* Support vector machines on features: --normalize standard's table and its file, kernels against
 * the reference on every instruction set, and one model whatever computes it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/cpu/cpu.h"
#include "base/file.h"
#include "base/fpenv.h"
#include "svm/parts.h"
#include "temp_dir.h"
#include "tensor/safetensors.h"

enum { WIDTH = 100, IMAGES = 150, CONSTANT = 7 };

static uint32_t mix(uint32_t x) {
    x = (x ^ x >> 16) * 0x7FEB352Du;
    x = (x ^ x >> 15) * 0x846CA68Bu;
    return x ^ x >> 16;
}

/* Three classes; pixel CONSTANT is 9 in every image, and the others vary by different amounts. */
typedef struct sample {
    ib_dataset_info info;
    uint8_t pixels[IMAGES][WIDTH], labels[IMAGES];
    const uint8_t *rows[IMAGES];
    uint32_t order[IMAGES];
    ib_dataset dataset;
    ib_svm_set set;
} sample;

static sample *make_sample(void) {
    sample *s = calloc(1, sizeof *s);
    assert_non_null(s);
    for (uint32_t i = 0; i < IMAGES; ++i) {
        s->labels[i] = (uint8_t)(mix(i + 77) % 3);
        s->rows[i] = s->pixels[i];
        s->order[i] = i;
        for (uint32_t k = 0; k < WIDTH; ++k)
            s->pixels[i][k] =
                (uint8_t)(mix(i * WIDTH + k) % (k + 2) + 40u * (s->labels[i] == k % 3));
        s->pixels[i][CONSTANT] = 9;
    }
    s->info = (ib_dataset_info){.name = "sample"};
    s->dataset = (ib_dataset){.info = &s->info,
                              .train_count = IMAGES,
                              .image_bytes = WIDTH,
                              .values = {s->pixels[0], s->labels, NULL, NULL}};
    s->set = (ib_svm_set){IMAGES, WIDTH, s->rows, s->labels};
    return s;
}

static ib_pixel_table make_table(const sample *s, size_t count) {
    ib_pixel_table table;
    ib_error err = {0};
    if (ib_pixel_table_make(&s->dataset, s->order, count, &table, &err) != IB_OK)
        fail_msg("%s", ib_error_text(&err));
    return table;
}

/* ---- the table ----------------------------------------------------------------------------------
 */

static void tables_are_means_and_deviations(void **state) {
    (void)state;
    sample *s = make_sample();
    ib_pixel_table table = make_table(s, IMAGES);
    assert_int_equal(table.pixels, WIDTH);
    for (size_t k = 0; k < WIDTH; ++k) {
        double mean = 0, variance = 0, sum = 0, squares = 0;
        for (size_t i = 0; i < IMAGES; ++i)
            mean += s->pixels[i][k] / (double)IMAGES;
        for (size_t i = 0; i < IMAGES; ++i)
            variance += (s->pixels[i][k] - mean) * (s->pixels[i][k] - mean) / (double)IMAGES;
        assert_true(fabs(table.mean[k] - mean) < 1e-12 * 255);
        assert_true(fabs(table.deviation[k] - sqrt(variance)) < 1e-6);
        for (size_t i = 0; i < IMAGES; ++i) {
            double x = ib_pixel_table_feature(&table, k, s->pixels[i][k]);
            sum += x;
            squares += x * x;
        }
        assert_true(fabs(sum) < 1e-9);
        assert_true(fabs(squares - (k == CONSTANT ? 0 : IMAGES)) < 1e-9);
    }
    assert_true(table.deviation[CONSTANT] == 0 && table.mean[CONSTANT] == 9);
    assert_true(ib_pixel_table_feature(&table, CONSTANT, 200) == 0);
    assert_int_equal(ib_pixel_table_varying(&table), WIDTH - 1);
    ib_svm_options options = {.table = &table};
    assert_true(ib_svm_scale_gamma(&options, &s->set) == 1.0 / (WIDTH - 1));
    ib_pixel_table one = make_table(s, 1); /* one image: nothing varies */
    assert_int_equal(ib_pixel_table_varying(&one), 0);
    ib_pixel_table_close(&one);
    assert_int_equal(ib_pixel_table_make(&s->dataset, s->order, 0, &one, NULL), IB_ERROR_USAGE);
    ib_pixel_table_close(&table);
    free(s);
}

static void write_tensors(const char *path, const double *mean, const double *deviation,
                          int64_t pixels, ib_dtype dtype) {
    const ib_named_tensor tensors[] = {{"deviation", dtype, {1, {pixels}}, deviation},
                                       {"mean", dtype, {1, {pixels}}, mean}};
    assert_int_equal(ib_safetensors_write(path, tensors, 2, NULL, 0, NULL, NULL), IB_OK);
}

static void expect_refused(const char *path, size_t pixels) {
    ib_pixel_table table;
    ib_error err = {0};
    assert_int_equal(ib_pixel_table_read(path, pixels, &table, &err), IB_ERROR_VERIFY);
    assert_non_null(strstr(ib_error_text(&err), path));
    assert_null(table.mean);
    ib_error_clear(&err);
}

static void files_keep_the_table(void **state) {
    (void)state;
    sample *s = make_sample();
    char *directory = temp_dir_make(), *path = ib_path_join(directory, "t.safetensors");
    ib_pixel_table table = make_table(s, IMAGES), read;
    expect_refused(path, WIDTH); /* there is none yet */
    assert_int_equal(ib_pixel_table_write(&table, NULL, path, NULL), IB_OK);
    assert_int_equal(ib_pixel_table_read(path, WIDTH, &read, NULL), IB_OK);
    assert_string_equal(read.sha256, table.sha256);
    assert_memory_equal(read.mean, table.mean, WIDTH * sizeof(double));
    assert_memory_equal(read.deviation, table.deviation, WIDTH * sizeof(double));
    ib_pixel_table_close(&read);
    expect_refused(path, WIDTH - 1);
    static const double BAD_MEANS[] = {-1, 256, NAN},
                        BAD_DEVIATIONS[] = {-1, 129, 1e-300, INFINITY};
    for (size_t i = 0; i < 3 + 4; ++i) {
        double *value = i < 3 ? &table.mean[3] : &table.deviation[3], kept = *value;
        *value = i < 3 ? BAD_MEANS[i] : BAD_DEVIATIONS[i - 3];
        write_tensors(path, table.mean, table.deviation, WIDTH, IB_F64);
        expect_refused(path, WIDTH);
        *value = kept;
    }
    write_tensors(path, table.mean, table.deviation, WIDTH, IB_I64);
    expect_refused(path, WIDTH);
    char *name = ib_pixel_table_path("a/model.safetensors");
    assert_string_equal(name, "a/model.normalization.safetensors");
    free(name);
    ib_pixel_table_close(&table);
    free(path);
    temp_dir_remove(directory);
    free(s);
}

/* ---- kernels ------------------------------------------------------------------------------------
 */

typedef struct matrix {
    size_t width;
    const double *values;
} matrix;

static void fill_row(const void *context, size_t row, double *to, size_t stride) {
    const matrix *m = context;
    for (size_t k = 0; k < m->width; ++k)
        to[k * stride] = m->values[row * m->width + k];
}

/* Values with all 53 bits, of very different sizes, some of them 0. */
static double draw_value(uint32_t seed) {
    double fraction = 1 + mix(seed) * 0x1p-32 + mix(seed + 1) * 0x1p-52;
    return mix(seed + 2) % 7 == 0
               ? 0
               : ldexp(mix(seed + 3) & 1 ? fraction : -fraction, (int)(mix(seed + 4) % 12) - 8);
}

static ib_svm_packed pack(const ib_cpu_kernels *kernels, const double *values, size_t count,
                          size_t width) {
    ib_svm_packed packed;
    matrix m = {width, values};
    ib_svm_matrix rows = {fill_row, &m, count, width};
    assert_int_equal(ib_svm_pack_matrix(kernels->svm, &rows, &packed, NULL), IB_OK);
    return packed;
}

static void compare_blocks(const ib_cpu_kernels *kernels, const ib_cpu_kernels *reference,
                           const ib_svm_kernel *kernel, const ib_svm_packed *rows, size_t first,
                           size_t count, const ib_svm_packed *columns) {
    enum { MOST = 60 * 64 };
    float out[2][MOST], turned[2][MOST];
    size_t stride = ib_svm_padded(columns->images.count);
    assert_true(count * stride <= MOST);
    memset(turned, 0, sizeof turned);
    for (int n = 0; n < 2; ++n) {
        ib_svm_block block = {&rows->images, &columns->images, first,     count,
                              out[n],        stride,           turned[n], count};
        (n == 0 ? kernels : reference)->svm->kernel_block(kernel, &block);
    }
    for (size_t r = 0; r < count; ++r)
        if (memcmp(out[0] + r * stride, out[1] + r * stride,
                   columns->images.count * sizeof(float)) != 0)
            fail_msg("%s, kernel %d, width %zu: row %zu differs", kernels->isa, (int)kernel->kind,
                     rows->images.width, r);
    assert_memory_equal(turned[0], turned[1], sizeof turned[0]);
}

/* The last table's FMA is our own, in software. */
static void kernels_give_the_references_bits(void **state) {
    (void)state;
    enum { ROWS = 57, COLUMNS = 40 };
    static const size_t WIDTHS[] = {1, 3, 127, 128, 129, 784, 2753};
    const ib_cpu_kernels *const *tables = ib_cpu_kernel_tables();
    const ib_cpu_kernels *reference = NULL;
    for (const ib_cpu_kernels *const *t = tables; *t != NULL; ++t)
        if (strcmp((*t)->isa, "scalar") == 0 && ib_cpu_supports(*t))
            reference = reference == NULL ? *t : reference;
    for (size_t w = 0; w < sizeof WIDTHS / sizeof WIDTHS[0]; ++w) {
        double *values = calloc(ROWS * WIDTHS[w], sizeof *values);
        assert_non_null(values);
        for (uint32_t i = 0; i < ROWS * WIDTHS[w]; ++i)
            values[i] = draw_value(i * 8);
        ib_svm_packed rows = pack(reference, values, ROWS, WIDTHS[w]);
        ib_svm_packed columns = pack(reference, values, COLUMNS, WIDTHS[w]);
        for (const ib_cpu_kernels *const *t = tables; *t != NULL; ++t) {
            if (!ib_cpu_supports(*t))
                continue;
            ib_svm_packed own = pack(*t, values, ROWS, WIDTHS[w]);
            assert_memory_equal(own.images.norms, rows.images.norms, ROWS * sizeof(double));
            for (int kind = IB_SVM_LINEAR; kind <= IB_SVM_SIGMOID; ++kind) {
                ib_svm_kernel kernel = {.kind = (ib_svm_kernel_kind)kind,
                                        .degree = 3,
                                        .gamma = 0.05 / (double)WIDTHS[w],
                                        .coef0 = 0.25};
                compare_blocks(*t, reference, &kernel, &rows, 0, 48, &columns);
                compare_blocks(*t, reference, &kernel, &rows, 7, ROWS - 7, &columns);
                compare_blocks(*t, reference, &kernel, &rows, 30, 1, &columns);
            }
            ib_svm_unpack(&own);
        }
        ib_svm_unpack(&rows);
        ib_svm_unpack(&columns);
        free(values);
    }
}

/* Against the C library, in the sample's features; an image's distance to itself is 0 exactly. */
static void kernel_values_are_accurate(void **state) {
    (void)state;
    sample *s = make_sample();
    ib_pixel_table table = make_table(s, IMAGES);
    ib_svm_options options = {
        .table = &table, .gamma = 0.01, .coef0 = 0.5, .degree = 3, .deviation = 1};
    for (const ib_cpu_kernels *const *t = ib_cpu_kernel_tables(); *t != NULL; ++t)
        for (int kind = IB_SVM_LINEAR; kind <= IB_SVM_SIGMOID && ib_cpu_supports(*t); ++kind) {
            ib_svm_packed all;
            float out[(IMAGES + 31) / 32 * 32];
            options.kernel = (ib_svm_kernel_kind)kind;
            ib_svm_kernel kernel = ib_svm_kernel_of(&options, WIDTH);
            ib_fp_state saved = ib_fp_enter_as(IB_FP_WATCH);
            assert_int_equal(
                ib_svm_pack_by(&options, (*t)->svm, s->rows, IMAGES, WIDTH, &all, NULL), IB_OK);
            ib_svm_block block = {
                &all.images, &all.images, 7, 1, out, sizeof out / sizeof out[0], NULL, 0};
            (*t)->svm->kernel_block(&kernel, &block);
            int met = ib_fp_met_denormal();
            ib_fp_leave(saved);
            assert_false(met);
            for (size_t c = 0; c < IMAGES; ++c) {
                double dot = 0, distance = 0;
                for (size_t k = 0; k < WIDTH; ++k) {
                    double x = ib_pixel_table_feature(&table, k, s->pixels[7][k]);
                    double z = ib_pixel_table_feature(&table, k, s->pixels[c][k]);
                    dot += x * z;
                    distance += (x - z) * (x - z);
                }
                double base = options.gamma * dot + options.coef0;
                double want = kind == IB_SVM_LINEAR ? dot
                              : kind == IB_SVM_POLY ? base * base * base
                              : kind == IB_SVM_RBF  ? exp(-options.gamma * distance)
                                                    : tanh(base);
                if (fabs((double)out[c] - want) > 1e-7 * fabs(want) + 1e-10)
                    fail_msg("%s, kernel %d: %.9g, not %.17g", (*t)->isa, kind, (double)out[c],
                             want);
            }
            if (kind == IB_SVM_RBF)
                assert_true(out[7] == 1.0f);
            ib_svm_unpack(&all);
        }
    ib_pixel_table_close(&table);
    free(s);
}

/* ---- models -------------------------------------------------------------------------------------
 */

static ib_svm_model train(const ib_svm_options *options, const sample *s, const char *isa,
                          unsigned threads) {
    ib_backend_options backend_options = {"cpu", isa, threads};
    ib_backend *backend = NULL;
    ib_error err = {0};
    ib_svm_model model = {0};
    if (ib_backend_open(&backend_options, &backend, &err) != IB_OK ||
        ib_svm_train(backend->host, options, &s->set, NULL, &model, &err) != IB_OK)
        fail_msg("%s", ib_error_text(&err));
    ib_backend_close(backend);
    return model;
}

static ib_status predict(const ib_svm_model *model, const sample *s, uint8_t *classes) {
    ib_backend_options options = {"cpu", "auto", 2};
    ib_backend *backend;
    assert_int_equal(ib_backend_open(&options, &backend, NULL), IB_OK);
    ib_status status = ib_svm_predict(backend->host, model, s->rows, IMAGES, classes, NULL);
    ib_backend_close(backend);
    return status;
}

/* Rows fetched one by one and whole blocks, one thread and more, every instruction set. */
static void one_model_whatever_computes_it(void **state) {
    (void)state;
    static const size_t CACHES[] = {1600, 6000, 64 << 20};
    static const char *const ISAS[] = {"scalar", "auto"};
    sample *s = make_sample();
    ib_pixel_table table = make_table(s, IMAGES);
    for (int kind = IB_SVM_POLY; kind <= IB_SVM_RBF; ++kind) {
        ib_svm_options options = {.kernel = (ib_svm_kernel_kind)kind,
                                  .c = 10,
                                  .tolerance = 1e-3,
                                  .deviation = 1,
                                  .degree = 3,
                                  .table = &table,
                                  .cache_bytes = 64 << 20};
        ib_svm_model want = train(&options, s, "scalar", 1);
        size_t bytes = want.count * (want.class_count - 1) * sizeof(double);
        assert_true(want.pairs[0].iterations > 20);
        for (size_t n = 0; n < 2 * 3 * 2; ++n) {
            options.cache_bytes = CACHES[n / 2 % 3];
            ib_svm_model got = train(&options, s, ISAS[n % 2], n < 6 ? 1 : 3);
            assert_int_equal(got.count, want.count);
            assert_memory_equal(got.coefficients, want.coefficients, bytes);
            assert_true(got.pairs[1].rho == want.pairs[1].rho);
            ib_svm_model_close(&got);
        }
        ib_svm_model_close(&want);
    }
    ib_pixel_table_close(&table);
    free(s);
}

static void models_need_their_table(void **state) {
    (void)state;
    sample *s = make_sample();
    char *directory = temp_dir_make(), *path = ib_path_join(directory, "m.safetensors");
    ib_pixel_table table = make_table(s, IMAGES), other = make_table(s, IMAGES - 1);
    ib_svm_options options = {.c = 1,
                              .tolerance = 1e-3,
                              .deviation = 1,
                              .degree = 3,
                              .kernel = IB_SVM_RBF,
                              .table = &table,
                              .cache_bytes = 1 << 20};
    ib_svm_model model = train(&options, s, "auto", 1), read;
    uint8_t want[IMAGES], got[IMAGES];
    char first[IB_SHA256_HEX_SIZE], second[IB_SHA256_HEX_SIZE];
    ib_error err = {0};
    assert_int_equal(predict(&model, s, want), IB_OK);
    assert_int_equal(ib_svm_save(&model, NULL, path, first, NULL), IB_OK);
    assert_int_equal(ib_svm_load(path, &read, NULL), IB_OK);
    assert_int_equal(predict(&read, s, got), IB_ERROR_VERIFY);
    assert_int_equal(ib_svm_give_table(&read, &other, "other.file", &err), IB_ERROR_VERIFY);
    assert_non_null(strstr(ib_error_text(&err), "other.file"));
    ib_error_clear(&err);
    assert_int_equal(ib_svm_give_table(&read, &table, "t", NULL), IB_OK);
    assert_int_equal(predict(&read, s, got), IB_OK);
    assert_memory_equal(want, got, sizeof want);
    assert_int_equal(ib_svm_save(&read, NULL, path, second, NULL), IB_OK);
    assert_string_equal(first, second);
    ib_svm_model_close(&read);
    ib_svm_model_close(&model);
    ib_pixel_table_close(&table);
    ib_pixel_table_close(&other);
    free(path);
    temp_dir_remove(directory);
    free(s);
}

/* A coefficient is at most C times its class's weight, and some are. */
static void weights_bound_each_class(void **state) {
    (void)state;
    sample *s = make_sample();
    double weights[IB_SVM_MOST_CLASSES], greatest[3] = {0};
    size_t counts[3] = {0}, first = 0;
    ib_svm_balance(&s->set, weights);
    for (size_t i = 0; i < IMAGES; ++i)
        ++counts[s->labels[i]];
    for (size_t a = 0; a < 3; ++a)
        assert_true(weights[a] == (double)IMAGES / (double)(3 * counts[a]));
    assert_true(weights[3] == 0);
    weights[1] = 0.5;
    weights[2] = 2;
    s->set.weights = weights;
    ib_svm_options options = {.kernel = IB_SVM_LINEAR,
                              .c = 1e-5,
                              .tolerance = 1e-3,
                              .deviation = 1,
                              .degree = 3,
                              .cache_bytes = 1 << 20};
    ib_svm_model model = train(&options, s, "auto", 1);
    for (size_t a = 0; a < 3; first += model.class_support[a++])
        for (size_t v = 0; v < model.class_support[a]; ++v) {
            double size = fabs(model.coefficients[first + v]);
            double other = fabs(model.coefficients[model.count + first + v]);
            size = other > size ? other : size;
            greatest[a] = size > greatest[a] ? size : greatest[a];
        }
    for (size_t a = 0; a < 3; ++a)
        assert_true(greatest[a] == options.c * weights[a]);
    ib_svm_model_close(&model);
    ib_error err = {0};
    weights[1] = 0;
    assert_int_equal(ib_svm_check(&options, &s->set, &err), IB_ERROR_USAGE);
    assert_non_null(strstr(ib_error_text(&err), "--class-weight"));
    ib_error_clear(&err);
    free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_are_means_and_deviations),
        cmocka_unit_test(files_keep_the_table),
        cmocka_unit_test(kernels_give_the_references_bits),
        cmocka_unit_test(kernel_values_are_accurate),
        cmocka_unit_test(one_model_whatever_computes_it),
        cmocka_unit_test(models_need_their_table),
        cmocka_unit_test(weights_bound_each_class),
    };
    return cmocka_run_group_tests_name("svm features", tests, NULL, NULL);
}
