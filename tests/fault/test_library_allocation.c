/* The public library while memory runs out, through its headers alone: every allocation of a use
 * fails once, alone and with all that follow it. Each call says so by its status and a text, or
 * does what it should; handles that a failure left can be used and closed; nothing is leaked (the
 * AddressSanitizer build counts). failing.h says which allocations count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../unit/temp_dir.h"
#include "failing.h"
#include "isobit/isobit.h"

enum { SIDE = 8, CLASSES = 3, TRAIN = 24, TEST = 8, BYTES = SIDE * SIDE };

static const ib_row ROWS[] = {
    {.kind = "conv", .name = "conv", .out = 4, .kernel = 3},
    {.kind = "relu"},
    {.kind = "max-pool", .kernel = 2},
    {.kind = "flatten"},
    {.kind = "linear", .name = "fc", .out = IB_CLASSES_OUT},
    {.kind = NULL},
};
static const char *const OPTIONS[] = {"epochs=1", "batch-size=8", "optimizer=sgd",
                                      "lr=0.05",  "momentum=0.9", NULL};

/* What one use of the library needs, and where it leaves what the next one compares. */
typedef struct subject {
    uint8_t pixels[(TRAIN + TEST) * BYTES], labels[TRAIN + TEST];
    ib_memory_images images;
    char *directory, *model, *mlp;                         /* paths; mlp for a predictor */
    char initial[IB_SHA256_TEXT], trained[IB_SHA256_TEXT]; /* of models */
    uint16_t answers[TEST];                                /* of the trained one */
} subject;

typedef ib_status scenario(const subject *s, char why[256]);

static void check(ib_status status, const char *why) {
    if (status != IB_OK && (status != IB_ERROR_RUNTIME || why[0] == '\0'))
        fail_msg("status %d, '%s'", (int)status, why);
}

static ib_status open_all(const subject *s, ib_device **device, ib_data **data, ib_net **net,
                          char why[256]) {
    const ib_device_options one_thread = {.threads = 1};
    const ib_net_options options = {.rows = ROWS, .options = OPTIONS};
    *net = NULL;
    *data = NULL;
    ib_status status = ib_device_open(&one_thread, device, why, 256);
    assert_int_equal(status == IB_OK, *device != NULL);
    if (status == IB_OK) {
        status = ib_data_from_memory(&s->images, data, why, 256);
        assert_int_equal(status == IB_OK, *data != NULL);
    }
    if (status == IB_OK) {
        status = ib_net_open(*device, *data, &options, net, why, 256);
        assert_int_equal(status == IB_OK, *net != NULL);
    }
    return status;
}

/* Each call of a network by itself: what failed must have said why. */
static ib_status call(ib_status status, const ib_net *net, char why[256]) {
    if (status != IB_OK)
        strncpy(why, ib_net_error(net), 255);
    check(status, why);
    return status;
}

static int count_events(void *context, const ib_event *event) {
    (void)event;
    ++*(size_t *)context;
    return 0;
}

/* Now that there is memory again, the network is as its last success or its failure left it. */
static void check_left(const subject *s, ib_net *net, const char *expected) {
    char sha256[IB_SHA256_TEXT];
    uint16_t classes[TEST];
    failing_change(0, 0);
    assert_int_equal(ib_net_save(net, NULL, sha256), IB_OK);
    if (expected != NULL)
        assert_string_equal(sha256, expected);
    assert_int_equal(ib_net_predict(net, s->images.test_pixels, TEST, classes, NULL), IB_OK);
    if (expected == s->trained)
        assert_memory_equal(classes, s->answers, sizeof classes);
}

static ib_status answer(const subject *s, ib_net *net, char why[256]) {
    ib_result result;
    uint32_t confusion[CLASSES * CLASSES];
    uint16_t classes[TEST];
    float logits[TEST * CLASSES];
    char sha256[IB_SHA256_TEXT];
    const ib_status evaluated =
        call(ib_net_evaluate(net, IB_TEST_SET, &result, confusion), net, why);
    const ib_status predicted =
        call(ib_net_predict(net, s->images.test_pixels, TEST, classes, logits), net, why);
    const ib_status saved = call(ib_net_save(net, s->model, sha256), net, why);
    if (predicted == IB_OK)
        assert_memory_equal(classes, s->answers, sizeof classes);
    if (saved == IB_OK)
        assert_string_equal(sha256, s->trained);
    return evaluated != IB_OK ? evaluated : predicted != IB_OK ? predicted : saved;
}

static ib_status train(const subject *s, char why[256]) {
    ib_device *device;
    ib_data *data;
    ib_net *net;
    size_t events = 0;
    ib_status status = open_all(s, &device, &data, &net, why);
    if (net != NULL) {
        status = call(ib_net_train(net, count_events, &events), net, why);
        if (status == IB_OK)
            assert_int_equal(events, TRAIN / 8 + 1);
        const char *expected = status == IB_OK ? s->trained : NULL;
        if (status == IB_OK)
            status = answer(s, net, why);
        check_left(s, net, expected);
    }
    ib_net_close(net);
    ib_data_close(data);
    ib_device_close(device);
    return status;
}

