#include "base/nearest.h"

#include <stdint.h>
#include <string.h>

enum { LONGEST_NAME = 32 };

/* Levenshtein distance by one row; names longer than LONGEST_NAME are far from everything. */
static size_t edit_distance(const char *a, const char *b) {
    size_t columns = strlen(b);
    size_t row[LONGEST_NAME + 1];
    if (columns > LONGEST_NAME || strlen(a) > LONGEST_NAME)
        return SIZE_MAX;
    for (size_t j = 0; j <= columns; ++j)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; ++i) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= columns; ++j) {
            size_t substituted = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            size_t best = row[j - 1] < row[j] ? row[j - 1] + 1 : row[j] + 1;
            row[j] = substituted < best ? substituted : best;
        }
    }
    return row[columns];
}

const char *ib_nearest_name(const char *name, const char *(*next)(const void *context, size_t i),
                            const void *context) {
    const char *nearest = NULL;
    size_t length = strlen(name); /* more wrong letters than the limit is another word */
    size_t limit = length < 4 ? 1 : length / 3 + 1;
    size_t least = limit + 1;
    const char *candidate;
    if (name[0] == '\0')
        return NULL;
    for (size_t i = 0; (candidate = next(context, i)) != NULL; ++i) {
        size_t distance = edit_distance(name, candidate);
        if (distance < least) {
            least = distance;
            nearest = candidate;
        }
    }
    return nearest;
}
