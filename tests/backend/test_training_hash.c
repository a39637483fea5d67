/* Whole training runs of 50 steps (two epochs, each ending in a partial batch) of every model and
 * optimiser: model, optimiser state and test results must be those of tests/golden/train-*.txt on
 * every vector instruction set of this machine, with 1, 2, 3 and 7 threads. Some of these runs
 * flush denormals, others watch for them; no run may meet one, nor leave a value that is not
 * settled in any buffer.
 *
 * Data: digits, generated where ISOBIT_TEST_DATA (or a temporary directory) lacks it; MNIST from
 * ISOBIT_DATA_DIR or ISOBIT_MIRROR, else skipped.
 * The ResNets train on digits only, each recipe on one instruction set and thread count, or on all
 * with 1, 2 and 3 threads where ISOBIT_TRAINING_RESNETS=1 (minutes).
 * ISOBIT_TRAINING_SCALAR=1 adds the scalar reference (minutes).
 * ISOBIT_WRITE_GOLDEN=1 writes the golden lines of the data sets at hand instead of comparing; only
 * after a change of NUMERICS.md, and never by one instruction set alone (it needs two that agree).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../unit/temp_dir.h"
#include "backend/cpu/cpu.h"
#include "base/numerics_version.h"
#include "base/settle.h"
#include "data/dataset.h"
#include "data/split.h"
#include "model/model.h"
#include "model/state.h"
#include "train/trainer.h"

enum {
    BATCH = 64,
    LARGE_BATCH = 16,
    STEPS = 50,
    TRAIN_SIZE = 24 * BATCH + 57,
    TEST_SIZE = 300,
    TEST_BATCH = 100,
    LINE = 400
};

struct recipe {
    const char *name;
    ib_experiment experiment;
};

#define RUN                                                                                        \
    .train_size = TRAIN_SIZE, .test_size = TEST_SIZE, .epochs = 2, .batch_size = BATCH,            \
    .gamma = 0.7, .seed = 1

#define LARGE_RUN                                                                                  \
    .train_size = 24 * LARGE_BATCH + 13, .test_size = TEST_SIZE, .epochs = 2,                      \
    .batch_size = LARGE_BATCH, .gamma = 0.7, .seed = 1

static const struct recipe RECIPES[] = {
    {"cnn adadelta",
     {RUN, .model = IB_MODEL_CNN, .optimizer = IB_ADADELTA, .lr = 1.0, .rho = 0.9, .eps = 1e-6}},
    {"cnn sgd",
     {RUN, .model = IB_MODEL_CNN, .optimizer = IB_SGD, .lr = 0.01, .momentum = 0.9,
      .weight_decay = 5e-4}},
    {"cnn adam",
     {RUN, .model = IB_MODEL_CNN, .optimizer = IB_ADAM, .lr = 0.001, .beta1 = 0.9, .beta2 = 0.999,
      .eps = 1e-8, .schedule = IB_SCHEDULE_CONSTANT}},
    {"mlp adadelta",
     {RUN, .model = IB_MODEL_MLP, .optimizer = IB_ADADELTA, .lr = 1.0, .rho = 0.9, .eps = 1e-6,
      .weight_decay = 1e-5}},
    {"mlp sgd", {RUN, .model = IB_MODEL_MLP, .optimizer = IB_SGD, .lr = 0.05}},
    {"mlp adam",
     {RUN, .model = IB_MODEL_MLP, .optimizer = IB_ADAM, .lr = 0.001, .beta1 = 0.9, .beta2 = 0.999,
      .eps = 1e-8, .weight_decay = 1e-4, .normalize = IB_NORMALIZE_HALF}},
    {"cnn plain", {RUN, .model = IB_MODEL_CNN, .optimizer = IB_SGD, .lr = 0.05}},
    {"resnet18 adadelta",
     {LARGE_RUN, .model = IB_MODEL_RESNET18, .optimizer = IB_ADADELTA, .lr = 1.0, .rho = 0.9,
      .eps = 1e-6}},
    {"resnet50 adadelta",
     {LARGE_RUN, .model = IB_MODEL_RESNET50, .optimizer = IB_ADADELTA, .lr = 1.0, .rho = 0.9,
      .eps = 1e-6}},
    {"resnet18 plain", {LARGE_RUN, .model = IB_MODEL_RESNET18, .optimizer = IB_SGD, .lr = 0.01}},
    {"resnet18 adam",
     {LARGE_RUN, .model = IB_MODEL_RESNET18, .optimizer = IB_ADAM, .lr = 0.001, .beta1 = 0.9,
      .beta2 = 0.999, .eps = 1e-8}},
    {"resnet18 sgd",
     {LARGE_RUN, .model = IB_MODEL_RESNET18, .optimizer = IB_SGD, .lr = 0.01, .momentum = 0.9}},
    {"resnet50 adam",
     {LARGE_RUN, .model = IB_MODEL_RESNET50, .optimizer = IB_ADAM, .lr = 0.001, .beta1 = 0.9,
      .beta2 = 0.999, .eps = 1e-8}},
    {"resnet50 sgd",
     {LARGE_RUN, .model = IB_MODEL_RESNET50, .optimizer = IB_SGD, .lr = 0.01, .momentum = 0.9}},
};

enum { RECIPE_COUNT = sizeof RECIPES / sizeof RECIPES[0] };
static const unsigned THREADS[] = {1, 2, 3, 7};
/* How each of them treats denormals; the ResNets always watch. */
static const ib_fp_mode DENORMALS[] = {IB_FP_WATCH, IB_FP_KEEP, IB_FP_FLUSH, IB_FP_KEEP};

