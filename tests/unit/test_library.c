/* The public library's training, through its headers alone: stopping, threads, what it leaves as it
 * was, and what it refuses. tests/system/test_library.py compares its hashes with the command's. */
#include <fenv.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "isobit/isobit.h"
#include "temp_dir.h"

enum { SIDE = 12, CHANNELS = 3, CLASSES = 4, TRAIN = 100, TEST = 30 };
enum { BYTES = SIDE * SIDE * CHANNELS };

static const ib_row ROWS[] = {
    {.kind = "conv", .name = "conv", .out = 8, .kernel = 3},
    {.kind = "relu"},
    {.kind = "max-pool", .kernel = 2},
    {.kind = "dropout", .p = 0.25},
    {.kind = "flatten"},
    {.kind = "linear", .name = "fc", .out = IB_CLASSES_OUT},
    {.kind = NULL},
};

/* Images that can be learned: noise, brighter in the quarter that the label says. */
static uint8_t pixels[(TRAIN + TEST) * BYTES], labels[TRAIN + TEST];

static void draw(void) {
    for (size_t i = 0; i < TRAIN + TEST; ++i) {
        labels[i] = (uint8_t)(i * 7 % CLASSES);
        for (size_t p = 0; p < BYTES; ++p) {
            size_t y = p / CHANNELS / SIDE, x = p / CHANNELS % SIDE;
            size_t quarter = y / (SIDE / 2) * 2 + x / (SIDE / 2);
            uint32_t noise = (uint32_t)(i * BYTES + p) * 2654435761u >> 26;
            pixels[i * BYTES + p] = (uint8_t)(noise + (quarter == labels[i] ? 120 : 0));
        }
    }
}

static const ib_memory_images IMAGES = {.channels = CHANNELS,
                                        .height = SIDE,
                                        .width = SIDE,
                                        .classes = CLASSES,
                                        .mean = 0.25,
                                        .deviation = 0.25,
                                        .train_count = TRAIN,
                                        .test_count = TEST,
                                        .train_pixels = pixels,
                                        .train_labels = labels,
                                        .test_pixels = pixels + (size_t)TRAIN * BYTES,
                                        .test_labels = labels + TRAIN};

typedef struct parts {
    ib_device *device;
    ib_data *data;
    ib_net *net;
} parts;

/* model NULL: none */
static parts open_model_parts(unsigned threads, const char *seed, const char *model) {
    parts p;
    char why[256];
    const ib_device_options machine = {.threads = threads};
    const char *const options[] = {
        "epochs=3", "batch-size=16", "optimizer=sgd", "lr=0.05", "momentum=0.9", seed, NULL};
    const ib_net_options wanted = {.rows = ROWS, .options = options, .model = model};
    if (ib_device_open(&machine, &p.device, why, sizeof why) != IB_OK ||
        ib_data_from_memory(&IMAGES, &p.data, why, sizeof why) != IB_OK ||
        ib_net_open(p.device, p.data, &wanted, &p.net, why, sizeof why) != IB_OK)
        fail_msg("%s", why);
    return p;
}

static parts open_parts(unsigned threads, const char *seed) {
    return open_model_parts(threads, seed, NULL);
}

static void close_parts(parts *p) {
    ib_net_close(p->net);
    ib_data_close(p->data);
    ib_device_close(p->device);
}

static void trained_hash(unsigned threads, const char *seed, char sha256[IB_SHA256_TEXT]) {
    parts p = open_parts(threads, seed);
    assert_int_equal(ib_net_train(p.net, NULL, NULL), IB_OK);
    assert_int_equal(ib_net_save(p.net, NULL, sha256), IB_OK);
    close_parts(&p);
}

/* ---- training and stopping ------------------------------------------------------------------- */

struct seen {
    ib_net *net;
    size_t steps, epochs;
    uint64_t stop_at;
    ib_status inside; /* of a call that the callback must not make */
};

