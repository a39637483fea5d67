/* Writes that cannot finish: the file size limit stands in for a full disk, for any user. Nothing
 * partial may remain, and a file that was there before must still be whole. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../unit/temp_dir.h"
#include "base/file.h"
#include "tensor/safetensors.h"

enum { LIMIT = 64 * 1024, ELEMENTS = 256 * 1024 };

static int enter_directory(void **state) {
    *state = temp_dir_make();
    return 0;
}

static int leave_directory(void **state) {
    temp_dir_remove(*state);
    return 0;
}

static ib_status write_tensors(const char *path, const float *values, ib_error *err) {
    ib_named_tensor tensor = {"large", IB_F32, {1, {ELEMENTS}}, values};
    char hex[IB_SHA256_HEX_SIZE];
    return ib_safetensors_write(path, &tensor, 1, NULL, 0, hex, err);
}

static ib_status write_bytes(const char *path, const float *values, ib_error *err) {
    return ib_write_file_atomic(path, values, ELEMENTS * sizeof *values, err);
}

/* Runs one write in a child whose files may not grow beyond LIMIT; returns the child's verdict. */
static int write_in_limited_child(ib_status (*write_file)(const char *, const float *, ib_error *),
                                  const char *path) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit limit = {LIMIT, LIMIT};
        float *values = calloc(ELEMENTS, sizeof *values);
        ib_error err = {0};
        signal(SIGXFSZ, SIG_IGN); /* then write fails with EFBIG, as it would with ENOSPC */
        if (values == NULL || setrlimit(RLIMIT_FSIZE, &limit) != 0)
            _exit(100);
        ib_status status = write_file(path, values, &err);
        int named = strstr(ib_error_text(&err), path) != NULL &&
                    strstr(ib_error_text(&err), "File too large") != NULL;
        ib_error_clear(&err);
        free(values);
        _exit(status == IB_OK ? 101 : named ? (int)status : 102);
    }
    int result = 0;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFEXITED(result));
    return WEXITSTATUS(result);
}

static void leaves_nothing(void **state) {
    char *path = ib_path_join(*state, "model.safetensors");
    assert_int_equal(write_in_limited_child(write_tensors, path), IB_ERROR_RUNTIME);
    assert_int_equal(temp_dir_count(*state), 0);
    assert_int_equal(write_in_limited_child(write_bytes, path), IB_ERROR_RUNTIME);
    assert_int_equal(temp_dir_count(*state), 0);
    free(path);
}

static void keeps_the_old_file(void **state) {
    char *path = ib_path_join(*state, "model.safetensors");
    const float value = 1.5f;
    ib_named_tensor small = {"small", IB_F32, {1, {1}}, &value};
    char before[IB_SHA256_HEX_SIZE];
    char after[IB_SHA256_HEX_SIZE];
    assert_int_equal(ib_safetensors_write(path, &small, 1, NULL, 0, before, NULL), IB_OK);
    assert_int_equal(write_in_limited_child(write_tensors, path), IB_ERROR_RUNTIME);
    assert_int_equal(write_in_limited_child(write_bytes, path), IB_ERROR_RUNTIME);
    assert_int_equal(temp_dir_count(*state), 1);
    assert_int_equal(ib_sha256_file(path, after, NULL), IB_OK);
    assert_string_equal(before, after);
    free(path);
}

/* The limit is what fails above, not the test's own set-up. */
static void works_without_the_limit(void **state) {
    char *path = ib_path_join(*state, "model.safetensors");
    float *values = calloc(ELEMENTS, sizeof *values);
    assert_non_null(values);
    assert_int_equal(write_tensors(path, values, NULL), IB_OK);
    assert_int_equal(write_bytes(path, values, NULL), IB_OK);
    assert_int_equal(temp_dir_count(*state), 1);
    free(values);
    free(path);
}

int main(void) {
#define TEST(function) cmocka_unit_test_setup_teardown(function, enter_directory, leave_directory)
    const struct CMUnitTest tests[] = {
        TEST(leaves_nothing),
        TEST(keeps_the_old_file),
        TEST(works_without_the_limit),
    };
    return cmocka_run_group_tests_name("write limit", tests, NULL, NULL);
}
