/* Every allocation of a use of the library fails once, alone and with all that follow it: the call
 * must report it (or do without), leave no file behind and free what it had (the AddressSanitizer
 * build counts). failing.h says which allocations count. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../unit/temp_dir.h"
#include "backend/backend.h"
#include "base/arena.h"
#include "base/file.h"
#include "base/number.h"
#include "base/sha256.h"
#include "base/threads.h"
#include "failing.h"
#include "study/study.h"
#include "svm/svm.h"
#include "tensor/safetensors.h"

/* A whole use of the library that allocates; its files are "<directory>/...". */
typedef ib_status scenario(const char *directory, ib_error *err);

static const float weights[6] = {1, 2, 3, 4, 5, 6};
static const ib_named_tensor tensors[] = {
    {"fc.weight", IB_F32, {2, {2, 3}}, weights},
    {"fc.bias", IB_F32, {1, {2}}, weights},
    {"scalar", IB_F32, {0, {0}}, weights},
};
static const char *const metadata[][2] = {{"format", "pt"}, {"key", "value"}};

static ib_status with_path(const char *directory, const char *name,
                           ib_status (*use)(const char *path, ib_error *err), ib_error *err) {
    char *path = ib_path_join(directory, name);
    if (path == NULL)
        return ib_fail_memory(err);
    ib_status status = use(path, err);
    free(path);
    return status;
}

static ib_status write_tensors(const char *path, ib_error *err) {
    char hex[IB_SHA256_HEX_SIZE];
    ib_status status = ib_safetensors_write(path, tensors, 3, metadata, 2, hex, err);
    if (status == IB_OK)
        assert_int_equal(strlen(hex), 64);
    else
        assert_string_equal(hex, "");
    return status;
}

static ib_status scenario_write(const char *directory, ib_error *err) {
    return with_path(directory, "written", write_tensors, err);
}

static ib_status scenario_hash(const char *directory, ib_error *err) {
    char hex[IB_SHA256_HEX_SIZE];
    (void)directory;
    return ib_safetensors_hash(tensors, 3, hex, err);
}

static ib_status open_tensors(const char *path, ib_error *err) {
    ib_safetensors file;
    ib_status status = ib_safetensors_open(path, &file, err);
    if (status == IB_OK) {
        assert_int_equal(file.count, 3);
        assert_int_equal(file.metadata_count, 2);
    } else {
        assert_null(file.tensors);
        assert_null(file.own.data);
    }
    ib_safetensors_close(&file);
    return status;
}

static ib_status scenario_open(const char *directory, ib_error *err) {
    return with_path(directory, "kept", open_tensors, err);
}

static ib_status scenario_open_damaged(const char *directory, ib_error *err) {
    ib_status status = with_path(directory, "damaged", open_tensors, err);
    assert_int_not_equal(status, IB_OK);
    return status == IB_ERROR_VERIFY ? IB_OK : status;
}

static ib_status read_whole(const char *path, ib_error *err) {
    char *data = NULL;
    size_t size = 0;
    ib_status status = ib_read_file(path, 1 << 20, &data, &size, err);
    free(data);
    return status;
}

static ib_status scenario_read_file(const char *directory, ib_error *err) {
    return with_path(directory, "long", read_whole, err);
}

static ib_status write_atomic(const char *path, ib_error *err) {
    return ib_write_file_atomic(path, weights, sizeof weights, err);
}

static ib_status scenario_write_file(const char *directory, ib_error *err) {
    return with_path(directory, "written", write_atomic, err);
}

static ib_status make_directories(const char *path, ib_error *err) {
    IB_TRY(ib_make_directories(path, err));
    assert_int_equal(rmdir(path), 0);
    return IB_OK;
}

static ib_status scenario_directories(const char *directory, ib_error *err) {
    return with_path(directory, "made", make_directories, err);
}

static ib_status hash_file(const char *path, ib_error *err) {
    char hex[IB_SHA256_HEX_SIZE];
    return ib_sha256_file(path, hex, err);
}

static ib_status scenario_sha256(const char *directory, ib_error *err) {
    return with_path(directory, "kept", hash_file, err);
}

static ib_status scenario_errors(const char *directory, ib_error *err) {
    ib_error inner = {0};
    ib_fail(&inner, IB_ERROR_VERIFY, "%s is wrong", directory);
    ib_fail_context(&inner, "while reading %s", directory);
    assert_int_equal(inner.status, IB_ERROR_VERIFY);
    assert_true(strlen(ib_error_text(&inner)) > 0);
    ib_fail_errno(&inner, IB_ERROR_RUNTIME, 2, "cannot open %s", directory);
    assert_int_equal(inner.status, IB_ERROR_RUNTIME);
    ib_error_clear(&inner);
    (void)err;
    return IB_OK;
}

static void count_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    ((unsigned char *)context)[item] = 1;
}

