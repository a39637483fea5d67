/* The idx parser, gunzip, the catalogue, and open / verify / prepare with the generated digits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <zlib.h>

#include "data/dataset.h"
#include "data/digits.h"
#include "data/gunzip.h"
#include "data/idx.h"
#include "temp_dir.h"

static void assert_contains(const char *text, const char *part) {
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", part, text);
}

/* Checks status and message, and clears the error. */
static void assert_failed(ib_status got, ib_status wanted, ib_error *err, const char *part) {
    assert_int_equal(got, wanted);
    assert_contains(ib_error_text(err), part);
    ib_error_clear(err);
}

/* ---- idx ---- */

enum { IMAGE_HEADER = 16 };

static const ib_dataset_info TEN = {
    .name = "ten", .image = {.channels = 1, .height = 28, .width = 28}, .classes = 10};
/* As EMNIST's letters are, but of another shape. */
static const ib_dataset_info LETTERS = {.name = "letters",
                                        .image = {.channels = 1, .height = 20, .width = 24},
                                        .classes = 26,
                                        .first_label = 1};
static const ib_dataset_info COLOURED = {
    .name = "coloured", .image = {.channels = 3, .height = 2, .width = 4}, .classes = 2};

static void refuse_idx_of(const ib_dataset_info *info, const uint8_t *bytes, size_t size,
                          ib_idx_kind kind, const char *part) {
    /* an exact heap copy, so that the address sanitizer sees a read past its end */
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (size > 0)
        memcpy(copy, bytes, size);
    ib_idx idx;
    ib_error err = {0};
    ib_status status = ib_idx_parse("here/file", copy, size, info, kind, &idx, &err);
    free(copy);
    assert_null(idx.values);
    assert_contains(ib_error_text(&err), "here/file: offset ");
    assert_failed(status, IB_ERROR_VERIFY, &err, part);
}

static void refuse_idx(const uint8_t *bytes, size_t size, ib_idx_kind kind, const char *part) {
    refuse_idx_of(&TEN, bytes, size, kind, part);
}

static void test_idx_good(void **state) {
    (void)state;
    uint8_t images[IMAGE_HEADER + 2 * IB_DIGITS_PIXELS] = {0};
    ib_idx_write_header(images, TEN.image, IB_IDX_IMAGES, 2);
    const uint8_t header[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 28, 0, 0, 0, 28};
    assert_memory_equal(images, header, sizeof header);
    ib_idx idx;
    assert_int_equal(ib_idx_parse("f", images, sizeof images, &TEN, IB_IDX_IMAGES, &idx, NULL),
                     IB_OK);
    assert_int_equal(idx.count, 2);
    assert_ptr_equal(idx.values, images + 16);

    const uint8_t labels[] = {0, 0, 8, 1, 0, 0, 0, 3, 0, 9, 5};
    assert_int_equal(ib_idx_parse("f", labels, sizeof labels, &TEN, IB_IDX_LABELS, &idx, NULL),
                     IB_OK);
    assert_int_equal(idx.count, 3);
    const uint8_t none[] = {0, 0, 8, 1, 0, 0, 0, 0};
    assert_int_equal(ib_idx_parse("f", none, sizeof none, &TEN, IB_IDX_LABELS, &idx, NULL), IB_OK);
    assert_int_equal(idx.count, 0);
}

static void test_idx_hostile(void **state) {
    (void)state;
    uint8_t images[IMAGE_HEADER + IB_DIGITS_PIXELS + 1] = {0};
    ib_idx_write_header(images, TEN.image, IB_IDX_IMAGES, 1);
    size_t good = sizeof images - 1;
    for (size_t size = 0; size < IMAGE_HEADER; ++size)
        refuse_idx(images, size, IB_IDX_IMAGES, "ends within");
    refuse_idx(images, IMAGE_HEADER, IB_IDX_IMAGES, "promises 1 images, which is 800 bytes");
    refuse_idx(images, good - 1, IB_IDX_IMAGES, "has 799");
    refuse_idx(images, good + 1, IB_IDX_IMAGES, "has 801");
    refuse_idx(images, good, IB_IDX_LABELS, "magic number 2051");

    /* 2^28 images are 0 bytes when counted in 32 bits */
    ib_idx_write_header(images, TEN.image, IB_IDX_IMAGES, 1u << 28);
    refuse_idx(images, IMAGE_HEADER, IB_IDX_IMAGES, "which is 210453397520 bytes");
    memset(images + 4, 0xFF, 4);
    refuse_idx(images, good, IB_IDX_IMAGES, "promises 4294967295 images");
    ib_idx_write_header(images, TEN.image, IB_IDX_IMAGES, 1);
    memset(images + 8, 0xFF, 8);
    refuse_idx(images, good, IB_IDX_IMAGES, "4294967295 x 4294967295 pixels");
    ib_idx_write_header(images, TEN.image, IB_IDX_IMAGES, 1);
    images[15] = 32;
    refuse_idx(images, good, IB_IDX_IMAGES, "28 x 32 pixels");

    const uint8_t ten[] = {0, 0, 8, 1, 0, 0, 0, 3, 0, 9, 10};
    refuse_idx(ten, sizeof ten, IB_IDX_LABELS, "offset 10: label 10 of image 2");
    const uint8_t huge[] = {0, 0, 8, 1, 0xFF, 0xFF, 0xFF, 0xFF, 1};
    refuse_idx(huge, sizeof huge, IB_IDX_LABELS, "promises 4294967295 labels");
    const uint8_t gz[] = {0x1F, 0x8B, 8, 0, 0, 0, 0, 0};
    refuse_idx(gz, sizeof gz, IB_IDX_LABELS, "magic number 529205248");
}

