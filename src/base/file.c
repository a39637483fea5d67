#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
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

char *ib_path_parent(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash == NULL   ? strdup(".")
           : slash == path ? strdup("/")
                           : strndup(path, (size_t)(slash - path));
}

/* EINVAL and ENOTSUP are the answer of file systems that have nothing to sync of a directory (some
 * of FUSE's and of network ones): names are as durable there as they make them, and no call makes
 * them more so. Everything else, a bad disk above all, is told. */
ib_status ib_sync_directory(int fd, const char *path, ib_error *err) {
    if (fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP)
        return IB_OK;
    return ib_fail_errno(err, IB_ERROR_RUNTIME, errno,
                         "cannot bring the names in the folder %s onto the disk", path);
}

ib_status ib_sync_parent(const char *path, ib_error *err) {
    char *parent = ib_path_parent(path);
    if (parent == NULL)
        return ib_fail_memory(err);
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ib_status status = fd < 0 ? ib_fail_errno(err, IB_ERROR_RUNTIME, errno,
                                              "cannot open the folder %s, to bring the names in "
                                              "it onto the disk",
                                              parent)
                              : ib_sync_directory(fd, parent, err);
    if (fd >= 0)
        close(fd);
    free(parent);
    return status;
}

static ib_status make_directory(const char *path, ib_error *err) {
    if (mkdir(path, 0777) == 0)
        return ib_sync_parent(path, err);
    return errno == EEXIST
               ? IB_OK
               : ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot create directory %s", path);
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
        status = make_directory(copy, err);
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
