/* Texts and lists of a report while it grows; memory that ran out is noted and asked once, at the
 * end. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "report/build_parts.h"

char *ib_keep(ib_builder *b, char *text) {
    b->failed |= text == NULL;
    return text;
}

char *ib_keep_copy(ib_builder *b, const char *text) {
    return ib_keep(b, strdup(text));
}

void *ib_append(ib_builder *b, void *list_pointer, size_t *count, size_t size) {
    void **list = list_pointer;
    size_t n = *count;
    if ((n & (n - 1)) == 0) { /* full: capacities are powers of two */
        void *grown = realloc(*list, (n == 0 ? 1 : 2 * n) * size);
        if (grown == NULL) {
            b->failed = 1;
            return NULL;
        }
        *list = grown;
    }
    ++*count;
    return memset((char *)*list + n * size, 0, size);
}

void ib_extend(ib_builder *b, char **text, const char *separator, const char *more) {
    char *longer = *text == NULL ? strdup(more) : ib_format("%s%s%s", *text, separator, more);
    free(*text);
    *text = ib_keep(b, longer);
}

void ib_add_finding(ib_builder *b, char *text, char *basis) {
    ib_finding *finding =
        ib_append(b, &b->report->findings, &b->report->finding_count, sizeof *finding);
    ib_keep(b, text);
    ib_keep(b, basis);
    if (finding == NULL) {
        free(text);
        free(basis);
        return;
    }
    *finding = (ib_finding){.text = text, .basis = basis};
}
