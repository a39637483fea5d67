/* Images of users: what their formats are read as, what is refused, and what a set becomes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <png.h>
#include <stdio.h>

#include <jpeglib.h>

#include "data/dataset.h"
#include "data/import/import.h"
#include "data/import/npy.h"
#include "data/import/raster.h"
#include "data/import/set.h"
#include "temp_dir.h"

static void assert_failed(ib_status got, ib_status wanted, ib_error *err, const char *part) {
    assert_int_equal(got, wanted);
    if (strstr(ib_error_text(err), part) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", part, ib_error_text(err));
    ib_error_clear(err);
}

/* ---- rasters ------------------------------------------------------------------------------------
 */

static void test_transpose(void **state) {
    (void)state;
    const ib_image_shape shape = {2, 2, 3};
    const uint8_t from[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    const uint8_t wanted[] = {1, 2, 7, 8, 3, 4, 9, 10, 5, 6, 11, 12};
    uint8_t to[12];
    ib_transpose_image(shape, from, to);
    assert_memory_equal(to, wanted, sizeof wanted);
}

static void test_resize(void **state) {
    (void)state;
    const uint8_t from[] = {0, 10, 20, 30, 40, 50};
    uint8_t to[12];
    ib_resize_image((ib_image_shape){1, 2, 3}, from, 2, 3, to); /* the same size: the same */
    assert_memory_equal(to, from, sizeof from);
    ib_resize_image((ib_image_shape){1, 2, 3}, from, 1, 1, to); /* 150 / 6 */
    assert_int_equal(to[0], 25);
    ib_resize_image((ib_image_shape){1, 1, 3}, from, 1, 2,
                    to); /* (0*2 + 10) / 3, (10 + 20*2) / 3 */
    assert_int_equal(to[0], 3);
    assert_int_equal(to[1], 17);
    ib_resize_image((ib_image_shape){1, 1, 2}, from, 2, 3, to); /* 5 lies halfway: rounded up */
    const uint8_t larger[] = {0, 5, 10, 0, 5, 10};
    assert_memory_equal(to, larger, sizeof larger);
    const uint8_t colours[] = {0, 100, 1, 101, 2, 102, 3, 103};
    ib_resize_image((ib_image_shape){2, 2, 2}, colours, 1, 1, to); /* 1.5, 101.5 */
    assert_int_equal(to[0], 2);
    assert_int_equal(to[1], 102);
    uint8_t white[9];
    memset(white, 255, sizeof white);
    ib_resize_image((ib_image_shape){1, 3, 3}, white, 2, 2, to);
    assert_int_equal(to[0], 255);
    assert_int_equal(to[3], 255);
}

static void check_decoder(ib_raster_decode *decode, const uint8_t *data, size_t size,
                          ib_image_shape shape) {
    ib_raster raster;
    ib_error err = {0};
    ib_status status = decode("here/f", data, size, &raster, &err);
    assert_string_equal(ib_error_text(&err), ib_error_text(&(ib_error){0}));
    assert_int_equal(status, IB_OK);
    assert_memory_equal(&raster.shape, &shape, sizeof shape);
    ib_raster_free(&raster);
    for (size_t cut = 0; cut < size; cut += cut < 60 || cut + 40 > size ? 1 : 13) {
        uint8_t *copy = malloc(cut > 0 ? cut : 1); /* exact, for the address sanitizer */
        memcpy(copy, data, cut);
        status = decode("here/f", copy, cut, &raster, &err);
        ib_raster_free(&raster);
        free(copy);
        assert_failed(status, IB_ERROR_VERIFY, &err, "here/f");
    }
}

static void test_png(void **state) {
    (void)state;
    static const struct {
        uint32_t format;
        unsigned channels;
    } KINDS[] = {{PNG_FORMAT_GRAY, 1}, {PNG_FORMAT_RGB, 3}};
    for (int k = 0; k < 2; ++k) {
        uint8_t pixels[5 * 7 * 3], file[4096];
        for (size_t i = 0; i < sizeof pixels; ++i)
            pixels[i] = (uint8_t)(i * 29);
        png_image image = {
            .version = PNG_IMAGE_VERSION, .width = 7, .height = 5, .format = KINDS[k].format};
        png_alloc_size_t size = sizeof file;
        assert_int_equal(png_image_write_to_memory(&image, file, &size, 0, pixels, 0, NULL), 1);
        ib_raster raster;
        assert_int_equal(ib_raster_decode_png("f", file, size, &raster, NULL), IB_OK);
        assert_memory_equal(raster.pixels, pixels, (size_t)5 * 7 * KINDS[k].channels);
        ib_raster_free(&raster);
        check_decoder(ib_raster_decode_png, file, size, (ib_image_shape){KINDS[k].channels, 5, 7});
        ib_error err = {0};
        file[18] = 0x7F; /* the width, before its checksum is looked at */
        ib_status status = ib_raster_decode_png("f", file, size, &raster, &err);
        assert_failed(status, IB_ERROR_VERIFY, &err, "5 x 32519 pixels");
    }
}

static void test_jpeg(void **state) {
    (void)state;
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr manager;
    unsigned char *file = NULL;
    unsigned long size = 0;
    uint8_t row[16 * 3];
    memset(row, 200, sizeof row);
    jpeg.err = jpeg_std_error(&manager);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &file, &size);
    jpeg.image_width = 16;
    jpeg.image_height = 9;
    jpeg.input_components = 3;
    jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    for (int y = 0; y < 9; ++y)
        jpeg_write_scanlines(&jpeg, (JSAMPROW[]){row}, 1);
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    check_decoder(ib_raster_decode_jpeg, file, size, (ib_image_shape){3, 9, 16});
    ib_raster raster;
    assert_int_equal(ib_raster_decode_jpeg("f", file, size, &raster, NULL), IB_OK);
    for (int i = 0; i < 9 * 16 * 3; ++i)
        assert_in_range(raster.pixels[i], 199, 201);
    ib_raster_free(&raster);
    ib_error err = {0};
    for (size_t i = 0; i + 4 < size; ++i) /* the frame's header: length, 8 bits, height, width */
        if (file[i] == 0xFF && file[i + 1] == 0xC0)
            file[i + 5] = 0x7F;
    ib_status status = ib_raster_decode_jpeg("f", file, size, &raster, &err);
    assert_failed(status, IB_ERROR_VERIFY, &err, "32521 x 16 pixels");
    free(file);
}