static ib_status scenario_pool(const char *directory, ib_error *err) {
    ib_pool *pool = NULL;
    unsigned char done[17] = {0};
    (void)directory;
    ib_status status = ib_pool_open(3, &pool, err);
    if (status != IB_OK) {
        assert_null(pool);
        return status;
    }
    ib_pool_run(pool, sizeof done, count_item, done);
    ib_pool_close(pool);
    assert_null(memchr(done, 0, sizeof done));
    return IB_OK;
}

static ib_status scenario_arena(const char *directory, ib_error *err) {
    ib_arena arena;
    void *memory = NULL;
    (void)directory;
    IB_TRY(ib_arena_open(1 << 20, &arena, err));
    ib_status status = ib_arena_take(&arena, 1000, &memory, err);
    ib_error full = {0};
    assert_int_equal(ib_arena_take(&arena, SIZE_MAX / 2, &memory, &full), IB_ERROR_RUNTIME);
    ib_error_clear(&full);
    ib_arena_close(&arena);
    return status;
}

/* The same by a table of means and deviations, which goes to its file and back. */
static ib_status use_table(ib_host *host, ib_svm_options options, const ib_svm_set *set,
                           const char *path, ib_error *err) {
    enum { MOST = 16 };
    double mean[MOST], deviation[MOST];
    uint8_t class;
    for (size_t k = 0; k < set->width; ++k) {
        mean[k] = 60;
        deviation[k] = k == 0 ? 0 : 30;
    }
    ib_pixel_table table = {.pixels = set->width, .mean = mean, .deviation = deviation}, read = {0};
    ib_svm_model model;
    options.table = &table;
    IB_TRY(ib_svm_train(host, &options, set, NULL, &model, err));
    ib_status status = ib_svm_predict(host, &model, set->images, 1, &class, err);
    ib_svm_model_close(&model);
    if (status == IB_OK)
        status = ib_pixel_table_write(&table, NULL, path, err);
    if (status == IB_OK)
        status = ib_pixel_table_read(path, set->width, &read, err);
    ib_pixel_table_close(&read);
    return status;
}

/* A support vector machine from training to both file formats and back. */
static ib_status use_svm(ib_host *host, const char *path, const char *libsvm, ib_error *err) {
    enum { IMAGES = 40, WIDTH = 16 };
    uint8_t pixels[IMAGES][WIDTH], labels[IMAGES], classes[IMAGES];
    const uint8_t *images[IMAGES];
    for (int i = 0; i < IMAGES; ++i) {
        labels[i] = (uint8_t)(i % 3);
        images[i] = pixels[i];
        for (int k = 0; k < WIDTH; ++k)
            pixels[i][k] = (uint8_t)(60 * labels[i] + (i * 7 + k * 13) % 90);
    }
    ib_svm_options options = {.kernel = IB_SVM_RBF,
                              .c = 1,
                              .tolerance = 1e-3,
                              .deviation = 1,
                              .degree = 3,
                              .cache_bytes = 512};
    ib_svm_set set = {.count = IMAGES, .width = WIDTH, .images = images, .labels = labels};
    ib_svm_model model, loaded = {0};
    IB_TRY(ib_svm_train(host, &options, &set, NULL, &model, err));
    ib_status status = ib_svm_predict(host, &model, images, IMAGES, classes, err);
    if (status == IB_OK)
        status = ib_svm_save(&model, NULL, path, NULL, err);
    if (status == IB_OK)
        status = ib_svm_load(path, &loaded, err);
    ib_svm_model_close(&loaded);
    if (status == IB_OK)
        status = ib_svm_write_libsvm(&model, libsvm, err);
    if (status == IB_OK)
        status = ib_svm_read_libsvm(libsvm, 0, 1, WIDTH, &loaded, err);
    ib_svm_model_close(&loaded);
    ib_svm_model_close(&model);
    return status == IB_OK ? use_table(host, options, &set, path, err) : status;
}

static const char STUDY[] =
    "name: a\nseeds: 2\nselect: validation_loss\nbase: {split: 70-10-20, momentum: 0.9}\n"
    "cells:\n  - {name: x, grid: {optimizer: [sgd, adam]}}\n  - {name: y, seeds: [4]}\n"
    "published:\n  - {source: s, columns: [optimizer, test_loss], rows: [[sgd, 1..2]]}\n"
    "tables:\n  - {name: t, kind: grid, title: T, rows: [optimizer], values: [speedup],\n"
    "     relative-to: {optimizer: adam}}\n";
static const char EXTENSION[] = "name: b\nextends: study\noverride: [{set: {lr: 0.25}}]\n";

static ib_status scenario_study(const char *directory, ib_error *err) {
    static const char *const WORDS[] = {"lr=0.5", "seeds=1,2,3"};
    ib_study study;
    (void)directory;
    ib_status status = ib_study_parse("f", STUDY, sizeof STUDY - 1, WORDS, 2, &study, err);
    if (status == IB_OK)
        assert_int_equal(study.cell_count, 9);
    ib_study_close(&study);
    return status;
}

