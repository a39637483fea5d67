/* The lines of a file that may be growing, as it was when it was opened (record/run_files.h): in
 * memory, so that what was checked is what is read. */
#ifndef IB_BASE_LINES_H
#define IB_BASE_LINES_H

#include "base/input.h"

typedef struct ib_lines {
    char *path;       /* owned */
    ib_contents file; /* without data: there is no such file */
    uint64_t offset;  /* behind the line read last */
} ib_lines;

/* *line: the next, of *size bytes and then its line break, good until the lines are closed; NULL:
 * there is none, or it is still being written. One of more than IB_LINE_MOST is IB_ERROR_VERIFY. */
ib_status ib_lines_next(ib_lines *lines, const char **line, size_t *size, ib_error *err);
void ib_lines_close(ib_lines *lines);

#endif
