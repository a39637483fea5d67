#include "data/pixel_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "tensor/safetensors.h"

static const char SUFFIX[] = ".safetensors";
enum { FILE_MOST = 1 << 24 /* bytes: more than the widest image needs */ };

static ib_status open_table(size_t pixels, ib_pixel_table *table, ib_error *err) {
    *table = (ib_pixel_table){.pixels = pixels};
    table->mean = calloc(pixels, 2 * sizeof *table->mean);
    if (table->mean == NULL)
        return ib_fail_memory(err);
    table->deviation = table->mean + pixels;
    return IB_OK;
}

void ib_pixel_table_close(ib_pixel_table *table) {
    free(table->mean);
    *table = (ib_pixel_table){0};
}

/* ---- from images --------------------------------------------------------------------------------
 */

static ib_status add_images(const ib_dataset *dataset, const uint32_t *indices, size_t count,
                            uint64_t *sums, uint64_t *squares, ib_error *err) {
    size_t most = ib_dataset_hold_most(dataset);
    for (size_t first = 0; first < count; first += most) {
        size_t held = count - first < most ? count - first : most;
        IB_TRY(ib_dataset_hold(dataset, indices + first, held, err));
        for (size_t i = first; i < first + held; ++i) {
            const uint8_t *image = ib_dataset_pixels(dataset, indices[i]);
            for (size_t k = 0; k < dataset->image_bytes; ++k) {
                sums[k] += image[k];
                squares[k] += (uint64_t)image[k] * image[k];
            }
        }
    }
    return IB_OK;
}

static ib_named_tensor *list_tensors(const ib_pixel_table *table, ib_named_tensor tensors[2]) {
    tensors[0] =
        (ib_named_tensor){"deviation", IB_F64, {1, {(int64_t)table->pixels}}, table->deviation};
    tensors[1] = (ib_named_tensor){"mean", IB_F64, {1, {(int64_t)table->pixels}}, table->mean};
    return tensors;
}

ib_status ib_pixel_table_make(const ib_dataset *dataset, const uint32_t *indices, size_t count,
                              ib_pixel_table *table, ib_error *err) {
    size_t pixels = dataset->image_bytes;
    ib_named_tensor tensors[2];
    *table = (ib_pixel_table){0};
    if (count < 1 || count > IB_PIXEL_TABLE_MOST_IMAGES)
        return ib_fail(err, IB_ERROR_USAGE,
                       "--normalize standard takes means over 1 to %d images, not %zu: choose "
                       "--train-size",
                       IB_PIXEL_TABLE_MOST_IMAGES, count);
    uint64_t *sums = calloc(pixels, 2 * sizeof *sums), n = count;
    ib_status status = sums == NULL ? ib_fail_memory(err) : open_table(pixels, table, err);
    if (status == IB_OK)
        status = add_images(dataset, indices, count, sums, sums + pixels, err);
    for (size_t k = 0; status == IB_OK && k < pixels; ++k) {
        uint64_t spread = n * sums[pixels + k] - sums[k] * sums[k];
        table->mean[k] = (double)sums[k] / (double)n;
        table->deviation[k] = sqrt((double)spread / (double)(n * n));
    }
    free(sums);
    if (status == IB_OK)
        status = ib_safetensors_hash(list_tensors(table, tensors), 2, table->sha256, err);
    if (status != IB_OK)
        ib_pixel_table_close(table);
    return status;
}

/* ---- the file -----------------------------------------------------------------------------------
 */

ib_status ib_pixel_table_write(const ib_pixel_table *table, const ib_folder *folder,
                               const char *path, ib_error *err) {
    ib_named_tensor tensors[2];
    return ib_safetensors_write_in(folder, path, list_tensors(table, tensors), 2, NULL, 0, NULL,
                                   err);
}

static ib_status wrong(const char *path, const char *what, ib_error *err) {
    return ib_fail(err, IB_ERROR_VERIFY, "%s is no table of pixels' means and deviations: %s", path,
                   what);
}

static const double *values_of(const ib_safetensors *file, const char *name, size_t pixels) {
    const ib_named_tensor *t = ib_safetensors_find(file, name);
    return t != NULL && t->dtype == IB_F64 && t->shape.rank == 1 &&
                   t->shape.extent[0] == (int64_t)pixels
               ? t->data
               : NULL;
}

static ib_status take_values(const ib_safetensors *file, size_t pixels, ib_pixel_table *table,
                             ib_error *err) {
    const double *mean = values_of(file, "mean", pixels);
    const double *deviation = values_of(file, "deviation", pixels);
    if (mean == NULL || deviation == NULL || file->count != 2)
        return wrong(file->path, "mean and deviation of each pixel of this data set", err);
    /* Bounds that hold for bytes of up to IB_PIXEL_TABLE_MOST_IMAGES images. */
    for (size_t k = 0; k < pixels; ++k)
        if (!(mean[k] >= 0 && mean[k] <= 255) ||
            !(deviation[k] == 0 || (deviation[k] >= 1e-9 && deviation[k] <= 128)))
            return wrong(file->path, "a value that no bytes have", err);
    IB_TRY(open_table(pixels, table, err));
    memcpy(table->mean, mean, pixels * sizeof *mean);
    memcpy(table->deviation, deviation, pixels * sizeof *deviation);
    return IB_OK;
}

ib_status ib_pixel_table_read(const char *path, size_t pixels, ib_pixel_table *table,
                              ib_error *err) {
    ib_contents contents = {0};
    ib_safetensors file = {0};
    *table = (ib_pixel_table){0};
    if (ib_path_is_missing(path))
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s is missing: a model of --normalize standard needs it beside itself",
                       path);
    IB_TRY(ib_contents_open(path, FILE_MOST, &contents, err));
    ib_status status = ib_safetensors_parse(&contents, &file, err);
    if (status == IB_OK)
        status = take_values(&file, pixels, table, err);
    if (status == IB_OK)
        ib_sha256_bytes(contents.data, contents.size, table->sha256);
    ib_safetensors_close(&file);
    ib_contents_close(&contents);
    return status;
}

char *ib_pixel_table_path(const char *model_path) {
    size_t length = strlen(model_path), suffix = sizeof SUFFIX - 1;
    if (length > suffix && strcmp(model_path + length - suffix, SUFFIX) == 0)
        length -= suffix;
    return ib_format("%.*s.normalization%s", (int)length, model_path, SUFFIX);
}