static void test_idx_of_other_shapes(void **state) {
    (void)state;
    uint8_t images[IMAGE_HEADER + 2 * 480] = {0};
    ib_idx idx;
    assert_int_equal(ib_idx_write_header(images, LETTERS.image, IB_IDX_IMAGES, 2), 16);
    assert_int_equal(ib_idx_parse("f", images, sizeof images, &LETTERS, IB_IDX_IMAGES, &idx, NULL),
                     IB_OK);
    assert_int_equal(idx.count, 2);
    refuse_idx(images, sizeof images, IB_IDX_IMAGES, "offset 8: images of 20 x 24 pixels, wanted");
    images[11] = 24; /* the same bytes, turned */
    images[15] = 20;
    refuse_idx_of(&LETTERS, images, sizeof images, IB_IDX_IMAGES, "24 x 20 pixels, wanted 20 x 24");
    images[11] = 20;
    images[15] = 24;
    memset(images + 4, 0xFF, 4);
    refuse_idx_of(&LETTERS, images, sizeof images, IB_IDX_IMAGES, "which is 2061584301616 bytes");

    const uint8_t letters[] = {0, 0, 8, 1, 0, 0, 0, 2, 1, 26};
    assert_int_equal(
        ib_idx_parse("f", letters, sizeof letters, &LETTERS, IB_IDX_LABELS, &idx, NULL), IB_OK);
    const uint8_t below[] = {0, 0, 8, 1, 0, 0, 0, 2, 1, 0};
    refuse_idx_of(&LETTERS, below, sizeof below, IB_IDX_LABELS, "label 0 of image 1 is below 1");
    const uint8_t above[] = {0, 0, 8, 1, 0, 0, 0, 2, 27, 1};
    refuse_idx_of(&LETTERS, above, sizeof above, IB_IDX_LABELS, "label 27 of image 0 is above 26");

    uint8_t colours[IB_IDX_MOST_HEADER + 24] = {0};
    assert_int_equal(ib_idx_write_header(colours, COLOURED.image, IB_IDX_IMAGES, 1), 20);
    const uint8_t header[] = {0, 0, 8, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 3};
    assert_memory_equal(colours, header, sizeof header);
    assert_int_equal(
        ib_idx_parse("f", colours, sizeof colours, &COLOURED, IB_IDX_IMAGES, &idx, NULL), IB_OK);
    assert_ptr_equal(idx.values, colours + 20);
    colours[19] = 4;
    refuse_idx_of(&COLOURED, colours, sizeof colours, IB_IDX_IMAGES, "of 4 channels, wanted 3");
    colours[3] = 3; /* as many bytes as it would have without an axis of channels */
    refuse_idx_of(&COLOURED, colours, sizeof colours, IB_IDX_IMAGES, "coloured images has 2052");
    for (size_t size = 0; size < 20; ++size)
        refuse_idx_of(&COLOURED, colours, size, IB_IDX_IMAGES, size < 4 ? "ends" : "offset ");
}

