/* Comma-separated values, an image a line: a label and its pixels, as Kaggle's digit-recognizer and
 * the MNIST in CSV have them. */
#include <stdlib.h>
#include <string.h>

#include "data/import/readers.h"

typedef struct table {
    const char *file;
    const char *text, *end;
    size_t line;           /* of text, from 1 */
    size_t label, columns; /* which column is the label, how many there are */
    ib_image_shape shape;
    uint8_t *pixels;
} table;

static ib_status refuse(const table *t, const char *what, ib_error *err) {
    return ib_fail(err, IB_ERROR_VERIFY, "%s: line %zu: %s", t->file, t->line, what);
}

/* The next line without its end (LF, CRLF); 0: there is none. */
static int next_line(table *t, const char **line, size_t *length) {
    if (t->text >= t->end)
        return 0;
    const char *end = memchr(t->text, '\n', (size_t)(t->end - t->text));
    end = end == NULL ? t->end : end;
    *line = t->text;
    *length = (size_t)(end - t->text);
    *length -= *length > 0 && end[-1] == '\r';
    t->text = end < t->end ? end + 1 : t->end;
    ++t->line;
    return 1;
}

static size_t count_columns(const char *line, size_t length) {
    size_t columns = 1;
    for (size_t i = 0; i < length; ++i)
        columns += line[i] == ',';
    return columns;
}

/* The column called label; the number of columns where there is none. */
static size_t find_label(const char *line, size_t length, size_t columns) {
    size_t column = 0;
    for (const char *cell = line, *end = line + length; cell <= end; ++column) {
        const char *comma = memchr(cell, ',', (size_t)(end - cell));
        size_t size = (size_t)((comma == NULL ? end : comma) - cell);
        if (size == 5 && strncmp(cell, "label", 5) == 0)
            return column;
        if (comma == NULL)
            break;
        cell = comma + 1;
    }
    return columns;
}

/* Pixels of a given height and width, or of a square. */
static ib_status find_shape(table *t, const uint32_t size[2], ib_error *err) {
    size_t values = t->columns - 1, side = 1;
    if (size[0] > 0) {
        size_t pixels = (size_t)size[0] * size[1];
        t->shape = (ib_image_shape){(uint32_t)(values / pixels), size[0], size[1]};
        if (values % pixels == 0 && values / pixels >= 1 && values / pixels <= 4)
            return IB_OK;
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: line %zu: %zu values beside the label, but --size %ux%u makes %zu, or "
                       "2, 3 or 4 times as many",
                       t->file, t->line, values, size[0], size[1], pixels);
    }
    while (side * side < values && side < IB_RASTER_MOST_SIDE)
        ++side;
    t->shape = (ib_image_shape){1, (uint32_t)side, (uint32_t)side};
    if (side * side == values)
        return IB_OK;
    return ib_fail(err, IB_ERROR_VERIFY,
                   "%s: line %zu: %zu values beside the label are no square image: --size HxW says "
                   "of what height and width they are",
                   t->file, t->line, values);
}

static ib_status begin(table *t, const uint32_t size[2], ib_error *err) {
    const char *line;
    size_t length;
    if (!next_line(t, &line, &length))
        return ib_fail(err, IB_ERROR_VERIFY, "%s: line 1: the file is empty", t->file);
    if (memchr(line, '"', length) != NULL)
        return refuse(t, "cells in quotes are not read: write the file without them", err);
    t->columns = count_columns(line, length);
    if (t->columns < 2)
        return refuse(t, "a line is a label and pixels, separated by commas", err);
    IB_TRY(find_shape(t, size, err));
    t->label = 0;
    if (length > 0 && line[0] >= '0' && line[0] <= '9') { /* no header: this is the first image */
        t->text = line;
        --t->line;
        return IB_OK;
    }
    t->label = find_label(line, length, t->columns);
    return t->label < t->columns
               ? IB_OK
               : refuse(t, "no column is called label: images without labels cannot be imported",
                        err);
}

