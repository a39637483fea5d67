/* A data set that is nothing like MNIST, from its row to its report: 26 classes whose labels begin
 * at 1, images of 20 x 25, files under names of their own. Nothing in between may know 10 or 28. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/dataset.h"
#include "data/idx.h"
#include "data/prepare.h"
#include "model/model.h"
#include "model/onnx.h"
#include "options/options.h"
#include "record/mistakes_file.h"
#include "record/record.h"
#include "record/record_file.h"
#include "report/records.h"
#include "svm/svm.h"
#include "temp_dir.h"

/* Of the text "{}". */
#define SHA256_OF_CANONICAL "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

enum { CLASSES = 26, HEIGHT = 20, WIDTH = 25, PIXELS = HEIGHT * WIDTH, TRAIN = 260, TEST = 78 };

static const char *const NO_MIRRORS[] = {NULL};
static const ib_dataset_info ROW = {.name = "letters",
                                    .image = {.channels = 1, .height = HEIGHT, .width = WIDTH},
                                    .classes = CLASSES,
                                    .first_label = 1,
                                    .train_count = TRAIN,
                                    .test_count = TEST,
                                    .files = {"letters-train-images", "letters-train-labels",
                                              "letters-test-images", "letters-test-labels"},
                                    .mirrors = NO_MIRRORS,
                                    .mean = 0.25,
                                    .standard_deviation = 0.5};

typedef struct fixture {
    char *directory, *mirror, *data;
    ib_dataset_info row;
    char hex[IB_FILE_ROLES][IB_SHA256_HEX_SIZE];
    ib_dataset dataset;
    ib_backend *backend;
    ib_config config;
    ib_split split;
} fixture;

static void must(ib_status status, ib_error *err) {
    if (status != IB_OK)
        fail_msg("%s", ib_error_text(err));
}

/* A bar at a height of its own for each class, and a little noise. */
static void draw(uint8_t *image, uint32_t number, unsigned class) {
    for (uint32_t k = 0; k < PIXELS; ++k) {
        uint32_t noise = (number * PIXELS + k) * 2654435761u >> 27;
        int on = k / WIDTH == class * HEIGHT / CLASSES && (k % WIDTH > 12) == (class % 2);
        image[k] = (uint8_t)(on ? 255 - noise : noise);
    }
}

/* Writes one file into the mirror and pins it in the row. */
static void make_file(fixture *f, int role) {
    uint32_t count = role < IB_TEST_IMAGES ? TRAIN : TEST;
    int images = ib_is_image_role((ib_file_role)role);
    size_t size = (size_t)ib_dataset_file_bytes(&f->row, (ib_file_role)role);
    uint8_t *file = malloc(size);
    size_t header =
        ib_idx_write_header(file, f->row.image, images ? IB_IDX_IMAGES : IB_IDX_LABELS, count);
    assert_int_equal(size, header + (images ? (size_t)count * PIXELS : count));
    for (uint32_t i = 0; i < count; ++i) {
        if (images)
            draw(file + header + (size_t)i * PIXELS, i + 1000u * (role > 1), i % CLASSES);
        else
            file[header + i] = (uint8_t)(1 + i % CLASSES);
    }
    char *name = ib_format("letters/%s", ib_dataset_file_name(&f->row, (ib_file_role)role));
    temp_dir_write(f->mirror, name, file, size);
    ib_sha256_bytes(file, size, f->hex[role]);
    f->row.sha256[role] = f->hex[role];
    free(name);
    free(file);
}

static void set_option(fixture *f, const char *name, const char *value) {
    must(ib_option_set(ib_option_find(name, strlen(name)), value, name, &f->config, NULL), NULL);
}

static int set_up(void **state) {
    ib_error err = {0};
    fixture *f = calloc(1, sizeof *f);
    f->directory = temp_dir_make();
    f->mirror = ib_path_join(f->directory, "mirror");
    f->data = ib_path_join(f->directory, "data");
    f->row = ROW;
    for (int role = 0; role < IB_FILE_ROLES; ++role)
        make_file(f, role);
    must(ib_prepare_files(&f->row, f->data, f->mirror, NULL, &err), &err);
    must(ib_dataset_open_described(f->data, &f->row, &f->dataset, &err), &err);
    must(ib_split_make(IB_SPLIT_OFFICIAL, TRAIN, TEST, 1, 0, 0, &f->split, &err), &err);
    ib_backend_options options = {"cpu", "auto", 2};
    must(ib_backend_open(&options, &f->backend, &err), &err);
    must(ib_config_defaults(&f->config, &err), &err);
    char *runs = ib_path_join(f->directory, "runs");
    set_option(f, "runs-dir", runs);
    set_option(f, "epochs", "1");
    set_option(f, "batch-size", "20");
    free(runs);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture *f = *state;
    ib_backend_close(f->backend);
    ib_split_close(&f->split);
    ib_dataset_close(&f->dataset);
    ib_config_free(&f->config);
    temp_dir_remove(f->directory);
    free(f->mirror);
    free(f->data);
    free(f);
    return 0;
}