static ib_status load(const subject *s, char why[256]) {
    ib_device *device;
    ib_data *data;
    ib_net *net;
    char sha256[IB_SHA256_TEXT];
    ib_status status = open_all(s, &device, &data, &net, why);
    if (net != NULL) {
        status = call(ib_net_load(net, s->model), net, why);
        failing_change(0, 0);
        if (ib_net_save(net, NULL, sha256) == IB_OK)
            check_left(s, net, status == IB_OK ? s->trained : s->initial);
        assert_int_equal(ib_net_load(net, s->model), IB_OK);
        check_left(s, net, s->trained);
    }
    ib_net_close(net);
    ib_data_close(data);
    ib_device_close(device);
    return status;
}

static ib_status predict(const subject *s, char why[256]) {
    enum { IMAGES = 2, PIXELS = 784, DIGITS = 10 };
    ib_predictor *predictor;
    const ib_predictor_options options = {.threads = 1, .normalize = "unit"};
    uint16_t classes[IMAGES];
    float logits[IMAGES * DIGITS];
    uint8_t images[IMAGES * PIXELS] = {0};
    ib_status status = ib_predictor_open(s->mlp, &options, &predictor, why, 256);
    assert_int_equal(status == IB_OK, predictor != NULL);
    if (predictor != NULL) {
        assert_int_equal(ib_predictor_class_count(predictor), DIGITS);
        status = ib_predictor_predict(predictor, images, IMAGES, classes, logits);
        if (status != IB_OK)
            strncpy(why, ib_predictor_error(predictor), 255);
    }
    ib_predictor_close(predictor);
    return status;
}

static void fail_each(scenario *run, const subject *s, int persistent, size_t least) {
    for (size_t n = 1;; ++n) {
        char why[256] = "";
        failing_begin(n, persistent);
        ib_status status = run(s, why);
        size_t count = failing_end();
        check(status, why);
        if (count < n) { /* none was left to fail */
            assert_int_equal(status, IB_OK);
            if (n - 1 < least)
                fail_msg("only %zu allocations were failed, at least %zu expected", n - 1, least);
            return;
        }
    }
}

/* A model that predictors know, trained on nothing. */
static void make_mlp(const subject *s) {
    static const uint8_t pixels[2 * 784], labels[2];
    const ib_memory_images images = {.channels = 1,
                                     .height = 28,
                                     .width = 28,
                                     .classes = 10,
                                     .deviation = 1,
                                     .train_count = 1,
                                     .test_count = 1,
                                     .train_pixels = pixels,
                                     .train_labels = labels,
                                     .test_pixels = pixels + 784,
                                     .test_labels = labels + 1};
    const ib_net_options options = {.network = "mlp"};
    ib_device *device;
    ib_data *data;
    ib_net *net;
    assert_int_equal(ib_device_open(NULL, &device, NULL, 0), IB_OK);
    assert_int_equal(ib_data_from_memory(&images, &data, NULL, 0), IB_OK);
    assert_int_equal(ib_net_open(device, data, &options, &net, NULL, 0), IB_OK);
    assert_int_equal(ib_net_save(net, s->mlp, NULL), IB_OK);
    ib_net_close(net);
    ib_data_close(data);
    ib_device_close(device);
}

/* What an undisturbed use gives. */
static void make_expected(subject *s) {
    ib_device *device;
    ib_data *data;
    ib_net *net;
    char why[256];
    assert_int_equal(open_all(s, &device, &data, &net, why), IB_OK);
    assert_int_equal(ib_net_save(net, NULL, s->initial), IB_OK);
    assert_int_equal(ib_net_train(net, NULL, NULL), IB_OK);
    assert_int_equal(ib_net_save(net, s->model, s->trained), IB_OK);
    assert_int_equal(ib_net_predict(net, s->images.test_pixels, TEST, s->answers, NULL), IB_OK);
    ib_net_close(net);
    ib_data_close(data);
    ib_device_close(device);
}

static int open_subject(void **state) {
    static subject s;
    for (size_t i = 0; i < sizeof s.pixels; ++i)
        s.pixels[i] = (uint8_t)(i * 2654435761u >> 13);
    for (size_t i = 0; i < TRAIN + TEST; ++i)
        s.labels[i] = (uint8_t)(i % CLASSES);
    s.images = (ib_memory_images){.channels = 1,
                                  .height = SIDE,
                                  .width = SIDE,
                                  .classes = CLASSES,
                                  .mean = 0.5,
                                  .deviation = 0.25,
                                  .train_count = TRAIN,
                                  .test_count = TEST,
                                  .train_pixels = s.pixels,
                                  .train_labels = s.labels,
                                  .test_pixels = s.pixels + (size_t)TRAIN * BYTES,
                                  .test_labels = s.labels + TRAIN};
    s.directory = temp_dir_make();
    s.model = ib_path_join(s.directory, "model.safetensors");
    s.mlp = ib_path_join(s.directory, "mlp.safetensors");
    make_mlp(&s);
    make_expected(&s);
    *state = &s;
    return 0;
}

static int close_subject(void **state) {
    subject *s = *state;
    free(s->model);
    free(s->mlp);
    temp_dir_remove(s->directory);
    return 0;
}

static void training(void **state) {
    for (int persistent = 0; persistent < 2; ++persistent)
        fail_each(train, *state, persistent, 200);
}

static void loading(void **state) {
    for (int persistent = 0; persistent < 2; ++persistent)
        fail_each(load, *state, persistent, 200);
}

static void predicting(void **state) {
    for (int persistent = 0; persistent < 2; ++persistent)
        fail_each(predict, *state, persistent, 200);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training),
        cmocka_unit_test(loading),
        cmocka_unit_test(predicting),
    };
    return cmocka_run_group_tests_name("library allocation", tests, open_subject, close_subject);
}