static int watch(void *context, const ib_event *event) {
    struct seen *seen = context;
    if (event->kind == IB_EVENT_EPOCH) {
        assert_int_equal(event->test->count, TEST);
        assert_null(event->validation);
        ++seen->epochs;
        return 0;
    }
    assert_int_equal(event->step, ++seen->steps);
    assert_int_equal(event->steps_per_epoch, 7);
    assert_int_equal(event->epochs, 3);
    seen->inside = ib_net_predict(seen->net, pixels, 1, NULL, NULL);
    return event->step == seen->stop_at;
}

static void stopped_goes_on_to_the_same_bits(void **state) {
    (void)state;
    char undisturbed[IB_SHA256_TEXT], sha256[IB_SHA256_TEXT], early[IB_SHA256_TEXT];
    uint16_t classes[TEST];
    ib_result test, again;
    uint32_t confusion[CLASSES * CLASSES];
    trained_hash(2, "seed=5", undisturbed);
    parts p = open_parts(1, "seed=5");
    struct seen seen = {.net = p.net, .stop_at = 10};
    assert_int_equal(ib_net_train(p.net, watch, &seen), IB_INTERRUPTED);
    assert_int_equal(seen.steps, 10); /* not one more than it asked for */
    assert_int_equal(seen.epochs, 1);
    assert_int_equal(seen.inside, IB_ERROR_USAGE);
    assert_int_equal(ib_net_save(p.net, NULL, early), IB_OK);
    assert_int_equal(ib_net_predict(p.net, pixels, TEST, classes, NULL), IB_OK);
    ib_net_stop(p.net);
    assert_int_equal(ib_net_train(p.net, watch, &seen), IB_INTERRUPTED);
    assert_int_equal(ib_net_train(p.net, watch, &seen), IB_OK);
    assert_int_equal(seen.epochs, 3);
    assert_int_equal(ib_net_save(p.net, NULL, sha256), IB_OK);
    assert_string_not_equal(early, sha256);
    assert_string_equal(undisturbed, sha256);
    assert_int_equal(ib_net_train(p.net, NULL, NULL), IB_ERROR_USAGE);
    assert_non_null(strstr(ib_net_error(p.net), "ended"));

    assert_int_equal(ib_net_evaluate(p.net, IB_TEST_SET, &test, confusion), IB_OK);
    size_t diagonal = 0;
    for (size_t c = 0; c < CLASSES; ++c)
        diagonal += confusion[c * CLASSES + c];
    assert_int_equal(diagonal, test.correct);
    assert_true(test.accuracy > 0.9);
    assert_int_equal(ib_net_predict(p.net, IMAGES.test_pixels, TEST, classes, NULL), IB_OK);
    for (size_t i = 0; i < TEST; ++i)
        diagonal -= classes[i] == IMAGES.test_labels[i];
    assert_int_equal(diagonal, 0);
    assert_int_equal(ib_net_evaluate(p.net, IB_TEST_SET, &again, NULL), IB_OK);
    assert_memory_equal(&test, &again, sizeof test);
    assert_int_equal(ib_net_evaluate(p.net, IB_VALIDATION_SET, &again, NULL), IB_OK);
    assert_int_equal(again.count, 0);
    close_parts(&p);
}

