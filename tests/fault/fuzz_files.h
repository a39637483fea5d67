/* What the harnesses share: the input as files of one folder, which lives as long as the process.
 */
#ifndef FUZZ_FILES_H
#define FUZZ_FILES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

static inline void require(int condition, const char *what) {
    if (!condition) {
        fprintf(stderr, "fuzz: %s\n", what);
        abort();
    }
}

static char fuzz_folder[64];

static inline void fuzz_remove_folder(void) {
    char *command = ib_format("rm -rf '%s'", fuzz_folder);
    if (command == NULL || system(command) != 0)
        fprintf(stderr, "fuzz: cannot remove %s\n", fuzz_folder);
    free(command);
}

/* In memory where there is a place for that. */
static inline const char *fuzz_directory(void) {
    if (fuzz_folder[0] == '\0') {
        int shared = access("/dev/shm", W_OK) == 0;
        snprintf(fuzz_folder, sizeof fuzz_folder, "%s/isobit-fuzz-XXXXXX",
                 shared ? "/dev/shm" : "/tmp");
        require(mkdtemp(fuzz_folder) != NULL, "no folder");
        atexit(fuzz_remove_folder);
    }
    return fuzz_folder;
}

/* Writes (data NULL: removes) <folder>/<name>; the path, fresh memory. */
static inline char *fuzz_write(const char *name, const uint8_t *data, size_t size) {
    char *path = ib_path_join(fuzz_directory(), name);
    require(path != NULL, "no memory");
    if (data == NULL) {
        unlink(path);
        return path;
    }
    FILE *stream = fopen(path, "wb");
    require(stream != NULL && fwrite(data, 1, size, stream) == size, "cannot write");
    require(fclose(stream) == 0, "cannot write");
    return path;
}

/* The bytes up to a 0xFF, which no text has; *data and *size become what is behind it, NULL at the
 * end. */
static inline const uint8_t *fuzz_part(const uint8_t **data, size_t *size, size_t *part_size) {
    const uint8_t *part = *data;
    const uint8_t *end = part == NULL ? NULL : memchr(part, 0xFF, *size);
    *part_size = part == NULL ? 0 : end == NULL ? *size : (size_t)(end - part);
    *data = end == NULL ? NULL : end + 1;
    *size = end == NULL ? 0 : *size - *part_size - 1;
    return part;
}

#endif
