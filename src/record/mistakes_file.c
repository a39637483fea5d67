#include "record/mistakes_file.h"

#include <math.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/file.h"
#include "base/json_text.h"

/* pixels: room for the image in base64. */
static void write_mistake(const ib_mistake *mistake, const ib_dataset *dataset, int has_probability,
                          char *pixels, ib_json *json) {
    int test = mistake->index >= dataset->train_count;
    size_t index = test ? mistake->index - dataset->train_count : mistake->index;
    ib_base64_encode(ib_dataset_pixels(dataset, mistake->index), dataset->image_bytes, pixels);
    ib_json_open(json, NULL, '{');
    ib_json_string(json, "file",
                   ib_dataset_file_name(dataset->info, test ? IB_TEST_IMAGES : IB_TRAIN_IMAGES));
    ib_json_uint(json, "index", index);
    ib_json_uint(json, "actual", mistake->actual);
    ib_json_uint(json, "predicted", mistake->predicted);
    if (has_probability) /* four digits: the same whoever's exp this is */
        ib_json_double(json, "probability", round(1e4 * exp(mistake->log_probability)) / 1e4);
    else
        ib_json_string(json, "probability", NULL);
    ib_json_string(json, "pixels", pixels);
    ib_json_close(json, '}');
}

ib_status ib_mistakes_write(const ib_mistakes *mistakes, const ib_dataset *dataset,
                            int has_probability, const ib_folder *folder, ib_error *err) {
    char *pixels = malloc(ib_base64_length(dataset->image_bytes) + 1);
    if (pixels == NULL)
        return ib_fail_memory(err);
    ib_atomic_file file;
    ib_status status = ib_atomic_open_in(&file, folder, "misclassified.json", err);
    if (status != IB_OK) {
        free(pixels);
        return status;
    }
    ib_json json = {.out = file.stream, .indent = 2};
    ib_json_open(&json, NULL, '{');
    ib_json_uint(&json, "images", mistakes->total);
    ib_json_uint(&json, "height", dataset->info->image.height);
    ib_json_uint(&json, "width", dataset->info->image.width);
    ib_json_uint(&json, "channels", dataset->info->image.channels);
    ib_json_open(&json, "shown", '[');
    for (size_t i = 0; status == IB_OK && i < mistakes->count; ++i) {
        status = ib_dataset_hold(dataset, &mistakes->kept[i].index, 1, err);
        if (status == IB_OK)
            write_mistake(&mistakes->kept[i], dataset, has_probability, pixels, &json);
    }
    ib_json_close(&json, ']');
    ib_json_close(&json, '}');
    fputc('\n', json.out);
    free(pixels);
    if (status == IB_OK)
        return ib_atomic_commit(&file, err);
    ib_atomic_abort(&file);
    return status;
}
