/* A directory of a test's own under TMPDIR, and small files in it. */
#ifndef TESTS_UNIT_TEMP_DIR_H
#define TESTS_UNIT_TEMP_DIR_H

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

static inline char *temp_dir_make(void) {
    const char *parent = getenv("TMPDIR");
    char *path = ib_path_join(parent != NULL ? parent : "/tmp", "isobit-test-XXXXXX");
    if (path == NULL || mkdtemp(path) == NULL) {
        perror("cannot make a temporary directory");
        abort();
    }
    return path;
}

static inline int temp_dir_unlink(const char *path, const struct stat *info, int kind,
                                  struct FTW *walk) {
    (void)info, (void)kind, (void)walk;
    return remove(path);
}

/* Removes it with all that is in it, and frees the path. */
static inline void temp_dir_remove(char *path) {
    nftw(path, temp_dir_unlink, 16, FTW_DEPTH | FTW_PHYS);
    free(path);
}

/* How many files are in it. */
static inline int temp_dir_count(const char *path) {
    DIR *directory = opendir(path);
    const struct dirent *entry;
    int count = 0;
    if (directory == NULL)
        return -1;
    while ((entry = readdir(directory)) != NULL)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(directory);
    return count;
}

/* Writes directory/name, making the directories in between. */
static inline void temp_dir_write(const char *directory, const char *name, const void *data,
                                  size_t size) {
    char *path = ib_path_join(directory, name);
    char *parent = strdup(path);
    *strrchr(parent, '/') = '\0';
    if (ib_make_directories(parent, NULL) != IB_OK ||
        ib_write_file_atomic(path, data, size, NULL) != IB_OK)
        abort();
    free(parent);
    free(path);
}

#endif