static int asked(const char *name) {
    const char *value = getenv(name);
    return value != NULL && strcmp(value, "1") == 0;
}

/* ---- one run ------------------------------------------------------------------------------------
 */

#define CHECK(call)                                                                                \
    do {                                                                                           \
        ib_error error_ = {0};                                                                     \
        if ((call) != IB_OK)                                                                       \
            fail_msg("%s: %s", #call, ib_error_text(&error_));                                     \
    } while (0)
#define ERR (&error_)

/* No float of the buffer is -0 or between 0 and 2^-k. */
static void check_floats(const char *recipe, const char *what, ib_backend *backend,
                         const ib_buffer *buffer, size_t bytes, int k) {
    if (buffer->handle == NULL || bytes == 0)
        return;
    float *values = malloc(bytes);
    assert_non_null(values);
    CHECK(backend->ops->download(backend, buffer, values, bytes, ERR));
    for (size_t i = 0; i < bytes / sizeof *values; ++i)
        if (ib_is_unsettled(values[i], k))
            fail_msg("%s: %s[%zu] is %a: not settled", recipe, what, i, (double)values[i]);
    free(values);
}

/* Everything the network keeps between operations: weights, gradients, states, statistics,
 * activations and their gradients. */
static void check_settled(const char *recipe, const ib_network *network) {
    int adadelta = network->optimizer == IB_ADADELTA;
    const int bounds[IB_PARTS] = {IB_SETTLE, IB_SETTLE, adadelta ? IB_SETTLE_AVERAGE : IB_SETTLE,
                                  IB_SETTLE_AVERAGE};
    ib_backend *backend = network->backend;
    for (int part = 0; part < IB_PARTS; ++part)
        check_floats(recipe, "parameters", backend, &network->arena[part],
                     network->arena[part].bytes, bounds[part]);
    check_floats(recipe, "statistics", backend, &network->kept, network->kept.bytes, IB_SETTLE);
    check_floats(recipe, "images", backend, &network->x, network->x.bytes, IB_SETTLE);
    for (size_t i = 0; i < network->node_count; ++i)
        check_floats(recipe, "activations", backend, &network->nodes[i].y,
                     network->nodes[i].y.bytes, IB_SETTLE);
    for (int i = 0; i < network->slots.count; ++i)
        check_floats(recipe, "gradients", backend, &network->slots.buffer[i],
                     network->slots.buffer[i].bytes, IB_SETTLE);
}

/* "digits cnn adadelta MODEL OPTIMIZER correct loss" */
static void train_once(const struct recipe *recipe, const ib_dataset *dataset, const char *isa,
                       unsigned threads, ib_fp_mode denormals, char line[LINE]) {
    ib_backend_options options = {"cpu", isa, threads};
    ib_train_observer observer = {0};
    ib_train_result result;
    ib_backend *backend;
    ib_model *model;
    ib_split split;
    char model_hex[IB_SHA256_HEX_SIZE], optimizer_hex[IB_SHA256_HEX_SIZE];
    const ib_experiment *c = &recipe->experiment;
    CHECK(ib_backend_open(&options, &backend, ERR));
    ib_pool *pool = ((ib_cpu *)(void *)backend)->pool;
    ib_pool_set_fp_mode(pool, denormals);
    CHECK(ib_split_make(IB_SPLIT_OFFICIAL, dataset->train_count, dataset->test_count, c->seed,
                        (size_t)c->train_size, (size_t)c->test_size, &split, ERR));
    CHECK(ib_model_open(backend, c, dataset->info, (size_t)c->batch_size, 1, &model, ERR));
    CHECK(ib_model_initialize(model, c->seed, ERR));
    CHECK(ib_train(model, c, TEST_BATCH, dataset, &split, NULL, &observer, &result, ERR));
    assert_int_equal(result.position.steps, STEPS);
    CHECK(ib_model_save(model, NULL, NULL, model_hex, ERR));
    CHECK(ib_model_save_optimizer(model, NULL, NULL, result.position.steps, optimizer_hex, ERR));
    snprintf(line, LINE, "%s %s %s %s %zu %a", dataset->info->name, recipe->name, model_hex,
             optimizer_hex, result.test.correct, result.test.loss);
    ib_train_result_free(&result);
    if (ib_pool_met_denormal(pool))
        fail_msg("%s, %s, %u threads: met a denormal", recipe->name, isa, threads);
    check_settled(recipe->name, &model->network);
    ib_model_close(model);
    ib_split_close(&split);
    ib_backend_close(backend);
}

/* ---- the golden file
 * ----------------------------------------------------------------------------- */

static char *golden_path(void) {
    const char *root = getenv("SOURCE_DIR");
    return ib_format("%s/tests/golden/train-" IB_NUMERICS_VERSION ".txt",
                     root != NULL ? root : ".");
}

/* 1 and the line of this data set and recipe, or 0. */
static int golden_line(const char *dataset, const char *recipe, char line[LINE]) {
    char *path = golden_path(), *start = ib_format("%s %s ", dataset, recipe);
    FILE *stream = fopen(path, "r");
    int found = 0;
    while (stream != NULL && !found && fgets(line, LINE, stream) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        found = strncmp(line, start, strlen(start)) == 0;
    }
    if (stream != NULL)
        fclose(stream);
    free(path);
    free(start);
    return found;
}

/* Replaces the lines of one data set. */
static void write_golden(const char *dataset, char lines[RECIPE_COUNT][LINE]) {
    char *path = golden_path(), *start = ib_format("%s ", dataset), line[LINE];
    char *text = ib_format("# NUMERICS %s: tests/backend/test_training_hash.c: data set, model, "
                           "optimizer, model_sha256, optimizer_sha256, correct of %d, test loss\n",
                           IB_NUMERICS_VERSION, TEST_SIZE);
    FILE *stream = fopen(path, "r");
    while (stream != NULL && fgets(line, LINE, stream) != NULL)
        if (line[0] != '#' && strncmp(line, start, strlen(start)) != 0) {
            char *longer = ib_format("%s%s", text, line);
            free(text);
            text = longer;
        }
    if (stream != NULL)
        fclose(stream);
    for (int i = 0; i < RECIPE_COUNT; ++i) {
        if (lines[i][0] == '\0')
            continue;
        char *longer = ib_format("%s%s\n", text, lines[i]);
        free(text);
        text = longer;
    }
    CHECK(ib_write_file_atomic(path, text, strlen(text), ERR));
    free(text);
    free(start);
    free(path);
}

/* ---- every instruction set and thread count
 * ------------------------------------------------------ */

static int is_large(int recipe) {
    int model = RECIPES[recipe].experiment.model;
    return model == IB_MODEL_RESNET18 || model == IB_MODEL_RESNET50;
}

/* Whether a recipe runs at all on a data set, and in one setting of many. */
static int is_used(int recipe, const ib_dataset *dataset) {
    return !is_large(recipe) || strcmp(dataset->info->name, "digits") == 0;
}
static int runs_here(int recipe, const ib_dataset *dataset, size_t isa, size_t threads) {
    int whole = asked("ISOBIT_TRAINING_RESNETS") || asked("ISOBIT_WRITE_GOLDEN");
    if (!is_used(recipe, dataset))
        return 0;
    if (!is_large(recipe)) /* a sample: every second setting, each recipe in others */
        return whole || ((size_t)recipe + isa + threads) % 2 == 0;
    if (whole)
        return threads < 3;
    return isa == (size_t)recipe % 2 && threads == (size_t)recipe % 3;
}

static void check_dataset(const ib_dataset *dataset) {
    unsigned runs = 0, equal = 0, isas = 0;
    int supported, vector = 0, writing = asked("ISOBIT_WRITE_GOLDEN");
    static char golden[RECIPE_COUNT][LINE];
    for (int i = 0; i < RECIPE_COUNT; ++i)
        if (is_used(i, dataset) && !golden_line(dataset->info->name, RECIPES[i].name, golden[i])) {
            golden[i][0] = '\0';
            if (!writing) {
                print_error("no golden line for %s %s\n", dataset->info->name, RECIPES[i].name);
                ++runs;
            }
        }
    if (writing)
        memset(golden, 0, sizeof golden);
    for (size_t k = 0; ib_backend_isa_at(k, &supported) != NULL; ++k) {
        const char *isa = ib_backend_isa_at(k, &supported);
        int scalar = strcmp(isa, "scalar") == 0;
        if (!supported || (scalar && vector && !asked("ISOBIT_TRAINING_SCALAR")))
            continue;
        vector |= !scalar;
        ++isas;
        for (size_t t = 0; t < (scalar ? 1 : sizeof THREADS / sizeof THREADS[0]); ++t)
            for (int i = 0; i < RECIPE_COUNT; ++i) {
                char line[LINE];
                if (!runs_here(i, dataset, k, t))
                    continue;
                train_once(&RECIPES[i], dataset, isa, THREADS[t],
                           is_large(i) ? IB_FP_WATCH : DENORMALS[t], line);
                if (golden[i][0] == '\0' && writing)
                    memcpy(golden[i], line, sizeof line);
                ++runs;
                equal += strcmp(line, golden[i]) == 0;
                if (strcmp(line, golden[i]) != 0)
                    print_error("%s, %u threads: %s\nwanted %s\n", isa, THREADS[t], line,
                                golden[i][0] != '\0' ? golden[i] : "a golden line");
            }
    }
    print_message("%s: %u of %u runs of %d steps equal, %u instruction sets\n", dataset->info->name,
                  equal, runs, STEPS, isas);
    assert_true(runs >= 6); /* the ResNets on digits only */
    assert_int_equal(equal, runs);
    if (writing) {
        assert_true(isas >= 2);
        write_golden(dataset->info->name, golden);
    }
}

static void digits(void **state) {
    (void)state;
    const char *shared = getenv("ISOBIT_TEST_DATA");
    char *temporary = shared == NULL ? temp_dir_make() : NULL;
    const char *directory = shared != NULL ? shared : temporary;
    ib_dataset dataset;
    CHECK(ib_dataset_prepare(directory, "digits", NULL, NULL, ERR));
    CHECK(ib_dataset_open(directory, "digits", &dataset, ERR));
    check_dataset(&dataset);
    ib_dataset_close(&dataset);
    if (temporary != NULL)
        temp_dir_remove(temporary);
}

static void mnist(void **state) {
    (void)state;
    const char *given = getenv("ISOBIT_DATA_DIR"), *mirror = getenv("ISOBIT_MIRROR");
    ib_dataset dataset;
    ib_error err = {0};
    if (given != NULL && ib_dataset_open(given, "mnist", &dataset, &err) == IB_OK) {
        check_dataset(&dataset);
        ib_dataset_close(&dataset);
        return;
    }
    if (mirror == NULL || mirror[0] == '\0') {
        print_message("skipped: no MNIST in ISOBIT_DATA_DIR, and no ISOBIT_MIRROR\n");
        skip();
    }
    char *temporary = temp_dir_make();
    ib_status status = ib_dataset_prepare(temporary, "mnist", mirror, NULL, &err);
    if (status == IB_OK)
        status = ib_dataset_open(temporary, "mnist", &dataset, &err);
    if (status == IB_OK) {
        check_dataset(&dataset);
        ib_dataset_close(&dataset);
    }
    temp_dir_remove(temporary);
    if (status != IB_OK) {
        print_message("skipped: no MNIST from ISOBIT_MIRROR: %s\n", ib_error_text(&err));
        ib_error_clear(&err);
        skip();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digits),
        cmocka_unit_test(mnist),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