static void test_pgm(void **state) {
    (void)state;
    static const char FILE_3X2[] = "P5 # a comment\n3 2\n255\nabcdef";
    const uint8_t *data = (const uint8_t *)FILE_3X2;
    check_decoder(ib_raster_decode_pgm, data, sizeof FILE_3X2 - 1, (ib_image_shape){1, 2, 3});
    static const char *const BAD[][2] = {{"P2\n1 1\n255\n0", "no PGM file of bytes"},
                                         {"P5\n1 1\n65535\n0", "convert it to 8 bits"},
                                         {"P5\n0 1\n255\n", "without pixels"},
                                         {"P5\n5000 1\n255\n", "1 x 5000 pixels"},
                                         {"P5\n99999999999 1\n255\n", "the header is not"},
                                         {"P5\n1 1\n255\nab", "2 bytes of pixels"}};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; ++i) {
        ib_raster raster;
        ib_error err = {0};
        ib_status status =
            ib_raster_decode_pgm("f", (const uint8_t *)BAD[i][0], strlen(BAD[i][0]), &raster, &err);
        ib_raster_free(&raster);
        assert_failed(status, IB_ERROR_VERIFY, &err, BAD[i][1]);
    }
}

/* ---- arrays -------------------------------------------------------------------------------------
 */

/* A .npy file of format 1 with this header and so many bytes of data. */
static size_t make_npy(uint8_t *out, const char *header, size_t bytes) {
    size_t length = strlen(header);
    memcpy(out, "\x93NUMPY\x01\x00", 8);
    out[8] = (uint8_t)length;
    out[9] = 0;
    memcpy(out + 10, header, length);
    for (size_t i = 0; i < bytes; ++i)
        out[10 + length + i] = (uint8_t)i;
    return 10 + length + bytes;
}

static void test_npy(void **state) {
    (void)state;
    uint8_t file[512];
    ib_npy array;
    size_t size =
        make_npy(file, "{'descr': '<u2', 'fortran_order': False, 'shape': (2, 3), }\n", 12);
    assert_int_equal(ib_npy_parse("f", file, size, &array, NULL), IB_OK);
    assert_int_equal(array.dimensions, 2);
    assert_int_equal(array.count, 6);
    assert_int_equal(array.value_bytes, 2);
    static const char *const BAD[][2] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }\n", "whole numbers"},
        {"{'descr': [('a', '<u1')], 'fortran_order': False, 'shape': (12,), }", "whole numbers"},
        {"{'descr': '|u1', 'fortran_order': True, 'shape': (12,), }\n", "Fortran"},
        {"{'descr': '|u1', 'shape': (12,), }\n", "Fortran"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (), }\n", "shape"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (1,1,1,2,6), }\n", "shape"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (-12,), }\n", "shape"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (12", "shape"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999,99999999999), }",
         "more than a file can hold"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (13,), }\n", "there are 12"},
        {"{'descr': '", "whole numbers"},
        {"", "whole numbers"}};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; ++i) {
        ib_error err = {0};
        size = make_npy(file, BAD[i][0], 12);
        uint8_t *copy = malloc(size);
        memcpy(copy, file, size);
        ib_status status = ib_npy_parse("f", copy, size, &array, &err);
        free(copy);
        assert_failed(status, IB_ERROR_VERIFY, &err, BAD[i][1]);
    }
}

