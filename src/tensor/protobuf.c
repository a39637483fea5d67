#include "tensor/protobuf.h"

#include <stdlib.h>
#include <string.h>

enum { VARINT = 0, DELIMITED = 2, FIXED32 = 5, FIRST_CAPACITY = 64 };

void ib_protobuf_free(ib_protobuf *m) {
    free(m->data);
    *m = (ib_protobuf){0};
}

static void append(ib_protobuf *m, const void *bytes, size_t size) {
    if (m->failed || size == 0)
        return;
    if (size > m->capacity - m->size) {
        size_t capacity = m->capacity == 0 ? FIRST_CAPACITY : m->capacity;
        while (capacity - m->size < size && capacity <= SIZE_MAX / 2)
            capacity *= 2;
        uint8_t *data = capacity - m->size < size ? NULL : realloc(m->data, capacity);
        if (data == NULL) {
            m->failed = 1;
            return;
        }
        m->data = data;
        m->capacity = capacity;
    }
    memcpy(m->data + m->size, bytes, size);
    m->size += size;
}

static void varint(ib_protobuf *m, uint64_t value) {
    uint8_t bytes[10];
    size_t size = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[size++] = (uint8_t)(value | 0x80);
    bytes[size++] = (uint8_t)value;
    append(m, bytes, size);
}

static void tag(ib_protobuf *m, unsigned field, unsigned wire) {
    varint(m, (uint64_t)field << 3 | wire);
}

void ib_protobuf_integer(ib_protobuf *m, unsigned field, int64_t value) {
    tag(m, field, VARINT);
    varint(m, (uint64_t)value);
}

void ib_protobuf_float(ib_protobuf *m, unsigned field, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint8_t bytes[4];
    for (int i = 0; i < 4; ++i)
        bytes[i] = (uint8_t)(bits >> 8 * i);
    tag(m, field, FIXED32);
    append(m, bytes, sizeof bytes);
}

void ib_protobuf_length(ib_protobuf *m, unsigned field, uint64_t length) {
    tag(m, field, DELIMITED);
    varint(m, length);
}

void ib_protobuf_text(ib_protobuf *m, unsigned field, const char *text) {
    ib_protobuf_length(m, field, strlen(text));
    append(m, text, strlen(text));
}

void ib_protobuf_append(ib_protobuf *m, ib_protobuf *more) {
    append(m, more->data, more->size);
    m->failed |= more->failed;
    ib_protobuf_free(more);
}

void ib_protobuf_child(ib_protobuf *m, unsigned field, ib_protobuf *child) {
    ib_protobuf_length(m, field, child->size);
    ib_protobuf_append(m, child);
}
