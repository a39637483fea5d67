#include "options/numbers.h"

#include <stdlib.h>
#include <string.h>

#include "base/number.h"

char *ib_shortest_numbers(const ib_option *option, const char *text,
                          int (*fits)(const ib_option *option, double value), int *valid) {
    char *words = strdup(text), *rest = words, *word;
    char *numbers = words == NULL ? NULL : calloc(strlen(text) + 2, IB_DOUBLE_TEXT);
    size_t length = 0;
    *valid = 1;
    while (numbers != NULL && *valid && (word = strsep(&rest, option->many ? "," : "")) != NULL) {
        double value = 0;
        *valid = ib_parse_double(word, &value) == 0 && fits(option, value);
        if (length > 0)
            numbers[length++] = ',';
        ib_print_double(value, numbers + length);
        length += strlen(numbers + length);
    }
    free(words);
    if (*valid)
        return numbers;
    free(numbers);
    return NULL;
}
