/* Files: paths of any length, atomic writes; reading is in input.h. */
#ifndef IB_BASE_FILE_H
#define IB_BASE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/folder.h"
#include "base/input.h"
#include "base/status.h"

/* "a/b" for "a" and "b"; the caller frees it. NULL when out of memory. */
char *ib_path_join(const char *directory, const char *name);

/* printf into fresh memory; the caller frees it. NULL when out of memory. */
char *ib_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

int ib_path_exists(const char *path);
/* Whether there is none: a path that cannot be looked at may be there. */
int ib_path_is_missing(const char *path);

/* The folder that path is in, as text; fresh memory. */
char *ib_path_parent(const char *path);

/* Creates the directory and its missing parents (mode 0777 & ~umask), each with its name on the
 * disk. */
ib_status ib_make_directories(const char *path, ib_error *err);

/* Brings the names in an open directory onto the disk. A failure is one: who claims that something
 * is there must not claim it then. path is for the message. */
ib_status ib_sync_directory(int fd, const char *path, ib_error *err);
/* Brings the name of a file or folder onto the disk: that of the folder that it is in. */
ib_status ib_sync_parent(const char *path, ib_error *err);

/* An atomic write: bytes go to a temporary file beside the file; commit flushes it, fsyncs it,
 * renames it over the file and fsyncs the folder. Without commit, abort leaves nothing behind. What
 * is there and no regular file is refused. What a process that was killed left of the same file is
 * removed by the next that writes it. */
typedef struct ib_atomic_file {
    FILE *stream; /* write here */
    char *path;   /* for messages */
    ib_folder folder;
    const char *name; /* within path */
    char *temporary;  /* a name in the folder */
    int lock;         /* the temporary file is somebody's; 0: none */
} ib_atomic_file;

/* folder NULL: name is a path, and where that is a link, the file that it links to is written. In a
 * folder, links are refused (folder.h); the folder need not stay open. */
ib_status ib_atomic_open_in(ib_atomic_file *file, const ib_folder *folder, const char *name,
                            ib_error *err);
ib_status ib_atomic_open(ib_atomic_file *file, const char *path, ib_error *err);
ib_status ib_atomic_commit(ib_atomic_file *file, ib_error *err);
void ib_atomic_abort(ib_atomic_file *file);

/* Removes what killed processes left of the temporary files of name in the folder, or of all files
 * in it when name is NULL; those that somebody is writing stay. */
void ib_atomic_clean(const ib_folder *folder, const char *name);

ib_status ib_write_file_in(const ib_folder *folder, const char *name, const void *data, size_t size,
                           ib_error *err);
ib_status ib_write_file_atomic(const char *path, const void *data, size_t size, ib_error *err);

#endif
