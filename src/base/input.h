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

/* Bytes from offset on into memory, as many as there are up to size. */
ib_status ib_read_input(int fd, const char *path, uint64_t offset, void *memory, size_t size,
                        size_t *got, ib_error *err);

/* Reads a whole file of at most most_bytes. *data is malloc'd, NUL-terminated beyond *size. */
ib_status ib_read_file(const char *path, size_t most_bytes, char **data, size_t *size,
                       ib_error *err);

/* Of files of lines none has more bytes: what has is none of ours. */
#define IB_LINE_MOST ((size_t)1 << 20)

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
