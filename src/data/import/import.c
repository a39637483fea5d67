#include "data/import/import.h"

#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "data/import/readers.h"
#include "data/import/store.h"
#include "data/lock.h"

static const struct {
    const char *words;
    ib_import_reader *read;
} READERS[] = {
#define IB_IMPORT_ROW(name, words) {words, ib_import_##name},
    IB_IMPORT_READERS(IB_IMPORT_ROW)
#undef IB_IMPORT_ROW
};

ib_status ib_import_parse_size(const char *given_as, const char *text, uint32_t size[2],
                               ib_error *err) {
    const char *cross = strchr(text, 'x');
    char *height = cross == NULL ? strdup(text) : strndup(text, (size_t)(cross - text));
    uint64_t numbers[2] = {0};
    if (height == NULL)
        return ib_fail_memory(err);
    int good = cross != NULL && ib_parse_u64(height, &numbers[0]) == 0 &&
               ib_parse_u64(cross + 1, &numbers[1]) == 0;
    free(height);
    for (int i = 0; i < 2; ++i) {
        good = good && numbers[i] >= 1 && numbers[i] <= IB_LOCK_MOST_SIDE;
        size[i] = (uint32_t)numbers[i];
    }
    return good ? IB_OK
                : ib_fail(err, IB_ERROR_USAGE,
                          "%s: '%s' is not valid: give height and width, both from 1 to %d, as "
                          "28x28",
                          given_as, text, (int)IB_LOCK_MOST_SIDE);
}

/* The first format that knows some of the files reads them. */
static ib_status read_source(const ib_import_source *source, ib_import_set *set,
                             const char **format, ib_error *err) {
    int found = 0;
    for (size_t i = 0; !found && i < sizeof READERS / sizeof READERS[0]; ++i) {
        *format = READERS[i].words;
        IB_TRY(READERS[i].read(source, set, &found, err));
    }
    if (found)
        return IB_OK;
    return ib_fail(err, IB_ERROR_VERIFY,
                   "%s: nothing of a known format: there are idx files, CIFAR-10's .bin, .npz, "
                   ".npy, .csv and one folder of folders of .png, .jpg or .pgm",
                   source->count > 0 ? source->files[0].path : "what was named");
}

static void tell(const char *data_dir, const ib_import_set *set, const char *format, FILE *log) {
    if (log == NULL)
        return;
    fprintf(
        log,
        "%s: from %s: %zu training and %zu test images of %u x %u x %u, %zu classes, mean %.4f, "
        "standard deviation %.4f, in %s/%s\n",
        set->options->name, format, set->counts[IB_PART_TRAIN], set->counts[IB_PART_TEST],
        set->image.height, set->image.width, set->image.channels, set->class_count, set->mean,
        set->deviation, data_dir, set->options->name);
    if (set->first_label > 0)
        fprintf(log, "labels begin with 1: class 0 is what was called 1\n");
}

ib_status ib_dataset_import(const char *data_dir, const char *const *paths, size_t count,
                            const ib_import_options *options, FILE *log, ib_error *err) {
    ib_import_set set = {.options = options};
    ib_import_source source;
    const char *format = "";
    IB_TRY(ib_import_check_place(data_dir, options->name, err));
    ib_status status = ib_import_source_open(paths, count, &source, err);
    if (status == IB_OK)
        status = read_source(&source, &set, &format, err);
    if (status == IB_OK)
        status = ib_import_finish(&set, err);
    const ib_import_origin origin = {format, paths, count};
    if (status == IB_OK)
        status = ib_import_store(data_dir, &set, &origin, err);
    if (status == IB_OK)
        tell(data_dir, &set, format, log);
    ib_import_source_close(&source);
    ib_import_set_free(&set);
    return status;
}