static void saved_is_loaded(void **state) {
    (void)state;
    char *directory = temp_dir_make(), *path = ib_path_join(directory, "model.safetensors");
    char sha256[IB_SHA256_TEXT], initial[IB_SHA256_TEXT], again[IB_SHA256_TEXT];
    parts p = open_parts(2, "seed=5"), q = open_parts(1, "seed=6");
    assert_int_equal(ib_net_save(q.net, NULL, initial), IB_OK);
    assert_int_equal(ib_net_train(p.net, NULL, NULL), IB_OK);
    assert_int_equal(ib_net_save(p.net, path, sha256), IB_OK);
    assert_int_equal(ib_net_load(q.net, path), IB_OK);
    assert_int_equal(ib_net_save(q.net, NULL, again), IB_OK);
    assert_string_equal(sha256, again);
    assert_string_not_equal(sha256, initial);
    /* A failure leaves the network as it was. */
    temp_dir_write(directory, "bad", "not a model", 11);
    char *bad = ib_path_join(directory, "bad");
    assert_int_equal(ib_net_load(q.net, bad), IB_ERROR_VERIFY);
    assert_non_null(strstr(ib_net_error(q.net), bad));
    assert_int_equal(ib_net_save(q.net, NULL, again), IB_OK);
    assert_string_equal(sha256, again);
    /* Opened from the file it is the same, and training begins anew. */
    parts r = open_model_parts(1, "seed=6", path);
    assert_int_equal(ib_net_save(r.net, NULL, again), IB_OK);
    assert_string_equal(sha256, again);
    assert_int_equal(ib_net_train(q.net, NULL, NULL), IB_OK);
    assert_int_equal(ib_net_train(r.net, NULL, NULL), IB_OK);
    assert_int_equal(ib_net_save(q.net, NULL, sha256), IB_OK);
    assert_int_equal(ib_net_save(r.net, NULL, again), IB_OK);
    assert_string_equal(sha256, again);
    close_parts(&p);
    close_parts(&q);
    close_parts(&r);
    free(bad);
    free(path);
    temp_dir_remove(directory);
}

struct losses {
    double of_epoch[4];
    size_t first_epoch;
};

static int note_losses(void *context, const ib_event *event) {
    struct losses *losses = context;
    if (event->kind == IB_EVENT_EPOCH)
        losses->of_epoch[event->epoch] = event->loss;
    else if (losses->first_epoch == 0)
        losses->first_epoch = event->epoch;
    return 0;
}

static void refuses_optimizer(ib_net *net, const char *path, const char *text) {
    char before[2][IB_SHA256_TEXT], after[2][IB_SHA256_TEXT];
    assert_int_equal(ib_net_save(net, NULL, before[0]), IB_OK);
    assert_int_equal(ib_net_save_optimizer(net, NULL, before[1]), IB_OK);
    assert_int_equal(ib_net_load_optimizer(net, path), IB_ERROR_VERIFY);
    if (strstr(ib_net_error(net), text) == NULL || strstr(ib_net_error(net), path) == NULL)
        fail_msg("'%s' does not say '%s' of %s", ib_net_error(net), text, path);
    assert_int_equal(ib_net_save(net, NULL, after[0]), IB_OK);
    assert_int_equal(ib_net_save_optimizer(net, NULL, after[1]), IB_OK);
    assert_memory_equal(before, after, sizeof before);
}

