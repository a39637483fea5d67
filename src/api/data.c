/* The public library's data: known data sets from files, and images in the caller's memory. */
#include <math.h>
#include <stdlib.h>

#include "api/parts.h"

enum { BYTE_CLASSES = 256 }; /* labels in memory are bytes */

/* What the rest takes for granted of a described data set. */
static ib_status check_memory(const ib_memory_images *images, ib_error *err) {
    const uint64_t pixels = (uint64_t)images->height * images->width;
    if (images->channels == 0 || images->channels > IB_LOAD_CHANNELS || pixels == 0 ||
        images->height > INT32_MAX || images->width > INT32_MAX ||
        pixels > INT32_MAX / images->channels)
        return ib_fail(
            err, IB_ERROR_USAGE,
            "images of %u channels, %u x %u pixels: 1 to %d channels are possible, and less than "
            "2^31 bytes an image",
            images->channels, images->height, images->width, (int)IB_LOAD_CHANNELS);
    if (images->classes < 2 || images->classes > BYTE_CLASSES)
        return ib_fail(err, IB_ERROR_USAGE, "%u classes: there are 2 to %d", images->classes,
                       (int)BYTE_CLASSES);
    if (!isfinite(images->mean) || !isfinite(images->deviation) || images->deviation <= 0)
        return ib_fail(err, IB_ERROR_USAGE,
                       "mean %g and deviation %g: both are finite, the deviation above 0",
                       images->mean, images->deviation);
    if (images->train_count > UINT32_MAX / 2 || images->test_count > UINT32_MAX / 2)
        return ib_fail(err, IB_ERROR_USAGE, "more than 2^31 images");
    if ((images->train_count > 0 &&
         (images->train_pixels == NULL || images->train_labels == NULL)) ||
        (images->test_count > 0 && (images->test_pixels == NULL || images->test_labels == NULL)))
        return ib_fail(err, IB_ERROR_USAGE, "images without pixels or without labels");
    return IB_OK;
}

static ib_status check_labels(const uint8_t *labels, size_t count, uint32_t classes,
                              const char *which, ib_error *err) {
    for (size_t i = 0; i < count; ++i)
        if (labels[i] >= classes)
            return ib_fail(err, IB_ERROR_VERIFY, "%s image %zu has label %u of %u classes", which,
                           i, labels[i], classes);
    return IB_OK;
}

static ib_status take_memory(ib_data *data, const ib_memory_images *images, ib_error *err) {
    IB_TRY(check_memory(images, err));
    IB_TRY(
        check_labels(images->train_labels, images->train_count, images->classes, "training", err));
    IB_TRY(check_labels(images->test_labels, images->test_count, images->classes, "test", err));
    data->info = (ib_dataset_info){.name = "images in memory",
                                   .image = {images->channels, images->height, images->width},
                                   .classes = images->classes,
                                   .train_count = (uint32_t)images->train_count,
                                   .test_count = (uint32_t)images->test_count,
                                   .mean = images->mean,
                                   .standard_deviation = images->deviation};
    data->dataset = (ib_dataset){.info = &data->info,
                                 .train_count = images->train_count,
                                 .test_count = images->test_count,
                                 .image_bytes = ib_image_bytes(data->info.image)};
    data->dataset.values[IB_TRAIN_IMAGES] = images->train_pixels;
    data->dataset.values[IB_TRAIN_LABELS] = images->train_labels;
    data->dataset.values[IB_TEST_IMAGES] = images->test_pixels;
    data->dataset.values[IB_TEST_LABELS] = images->test_labels;
    return IB_OK;
}

/* images NULL: those of the directory. */
static ib_status open_data(const char *directory, const char *name, const ib_memory_images *images,
                           ib_data **data, ib_error *err) {
    ib_data *fresh = calloc(1, sizeof *fresh);
    *data = NULL;
    if (fresh == NULL)
        return ib_fail_memory(err);
    ib_status status = images != NULL ? take_memory(fresh, images, err)
                                      : ib_dataset_open(directory, name, &fresh->dataset, err);
    if (status == IB_OK)
        *data = fresh;
    else
        free(fresh);
    return status;
}

ib_status ib_data_open(const char *directory, const char *name, ib_data **data, char *message,
                       size_t message_size) {
    ib_error err = {0};
    return ib_tell(open_data(directory, name, NULL, data, &err), &err, message, message_size);
}

ib_status ib_data_from_memory(const ib_memory_images *images, ib_data **data, char *message,
                              size_t message_size) {
    ib_error err = {0};
    return ib_tell(open_data(NULL, NULL, images, data, &err), &err, message, message_size);
}

void ib_data_close(ib_data *data) {
    if (data == NULL)
        return;
    ib_dataset_close(&data->dataset);
    free(data);
}

size_t ib_data_train_count(const ib_data *data) {
    return data->dataset.train_count;
}

size_t ib_data_test_count(const ib_data *data) {
    return data->dataset.test_count;
}

size_t ib_data_class_count(const ib_data *data) {
    return data->dataset.info->classes;
}

size_t ib_data_image_bytes(const ib_data *data) {
    return data->dataset.image_bytes;
}

const uint8_t *ib_data_pixels(const ib_data *data, size_t index) {
    return ib_dataset_pixels(&data->dataset, index);
}

unsigned ib_data_label(const ib_data *data, size_t index) {
    return ib_dataset_label(&data->dataset, index);
}
