/* The lines of a file that may be growing, from any offset on, in little memory. */
#ifndef IB_BASE_LINES_H
#define IB_BASE_LINES_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { IB_LINE_MOST = 1 << 16 }; /* bytes */

typedef struct ib_lines {
    char *path, *buffer; /* owned */
    int fd;              /* -1: there is no such file */
    int keeps_fd;        /* it is the caller's */
    uint64_t offset;     /* behind the line that was read last */
    size_t begin, end;   /* what of the buffer has not been read */
} ib_lines;

/* A file of at most most_bytes; where there is none, it has no lines. The caller calls
 * ib_lines_close, also after a failure. */
ib_status ib_lines_open(const char *directory, const char *name, uint64_t offset, size_t most_bytes,
                        ib_lines *lines, ib_error *err);
/* The same from an open file, which stays the caller's; path is for messages. */
ib_status ib_lines_of(int fd, const char *path, ib_lines *lines, ib_error *err);
/* *line: the next without its line break, good until the next call; NULL: there is none, or it is
 * still being written. One that is longer than IB_LINE_MOST is given as an empty one. */
ib_status ib_lines_next(ib_lines *lines, const char **line, size_t *size, ib_error *err);
void ib_lines_close(ib_lines *lines);

#endif
