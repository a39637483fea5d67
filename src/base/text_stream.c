#include "base/text_stream.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static ssize_t take(void *cookie, const char *bytes, size_t size) {
    ib_text_stream *text = cookie;
    if (text->failed || size > SIZE_MAX / 4 - text->size) {
        text->failed = 1;
        return 0;
    }
    if (text->size + size >= text->capacity) {
        size_t capacity = 2 * (text->size + size) + 64;
        char *larger = realloc(text->data, capacity);
        if (larger == NULL) {
            text->failed = 1;
            return 0;
        }
        text->data = larger;
        text->capacity = capacity;
    }
    memcpy(text->data + text->size, bytes, size);
    text->size += size;
    text->data[text->size] = '\0';
    return (ssize_t)size;
}

ib_status ib_text_open(ib_text_stream *text, ib_error *err) {
    *text = (ib_text_stream){.data = calloc(1, 1), .capacity = 1};
    if (text->data != NULL)
        text->stream = fopencookie(text, "w", (cookie_io_functions_t){.write = take});
    if (text->stream != NULL)
        return IB_OK;
    ib_text_abort(text);
    return ib_fail_memory(err);
}

ib_status ib_text_flush(ib_text_stream *text, ib_error *err) {
    return fflush(text->stream) != 0 || text->failed ? ib_fail_memory(err) : IB_OK;
}

ib_status ib_text_close(ib_text_stream *text, ib_error *err) {
    int failed = fclose(text->stream) != 0 || text->failed;
    text->stream = NULL;
    if (!failed)
        return IB_OK;
    ib_text_abort(text);
    return ib_fail_memory(err);
}

void ib_text_abort(ib_text_stream *text) {
    if (text->stream != NULL)
        fclose(text->stream);
    free(text->data);
    *text = (ib_text_stream){0};
}
