/* Files: paths of any length, atomic writes; reading is in input.h. */
#ifndef IB_BASE_FILE_H
#define IB_BASE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/input.h"
#include "base/status.h"

/* "a/b" for "a" and "b"; the caller frees it. NULL when out of memory. */
char *ib_path_join(const char *directory, const char *name);

/* printf into fresh memory; the caller frees it. NULL when out of memory. */
char *ib_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

int ib_path_exists(const char *path);
/* Whether there is none: a path that cannot be looked at may be there. */
int ib_path_is_missing(const char *path);

/* Creates the directory and its missing parents (mode 0777 & ~umask). */
ib_status ib_make_directories(const char *path, ib_error *err);

/* An atomic write: bytes go to a temporary file beside path (beside the file that it links to);
 * commit flushes it, fsyncs it, renames it over path and fsyncs the directory. Without commit,
 * abort leaves nothing behind. A path that is there and no regular file is refused. What a process
 * that was killed left of the same path is removed by the next that writes it. */
typedef struct ib_atomic_file {
    FILE *stream; /* write here */
    char *path;
    char *temporary_path;
    int lock; /* the temporary file is somebody's; 0: none */
} ib_atomic_file;

ib_status ib_atomic_open(ib_atomic_file *file, const char *path, ib_error *err);
ib_status ib_atomic_commit(ib_atomic_file *file, ib_error *err);
void ib_atomic_abort(ib_atomic_file *file);

/* Removes what killed processes left of the temporary files of <directory>/<name>, or of all files
 * in the directory when name is NULL; those that somebody is writing stay. */
void ib_atomic_clean(const char *directory, const char *name);

/* Brings the name of a file or folder onto the disk: fsync of the folder that it is in. */
void ib_sync_parent(const char *path);

ib_status ib_write_file_atomic(const char *path, const void *data, size_t size, ib_error *err);

#endif