/* The number in a cell, which ends at *end; up to 7 digits. */
static ib_status read_cell(const table *t, const char *cell, size_t size, size_t column,
                           int64_t *value, ib_error *err) {
    enum { MOST_DIGITS = 7 };
    *value = 0;
    if (size == 0)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: line %zu: cell %zu is empty: every line is a label and all pixels",
                       t->file, t->line, column + 1);
    if (cell[0] == '"')
        return refuse(t, "cells in quotes are not read: write the file without them", err);
    for (size_t i = 0; i < size; ++i) {
        if (cell[i] < '0' || cell[i] > '9' || size > MOST_DIGITS)
            return ib_fail(err, IB_ERROR_VERIFY,
                           "%s: line %zu: cell %zu is '%.*s', but labels and pixels are whole "
                           "numbers from 0",
                           t->file, t->line, column + 1, (int)(size < 20 ? size : 20), cell);
        *value = 10 * *value + (cell[i] - '0');
    }
    return IB_OK;
}

static ib_status read_row(table *t, const char *line, size_t length, int64_t *label,
                          ib_error *err) {
    const char *cell = line, *end = line + length;
    uint8_t *pixel = t->pixels;
    size_t columns = count_columns(line, length);
    if (columns != t->columns)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: line %zu: %zu cells, but the first line has %zu: the file was cut or "
                       "changed",
                       t->file, t->line, columns, t->columns);
    for (size_t column = 0; column < columns; ++column) {
        const char *comma = memchr(cell, ',', (size_t)(end - cell));
        int64_t value;
        IB_TRY(read_cell(t, cell, (size_t)((comma == NULL ? end : comma) - cell), column, &value,
                         err));
        cell = comma == NULL ? end : comma + 1;
        if (column == t->label) {
            *label = value;
            continue;
        }
        if (value > 255)
            return ib_fail(err, IB_ERROR_VERIFY,
                           "%s: line %zu: cell %zu is %d, but pixels are 0 to 255", t->file,
                           t->line, column + 1, (int)value);
        *pixel++ = (uint8_t)value;
    }
    return ib_import_check_label(t->file, "line", t->line, *label, err);
}

static ib_status read_rows(table *t, ib_import_part part, ib_import_set *set, ib_error *err) {
    const char *line;
    size_t length, images = 0;
    while (next_line(t, &line, &length)) {
        int64_t label = 0;
        if (length == 0 && t->text == t->end)
            break; /* an empty line at the end */
        IB_TRY(read_row(t, line, length, &label, err));
        IB_TRY(ib_import_add(set, t->file, part, t->shape, t->pixels, label, err));
        ++images;
    }
    return images > 0 ? IB_OK : refuse(t, "there are no images behind the header", err);
}

static ib_status read_table(const ib_import_file *file, ib_import_set *set, ib_error *err) {
    ib_import_content content;
    table t = {.file = file->path};
    ib_status status = ib_import_content_open(file->path, &content, err);
    if (status == IB_OK) {
        t.text = (const char *)content.data;
        t.end = t.text + content.size;
        status = begin(&t, set->options->size, err);
    }
    if (status == IB_OK) {
        t.pixels = malloc(t.columns);
        status = t.pixels == NULL ? ib_fail_memory(err)
                                  : read_rows(&t, ib_import_part_of(file->name), set, err);
    }
    free(t.pixels);
    ib_import_content_close(&content);
    return status;
}

ib_status ib_import_csv(const ib_import_source *source, ib_import_set *set, int *found,
                        ib_error *err) {
    for (size_t i = 0; i < source->count; ++i) {
        if (!ib_import_has_suffix(source->files[i].name, ".csv"))
            continue;
        *found = 1;
        IB_TRY(read_table(&source->files[i], set, err));
    }
    return IB_OK;
}
