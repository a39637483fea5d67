#include "base/lines.h"

#include <errno.h>
#include <stdlib.h>

#include "base/file.h"

ib_status ib_lines_open(const char *directory, const char *name, uint64_t offset, size_t most_bytes,
                        ib_lines *lines, ib_error *err) {
    *lines = (ib_lines){.path = ib_path_join(directory, name), .offset = offset};
    if (lines->path == NULL)
        return ib_fail_memory(err);
    if (ib_path_is_missing(lines->path))
        return IB_OK;
    IB_TRY(ib_open_input_stream(lines->path, most_bytes, &lines->stream, err));
    return fseeko(lines->stream, (off_t)offset, SEEK_SET) == 0
               ? IB_OK
               : ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot read %s", lines->path);
}

void ib_lines_close(ib_lines *lines) {
    if (lines->stream != NULL)
        fclose(lines->stream);
    free(lines->path);
    free(lines->line.text);
    *lines = (ib_lines){0};
}

ib_status ib_lines_next(ib_lines *lines, const char **line, size_t *size, ib_error *err) {
    *line = NULL;
    errno = 0;
    if (lines->stream == NULL)
        return IB_OK;
    if (ib_line_read(lines->stream, &lines->line)) {
        *line = lines->line.text;
        *size = lines->line.length - 1;
        lines->offset += lines->line.length;
        return IB_OK;
    }
    if (errno == ENOMEM)
        return ib_fail_memory(err);
    if (lines->line.is_too_long)
        return ib_fail(err, IB_ERROR_VERIFY, "%s, offset %llu: a line of more than %zu bytes",
                       lines->path, (unsigned long long)lines->offset, IB_LINE_MOST);
    return ferror(lines->stream)
               ? ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot read %s", lines->path)
               : IB_OK;
}