/* ---- what becomes of images ---------------------------------------------------------------------
 */

static void test_set(void **state) {
    (void)state;
    enum { COUNT = 30, CLASSES = 3 };
    const ib_import_options options = {.name = "n", .test_share = 0.25};
    ib_import_set set = {.options = &options};
    const ib_image_shape shape = {1, 1, 2};
    ib_error err = {0};
    for (uint32_t i = 0; i < COUNT; ++i) {
        const uint8_t pixels[] = {(uint8_t)(8 * i), (uint8_t)(255 - i)};
        assert_int_equal(
            ib_import_add(&set, "f", IB_PART_TRAIN, shape, pixels, 1 + i % CLASSES, NULL), IB_OK);
    }
    assert_failed(ib_import_add(&set, "g", IB_PART_TRAIN, (ib_image_shape){1, 2, 1},
                                (const uint8_t *)"ab", 0, &err),
                  IB_ERROR_VERIFY, &err, "g: 2 x 1 pixels, but the image of f has 1 x 2");
    assert_failed(ib_import_add(&set, "g", IB_PART_TRAIN, (ib_image_shape){2, 1, 1},
                                (const uint8_t *)"ab", 0, &err),
                  IB_ERROR_VERIFY, &err, "g: an image of 2 channels");
    assert_int_equal(ib_import_finish(&set, NULL), IB_OK);
    assert_int_equal(set.first_label, 1);
    assert_int_equal(set.class_count, CLASSES);
    assert_int_equal(set.counts[IB_PART_TRAIN],
                     24); /* floor(10 * 0.25) of each class are cut off */
    assert_int_equal(set.counts[IB_PART_TEST], 6);
    unsigned tested[CLASSES] = {0};
    for (size_t k = 0; k < 6; ++k) {
        uint32_t image = set.order[IB_PART_TEST][k];
        assert_true(k == 0 || image > set.order[IB_PART_TEST][k - 1]);
        ++tested[set.labels[image]];
    }
    for (int c = 0; c < CLASSES; ++c)
        assert_int_equal(tested[c], 2);
    ib_import_set_free(&set);

    const ib_import_options whole = {.name = "n"};
    set = (ib_import_set){.options = &whole};
    assert_failed(ib_import_finish(&set, &err), IB_ERROR_VERIFY, &err, "no images");
    for (int i = 0; i < 4; ++i)
        assert_int_equal(ib_import_add(&set, "f", (ib_import_part)(i / 2), shape,
                                       (const uint8_t *)"zz", i % 2, NULL),
                         IB_OK);
    assert_failed(ib_import_finish(&set, &err), IB_ERROR_VERIFY, &err, "all pixels");
    ib_import_set_free(&set);
}

static void test_size(void **state) {
    (void)state;
    uint32_t size[2];
    ib_error err = {0};
    assert_int_equal(ib_import_parse_size("--size", "1x256", size, NULL), IB_OK);
    assert_int_equal(size[0], 1);
    assert_int_equal(size[1], 256);
    static const char *const BAD[] = {"", "x", "28", "28x", "x28", "0x1", "257x1", "1x1x1", "-1x1"};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; ++i)
        assert_failed(ib_import_parse_size("--size", BAD[i], size, &err), IB_ERROR_USAGE, &err,
                      "--size: ");
}

/* ---- the lock file ------------------------------------------------------------------------------
 */

static const char LOCK[] =
    "{\"format\": 1, \"name\": \"old\", \"height\": 2, \"width\": 3, \"channels\": 1,"
    " \"classes\": 2, \"class_names\": [\"a\", \"b\"], \"train_count\": 4, \"test_count\": 1,"
    " \"mean\": 0.5, \"standard_deviation\": 0.25, \"files\": ["
    "{\"name\": \"train-images-idx3-ubyte\", \"bytes\": 40, \"sha256\": \"" /* */
    "0000000000000000000000000000000000000000000000000000000000000000\"},"
    "{\"name\": \"train-labels-idx1-ubyte\", \"bytes\": 12, \"sha256\": \""
    "1111111111111111111111111111111111111111111111111111111111111111\"},"
    "{\"name\": \"t10k-images-idx3-ubyte\", \"bytes\": 22, \"sha256\": \""
    "2222222222222222222222222222222222222222222222222222222222222222\"},"
    "{\"name\": \"t10k-labels-idx1-ubyte\", \"bytes\": 9, \"sha256\": \""
    "3333333333333333333333333333333333333333333333333333333333333333\"}]}";

