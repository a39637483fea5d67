#include "catalog/augmentations.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/number.h"
#include "catalog/augmentations/rows.h"

static const ib_augmentation *const ROWS[] = {
#define IB_AUGMENTATION(id, name) [IB_AUGMENT_##id] = &ib_augmentation_##name,
#include "catalog/augmentations.inc"
#undef IB_AUGMENTATION
};

ib_placement ib_augment_place(const ib_augment *augment, uint64_t sample) {
    ib_placement placement = {.xx = 65536, .yy = 65536};
    for (size_t i = 0; i < IB_AUGMENTATIONS; ++i) {
        ib_placing placing = {augment->height, augment->width, augment->rng, 2 * sample};
        placing.rng.tag |= (uint32_t)i << 16; /* the sub of its draws */
        if (augment->amount[i] != 0)
            ROWS[i]->place(&placing, augment->amount[i], &placement);
    }
    return placement;
}

/* ---- the option ---------------------------------------------------------------------------------
 */

/* "shift=N, rotate=X, ..., flip": fresh memory, NULL when out of it. */
static char *known_names(void) {
    char *text = ib_format("%s", "");
    for (size_t i = 0; text != NULL && i < IB_AUGMENTATIONS; ++i) {
        const char *value = ROWS[i]->most == 0 ? "" : ROWS[i]->whole ? "=N" : "=X";
        char *longer = ib_format("%s%s%s%s", text, i == 0 ? "" : ", ", ROWS[i]->name, value);
        free(text);
        text = longer;
    }
    return text;
}

static ib_status unknown(const char *given_as, const char *word, ib_error *err) {
    char *names = known_names();
    if (names == NULL)
        return ib_fail_memory(err);
    ib_fail(err, IB_ERROR_USAGE, "%s: '%s' is no augmentation: give a list of %s", given_as, word,
            names);
    free(names);
    return IB_ERROR_USAGE;
}

/* One word of the list: its row, and the value where it has one. */
static ib_status read_word(char *word, const char *given_as, size_t *kind, double *value,
                           ib_error *err) {
    char *equals = strchr(word, '=');
    size_t length = equals == NULL ? strlen(word) : (size_t)(equals - word);
    for (*kind = 0; *kind < IB_AUGMENTATIONS; ++*kind)
        if (strlen(ROWS[*kind]->name) == length && memcmp(ROWS[*kind]->name, word, length) == 0)
            break;
    if (*kind == IB_AUGMENTATIONS)
        return unknown(given_as, word, err);
    const ib_augmentation *row = ROWS[*kind];
    *value = 1;
    if (row->most == 0)
        return equals == NULL
                   ? IB_OK
                   : ib_fail(err, IB_ERROR_USAGE, "%s: %s takes no value", given_as, row->name);
    double least = row->whole ? 1 : 1 / row->unit; /* less would be an amount of 0 */
    if (equals == NULL || ib_parse_double(equals + 1, value) != 0 || *value < least ||
        *value > row->most || (row->whole && *value != (double)(int64_t)*value))
        return ib_fail(err, IB_ERROR_USAGE, "%s: '%s': %s needs %s from %g to %g", given_as, word,
                       row->name, row->whole ? "an integer" : "a number", least, row->most);
    return IB_OK;
}

static ib_status read_words(char *text, const char *given_as, double values[IB_AUGMENTATIONS],
                            ib_error *err) {
    for (char *rest = text, *word; (word = strsep(&rest, ",")) != NULL;) {
        double value;
        size_t kind;
        IB_TRY(read_word(word, given_as, &kind, &value, err));
        if (values[kind] != 0)
            return ib_fail(err, IB_ERROR_USAGE, "%s: %s is there twice", given_as,
                           ROWS[kind]->name);
        values[kind] = value;
    }
    return IB_OK;
}

/* NULL: out of memory. */
static char *write_words(const double values[IB_AUGMENTATIONS]) {
    char *text = ib_format("%s", "");
    for (size_t i = 0; text != NULL && i < IB_AUGMENTATIONS; ++i) {
        char number[IB_DOUBLE_TEXT];
        if (values[i] == 0)
            continue;
        ib_print_double(values[i], number);
        char *longer = ib_format("%s%s%s%s%s", text, text[0] == '\0' ? "" : ",", ROWS[i]->name,
                                 ROWS[i]->most == 0 ? "" : "=", ROWS[i]->most == 0 ? "" : number);
        free(text);
        text = longer;
    }
    return text;
}

ib_status ib_augment_parse(const char *text, const char *given_as, int64_t amount[IB_AUGMENTATIONS],
                           char **canonical, ib_error *err) {
    double values[IB_AUGMENTATIONS] = {0};
    char *words = ib_format("%s", text == NULL ? "" : text);
    if (canonical != NULL)
        *canonical = NULL;
    if (words == NULL)
        return ib_fail_memory(err);
    ib_status status = text == NULL ? IB_OK : read_words(words, given_as, values, err);
    free(words);
    IB_TRY(status);
    for (size_t i = 0; i < IB_AUGMENTATIONS; ++i)
        amount[i] = values[i] == 0       ? 0
                    : ROWS[i]->most == 0 ? 1
                                         : (int64_t)(values[i] * ROWS[i]->unit + 0.5);
    if (canonical == NULL)
        return IB_OK;
    *canonical = write_words(values);
    return *canonical == NULL ? ib_fail_memory(err) : IB_OK;
}
