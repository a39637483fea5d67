#include "base/lines.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

ib_status ib_lines_open(const char *directory, const char *name, uint64_t offset, size_t most_bytes,
                        ib_lines *lines, ib_error *err) {
    *lines =
        (ib_lines){.path = ib_path_join(directory, name), .buffer = malloc(IB_LINE_MOST), .fd = -1};
    lines->offset = offset;
    if (lines->path == NULL || lines->buffer == NULL)
        return ib_fail_memory(err);
    if (ib_path_is_missing(lines->path))
        return IB_OK;
    return ib_open_input(lines->path, most_bytes, &lines->fd, NULL, err);
}

ib_status ib_lines_of(int fd, const char *path, ib_lines *lines, ib_error *err) {
    *lines =
        (ib_lines){.path = strdup(path), .buffer = malloc(IB_LINE_MOST), .fd = fd, .keeps_fd = 1};
    return lines->path == NULL || lines->buffer == NULL ? ib_fail_memory(err) : IB_OK;
}

void ib_lines_close(ib_lines *lines) {
    if (lines->fd >= 0 && !lines->keeps_fd)
        close(lines->fd);
    free(lines->path);
    free(lines->buffer);
    *lines = (ib_lines){.fd = -1};
}

ib_status ib_lines_next(ib_lines *lines, const char **line, size_t *size, ib_error *err) {
    int too_long = 0;
    *line = NULL;
    while (lines->fd >= 0) {
        char *start = lines->buffer + lines->begin;
        size_t have = lines->end - lines->begin, got;
        const char *stop = memchr(start, '\n', have);
        if (stop != NULL) {
            size_t length = (size_t)(stop - start);
            lines->begin += length + 1;
            lines->offset += length + 1;
            *line = start;
            *size = too_long ? 0 : length;
            return IB_OK;
        }
        if (have == IB_LINE_MOST) {
            too_long = 1;
            lines->offset += have;
            have = 0;
        }
        memmove(lines->buffer, start, have);
        lines->begin = 0;
        lines->end = have;
        IB_TRY(ib_read_input(lines->fd, lines->path, lines->offset + have, lines->buffer + have,
                             IB_LINE_MOST - have, &got, err));
        if (got == 0)
            return IB_OK;
        lines->end += got;
    }
    return IB_OK;
}
