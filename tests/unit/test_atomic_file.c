/* Temporary files: whose they are is known by their lock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>

#include "temp_dir.h"

static int set_up(void **state) {
    *state = temp_dir_make();
    return 0;
}

static int tear_down(void **state) {
    temp_dir_remove(*state);
    return 0;
}

static void leave(const char *directory, const char *name) {
    char *path = ib_path_join(directory, name);
    int fd = open(path, O_WRONLY | O_CREAT, 0666);
    assert_true(fd >= 0 && write(fd, "half", 4) == 4);
    close(fd);
    free(path);
}

static int is_there(const char *directory, const char *name) {
    char *path = ib_path_join(directory, name);
    int there = ib_path_exists(path);
    free(path);
    return there;
}

static void clean(const char *directory) {
    ib_folder folder;
    assert_int_equal(ib_folder_open(directory, &folder, NULL), IB_OK);
    ib_atomic_clean(&folder, NULL);
    ib_folder_close(&folder);
}

/* A killed writer's file goes with the next write of the same name; no other file does. */
static void test_left_behind(void **state) {
    static const char *const OTHERS[] = {"b.json.tmp-01234567", "a.json.tmp-0123456",
                                         "a.json.tmp-0123456g", "a.json.tmp-01234567.txt",
                                         "aa.json.tmp-01234567"};
    leave(*state, "a.json.tmp-01234567");
    for (size_t i = 0; i < sizeof OTHERS / sizeof OTHERS[0]; ++i)
        leave(*state, OTHERS[i]);
    temp_dir_write(*state, "a.json", "whole", 5);
    assert_false(is_there(*state, "a.json.tmp-01234567"));
    for (size_t i = 0; i < sizeof OTHERS / sizeof OTHERS[0]; ++i)
        assert_true(is_there(*state, OTHERS[i]));
    clean(*state);
    assert_false(is_there(*state, OTHERS[0]) || is_there(*state, OTHERS[4]));
    assert_true(is_there(*state, OTHERS[1]) && is_there(*state, OTHERS[2]) &&
                is_there(*state, OTHERS[3]));
}

/* What somebody is writing stays, and is committed after another has written the same name. */
static void test_being_written(void **state) {
    ib_atomic_file file;
    char *path = ib_path_join(*state, "a.json"), *data = NULL;
    size_t size = 0;
    assert_int_equal(ib_atomic_open(&file, path, NULL), IB_OK);
    fputs("first", file.stream);
    temp_dir_write(*state, "a.json", "second", 6);
    clean(*state);
    assert_int_equal(ib_atomic_commit(&file, NULL), IB_OK);
    assert_int_equal(ib_read_file(path, 100, &data, &size, NULL), IB_OK);
    assert_string_equal(data, "first");
    free(data);
    free(path);
}

enum { WRITES = 300, WRITERS = 4 };

static void *write_often(void *path) {
    for (intptr_t i = 0; i < WRITES; ++i)
        if (ib_write_file_atomic(path, "whole", 5, NULL) != IB_OK)
            return (void *)(i + 1);
    return NULL;
}

/* Each writer removes what is nobody's at every write: never what another has just made. */
static void test_many_writers(void **state) {
    pthread_t threads[WRITERS];
    char *path = ib_path_join(*state, "a.json");
    for (int i = 0; i < WRITERS; ++i)
        assert_int_equal(pthread_create(&threads[i], NULL, write_often, path), 0);
    for (int i = 0; i < WRITERS; ++i) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    DIR *directory = opendir(*state);
    int files = 0;
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;)
        files += entry->d_name[0] != '.';
    closedir(directory);
    assert_int_equal(files, 1);
    free(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_left_behind, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_being_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_writers, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
