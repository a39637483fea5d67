#include "base/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

enum { HOW = O_RDONLY | O_DIRECTORY | O_CLOEXEC };

/* Takes over fd; path is the caller's. */
static ib_status hold(int fd, const char *path, ib_folder *folder, ib_error *err) {
    *folder = (ib_folder){0};
    if (fd < 0)
        return ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot open the folder %s", path);
    *folder = (ib_folder){strdup(path), fd};
    if (folder->path != NULL)
        return IB_OK;
    close(fd);
    return ib_fail_memory(err);
}

ib_status ib_folder_open(const char *path, ib_folder *folder, ib_error *err) {
    return hold(open(path, HOW), path, folder, err);
}

ib_status ib_folder_copy(const ib_folder *folder, ib_folder *copy, ib_error *err) {
    return hold(fcntl(folder->fd, F_DUPFD_CLOEXEC, 3), folder->path, copy, err);
}

void ib_folder_close(ib_folder *folder) {
    if (folder->path != NULL)
        close(folder->fd);
    free(folder->path);
    *folder = (ib_folder){0};
}

ib_status ib_folder_sync(const ib_folder *folder, ib_error *err) {
    return ib_sync_directory(folder->fd, folder->path, err);
}

/* ---- what has a name ----------------------------------------------------------------------------
 */

static ib_status refuse(const ib_folder *folder, const char *name, const char *what,
                        ib_error *err) {
    return ib_fail(err, IB_ERROR_VERIFY,
                   "%s/%s is %s: what is written there must stay in its folder; move it away",
                   folder->path, name, what);
}

/* Whether it is what is to be opened with these flags. What is appended to a file with several
 * names is appended to what the others name. */
static ib_status check_kind(const ib_folder *folder, const char *name, const struct stat *info,
                            int flags, ib_error *err) {
    int is_folder = (flags & O_DIRECTORY) != 0;
    int is_alone = (flags & O_APPEND) == 0 || info->st_nlink <= 1;
    if (is_folder ? S_ISDIR(info->st_mode) : S_ISREG(info->st_mode) && is_alone)
        return IB_OK;
    return refuse(folder, name,
                  S_ISLNK(info->st_mode)    ? "a link"
                  : S_ISDIR(info->st_mode)  ? "a folder"
                  : S_ISFIFO(info->st_mode) ? "a pipe"
                  : S_ISSOCK(info->st_mode) ? "a socket"
                  : !S_ISREG(info->st_mode) ? "a device"
                  : is_folder               ? "a file, where a folder should be"
                                            : "a file with several names (hard links)",
                  err);
}

/* *there 0: nothing has the name. */
static ib_status look(const ib_folder *folder, const char *name, int flags, int *there,
                      ib_error *err) {
    struct stat info;
    *there = fstatat(folder->fd, name, &info, AT_SYMLINK_NOFOLLOW) == 0;
    if (*there)
        return check_kind(folder, name, &info, flags, err);
    return errno == ENOENT ? IB_OK
                           : ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot look at %s/%s",
                                           folder->path, name);
}

ib_status ib_folder_check_file(const ib_folder *folder, const char *name, int flags,
                               ib_error *err) {
    int there;
    return look(folder, name, flags, &there, err);
}

ib_status ib_folder_open_inner(const ib_folder *folder, const char *name, int make,
                               ib_folder *inner, ib_error *err) {
    int there = 0;
    *inner = (ib_folder){0};
    IB_TRY(look(folder, name, HOW, &there, err));
    if (!there && !make)
        return IB_OK;
    char *path = ib_path_join(folder->path, name);
    ib_status status = path == NULL ? ib_fail_memory(err) : IB_OK;
    int made = status == IB_OK && !there && mkdirat(folder->fd, name, 0777) == 0;
    if (status == IB_OK && !there && !made && errno != EEXIST)
        status = ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot create directory %s", path);
    int fd = status == IB_OK ? openat(folder->fd, name, HOW | O_NOFOLLOW) : -1;
    int is_gone = status == IB_OK && fd < 0 && errno == ENOENT && !make; /* removed meanwhile */
    if (status == IB_OK && !is_gone)
        status = hold(fd, path, inner, err);
    if (status == IB_OK && !there)
        status = ib_folder_sync(folder, err);
    if (status != IB_OK) {
        ib_folder_close(inner);
        if (made)
            unlinkat(folder->fd, name, AT_REMOVEDIR);
    }
    free(path);
    return status;
}

/* Looked at before, since opening a device may already do something, and after: in between it may
 * have become another. */
ib_status ib_folder_open_file(const ib_folder *folder, const char *name, int flags, int *fd,
                              ib_error *err) {
    struct stat info;
    int there;
    *fd = -1;
    IB_TRY(look(folder, name, flags, &there, err));
    if (!there && (flags & O_CREAT) == 0)
        return IB_OK;
    *fd = openat(folder->fd, name, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666);
    if (*fd < 0)
        return ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot open %s/%s", folder->path, name);
    ib_status status = fstat(*fd, &info) != 0
                           ? ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot look at %s/%s",
                                           folder->path, name)
                           : check_kind(folder, name, &info, flags, err);
    if (status != IB_OK) {
        close(*fd);
        *fd = -1;
    }
    return status;
}

ib_status ib_folder_visit(const ib_folder *folder, ib_folder_visitor *visit, void *context,
                          ib_error *err) {
    /* Not a copy of the descriptor, which would share its place in the list. */
    int fd = openat(folder->fd, ".", HOW);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    ib_status status = IB_OK;
    if (list == NULL) {
        ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot read %s", folder->path);
        if (fd >= 0)
            close(fd);
        return IB_ERROR_RUNTIME;
    }
    while (status == IB_OK && (entry = readdir(list)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            status = visit(context, entry->d_name, err);
    closedir(list);
    return status;
}
