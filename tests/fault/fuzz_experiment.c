/* libFuzzer harness: whatever an experiment file holds is read, or refused with a reason that names
 * its line. Also with key=value words from the input's first line when it begins with "#!". */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "study/study.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Everything the reader promises can be read. */
static void touch(const ib_study *study) {
    volatile size_t sum = strlen(study->name);
    for (size_t c = 0; c < study->cell_count; ++c) {
        const ib_study_cell *cell = &study->cells[c];
        sum += strlen(study->groups[cell->group].name) +
               strlen(cell->arguments.config.experiment.dataset);
        for (size_t i = 0; i < IB_MAX_OPTIONS; ++i)
            if (ib_study_cell_uses(cell, i))
                sum += strlen(cell->texts[i]);
    }
    for (size_t p = 0; p < study->published_count; ++p)
        for (size_t i = 0; i < study->published[p].cell_count; ++i)
            if (study->published[p].cells[i] >= study->cell_count ||
                study->published[p].low > study->published[p].high)
                abort();
    for (size_t i = 0; i < study->item_count; ++i)
        sum += strlen(study->items[i].title) + study->items[i].group_count;
    (void)sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *word = NULL;
    if (size > 2 && data[0] == '#' && data[1] == '!') {
        const uint8_t *end = memchr(data, '\n', size);
        word = strndup((const char *)data + 2, (end != NULL ? (size_t)(end - data) : size) - 2);
    }
    const char *words[] = {word};
    ib_study study;
    ib_error err = {0};
    if (ib_study_parse("fuzz", (const char *)data, size, words, word != NULL, &study, &err) ==
        IB_OK)
        touch(&study);
    else if (err.message == NULL ||
             (word == NULL && (strncmp(err.message, "fuzz:", 5) != 0 || atoi(err.message + 5) < 1)))
        abort(); /* a refusal without a reason or a line */
    ib_study_close(&study);
    ib_error_clear(&err);
    free(word);
    return 0;
}
