/* CIFAR-10's binary batches: records of a label and 32 x 32 pixels, red, green and blue one after
 * the other. */
#include <stdlib.h>
#include <string.h>

#include "data/import/readers.h"

enum { SIDE = 32, PLANE = SIDE * SIDE, CHANNELS = 3, RECORD = 1 + CHANNELS * PLANE, CLASSES = 10 };

static ib_status read_batch(const ib_import_file *file, const ib_import_content *content,
                            ib_import_set *set, ib_error *err) {
    const ib_image_shape shape = {CHANNELS, SIDE, SIDE};
    uint8_t pixels[CHANNELS * PLANE];
    if (content->size == 0 || content->size % RECORD != 0)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: offset %zu: the file ends within a record of %d bytes: get it again",
                       file->path, content->size - content->size % RECORD, (int)RECORD);
    for (size_t i = 0; i < content->size / RECORD; ++i) {
        const uint8_t *record = content->data + i * RECORD;
        if (record[0] >= CLASSES)
            return ib_fail(err, IB_ERROR_VERIFY,
                           "%s: offset %zu: label %u, but CIFAR-10's are 0 to 9: get it again",
                           file->path, i * RECORD, record[0]);
        for (size_t k = 0; k < PLANE; ++k)
            for (size_t c = 0; c < CHANNELS; ++c)
                pixels[k * CHANNELS + c] = record[1 + c * PLANE + k];
        IB_TRY(ib_import_add(set, file->path, ib_import_part_of(file->name), shape, pixels,
                             record[0], err));
    }
    return IB_OK;
}

/* batches.meta.txt: a name a line. */
static ib_status read_names(const ib_import_file *file, const ib_import_content *content,
                            ib_import_set *set, ib_error *err) {
    const char *text = (const char *)content->data, *end = text + content->size;
    while (text < end && set->class_count < CLASSES) {
        const char *line = memchr(text, '\n', (size_t)(end - text));
        size_t length = (size_t)((line == NULL ? end : line) - text);
        char *name = strndup(text, length > 0 && text[length - 1] == '\r' ? length - 1 : length);
        ib_status status =
            name == NULL ? ib_fail_memory(err) : ib_import_add_class(set, file->path, name, err);
        free(name);
        IB_TRY(status);
        text = line == NULL ? end : line + 1;
    }
    if (set->class_count == CLASSES)
        return IB_OK;
    return ib_fail(err, IB_ERROR_VERIFY, "%s: %zu names, but there are %d classes", file->path,
                   set->class_count, (int)CLASSES);
}

static int is_batch(const char *name) {
    return ib_import_has_suffix(name, ".bin") &&
           (strncmp(name, "data_batch", 10) == 0 || strncmp(name, "test_batch", 10) == 0);
}

ib_status ib_import_cifar(const ib_import_source *source, ib_import_set *set, int *found,
                          ib_error *err) {
    for (size_t i = 0; i < source->count; ++i)
        *found |= is_batch(source->files[i].name);
    for (size_t i = 0; *found && i < source->count; ++i) {
        const ib_import_file *file = &source->files[i];
        int names = strcmp(file->name, "batches.meta.txt") == 0;
        ib_import_content content;
        if (!names && !is_batch(file->name))
            continue;
        ib_status status = ib_import_content_open(file->path, &content, err);
        if (status == IB_OK)
            status =
                names ? read_names(file, &content, set, err) : read_batch(file, &content, set, err);
        ib_import_content_close(&content);
        IB_TRY(status);
    }
    return IB_OK;
}