static void test_idx_of_many_classes(void **state) {
    (void)state;
    static const ib_dataset_info MANY = {.name = "many", .image = {1, 1, 1}, .classes = 300};
    const uint8_t labels[] = {0, 0, 0x0B, 1, 0, 0, 0, 2, 1, 43, 0, 7};
    uint8_t header[IB_IDX_MOST_HEADER];
    ib_idx idx;
    assert_int_equal(ib_dataset_label_bytes(&MANY), 2);
    assert_int_equal(ib_idx_write_header(header, MANY.image, IB_IDX_WIDE_LABELS, 2), 8);
    assert_memory_equal(header, labels, 8);
    assert_int_equal(ib_idx_parse("f", labels, sizeof labels, &MANY, IB_IDX_LABELS, &idx, NULL),
                     IB_OK);
    assert_int_equal(ib_idx_label(idx.values, 2, 0), 299);
    assert_int_equal(ib_idx_label(idx.values, 2, 1), 7);
    const uint8_t above[] = {0, 0, 0x0B, 1, 0, 0, 0, 2, 0, 0, 1, 44};
    refuse_idx_of(&MANY, above, sizeof above, IB_IDX_LABELS, "offset 10: label 300 of image 1");
    refuse_idx_of(&MANY, above, sizeof above - 1, IB_IDX_LABELS, "has 11");
    const uint8_t bytes[] = {0, 0, 8, 1, 0, 0, 0, 1, 0};
    refuse_idx_of(&MANY, bytes, sizeof bytes, IB_IDX_LABELS, "magic number 2049");
}

/* ---- gzip ---- */

