/* Reading files that others may replace, cut off or overwrite meanwhile. Nothing is mapped: a map
 * shows what others write after it was checked, and kills whoever reads it where the file was cut
 * off. One opener serves every reader: a name may stand for a pipe, which would be waited for, or
 * for a device, which never ends. */
#ifndef IB_BASE_INPUT_H
#define IB_BASE_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"

/* Opens a regular file of at most most_bytes for reading; anything else is IB_ERROR_RUNTIME, at
 * once. size (may be NULL) is what it has now. The caller closes *fd. */
ib_status ib_open_input(const char *path, size_t most_bytes, int *fd, size_t *size, ib_error *err);
/* The same as a stream; the caller closes it. */
ib_status ib_open_input_stream(const char *path, size_t most_bytes, FILE **stream, ib_error *err);

/* Bytes from offset on into memory, as many as there are up to size. */
ib_status ib_read_input(int fd, const char *path, uint64_t offset, void *memory, size_t size,
                        size_t *got, ib_error *err);

/* Reads a whole file of at most most_bytes. *data is malloc'd, NUL-terminated beyond *size. */
ib_status ib_read_file(const char *path, size_t most_bytes, char **data, size_t *size,
                       ib_error *err);

/* Files of lines, of which none has more bytes: what has is none of ours. */
#define IB_LINE_MOST ((size_t)1 << 20)
typedef struct ib_line {
    char *text; /* with its line break, and a NUL behind it; the caller frees it at the end */
    size_t length, capacity;
    int is_too_long;
} ib_line;

/* The next line, from a zero-initialised *line. 0: there is no whole one: the file ends, perhaps
 * within a line (length > 0), is_too_long, or ferror. Out of memory: as too long, with
 * errno ENOMEM. */
int ib_line_read(FILE *stream, ib_line *line);

/* A whole file in memory of its own, on huge pages where it is large, page-aligned, with a NUL
 * behind it. */
typedef struct ib_contents {
    const char *path; /* the caller's, for messages */
    uint8_t *data;    /* NULL when there is none */
    size_t size, mapped;
} ib_contents;

/* A file of a run record is no greater. */
#define IB_RECORDED_MOST ((size_t)8 << 30)

/* Reads path, which outlives *contents, once. What is read is checked and used; the file is not
 * looked at again. The caller calls ib_contents_close. */
ib_status ib_contents_open(const char *path, size_t most_bytes, ib_contents *contents,
                           ib_error *err);
void ib_contents_close(ib_contents *contents);

#endif
