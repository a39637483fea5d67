/* NumPy's .npy files, one array each: x_train.npy and y_train.npy, or x.npy and y.npy. */
#include "data/import/npy.h"

#include <string.h>

#include "data/import/readers.h"

static ib_status read_pair(const char *images, const char *labels, ib_import_part part,
                           ib_import_set *set, ib_error *err) {
    ib_import_content pixels = {0}, classes = {0};
    ib_npy of_pixels, of_classes;
    ib_status status = ib_import_content_open(images, &pixels, err);
    if (status == IB_OK)
        status = ib_import_content_open(labels, &classes, err);
    if (status == IB_OK)
        status = ib_npy_parse(images, pixels.data, pixels.size, &of_pixels, err);
    if (status == IB_OK)
        status = ib_npy_parse(labels, classes.data, classes.size, &of_classes, err);
    if (status == IB_OK)
        status = ib_npy_add(images, &of_pixels, labels, &of_classes, part, set, err);
    ib_import_content_close(&classes);
    ib_import_content_close(&pixels);
    return status;
}

static int is_labels(const char *name) {
    return name[0] == 'y' || name[0] == 'Y' || strstr(name, "label") != NULL ||
           strstr(name, "target") != NULL;
}

ib_status ib_import_npy(const ib_import_source *source, ib_import_set *set, int *found,
                        ib_error *err) {
    const char *files[IB_PARTS][2] = {{NULL}}; /* images, labels */
    for (size_t i = 0; i < source->count; ++i) {
        const ib_import_file *file = &source->files[i];
        if (!ib_import_has_suffix(file->name, ".npy"))
            continue;
        *found = 1;
        int labels = is_labels(file->name);
        const char **place = &files[ib_import_part_of(file->name)][labels];
        if (*place != NULL)
            return ib_fail(err, IB_ERROR_VERIFY,
                           "%s and %s are both %s of one part: call them x_train.npy, y_train.npy, "
                           "x_test.npy and y_test.npy",
                           *place, file->path, labels ? "labels" : "images");
        *place = file->path;
    }
    for (int part = 0; part < IB_PARTS; ++part) {
        const char **pair = files[part];
        if (pair[0] == NULL && pair[1] == NULL)
            continue;
        if (pair[0] == NULL || pair[1] == NULL)
            return ib_fail(err, IB_ERROR_VERIFY, "%s: there are no %s beside it: name both files",
                           pair[0] == NULL ? pair[1] : pair[0],
                           pair[0] == NULL ? "images (x...)" : "labels (y...)");
        IB_TRY(read_pair(pair[0], pair[1], (ib_import_part)part, set, err));
    }
    return IB_OK;
}
