#include "base/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"

/* O_NONBLOCK is for the opening alone: it means nothing to a regular file. */
enum { HOW = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY };

ib_status ib_open_input(const char *path, size_t most_bytes, int *fd, size_t *size, ib_error *err) {
    struct stat info;
    ib_status status = IB_OK;
    *fd = open(path, HOW);
    if (*fd < 0)
        return ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot open %s", path);
    if (fstat(*fd, &info) != 0)
        status = ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot stat %s", path);
    else if (!S_ISREG(info.st_mode))
        status = ib_fail(err, IB_ERROR_RUNTIME, "%s is not a regular file", path);
    else if ((uint64_t)info.st_size > most_bytes)
        status = ib_fail(err, IB_ERROR_RUNTIME, "%s is larger than %zu bytes", path, most_bytes);
    else if (size != NULL)
        *size = (size_t)info.st_size;
    if (status != IB_OK) {
        close(*fd);
        *fd = -1;
    }
    return status;
}

ib_status ib_read_input(int fd, const char *path, uint64_t offset, void *memory, size_t size,
                        size_t *got, ib_error *err) {
    *got = 0;
    while (*got < size) {
        ssize_t n = pread(fd, (char *)memory + *got, size - *got, (off_t)(offset + *got));
        if (n == 0)
            break;
        if (n < 0 && errno != EINTR)
            return ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot read %s", path);
        if (n > 0)
            *got += (size_t)n;
    }
    return IB_OK;
}

/* To the end of the file, wherever that is by then. */
static ib_status read_to_end(int fd, const char *path, size_t most_bytes, char **bytes,
                             size_t *used, ib_error *err) {
    size_t capacity = 4096, got;
    *used = 0;
    *bytes = malloc(capacity + 1);
    if (*bytes == NULL)
        return ib_fail_memory(err);
    for (;;) {
        IB_TRY(ib_read_input(fd, path, *used, *bytes + *used, capacity - *used, &got, err));
        *used += got;
        if (*used > most_bytes)
            return ib_fail(err, IB_ERROR_RUNTIME, "%s is larger than %zu bytes", path, most_bytes);
        if (*used < capacity)
            return IB_OK;
        capacity *= 2;
        char *larger = realloc(*bytes, capacity + 1);
        if (larger == NULL)
            return ib_fail_memory(err);
        *bytes = larger;
    }
}

ib_status ib_read_file(const char *path, size_t most_bytes, char **data, size_t *size,
                       ib_error *err) {
    char *bytes = NULL;
    size_t used = 0;
    int fd;
    *data = NULL;
    *size = 0;
    IB_TRY(ib_open_input(path, most_bytes, &fd, NULL, err));
    ib_status status = read_to_end(fd, path, most_bytes, &bytes, &used, err);
    close(fd);
    if (status != IB_OK) {
        free(bytes);
        return status;
    }
    bytes[used] = '\0';
    *data = bytes;
    *size = used;
    return IB_OK;
}

ib_status ib_contents_open(const char *path, size_t most_bytes, ib_contents *contents,
                           ib_error *err) {
    int fd;
    size_t size = 0;
    ib_arena arena;
    *contents = (ib_contents){.path = path};
    IB_TRY(ib_open_input(path, most_bytes, &fd, &size, err));
    ib_status status = ib_arena_open(size + 1, &arena, err);
    if (status == IB_OK) {
        contents->data = arena.base;
        contents->mapped = arena.capacity;
        status = ib_read_input(fd, path, 0, contents->data, size, &contents->size, err);
    }
    close(fd);
    if (status != IB_OK)
        ib_contents_close(contents);
    return status;
}

void ib_contents_close(ib_contents *contents) {
    ib_arena arena = {.base = contents->data, .capacity = contents->mapped};
    ib_arena_close(&arena);
    *contents = (ib_contents){.path = contents->path};
}