/* Two files, and their hashes. */
static ib_status read_study(const char *path, ib_error *err) {
    ib_study study;
    ib_status status = ib_study_read(path, NULL, 0, NULL, &study, err);
    if (status == IB_OK)
        assert_int_equal(study.source_count, 2);
    ib_study_close(&study);
    return status;
}

static ib_status scenario_study_files(const char *directory, ib_error *err) {
    return with_path(directory, "extension", read_study, err);
}

static ib_status scenario_svm(const char *directory, ib_error *err) {
    ib_backend_options options = {"cpu", "auto", 1};
    ib_backend *backend;
    IB_TRY(ib_backend_open(&options, &backend, err));
    char *path = ib_path_join(directory, "svm.safetensors");
    char *libsvm = ib_path_join(directory, "svm.model");
    ib_status status = path == NULL || libsvm == NULL ? ib_fail_memory(err)
                                                      : use_svm(backend->host, path, libsvm, err);
    free(path);
    free(libsvm);
    ib_backend_close(backend);
    return status;
}

static void make_inputs(const char *directory) {
    char *kept = ib_path_join(directory, "kept");
    char *damaged = ib_path_join(directory, "damaged");
    char *large = ib_path_join(directory, "long");
    char *study = ib_path_join(directory, "study");
    char *extension = ib_path_join(directory, "extension");
    static char zeros[100000];
    assert_int_equal(ib_safetensors_write(kept, tensors, 3, metadata, 2, NULL, NULL), IB_OK);
    assert_int_equal(ib_safetensors_write(damaged, tensors, 3, metadata, 2, NULL, NULL), IB_OK);
    assert_int_equal(ib_write_file_atomic(large, zeros, sizeof zeros, NULL), IB_OK);
    assert_int_equal(truncate(damaged, 300), 0);
    assert_int_equal(ib_write_file_atomic(study, STUDY, sizeof STUDY - 1, NULL), IB_OK);
    assert_int_equal(ib_write_file_atomic(extension, EXTENSION, sizeof EXTENSION - 1, NULL), IB_OK);
    free(study);
    free(extension);
    free(kept);
    free(damaged);
    free(large);
}

/* Of those beside the scenario's files. */
static int temporary_files(const char *directory) {
    DIR *folder = opendir(directory);
    const struct dirent *entry;
    int count = 0;
    assert_non_null(folder);
    while ((entry = readdir(folder)) != NULL)
        count += strstr(entry->d_name, ".tmp-") != NULL;
    closedir(folder);
    return count;
}

/* Runs the scenario with the first, second, ... allocation failing until it needs no more. Returns
 * how many it needs. */
static size_t fail_each(scenario *run, const char *directory, int persistent) {
    for (size_t n = 1;; ++n) {
        ib_error err = {0};
        failing_begin(n, persistent);
        ib_status status = run(directory, &err);
        size_t count = failing_end();
        if (status != IB_OK) {
            assert_int_equal(status, IB_ERROR_RUNTIME);
            assert_true(strlen(ib_error_text(&err)) > 0);
        }
        ib_error_clear(&err);
        assert_int_equal(temporary_files(directory), 0);
        if (count < n) { /* none was left to fail */
            assert_int_equal(status, IB_OK);
            return n - 1;
        }
    }
}

static void run_scenario(scenario *run, size_t least) {
    char *directory = temp_dir_make();
    make_inputs(directory);
    for (int persistent = 0; persistent < 2; ++persistent) {
        size_t failed = fail_each(run, directory, persistent);
        if (failed < least)
            fail_msg("only %zu allocations were failed, at least %zu expected", failed, least);
    }
    temp_dir_remove(directory);
}

#define SCENARIO_TEST(name, least)                                                                 \
    static void test_##name(void **state) {                                                        \
        (void)state;                                                                               \
        run_scenario(scenario_##name, least);                                                      \
    }

SCENARIO_TEST(write, 20)
SCENARIO_TEST(hash, 20)
SCENARIO_TEST(open, 20)
SCENARIO_TEST(open_damaged, 20)
SCENARIO_TEST(read_file, 5)
SCENARIO_TEST(write_file, 3)
SCENARIO_TEST(directories, 2)
SCENARIO_TEST(sha256, 1)
SCENARIO_TEST(errors, 4)
SCENARIO_TEST(pool, 3)
SCENARIO_TEST(arena, 1)
SCENARIO_TEST(svm, 60)
SCENARIO_TEST(study, 300)
SCENARIO_TEST(study_files, 300)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write),       cmocka_unit_test(test_hash),
        cmocka_unit_test(test_open),        cmocka_unit_test(test_open_damaged),
        cmocka_unit_test(test_read_file),   cmocka_unit_test(test_write_file),
        cmocka_unit_test(test_directories), cmocka_unit_test(test_sha256),
        cmocka_unit_test(test_errors),      cmocka_unit_test(test_pool),
        cmocka_unit_test(test_arena),       cmocka_unit_test(test_svm),
        cmocka_unit_test(test_study),       cmocka_unit_test(test_study_files),
    };
    return cmocka_run_group_tests_name("allocation", tests, NULL, NULL);
}
