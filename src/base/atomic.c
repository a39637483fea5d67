/* Atomic writes. A temporary file is locked from its making to its renaming. The kernel gives the
 * lock up with the process, so that one whose lock is free is nobody's. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

static const char TEMPORARY[] = ".tmp-";

/* ---- what others left ---------------------------------------------------------------------------
 */

/* Whether text is "<name>.tmp-<8 hexadecimal digits>"; name NULL: any. */
static int is_temporary(const char *text, const char *name) {
    enum { DIGITS = 8 };
    size_t length = strlen(text), tail = sizeof TEMPORARY - 1 + DIGITS;
    if (length <= tail)
        return 0;
    const char *suffix = text + length - tail;
    return strncmp(suffix, TEMPORARY, sizeof TEMPORARY - 1) == 0 &&
           strspn(suffix + sizeof TEMPORARY - 1, "0123456789abcdef") == DIGITS &&
           (name == NULL ||
            (strlen(name) == length - tail && strncmp(text, name, length - tail) == 0));
}

typedef struct cleaning {
    const ib_folder *folder;
    const char *name; /* NULL: any */
} cleaning;

static ib_status remove_if_left(void *context, const char *found, ib_error *err) {
    const cleaning *c = context;
    int fd = -1;
    (void)err;
    if (is_temporary(found, c->name))
        ib_folder_open_file(c->folder, found, O_RDONLY, &fd, NULL);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
        unlinkat(c->folder->fd, found, 0);
    if (fd >= 0)
        close(fd);
    return IB_OK;
}

void ib_atomic_clean(const ib_folder *folder, const char *name) {
    cleaning c = {folder, name};
    ib_folder_visit(folder, remove_if_left, &c, NULL);
}

/* ---- opening ------------------------------------------------------------------------------------
 */

/* What commit will replace: path itself, or the file that it links to. Whatever else has that name
 * (a device, a pipe, a folder) must not be renamed over: root could, and /dev/null would be gone.
 */
static ib_status find_target(const char *path, char **target, ib_error *err) {
    struct stat info;
    *target = NULL;
    if (lstat(path, &info) == 0 && S_ISLNK(info.st_mode)) {
        *target = realpath(path, NULL);
        if (*target == NULL)
            return ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot follow the link %s", path);
        path = *target;
    }
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode)) {
        ib_fail(err, IB_ERROR_RUNTIME,
                "%s is no regular file and will not be replaced: give another name", path);
        free(*target);
        *target = NULL;
        return IB_ERROR_RUNTIME;
    }
    if (*target == NULL)
        *target = strdup(path);
    return *target == NULL ? ib_fail_memory(err) : IB_OK;
}

static ib_status open_beside(ib_atomic_file *file, const char *path, ib_error *err) {
    IB_TRY(find_target(path, &file->path, err));
    char *parent = ib_path_parent(file->path);
    if (parent == NULL)
        return ib_fail_memory(err);
    ib_status status = ib_folder_open(parent, &file->folder, err);
    if (status != IB_OK)
        ib_fail_context(err, "cannot create a file beside %s", file->path);
    free(parent);
    return status;
}

/* A link or another kind of thing at the name would be replaced by the renaming, not followed; but
 * whoever planted it should be told of. */
static ib_status open_inside(ib_atomic_file *file, const ib_folder *folder, const char *name,
                             ib_error *err) {
    IB_TRY(ib_folder_check_file(folder, name, O_RDONLY, err));
    file->path = ib_path_join(folder->path, name);
    return file->path == NULL ? ib_fail_memory(err) : ib_folder_copy(folder, &file->folder, err);
}

/* Locks a file that was made just now. 0: another process has taken it for one that was left, and
 * removes it. A file system without locks is none to remove files on, either. */
static int is_ours(int fd) {
    struct stat info;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return errno != EWOULDBLOCK;
    return fstat(fd, &info) != 0 || info.st_nlink > 0;
}

/* A new file "<name>.tmp-<random>". Not mkostemp: its files are private, and umask cannot be asked
 * for without changing it under other threads. */
