#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

char *ib_format(const char *format, ...) {
    char *text = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    return text;
}

char *ib_path_join(const char *directory, const char *name) {
    size_t n = strlen(directory);
    int slash = n > 0 && directory[n - 1] != '/';
    return ib_format("%s%s%s", directory, slash ? "/" : "", name);
}

int ib_path_exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0;
}

int ib_path_is_missing(const char *path) {
    struct stat info;
    return stat(path, &info) != 0 && (errno == ENOENT || errno == ENOTDIR);
}

ib_status ib_make_directories(const char *path, ib_error *err) {
    char *copy = strdup(path);
    if (copy == NULL)
        return ib_fail_memory(err);
    ib_status status = IB_OK;
    for (char *p = copy; status == IB_OK; ++p) {
        if ((*p != '/' && *p != '\0') || p == copy) {
            if (*p == '\0')
                break;
            continue;
        }
        char saved = *p;
        *p = '\0';
        if (mkdir(copy, 0777) != 0 && errno != EEXIST)
            status =
                ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot create directory %s", copy);
        *p = saved;
        if (saved == '\0')
            break;
    }
    struct stat info;
    if (status == IB_OK && (stat(path, &info) != 0 || !S_ISDIR(info.st_mode)))
        status = ib_fail(err, IB_ERROR_RUNTIME, "%s is not a directory", path);
    free(copy);
    return status;
}

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

/* ---- atomic writes ------------------------------------------------------------------------------
 * A temporary file is locked from its making to its renaming. The kernel gives the lock up with the
 * process, so that one whose lock is free is nobody's.
 */

static const char TEMPORARY[] = ".tmp-";

/* The folder that path is in; fresh memory. */
static char *parent_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash == NULL   ? strdup(".")
           : slash == path ? strdup("/")
                           : strndup(path, (size_t)(slash - path));
}

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

static void remove_unless_locked(const char *path) {
    struct stat info;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && flock(fd, LOCK_EX | LOCK_NB) == 0)
        unlink(path);
    close(fd);
}

void ib_atomic_clean(const char *directory, const char *name) {
    DIR *folder = opendir(directory);
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        char *path =
            is_temporary(entry->d_name, name) ? ib_path_join(directory, entry->d_name) : NULL;
        if (path != NULL)
            remove_unless_locked(path);
        free(path);
    }
    if (folder != NULL)
        closedir(folder);
}

static void clean_beside(const char *path) {
    const char *slash = strrchr(path, '/');
    char *directory = parent_of(path);
    if (directory != NULL)
        ib_atomic_clean(directory, slash == NULL ? path : slash + 1);
    free(directory);
}

/* Locks a file that was made just now. 0: another process has taken it for one that was left, and
 * removes it. A file system without locks is none to remove files on, either. */
static int is_ours(int fd) {
    struct stat info;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return errno != EWOULDBLOCK;
    return fstat(fd, &info) != 0 || info.st_nlink > 0;
}

/* A new file "<path>.tmp-<random>". Not mkostemp: its files are private, and umask cannot be asked
 * for without changing it under other threads. */
static ib_status create_temporary(ib_atomic_file *file, int *fd, ib_error *err) {
    enum { TRIES = 100 };
    for (int i = 0; i < TRIES; ++i) {
        uint32_t suffix;
        free(file->temporary_path); /* another's file has that name: abort must not remove it */
        file->temporary_path = NULL;
        if (getrandom(&suffix, sizeof suffix, 0) != (ssize_t)sizeof suffix)
            return ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "no randomness for the name of %s",
                                 file->path);
        file->temporary_path = ib_format("%s%s%08x", file->path, TEMPORARY, (unsigned)suffix);
        if (file->temporary_path == NULL)
            return ib_fail_memory(err);
        *fd = open(file->temporary_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
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
    free(file->temporary_path);
    file->temporary_path = NULL;
    return IB_ERROR_RUNTIME;
}

ib_status ib_atomic_open(ib_atomic_file *file, const char *path, ib_error *err) {
    int fd = -1;
    *file = (ib_atomic_file){0};
    IB_TRY(find_target(path, &file->path, err));
    clean_beside(file->path);
    ib_status status = create_temporary(file, &fd, err);
    if (status != IB_OK) {
        ib_atomic_abort(file);
        return status;
    }
    file->lock = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* outlives the stream, until the file is renamed */
    file->stream = fdopen(fd, "wb");
    if (file->stream == NULL) {
        close(fd);
        ib_atomic_abort(file);
        return ib_fail_memory(err);
    }
    return IB_OK;
}

void ib_sync_parent(const char *path) {
    char *parent = parent_of(path);
    int fd = parent == NULL ? -1 : open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(parent);
}

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
    if (failed)
        status = ib_fail_errno(err, IB_ERROR_RUNTIME, saved, "cannot write %s", file->path);
    else if (rename(file->temporary_path, file->path) != 0)
        status = ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot rename %s to %s",
                               file->temporary_path, file->path);
    if (status == IB_OK) {
        ib_sync_parent(file->path);
        free(file->temporary_path);
        file->temporary_path = NULL;
    }
    ib_atomic_abort(file);
    return status;
}

void ib_atomic_abort(ib_atomic_file *file) {
    if (file->stream != NULL)
        fclose(file->stream);
    if (file->temporary_path != NULL)
        unlink(file->temporary_path);
    if (file->lock > 0)
        close(file->lock);
    free(file->temporary_path);
    free(file->path);
    *file = (ib_atomic_file){0};
}

ib_status ib_write_file_atomic(const char *path, const void *data, size_t size, ib_error *err) {
    ib_atomic_file file;
    IB_TRY(ib_atomic_open(&file, path, err));
    if (size > 0)
        fwrite(data, 1, size, file.stream); /* commit checks ferror */
    return ib_atomic_commit(&file, err);
}