static void training_goes_on_from_files(void **state) {
    (void)state;
    char *directory = temp_dir_make(), *model = ib_path_join(directory, "model.safetensors");
    char *optimizer = ib_path_join(directory, "optimizer.safetensors");
    char undisturbed[2][IB_SHA256_TEXT], sha256[2][IB_SHA256_TEXT], why[256];
    parts p = open_parts(2, "seed=5");
    assert_int_equal(ib_net_train(p.net, NULL, NULL), IB_OK);
    assert_int_equal(ib_net_save(p.net, NULL, undisturbed[0]), IB_OK);
    assert_int_equal(ib_net_save_optimizer(p.net, NULL, undisturbed[1]), IB_OK);
    close_parts(&p);
    /* Stopped within the second epoch, and where the first one ended. */
    for (uint64_t stop_at = 7; stop_at <= 10; stop_at += 3) {
        p = open_parts(2, "seed=5");
        struct seen seen = {.net = p.net, .stop_at = stop_at};
        assert_int_equal(ib_net_train(p.net, watch, &seen), IB_INTERRUPTED);
        assert_int_equal(ib_net_save(p.net, model, NULL), IB_OK);
        assert_int_equal(ib_net_save_optimizer(p.net, optimizer, NULL), IB_OK);
        close_parts(&p);
        struct losses losses = {0};
        p = open_model_parts(1, "seed=5", model);
        assert_int_equal(ib_net_load_optimizer(p.net, optimizer), IB_OK);
        assert_int_equal(ib_net_train(p.net, note_losses, &losses), IB_OK);
        assert_int_equal(ib_net_save(p.net, NULL, sha256[0]), IB_OK);
        assert_int_equal(ib_net_save_optimizer(p.net, NULL, sha256[1]), IB_OK);
        assert_memory_equal(sha256, undisturbed, sizeof sha256);
        assert_int_equal(losses.first_epoch, 2);
        assert_int_equal(isnan(losses.of_epoch[2]) != 0, stop_at == 10);
        assert_false(isnan(losses.of_epoch[3]));
        close_parts(&p);
    }
    p = open_parts(1, "seed=5");
    refuses_optimizer(p.net, model, "step");
    const char *const options[2][4] = {{"epochs=1", "batch-size=16", "optimizer=sgd", NULL},
                                       {"batch-size=16", "optimizer=adam", NULL}};
    for (size_t i = 0; i < 2; ++i) {
        ib_net *net = NULL;
        const ib_net_options wanted = {.rows = ROWS, .options = options[i], .model = model};
        assert_int_equal(ib_net_open(p.device, p.data, &wanted, &net, why, sizeof why), IB_OK);
        refuses_optimizer(net, optimizer, i == 0 ? "tensors" : "exp_avg");
        ib_net_close(net);
    }
    const char *const momentum[] = {"epochs=1", "batch-size=16", "optimizer=sgd", "momentum=0.5",
                                    NULL};
    ib_net *net = NULL;
    assert_int_equal(ib_net_open(p.device, p.data,
                                 &(ib_net_options){.rows = ROWS, .options = momentum}, &net, why,
                                 sizeof why),
                     IB_OK);
    refuses_optimizer(net, optimizer, "10 steps are done");
    ib_net_close(net);
    close_parts(&p);
    free(model);
    free(optimizer);
    temp_dir_remove(directory);
}

/* ---- what it leaves as it was ---------------------------------------------------------------- */

struct job {
    const char *seed;
    char sha256[IB_SHA256_TEXT];
};

static void *train_in_thread(void *argument) {
    struct job *job = argument;
    trained_hash(2, job->seed, job->sha256);
    return NULL;
}

static void two_threads_train_at_once(void **state) {
    (void)state;
    struct job jobs[2] = {{.seed = "seed=5"}, {.seed = "seed=6"}};
    pthread_t threads[2];
    for (size_t i = 0; i < 2; ++i)
        assert_int_equal(pthread_create(&threads[i], NULL, train_in_thread, &jobs[i]), 0);
    for (size_t i = 0; i < 2; ++i)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (size_t i = 0; i < 2; ++i) {
        char alone[IB_SHA256_TEXT];
        trained_hash(1, jobs[i].seed, alone);
        assert_string_equal(jobs[i].sha256, alone);
    }
    assert_string_not_equal(jobs[0].sha256, jobs[1].sha256);
}

static int rounding_of_callback(void *context, const ib_event *event) {
    (void)event;
    *(int *)context = fegetround();
    return 0;
}

static void affinity_and_rounding_stay(void **state) {
    (void)state;
    cpu_set_t before, after;
    char usual[IB_SHA256_TEXT], sha256[IB_SHA256_TEXT];
    int rounding = -1;
    trained_hash(2, "seed=5", usual);
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    fesetround(FE_UPWARD);
    feclearexcept(FE_ALL_EXCEPT);
    feraiseexcept(FE_DIVBYZERO);
    parts p = open_parts(2, "seed=5");
    assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
    assert_true(CPU_EQUAL(&before, &after));
    assert_int_equal(ib_net_train(p.net, rounding_of_callback, &rounding), IB_OK);
    assert_int_equal(ib_net_save(p.net, NULL, sha256), IB_OK);
    assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
    close_parts(&p);
    int now = fegetround(), raised = fetestexcept(FE_ALL_EXCEPT);
    fesetround(FE_TONEAREST);
    feclearexcept(FE_ALL_EXCEPT);
    assert_true(CPU_EQUAL(&before, &after));
    assert_int_equal(rounding, FE_UPWARD);
    assert_int_equal(now, FE_UPWARD);
    assert_int_equal(raised, FE_DIVBYZERO);
    assert_string_equal(usual, sha256);
}

