#include "base/lines.h"

#include <stdlib.h>
#include <string.h>

void ib_lines_close(ib_lines *lines) {
    ib_contents_close(&lines->file);
    free(lines->path);
    *lines = (ib_lines){0};
}

ib_status ib_lines_next(ib_lines *lines, const char **line, size_t *size, ib_error *err) {
    const ib_contents *file = &lines->file;
    *line = NULL;
    if (lines->offset >= file->size)
        return IB_OK;
    const char *begin = (const char *)file->data + lines->offset;
    size_t rest = file->size - (size_t)lines->offset;
    const char *end = memchr(begin, '\n', rest < IB_LINE_MOST ? rest : IB_LINE_MOST);
    if (end == NULL && rest >= IB_LINE_MOST)
        return ib_fail(err, IB_ERROR_VERIFY, "%s, offset %llu: a line of more than %zu bytes",
                       lines->path, (unsigned long long)lines->offset, IB_LINE_MOST);
    if (end == NULL)
        return IB_OK;
    *line = begin;
    *size = (size_t)(end - begin);
    lines->offset += *size + 1;
    return IB_OK;
}
