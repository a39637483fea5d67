/* The public C API: a predictor gives the same bits however images are asked for. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/backend.h"
#include "isobit/isobit.h"
#include "model/model.h"
#include "options/options.h"
#include "temp_dir.h"

enum { PIXELS = 784, CLASSES = 10 };
enum { IMAGES = 300 }; /* more than one of the predictor's batches */

/* Saves an untrained model of this kind; the caller frees the path. */
static char *save_model(const char *directory, const char *kind) {
    ib_config config;
    ib_backend *backend = NULL;
    ib_model *model = NULL;
    ib_backend_options options = {"cpu", "auto", 1};
    char *path = ib_path_join(directory, kind);
    assert_int_equal(ib_config_defaults(&config, NULL), IB_OK);
    assert_int_equal(ib_option_set(ib_option_find("model", 5), kind, "model", &config, NULL),
                     IB_OK);
    assert_int_equal(ib_backend_open(&options, &backend, NULL), IB_OK);
    assert_int_equal(
        ib_model_open(backend, &config.experiment, ib_dataset_find("mnist"), 8, 0, &model, NULL),
        IB_OK);
    assert_int_equal(ib_model_initialize(model, 1, NULL), IB_OK);
    assert_int_equal(ib_model_save(model, NULL, path, NULL, NULL), IB_OK);
    ib_model_close(model);
    ib_backend_close(backend);
    ib_config_free(&config);
    return path;
}

static void check_kind(const char *directory, const char *kind, const uint8_t *images) {
    char *path = save_model(directory, kind);
    float *all = calloc(IMAGES * CLASSES, sizeof *all);
    uint16_t classes[IMAGES];
    char message[256];
    ib_predictor *predictor = NULL;
    cpu_set_t before, after;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    if (ib_predictor_open(path, NULL, &predictor, message, sizeof message) != IB_OK)
        fail_msg("%s", message);
    assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
    assert_true(CPU_EQUAL(&before, &after));
    assert_int_equal(ib_predictor_image_bytes(predictor), PIXELS);
    assert_int_equal(ib_predictor_class_count(predictor), CLASSES);
    assert_int_equal(ib_predictor_predict(predictor, images, IMAGES, classes, all), IB_OK);
    for (size_t i = 0; i < IMAGES; i += 37) {
        float one[CLASSES];
        uint16_t class_of_one = UINT16_MAX;
        assert_int_equal(
            ib_predictor_predict(predictor, images + i * PIXELS, 1, &class_of_one, one), IB_OK);
        assert_memory_equal(one, all + i * CLASSES, sizeof one);
        assert_int_equal(class_of_one, classes[i]);
    }
    assert_int_equal(ib_predictor_predict(predictor, images, 0, NULL, NULL), IB_OK);
    ib_predictor_close(predictor);
    free(all);
    free(path);
}

static void each_kind_predicts(void **state) {
    (void)state;
    char *directory = temp_dir_make();
    uint8_t *images = malloc((size_t)IMAGES * PIXELS);
    for (size_t i = 0; i < (size_t)IMAGES * PIXELS; ++i)
        images[i] = (uint8_t)(i * 2654435761u >> 13);
    check_kind(directory, "cnn", images);
    check_kind(directory, "mlp", images);
    free(images);
    temp_dir_remove(directory);
}

static void failures_say_why(void **state) {
    (void)state;
    char *directory = temp_dir_make();
    char message[256];
    ib_predictor *predictor = NULL;
    temp_dir_write(directory, "bad", "not a model", 11);
    char *bad = ib_path_join(directory, "bad");
    char *missing = ib_path_join(directory, "missing");
    assert_int_equal(ib_predictor_open(bad, NULL, &predictor, message, sizeof message),
                     IB_ERROR_VERIFY);
    assert_null(predictor);
    assert_non_null(strstr(message, bad));
    assert_int_not_equal(ib_predictor_open(missing, NULL, &predictor, NULL, 0), IB_OK);
    const ib_predictor_options options = {.dataset = "cifar"};
    assert_int_equal(ib_predictor_open(bad, &options, &predictor, message, 8), IB_ERROR_USAGE);
    assert_int_equal(strlen(message), 7);
    assert_true(strlen(ib_version()) >= 5);
    free(bad);
    free(missing);
    temp_dir_remove(directory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_predicts),
        cmocka_unit_test(failures_say_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