static void test_lock(void **state) {
    (void)state;
    ib_dataset_lock *lock;
    assert_int_equal(ib_dataset_lock_parse("f", LOCK, strlen(LOCK), "new", &lock, NULL), IB_OK);
    const ib_dataset_info *info = ib_dataset_lock_info(lock);
    assert_string_equal(info->name, "new");
    assert_string_equal(info->class_names[1], "b");
    assert_int_equal(info->image.width, 3);
    assert_true(info->imported && info->mean == 0.5 && info->standard_deviation == 0.25);
    assert_string_equal(ib_dataset_file_name(info, IB_TEST_LABELS), "t10k-labels-idx1-ubyte");
    ib_dataset_lock_free(lock);

    static const char *const CHANGES[][3] = {
        {"\"format\": 1", "\"format\": 2", "use a newer isobit"},
        {"\"format\": 1", "\"f\": 1", "no format number"},
        {"\"height\": 2", "\"height\": 257", "height"},
        {"\"channels\": 1", "\"channels\": 5", "channels"},
        {"\"classes\": 2", "\"classes\": 1001", "classes"},
        {"\"classes\": 2", "\"classes\": 3", "class_names"},
        {"\"a\"", "\"\"", "class_names"},
        {"\"mean\": 0.5", "\"mean\": 1.5", "mean"},
        {"0.25", "0", "standard_deviation"},
        {"\"bytes\": 40", "\"bytes\": 41", "files"},
        {"train-images-idx3", "../images-idx3", "files"},
        {"3333\"", "333g\"", "files"},
        {"\"train_count\": 4", "\"train_count\": -4", "train_count"},
        {"{", "[", "no JSON"}};
    for (size_t i = 0; i < sizeof CHANGES / sizeof CHANGES[0]; ++i) {
        const char *at = strstr(LOCK, CHANGES[i][0]);
        char *text = ib_format("%.*s%s%s", (int)(at - LOCK), LOCK, CHANGES[i][1],
                               at + strlen(CHANGES[i][0]));
        ib_error err = {0};
        ib_status status = ib_dataset_lock_parse("f", text, strlen(text), "new", &lock, &err);
        assert_null(lock);
        free(text);
        assert_failed(status, IB_ERROR_VERIFY, &err, CHANGES[i][2]);
    }
    assert_true(ib_is_dataset_name("a") && ib_is_dataset_name("A-1._"));
    static const char *const NAMES[] = {"", ".", "..", "a/b", "-a", "a b", "\xC3\xA4"};
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; ++i)
        assert_false(ib_is_dataset_name(NAMES[i]));
}

/* ---- the whole ----------------------------------------------------------------------------------
 */

/* digits in CSV, of which the written files are those that were read. */
static void test_whole(void **state) {
    (void)state;
    char *directory = temp_dir_make();
    static const char TABLE[] = "a,label,b,c,d\n1,0,2,3,4\n5,1,6,7,8\n9,0,10,11,12\n";
    static const char TEST[] = "label,a,b,c,d\r\n1,250,251,252,253\r\n\r\n";
    temp_dir_write(directory, "in/t_train.csv", TABLE, sizeof TABLE - 1);
    temp_dir_write(directory, "in/t_test.csv", TEST, sizeof TEST - 1);
    char *in = ib_path_join(directory, "in"), *data = ib_path_join(directory, "data");
    const char *paths[] = {in};
    const ib_import_options options = {.name = "mine"};
    ib_error err = {0};
    ib_status status = ib_dataset_import(data, paths, 1, &options, NULL, &err);
    assert_string_equal(ib_error_text(&err), ib_error_text(&(ib_error){0}));
    assert_int_equal(status, IB_OK);
    ib_dataset dataset;
    assert_int_equal(ib_dataset_open(data, "mine", &dataset, NULL), IB_OK);
    assert_int_equal(dataset.train_count, 3);
    assert_int_equal(dataset.test_count, 1);
    assert_memory_equal(ib_dataset_pixels(&dataset, 1), "\x05\x06\x07\x08", 4);
    assert_memory_equal(ib_dataset_pixels(&dataset, 3), "\xFA\xFB\xFC\xFD", 4);
    assert_int_equal(ib_dataset_label(&dataset, 1), 1);
    assert_int_equal(ib_dataset_label(&dataset, 3), 1);
    ib_dataset_close(&dataset);
    assert_failed(ib_dataset_import(data, paths, 1, &options, NULL, &err), IB_ERROR_USAGE, &err,
                  "is there already, with dataset.json in it");
    free(in);
    free(data);
    temp_dir_remove(directory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transpose), cmocka_unit_test(test_resize),
        cmocka_unit_test(test_png),       cmocka_unit_test(test_jpeg),
        cmocka_unit_test(test_pgm),       cmocka_unit_test(test_npy),
        cmocka_unit_test(test_set),       cmocka_unit_test(test_size),
        cmocka_unit_test(test_lock),      cmocka_unit_test(test_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