/* ---- what it refuses ------------------------------------------------------------------------- */

static void refused(const ib_net_options *options, const char *text) {
    parts p = open_parts(1, "seed=1");
    ib_net *net = NULL;
    char why[256];
    assert_int_equal(ib_net_open(p.device, p.data, options, &net, why, sizeof why), IB_ERROR_USAGE);
    assert_null(net);
    if (strstr(why, text) == NULL)
        fail_msg("'%s' does not say '%s'", why, text);
    close_parts(&p);
}

static void bad_networks_are_refused(void **state) {
    (void)state;
    static const ib_row UNKNOWN[] = {{.kind = "convolve", .name = "a"}, {.kind = NULL}};
    static const struct {
        const char *option, *text;
    } CASES[] = {
        {"epochs=0", "an integer from 1"},
        {"epoch=1", "did you mean --epochs"},
        {"epochs", "name=value"},
        {"threads=2", "no bits"},
        {"model=mlp", "when the network is opened"},
        {"momentum=0.9", "--optimizer sgd"}, /* the default is adadelta */
        {"dry-run=yes", "0 or 1"},
        {"train-size=101", "101"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; ++i) {
        const char *const options[] = {CASES[i].option, NULL};
        refused(&(ib_net_options){.rows = ROWS, .options = options}, CASES[i].text);
    }
    refused(&(ib_net_options){.network = "svm"}, "no network");
    refused(&(ib_net_options){.network = "vgg"}, "vgg");
    refused(&(ib_net_options){.network = "cnn", .rows = ROWS}, "not by both");
    refused(&(ib_net_options){.rows = UNKNOWN}, "convolve");
    refused(&(ib_net_options){.rows = ROWS + 5}, "flatten");
    const char *const twice[] = {"init-model=other", NULL};
    refused(&(ib_net_options){.rows = ROWS, .model = "one", .options = twice}, "init-model");
}

static void bad_parts_are_refused(void **state) {
    (void)state;
    char why[256];
    ib_device *device = NULL;
    ib_data *data = NULL;
    assert_int_equal(ib_device_open(&(ib_device_options){.isa = "mmx"}, &device, why, sizeof why),
                     IB_ERROR_UNAVAILABLE);
    assert_null(device);
    assert_int_equal(ib_device_open(&(ib_device_options){.backend = "abacus"}, &device, NULL, 0),
                     IB_ERROR_USAGE);
    assert_int_equal(ib_data_open("/nowhere", "mnist", &data, why, sizeof why), IB_ERROR_VERIFY);
    assert_int_equal(ib_data_open(".", "cifar", &data, why, sizeof why), IB_ERROR_USAGE);
    ib_memory_images images = IMAGES;
    images.classes = 3;
    assert_int_equal(ib_data_from_memory(&images, &data, why, sizeof why), IB_ERROR_VERIFY);
    assert_non_null(strstr(why, "label 3"));
    images = IMAGES;
    images.deviation = 0;
    assert_int_equal(ib_data_from_memory(&images, &data, why, sizeof why), IB_ERROR_USAGE);
    images = IMAGES;
    images.test_labels = NULL;
    assert_int_equal(ib_data_from_memory(&images, &data, why, sizeof why), IB_ERROR_USAGE);
    images = IMAGES;
    images.height = 1u << 30;
    assert_int_equal(ib_data_from_memory(&images, &data, why, sizeof why), IB_ERROR_USAGE);
    assert_null(data);
    ib_device_close(NULL);
    ib_data_close(NULL);
    ib_net_close(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stopped_goes_on_to_the_same_bits),
        cmocka_unit_test(saved_is_loaded),
        cmocka_unit_test(training_goes_on_from_files),
        cmocka_unit_test(two_threads_train_at_once),
        cmocka_unit_test(affinity_and_rounding_stay),
        cmocka_unit_test(bad_networks_are_refused),
        cmocka_unit_test(bad_parts_are_refused),
    };
    draw();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
