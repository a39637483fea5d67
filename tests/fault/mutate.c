/* A main for the fuzz harnesses where there is no libFuzzer: every seed as it is, cut at many
 * places, then changed at random (the same each time) for some seconds. It finds what lies near;
 * the fuzz preset looks further. usage: HARNESS SECONDS FOLDER */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_SEEDS = 64, LARGEST = 1 << 16, CUTS = 50 };

typedef struct seed {
    uint8_t *data;
    size_t size;
} seed;

static size_t read_seeds(const char *folder, seed *seeds) {
    struct dirent **entries = NULL;
    size_t count = 0;
    int found = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < found; ++i) {
        char *path = ib_path_join(folder, entries[i]->d_name), *bytes = NULL;
        size_t size = 0;
        if (entries[i]->d_name[0] != '.' && count < MOST_SEEDS && path != NULL &&
            ib_read_file(path, LARGEST, &bytes, &size, NULL) == IB_OK)
            seeds[count++] = (seed){(uint8_t *)bytes, size};
        free(path);
        free(entries[i]);
    }
    free(entries);
    return count;
}

/* In memory of exactly its size, so that a byte read beyond it is noticed. */
static void try(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (copy == NULL)
        abort();
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static uint32_t below(uint32_t *state, size_t limit) { /* xorshift: any sequence will do */
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return limit == 0 ? 0 : *state % (uint32_t)limit;
}

/* One change in place; returns the new size. */
static size_t change(uint8_t *data, size_t size, const seed *other, uint32_t *state) {
    static const char *const PIECES[] = {
        "0", "-1", "1e999", "18446744073709551616", "null", "\"\"", "{}", "[]", "\\u0000", "nan"};
    size_t at = below(state, size), length = 1 + below(state, 16);
    const uint8_t *piece = NULL;
    switch (below(state, 5)) {
    case 0:
        data[at] ^= (uint8_t)(1u << below(state, 8));
        return size;
    case 1:
        data[at] = (uint8_t)below(state, 256);
        return size;
    case 2: /* cut a piece out */
        length = length < size - at ? length : size - at;
        memmove(data + at, data + at + length, size - at - length);
        return size - length;
    case 3: /* put a piece of another seed in */
        length = length < other->size ? length : other->size;
        piece = other->data + below(state, other->size - length + 1);
        break;
    default:
        piece = (const uint8_t *)PIECES[below(state, sizeof PIECES / sizeof PIECES[0])];
        length = strlen((const char *)piece);
    }
    memmove(data + at + length, data + at, size - at);
    memcpy(data + at, piece, length);
    return size + length;
}

int main(int argc, char **argv) {
    seed seeds[MOST_SEEDS];
    size_t count = argc == 3 ? read_seeds(argv[2], seeds) : 0, tries = 0;
    uint32_t state = 2463534242;
    if (count == 0) {
        fprintf(stderr, "usage: %s SECONDS FOLDER-OF-SEEDS\n", argv[0]);
        return 2;
    }
    for (size_t i = 0; i < count; ++i)
        for (size_t cut = 0; cut <= CUTS; ++cut, ++tries)
            try(seeds[i].data, seeds[i].size * cut / CUTS);
    static uint8_t data[2 * LARGEST];
    double end = ib_seconds() + atof(argv[1]);
    for (; ib_seconds() < end; ++tries) {
        const seed *from = &seeds[below(&state, count)], *other = &seeds[below(&state, count)];
        size_t size = from->size;
        memcpy(data, from->data, size);
        for (size_t changes = 1 + below(&state, 4); changes > 0 && size > 0; --changes)
            size = change(data, size, other, &state);
        try(data, size);
    }
    for (size_t i = 0; i < count; ++i)
        free(seeds[i].data);
    printf("%zu inputs from %zu seeds\n", tries, count);
    return 0;
}
