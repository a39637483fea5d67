/* libFuzzer: images that somebody else has made. The first byte says what the rest is: an image
 * file, an array, a lock file, or a file of a format that whole sets come in. */
#include "data/import/npy.h"
#include "data/import/raster.h"
#include "data/import/readers.h"
#include "data/lock.h"
#include "fuzz_files.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void refused(ib_status status, ib_error *err) {
    require(status == IB_OK || (err->message != NULL && err->status == status),
            "a refusal without a reason");
    ib_error_clear(err);
}

static void decode(ib_raster_decode *decoder, const uint8_t *data, size_t size) {
    ib_raster raster;
    ib_error err = {0};
    ib_status status = decoder("fuzz", data, size, &raster, &err);
    volatile uint8_t last = 0; /* every pixel can be read */
    for (size_t i = 0; status == IB_OK && i < ib_image_bytes(raster.shape); ++i)
        last = raster.pixels[i];
    (void)last;
    ib_raster_free(&raster);
    refused(status, &err);
}

static void parse(const uint8_t *data, size_t size) {
    ib_npy array;
    ib_error err = {0};
    refused(ib_npy_parse("fuzz", data, size, &array, &err), &err);
    ib_dataset_lock *lock;
    ib_status status = ib_dataset_lock_parse("fuzz", (const char *)data, size, "fuzz", &lock, &err);
    require((status == IB_OK) == (lock != NULL), "a lock file that is neither");
    ib_dataset_lock_free(lock);
    refused(status, &err);
}

static void read_set(ib_import_reader *reader, const char *name, const uint8_t *data, size_t size) {
    static const ib_import_options options = {.name = "fuzz", .test_share = 0.5};
    char *path = fuzz_write(name, data, size);
    const char *paths[] = {path};
    ib_import_source source;
    ib_import_set set = {.options = &options};
    ib_error err = {0};
    int found = 0;
    ib_status status = ib_import_source_open(paths, 1, &source, &err);
    if (status == IB_OK)
        status = reader(&source, &set, &found, &err);
    if (status == IB_OK)
        status = ib_import_finish(&set, &err);
    ib_import_source_close(&source);
    ib_import_set_free(&set);
    refused(status, &err);
    free(path);
}

/* Labels of one image, whatever they are; the images are always the same. */
static void read_idx(const uint8_t *data, size_t size) {
    static const uint8_t IMAGES[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 7, 9};
    static const ib_import_options options = {.name = "fuzz", .test_share = 0.5};
    char *images = fuzz_write("train-images-idx3-ubyte", IMAGES, sizeof IMAGES);
    char *labels = fuzz_write("train-labels-idx1-ubyte", data, size);
    const char *paths[] = {images, labels};
    ib_import_source source;
    ib_import_set set = {.options = &options};
    ib_error err = {0};
    int found = 0;
    ib_status status = ib_import_source_open(paths, 2, &source, &err);
    if (status == IB_OK)
        status = ib_import_idx(&source, &set, &found, &err);
    if (status == IB_OK)
        status = ib_import_finish(&set, &err);
    ib_import_source_close(&source);
    ib_import_set_free(&set);
    refused(status, &err);
    free(images);
    free(labels);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    uint8_t *rest = malloc(size); /* of exactly its size but for the first byte */
    require(rest != NULL, "no memory");
    size_t length = size - 1;
    uint8_t *copy = rest + 1;
    memcpy(copy, data + 1, length);
    switch (data[0] % 8) {
    case 0:
        decode(ib_raster_decode_png, copy, length);
        break;
    case 1:
        decode(ib_raster_decode_jpeg, copy, length);
        break;
    case 2:
        decode(ib_raster_decode_pgm, copy, length);
        break;
    case 3:
        parse(copy, length);
        break;
    case 4:
        read_set(ib_import_csv, "fuzz.csv", copy, length);
        break;
    case 5:
        read_set(ib_import_npz, "fuzz.npz", copy, length);
        break;
    case 6:
        read_idx(copy, length);
        break;
    default:
        read_set(ib_import_cifar, "data_batch_1.bin", copy, length);
        break;
    }
    free(rest);
    return 0;
}