static void the_files_are_read(void **state) {
    const fixture *f = *state;
    uint8_t wanted[PIXELS];
    assert_int_equal(f->dataset.train_count, TRAIN);
    assert_int_equal(f->dataset.test_count, TEST);
    const size_t probes[] = {0, TRAIN - 1, TRAIN, TRAIN + TEST - 1};
    for (size_t i = 0; i < 4; ++i) {
        uint32_t number = (uint32_t)(probes[i] < TRAIN ? probes[i] : probes[i] - TRAIN);
        draw(wanted, number + 1000u * (probes[i] >= TRAIN), number % CLASSES);
        assert_memory_equal(ib_dataset_pixels(&f->dataset, probes[i]), wanted, PIXELS);
        assert_int_equal(ib_dataset_label(&f->dataset, probes[i]), number % CLASSES);
    }
}

/* Pinned content that does not fit the rest of its row. */
static void a_row_that_does_not_fit_is_refused(void **state) {
    const fixture *f = *state;
    static const struct {
        ib_image_shape image;
        uint32_t classes, first_label;
        const char *wanted;
    } CASES[] = {
        {{1, WIDTH, HEIGHT}, CLASSES, 1, "images of 20 x 25 pixels, wanted 25 x 20"},
        {{1, HEIGHT, WIDTH - 1}, CLASSES, 1, "bytes of content"},
        {{2, HEIGHT, WIDTH}, CLASSES, 1, "bytes of content"},
        {{1, HEIGHT, WIDTH}, CLASSES - 1, 1, "label 26 of image 25 is above 25"},
        {{1, HEIGHT, WIDTH}, CLASSES, 0, "label 26 of image 25 is above 25"},
        {{1, HEIGHT, WIDTH}, CLASSES, 2, "label 1 of image 0 is below 2"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; ++i) {
        ib_dataset_info row = f->row;
        ib_dataset dataset;
        ib_error err = {0};
        row.image = CASES[i].image;
        row.classes = CASES[i].classes;
        row.first_label = CASES[i].first_label;
        assert_int_equal(ib_dataset_open_described(f->data, &row, &dataset, &err), IB_ERROR_VERIFY);
        if (strstr(ib_error_text(&err), CASES[i].wanted) == NULL)
            fail_msg("\"%s\" is not in \"%s\"", CASES[i].wanted, ib_error_text(&err));
        ib_error_clear(&err);
    }
}

/* What the record of a finished run says, to those that read it without the catalogue. */
static void check_record(const char *directory, const ib_evaluation *test) {
    ib_report_record record;
    ib_error err = {0};
    must(ib_report_record_read(directory, NULL, &record, &err), &err);
    assert_int_equal(record.run.data.shape.classes, CLASSES);
    assert_non_null(record.run.confusion);
    for (size_t k = 0; k < CLASSES * CLASSES; ++k)
        assert_true(record.run.confusion[k] == test->confusion[k]);
    ib_figure_image *images;
    size_t count, total;
    char *missing;
    must(ib_report_misclassified(&record, 24, &images, &count, &total, &missing, &err), &err);
    assert_null(missing);
    assert_int_equal(total, test->mistakes.total);
    assert_int_equal(count, total < 24 ? total : 24);
    for (size_t i = 0; i < count; ++i) {
        uint8_t wanted[PIXELS];
        assert_int_equal(images[i].height, HEIGHT);
        assert_int_equal(images[i].width, WIDTH);
        assert_int_equal(images[i].channels, 1);
        assert_int_equal(images[i].actual, images[i].index % CLASSES);
        draw(wanted, (uint32_t)images[i].index + 1000, images[i].actual);
        assert_memory_equal(images[i].pixels, wanted, PIXELS);
    }
    ib_figure_images_free(images, count);
    ib_report_record_free(&record);

    char *path = ib_path_join(directory, "run.json");
    json_t *json = NULL;
    must(ib_json_file_read(path, &json, &err), &err);
    ib_recorded_shape shape = ib_recorded_shape_of(json_object_get(json, "data"));
    assert_int_equal(shape.classes, CLASSES);
    assert_int_equal(shape.height, HEIGHT);
    assert_int_equal(shape.width, WIDTH);
    const json_t *metrics = json_object_get(json_object_get(json, "results"), "metrics");
    assert_int_equal(json_array_size(json_object_get(metrics, "class_f1")), CLASSES);
    const json_t *files = json_object_get(json_object_get(json, "data"), "sha256");
    assert_non_null(json_object_get(files, "letters-test-labels"));
    json_decref(json);
    free(path);
}

/* Writes the record of what was evaluated, as run/ does. */
static void record(fixture *f, const ib_evaluation *test) {
    ib_error err = {0};
    ib_record_start start = {.configuration = &f->config,
                             .runs_dir = f->config.record.runs_dir,
                             .experiment = "letters-any",
                             .canonical = "{}",
                             .experiment_sha256 = SHA256_OF_CANONICAL,
                             .dataset = &f->dataset,
                             .split = &f->split,
                             .backend = &f->backend->info,
                             .usable_cpus = 1};
    ib_record *written;
    ib_metrics metrics;
    must(ib_record_begin(&start, &written, &err), &err);
    must(ib_metrics_compute(test->confusion, test->classes, &metrics, &err), &err);
    uint64_t images = 0;
    for (size_t c = 0; c < CLASSES; ++c)
        images += metrics.classes[c].images;
    assert_int_equal(images, TEST);
    ib_run_results results = {.experiment_sha256 = SHA256_OF_CANONICAL,
                              .test_accuracy = test->accuracy,
                              .backend = &f->backend->info,
                              .exact = 1,
                              .run_dir = ib_record_directory(written),
                              .metrics = &metrics};
    must(ib_mistakes_write(&test->mistakes, &f->dataset, 1, ib_record_folder(written), &err), &err);
    must(ib_record_finish(written, IB_OK, NULL, &results, test, &err), &err);
    check_record(ib_record_directory(written), test);
    ib_metrics_free(&metrics);
    ib_record_close(written);
}

/* ONNX keeps texts as they are: the list of classes is somewhere in the file. */
static void check_onnx(const fixture *f, ib_model *model) {
    static const char LIST[] =
        "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25";
    ib_error err = {0};
    char *from = ib_path_join(f->directory, "model"), *to = ib_path_join(f->directory, "onnx");
    ib_onnx_notes notes = {.normalize = "dataset",
                           .mean = f->row.mean,
                           .deviation = f->row.standard_deviation,
                           .image = f->row.image,
                           .classes = f->row.classes};
    must(ib_model_save(model, NULL, from, NULL, &err), &err);
    must(ib_onnx_write(from, &notes, NULL, to, NULL, &err), &err);
    ib_contents map;
    must(ib_contents_open(to, IB_MODEL_FILE_MOST, &map, &err), &err);
    assert_non_null(memmem(map.data, map.size, LIST, sizeof LIST - 1));
    ib_contents_close(&map);
    notes.classes = 10; /* the file has other shapes than such a network would */
    assert_int_equal(ib_onnx_write(from, &notes, NULL, to, NULL, &err), IB_ERROR_VERIFY);
    ib_error_clear(&err);
    free(from);
    free(to);
}

static void networks_learn_it(void **state) {
    fixture *f = *state;
    static const char *const KINDS[] = {"cnn", "mlp"};
    for (size_t i = 0; i < sizeof KINDS / sizeof KINDS[0]; ++i) {
        ib_error err = {0};
        ib_model *model = NULL;
        ib_train_observer observer = {0};
        ib_train_result result = {0};
        set_option(f, "model", KINDS[i]);
        must(ib_model_open(f->backend, &f->config.experiment, &f->row, 20, 1, &model, &err), &err);
        assert_int_equal(ib_model_class_count(model), CLASSES);
        assert_int_equal(ib_model_image_bytes(model), PIXELS);
        must(ib_model_initialize(model, 1, &err), &err);
        must(ib_train(model, &f->config.experiment, TEST, &f->dataset, &f->split, NULL, &observer,
                      &result, &err),
             &err);
        assert_int_equal(result.test.count, TEST);
        assert_int_equal(result.test.correct + result.test.mistakes.total, TEST);
        assert_true(result.test.accuracy > 2.0 / CLASSES); /* one epoch of 13 steps */
        record(f, &result.test);
        check_onnx(f, model);
        ib_train_result_free(&result);
        ib_model_close(model);
    }
}

static void a_model_of_other_classes_is_refused(void **state) {
    fixture *f = *state;
    ib_error err = {0};
    ib_model *model = NULL;
    ib_dataset_info other = f->row, coloured = f->row;
    ib_evaluation evaluation = {0};
    other.classes = 10;
    set_option(f, "model", "mlp");
    must(ib_model_open(f->backend, &f->config.experiment, &other, 20, 0, &model, &err), &err);
    assert_int_equal(ib_evaluate(model, &f->dataset, f->split.test, TEST, &evaluation, &err),
                     IB_ERROR_USAGE);
    assert_string_equal(ib_error_text(&err), "a model of 10 classes, but letters has 26");
    ib_error_clear(&err);
    ib_model_close(model);
    coloured.image.channels = 17; /* a load takes 16 */
    assert_int_equal(
        ib_model_open(f->backend, &f->config.experiment, &coloured, 20, 0, &model, &err),
        IB_ERROR_USAGE);
    assert_null(model);
    assert_string_equal(ib_error_text(&err),
                        "letters has images of 17 channels where 1 to 16 are possible");
    ib_error_clear(&err);
    ib_evaluation_free(&evaluation);
}

/* 325 pairs, and images whose 500 bytes do not fill whole vectors. */
static void a_support_vector_machine_learns_it(void **state) {
    fixture *f = *state;
    ib_error err = {0};
    const uint8_t *images[TRAIN + TEST];
    uint8_t labels[TRAIN + TEST], classes[TEST];
    for (size_t i = 0; i < TRAIN + TEST; ++i) {
        images[i] = ib_dataset_pixels(&f->dataset, i);
        labels[i] = (uint8_t)ib_dataset_label(&f->dataset, i);
    }
    ib_svm_options options = {.kernel = IB_SVM_RBF,
                              .gamma_kind = IB_SVM_GAMMA_SCALE,
                              .c = 1,
                              .tolerance = 1e-3,
                              .mean = f->row.mean,
                              .deviation = f->row.standard_deviation,
                              .degree = 3,
                              .cache_bytes = 64 << 20};
    ib_svm_set set = {TRAIN, PIXELS, images, labels};
    ib_svm_model model, read;
    must(ib_svm_train(f->backend->host, &options, &set, NULL, &model, &err), &err);
    assert_int_equal(model.class_count, CLASSES);
    must(ib_svm_predict(f->backend->host, &model, images + TRAIN, TEST, classes, &err), &err);
    ib_evaluation evaluation = {0};
    must(ib_evaluation_begin(&evaluation, CLASSES, &err), &err);
    for (uint32_t i = 0; i < TEST; ++i)
        ib_evaluation_count(
            &evaluation,
            (ib_mistake){.index = TRAIN + i, .actual = labels[TRAIN + i], .predicted = classes[i]});
    assert_true(evaluation.accuracy > 0.9);
    record(f, &evaluation);

    char *path = ib_path_join(f->directory, "svm");
    uint8_t again[TEST];
    for (int text = 0; text < 2; ++text) {
        must(text ? ib_svm_write_libsvm(&model, path, &err)
                  : ib_svm_save(&model, NULL, path, NULL, &err),
             &err);
        must(text ? ib_svm_read_libsvm(path, options.mean, options.deviation, PIXELS, &read, &err)
                  : ib_svm_load(path, &read, &err),
             &err);
        must(ib_svm_predict(f->backend->host, &read, images + TRAIN, TEST, again, &err), &err);
        assert_memory_equal(again, classes, TEST);
        ib_svm_model_close(&read);
    }
    set.width = IB_SVM_MAX_WIDTH + 1;
    assert_int_equal(ib_svm_check(&options, &set, &err), IB_ERROR_USAGE);
    assert_non_null(strstr(ib_error_text(&err), "at most 16512 bytes"));
    ib_error_clear(&err);
    free(path);
    ib_evaluation_free(&evaluation);
    ib_svm_model_close(&model);
}

static void shapes_in_records_are_checked(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t classes, height;
    } CASES[] = {
        {"{}", 10, 28}, /* from before records named their shape */
        {"{\"classes\":3,\"height\":20,\"width\":24,\"channels\":3}", 3, 20},
        {"{\"classes\":0}", 0, 0},
        {"{\"classes\":-1}", 0, 0},
        {"{\"classes\":4294967306}", 0, 0},
        {"{\"classes\":\"10\"}", 0, 0},
        {"{\"height\":65537}", 0, 0},
        {"{\"channels\":17}", 0, 0},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; ++i) {
        json_t *json = json_loads(CASES[i].text, 0, NULL);
        ib_recorded_shape shape = ib_recorded_shape_of(json);
        assert_int_equal(shape.classes, CASES[i].classes);
        assert_int_equal(shape.height, CASES[i].height);
        json_decref(json);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_files_are_read),
        cmocka_unit_test(a_row_that_does_not_fit_is_refused),
        cmocka_unit_test(networks_learn_it),
        cmocka_unit_test(a_model_of_other_classes_is_refused),
        cmocka_unit_test(a_support_vector_machine_learns_it),
        cmocka_unit_test(shapes_in_records_are_checked),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