static uint8_t *gzip(const void *data, size_t size, size_t *out_size) {
    z_stream stream = {.next_in = (Bytef *)data, .avail_in = (uInt)size};
    assert_int_equal(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t bound = deflateBound(&stream, size) + 64;
    uint8_t *out = malloc(bound);
    stream.next_out = out;
    stream.avail_out = (uInt)bound;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    *out_size = stream.total_out;
    deflateEnd(&stream);
    return out;
}

static void refuse_gzip(const uint8_t *bytes, size_t size, size_t max_bytes, const char *part) {
    uint8_t *out;
    size_t out_size;
    ib_error err = {0};
    ib_status status = ib_gunzip("here/file.gz", bytes, size, max_bytes, &out, &out_size, &err);
    assert_null(out);
    assert_contains(ib_error_text(&err), "here/file.gz: offset ");
    assert_failed(status, IB_ERROR_VERIFY, &err, part);
}

static void test_gunzip(void **state) {
    (void)state;
    enum { SIZE = 5000 };
    uint8_t plain[SIZE];
    for (int i = 0; i < SIZE; ++i)
        plain[i] = (uint8_t)(i * i >> 3);
    size_t size, out_size;
    uint8_t *packed = gzip(plain, SIZE, &size), *out;
    assert_true(ib_is_gzip(packed, size));
    assert_int_equal(ib_gunzip("f", packed, size, SIZE, &out, &out_size, NULL), IB_OK);
    assert_int_equal(out_size, SIZE);
    assert_memory_equal(out, plain, SIZE);
    free(out);

    refuse_gzip(packed, size, SIZE - 1, "more than the 4999 bytes");
    refuse_gzip(packed, size, 0, "more than the 0 bytes");
    for (size_t cut = 0; cut < size; cut += cut < 20 || cut + 20 > size ? 1 : 97)
        refuse_gzip(packed, cut, SIZE, "ends early");

    uint8_t *longer = malloc(2 * size);
    memcpy(longer, packed, size);
    longer[size] = 'x';
    refuse_gzip(longer, size + 1, SIZE, "something else after the gzip data");
    memcpy(longer + size, packed, size); /* two members are one gzip file */
    refuse_gzip(longer, 2 * size, SIZE, "more than the 5000 bytes");
    assert_int_equal(ib_gunzip("f", longer, 2 * size, 2 * SIZE, &out, &out_size, NULL), IB_OK);
    assert_int_equal(out_size, 2 * SIZE);
    free(out);
    free(longer);

    packed[size - 6] ^= 1; /* the checksum, then the first bytes of the stream */
    refuse_gzip(packed, size, SIZE, "corrupt gzip data");
    packed[size - 6] ^= 1;
    memset(packed + 10, 0xFF, 8);
    refuse_gzip(packed, size, SIZE, "corrupt gzip data");
    refuse_gzip(plain, SIZE, SIZE, "corrupt gzip data");
    free(packed);
}

/* ---- catalogue and digits ---- */

static void test_catalog(void **state) {
    (void)state;
    assert_null(ib_dataset_find("nothing"));
    assert_null(ib_dataset_at(3));
    for (size_t i = 0; i < 3; ++i) {
        const ib_dataset_info *info = ib_dataset_at(i);
        assert_ptr_equal(ib_dataset_find(info->name), info);
        assert_in_range(info->classes, 2, IB_MOST_CLASSES);
        assert_in_range(info->first_label + info->classes, 2, 256);
        assert_in_range(ib_image_bytes(info->image), 1, INT32_MAX);
        for (uint32_t c = 0; info->class_names != NULL && c < info->classes; ++c)
            assert_non_null(info->class_names[c]);
        for (int role = 0; role < IB_FILE_ROLES; ++role)
            assert_int_equal(strspn(info->sha256[role], "0123456789abcdef"), 64);
        for (int m = 0; info->mirrors != NULL && info->mirrors[m] != NULL; ++m)
            assert_int_equal(info->mirrors[m][strlen(info->mirrors[m]) - 1], '/');
    }
    ib_dataset dataset;
    ib_error err = {0};
    assert_failed(ib_dataset_open("d", "mnits", &dataset, &err), IB_ERROR_USAGE, &err,
                  "'mnits'; there are mnist, fashion-mnist, digits");
    assert_failed(ib_dataset_verify("d", "mnits", stdout, &err), IB_ERROR_USAGE, &err, "there are");
    assert_failed(ib_dataset_prepare("d", "mnits", NULL, NULL, &err), IB_ERROR_USAGE, &err,
                  "there are");
}

static void test_digits_are_drawn(void **state) {
    (void)state;
    unsigned seen = 0;
    for (uint32_t i = 0; i < 2000; ++i) {
        uint8_t pixels[IB_DIGITS_PIXELS];
        ib_digits_draw(i & 1, i, pixels);
        seen |= 1u << ib_digits_label(i & 1, i);
        int inked = 0;
        for (int k = 0; k < IB_DIGITS_PIXELS; ++k)
            inked += pixels[k] > 100;
        assert_in_range(inked, 8, 400); /* neither blank nor blotted */
    }
    assert_int_equal(seen, 0x3FF);
    for (int digit = 0; digit < IB_DIGITS_CLASSES; ++digit)
        for (int v = 0; v < IB_DIGITS_VARIANTS; ++v)
            assert_in_range(ib_digits_outlines[digit][v].count, 2, IB_DIGITS_MAX_POINTS);
}

/* ---- a prepared data set; *state is its data directory ---- */

static int set_up(void **state) {
    char *directory = temp_dir_make();
    ib_error err = {0};
    /* not there yet: made with its parents; the mirror does not apply to a generated data set */
    char *data = ib_path_join(directory, "a/data");
    ib_status status = ib_dataset_prepare(data, "digits", "/nowhere", NULL, &err);
    if (status != IB_OK)
        print_error("%s\n", ib_error_text(&err));
    ib_error_clear(&err);
    free(data);
    *state = directory;
    return (int)status;
}

static int tear_down(void **state) {
    temp_dir_remove(*state);
    return 0;
}

static char *data_of(void **state) {
    return ib_path_join(*state, "a/data");
}

/* Runs verify; the caller frees the report. */
static char *verify(const char *data, ib_status *status, ib_error *err) {
    char *text = NULL;
    size_t size = 0;
    FILE *report = open_memstream(&text, &size);
    *status = ib_dataset_verify(data, "digits", report, err);
    fclose(report);
    return text;
}

static void test_open(void **state) {
    char *data = data_of(state);
    ib_dataset dataset;
    assert_int_equal(ib_dataset_open(data, "digits", &dataset, NULL), IB_OK);
    assert_int_equal(dataset.train_count, 60000);
    assert_int_equal(dataset.test_count, 10000);
    const size_t probes[] = {0, 59999, 60000, 69999};
    for (size_t i = 0; i < 4; ++i) {
        unsigned part = probes[i] >= 60000;
        uint32_t index = (uint32_t)(probes[i] - 60000 * part);
        uint8_t pixels[IB_DIGITS_PIXELS];
        ib_digits_draw(part, index, pixels);
        assert_memory_equal(ib_dataset_pixels(&dataset, probes[i]), pixels, sizeof pixels);
        assert_int_equal(ib_dataset_label(&dataset, probes[i]), ib_digits_label(part, index));
    }
    double sum = 0, squares = 0, count = 60000.0 * IB_DIGITS_PIXELS;
    for (size_t i = 0; i < 60000; ++i)
        for (int k = 0; k < IB_DIGITS_PIXELS; ++k) {
            double v = ib_dataset_pixels(&dataset, i)[k] / 255.0;
            sum += v;
            squares += v * v;
        }
    double mean = sum / count, variance = squares / count - mean * mean;
    assert_true(mean > dataset.info->mean - 5e-5 && mean < dataset.info->mean + 5e-5);
    double low = dataset.info->standard_deviation - 5e-5, high = low + 1e-4;
    assert_true(variance > low * low && variance < high * high);
    for (int role = 0; role < IB_FILE_ROLES; ++role)
        assert_string_equal(dataset.sha256[role], dataset.info->sha256[role]);
    ib_dataset_close(&dataset);

    ib_status status;
    char *report = verify(data, &status, NULL);
    assert_int_equal(status, IB_OK);
    assert_string_equal(report, "digits/train-images-idx3-ubyte: ok\n"
                                "digits/train-labels-idx1-ubyte: ok\n"
                                "digits/t10k-images-idx3-ubyte: ok\n"
                                "digits/t10k-labels-idx1-ubyte: ok\n");
    free(report);
    free(data);
}

static void test_damage_and_repair(void **state) {
    char *data = data_of(state);
    char *labels = ib_path_join(data, "digits/t10k-labels-idx1-ubyte");
    char *images = ib_path_join(data, "digits/t10k-images-idx3-ubyte");
    FILE *file = fopen(labels, "r+b"); /* one label becomes another valid one */
    fseek(file, 100, SEEK_SET);
    int label = fgetc(file);
    fseek(file, 100, SEEK_SET);
    fputc((label + 1) % 10, file);
    fclose(file);
    assert_int_equal(truncate(images, 1000), 0);

    ib_dataset dataset;
    ib_error err = {0};
    ib_status status = ib_dataset_open(data, "digits", &dataset, &err);
    assert_contains(ib_error_text(&err), "isobit data prepare --dataset digits --data-dir ");
    assert_failed(status, IB_ERROR_VERIFY, &err, "t10k-images-idx3-ubyte: 1000 bytes");
    char *report = verify(data, &status, &err);
    assert_failed(status, IB_ERROR_VERIFY, &err, "2 of 4 files missing or damaged");
    assert_contains(report, "digits/train-labels-idx1-ubyte: ok\n");
    assert_contains(report, "digits/t10k-images-idx3-ubyte: damaged (");
    assert_contains(report, "digits/t10k-labels-idx1-ubyte: damaged (");
    free(report);

    assert_int_equal(unlink(images), 0);
    assert_failed(ib_dataset_open(data, "digits", &dataset, &err), IB_ERROR_VERIFY, &err,
                  "t10k-images-idx3-ubyte is missing");
    report = verify(data, &status, &err);
    ib_error_clear(&err);
    assert_contains(report, "digits/t10k-images-idx3-ubyte: missing\n");
    free(report);

    char *log_text = NULL;
    size_t size = 0;
    FILE *log = open_memstream(&log_text, &size);
    assert_int_equal(ib_dataset_prepare(data, "digits", NULL, log, NULL), IB_OK);
    fclose(log);
    assert_contains(log_text, "digits/train-images-idx3-ubyte: ok, kept\n");
    assert_contains(log_text, "digits/t10k-labels-idx1-ubyte: generating\n");
    free(log_text);
    report = verify(data, &status, NULL);
    assert_int_equal(status, IB_OK);
    free(report);
    free(images);
    free(labels);
    free(data);
}

static void test_unlisted(void **state) {
    char *data = data_of(state);
    const char *const names[] = {"digits/.hidden", "digits/extra.gz", "digits/folder/file"};
    for (int i = 0; i < 3; ++i)
        temp_dir_write(data, names[i], "x", 1);
    ib_status status;
    ib_error err = {0};
    char *report = verify(data, &status, &err);
    assert_failed(status, IB_ERROR_VERIFY, &err, "3 entries that do not belong");
    assert_contains(report, "digits/.hidden: unlisted\ndigits/extra.gz: unlisted\n"
                            "digits/folder: unlisted\n");
    free(report);
    char *none = ib_path_join(data, "empty");
    report = verify(none, &status, &err);
    assert_failed(status, IB_ERROR_VERIFY, &err, "4 of 4 files missing");
    free(report);
    free(none);
    free(data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idx_good),
        cmocka_unit_test(test_idx_hostile),
        cmocka_unit_test(test_idx_of_other_shapes),
        cmocka_unit_test(test_idx_of_many_classes),
        cmocka_unit_test(test_gunzip),
        cmocka_unit_test(test_catalog),
        cmocka_unit_test(test_digits_are_drawn),
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_damage_and_repair),
        cmocka_unit_test(test_unlisted),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