static ib_status create_temporary(ib_atomic_file *file, int *fd, ib_error *err) {
    enum { TRIES = 100 };
    for (int i = 0; i < TRIES; ++i) {
        uint32_t suffix;
        free(file->temporary); /* another's file has that name: abort must not remove it */
        file->temporary = NULL;
        if (getrandom(&suffix, sizeof suffix, 0) != (ssize_t)sizeof suffix)
            return ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "no randomness for the name of %s",
                                 file->path);
        file->temporary = ib_format("%s%s%08x", file->name, TEMPORARY, (unsigned)suffix);
        if (file->temporary == NULL)
            return ib_fail_memory(err);
        *fd = openat(file->folder.fd, file->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (*fd >= 0 && is_ours(*fd))
            return IB_OK;
        int reason = *fd < 0 ? errno : EEXIST;
        if (*fd >= 0)
            close(*fd);
        errno = reason;
        if (reason != EEXIST)
            break;
    }
    ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot create a file beside %s", file->path);
    free(file->temporary);
    file->temporary = NULL;
    return IB_ERROR_RUNTIME;
}

static ib_status open_temporary(ib_atomic_file *file, ib_error *err) {
    int fd = -1;
    const char *slash = strrchr(file->path, '/');
    file->name = slash == NULL ? file->path : slash + 1;
    ib_atomic_clean(&file->folder, file->name);
    IB_TRY(create_temporary(file, &fd, err));
    file->lock = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* outlives the stream, until the file is renamed */
    file->stream = fdopen(fd, "wb");
    if (file->stream != NULL)
        return IB_OK;
    close(fd);
    return ib_fail_memory(err);
}

ib_status ib_atomic_open_in(ib_atomic_file *file, const ib_folder *folder, const char *name,
                            ib_error *err) {
    *file = (ib_atomic_file){0};
    ib_status status =
        folder == NULL ? open_beside(file, name, err) : open_inside(file, folder, name, err);
    if (status == IB_OK)
        status = open_temporary(file, err);
    if (status != IB_OK)
        ib_atomic_abort(file);
    return status;
}

ib_status ib_atomic_open(ib_atomic_file *file, const char *path, ib_error *err) {
    return ib_atomic_open_in(file, NULL, path, err);
}

/* ---- the end ------------------------------------------------------------------------------------
 */

ib_status ib_atomic_commit(ib_atomic_file *file, ib_error *err) {
    ib_status status = IB_OK;
    int failed =
        fflush(file->stream) != 0 || ferror(file->stream) || fsync(fileno(file->stream)) != 0;
    int saved = errno;
    if (fclose(file->stream) != 0 && !failed) {
        failed = 1;
        saved = errno;
    }
    file->stream = NULL;
    if (failed) {
        status = ib_fail_errno(err, IB_ERROR_RUNTIME, saved, "cannot write %s", file->path);
    } else if (renameat(file->folder.fd, file->temporary, file->folder.fd, file->name) != 0) {
        status = ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot rename %s to %s",
                               file->temporary, file->path);
    } else {
        free(file->temporary);
        file->temporary = NULL;
        status = ib_folder_sync(&file->folder, err);
    }
    ib_atomic_abort(file);
    return status;
}

void ib_atomic_abort(ib_atomic_file *file) {
    if (file->stream != NULL)
        fclose(file->stream);
    if (file->temporary != NULL)
        unlinkat(file->folder.fd, file->temporary, 0);
    if (file->lock > 0)
        close(file->lock);
    ib_folder_close(&file->folder);
    free(file->temporary);
    free(file->path);
    *file = (ib_atomic_file){0};
}

ib_status ib_write_file_in(const ib_folder *folder, const char *name, const void *data, size_t size,
                           ib_error *err) {
    ib_atomic_file file;
    IB_TRY(ib_atomic_open_in(&file, folder, name, err));
    if (size > 0)
        fwrite(data, 1, size, file.stream); /* commit checks ferror */
    return ib_atomic_commit(&file, err);
}

ib_status ib_write_file_atomic(const char *path, const void *data, size_t size, ib_error *err) {
    return ib_write_file_in(NULL, path, data, size, err);
}
