/* The safetensors writer and reader: exact bytes, round trips, and every way a file can be wrong.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "temp_dir.h"
#include "tensor/safetensors.h"

/* A directory of its own for each test, removed after it. */
static int enter_directory(void **state) {
    *state = temp_dir_make();
    return 0;
}

static int leave_directory(void **state) {
    temp_dir_remove(*state);
    return 0;
}

static const float weights[6] = {1.0f, -2.5f, 0.0f, 3.25f, -0.0f, 1e-40f};
static const int64_t batches = 7;
static const uint8_t bytes[3] = {1, 2, 255};

static const ib_named_tensor demo[] = {
    {"fc.weight", IB_F32, {2, {2, 3}}, weights}, {"bytes", IB_U8, {1, {3}}, bytes},
    {"bn.count", IB_I64, {0, {0}}, &batches},    {"conv.bias", IB_F32, {1, {2}}, weights + 2},
    {"empty", IB_F32, {2, {0, 4}}, NULL},
};
enum { DEMO_COUNT = sizeof demo / sizeof demo[0] };

static void writes_fixed_bytes(void **state) {
    static const char *const metadata[][2] = {{"format", "pt"}, {"a\"b", "\xC3\xA9\n"}};
    static const char expected[] =
        "{\"__metadata__\":{\"format\":\"pt\",\"a\\\"b\":\"\xC3\xA9\\n\"},"
        "\"bn.count\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]},"
        "\"conv.bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,16]},"
        "\"empty\":{\"dtype\":\"F32\",\"shape\":[0,4],\"data_offsets\":[16,16]},"
        "\"fc.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[16,40]},"
        "\"bytes\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[40,43]}}";
    char *path = ib_path_join(*state, "demo.safetensors");
    ib_error err = {0};
    char hex[IB_SHA256_HEX_SIZE];
    assert_int_equal(ib_safetensors_write(path, demo, DEMO_COUNT, metadata, 2, hex, &err), IB_OK);
    char *data;
    size_t size;
    assert_int_equal(ib_read_file(path, 1 << 20, &data, &size, &err), IB_OK);
    size_t text = sizeof expected - 1;
    size_t padded = (text + 7) / 8 * 8;
    assert_int_equal(size, 8 + padded + 43);
    uint64_t length;
    memcpy(&length, data, 8);
    assert_int_equal(length, padded);
    assert_memory_equal(data + 8, expected, text);
    for (size_t i = text; i < padded; ++i)
        assert_int_equal(data[8 + i], ' ');
    assert_memory_equal(data + 8 + padded, &batches, 8);
    assert_memory_equal(data + 8 + padded + 16, weights, sizeof weights);
    char of_file[IB_SHA256_HEX_SIZE];
    assert_int_equal(ib_sha256_file(path, of_file, &err), IB_OK);
    assert_string_equal(hex, of_file);
    assert_int_equal(temp_dir_count(*state), 1);
    free(data);
    free(path);
}

static void round_trip(void **state) {
    static const char *const metadata[][2] = {{"key", "value"}};
    char *path = ib_path_join(*state, "demo.safetensors");
    ib_error err = {0};
    assert_int_equal(ib_safetensors_write(path, demo, DEMO_COUNT, metadata, 1, NULL, &err), IB_OK);
    ib_safetensors file;
    assert_int_equal(ib_safetensors_open(path, &file, &err), IB_OK);
    assert_int_equal(file.count, DEMO_COUNT);
    assert_string_equal(file.tensors[0].name, "bn.count");
    assert_int_equal(file.metadata_count, 1);
    assert_string_equal(file.metadata[0][0], "key");
    assert_string_equal(file.metadata[0][1], "value");
    for (size_t i = 0; i < DEMO_COUNT; ++i) {
        const ib_named_tensor *found = ib_safetensors_find(&file, demo[i].name);
        assert_non_null(found);
        assert_int_equal(found->dtype, demo[i].dtype);
        assert_int_equal(found->shape.rank, demo[i].shape.rank);
        for (int d = 0; d < found->shape.rank; ++d)
            assert_int_equal(found->shape.extent[d], demo[i].shape.extent[d]);
        size_t size = (size_t)ib_shape_elements(&found->shape) * ib_dtype_size(found->dtype);
        if (size > 0)
            assert_memory_equal(found->data, demo[i].data, size);
    }
    assert_null(ib_safetensors_find(&file, "absent"));
    ib_safetensors_close(&file);
    free(path);
}

static void hash_is_that_of_the_file(void **state) {
    char *path = ib_path_join(*state, "demo.safetensors");
    ib_error err = {0};
    char hashed[IB_SHA256_HEX_SIZE];
    char written[IB_SHA256_HEX_SIZE];
    for (size_t count = 0; count <= DEMO_COUNT; ++count) {
        assert_int_equal(ib_safetensors_hash(demo, count, hashed, &err), IB_OK);
        assert_int_equal(ib_safetensors_write(path, demo, count, NULL, 0, written, &err), IB_OK);
        assert_string_equal(hashed, written);
        ib_safetensors file;
        assert_int_equal(ib_safetensors_open(path, &file, &err), IB_OK);
        assert_int_equal(file.count, count);
        assert_int_equal(file.metadata_count, 0);
        ib_safetensors_close(&file);
    }
    free(path);
}

static void order_of_arguments_does_not_matter(void **state) {
    (void)state;
    ib_named_tensor reversed[DEMO_COUNT];
    for (size_t i = 0; i < DEMO_COUNT; ++i)
        reversed[i] = demo[DEMO_COUNT - 1 - i];
    char a[IB_SHA256_HEX_SIZE];
    char b[IB_SHA256_HEX_SIZE];
    assert_int_equal(ib_safetensors_hash(demo, DEMO_COUNT, a, NULL), IB_OK);
    assert_int_equal(ib_safetensors_hash(reversed, DEMO_COUNT, b, NULL), IB_OK);
    assert_string_equal(a, b);
}

static void refuses_bad_tensors(void **state) {
    static const ib_named_tensor bad[][2] = {
        {{"", IB_F32, {1, {2}}, weights}, {"b", IB_F32, {1, {2}}, weights}},
        {{NULL, IB_F32, {1, {2}}, weights}, {"b", IB_F32, {1, {2}}, weights}},
        {{"a", IB_F32, {1, {2}}, weights}, {"a", IB_U8, {1, {2}}, bytes}},
        {{"a", IB_F32, {5, {1, 1, 1, 1}}, weights}, {"b", IB_F32, {1, {2}}, weights}},
        {{"a", IB_F32, {-1, {0}}, weights}, {"b", IB_F32, {1, {2}}, weights}},
        {{"a", IB_F32, {1, {-2}}, weights}, {"b", IB_F32, {1, {2}}, weights}},
        {{"a", IB_F32, {2, {INT64_MAX, 4}}, weights}, {"b", IB_F32, {1, {2}}, weights}},
        {{"a", IB_F32, {1, {INT64_MAX / 2}}, weights}, {"b", IB_F32, {1, {2}}, weights}},
        {{"a", IB_F32, {1, {2}}, NULL}, {"b", IB_F32, {1, {2}}, weights}},
        {{"a", (ib_dtype)99, {1, {2}}, weights}, {"b", IB_F32, {1, {2}}, weights}},
        {{"__metadata__", IB_F32, {1, {2}}, weights}, {"b", IB_F32, {1, {2}}, weights}},
        {{"\xFF", IB_F32, {1, {2}}, weights}, {"b", IB_F32, {1, {2}}, weights}},
        {{"a", IB_U8, {1, {INT64_MAX}}, bytes}, {"b", IB_U8, {1, {1}}, bytes}},
    };
    char *path = ib_path_join(*state, "bad.safetensors");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
        ib_error err = {0};
        char hex[IB_SHA256_HEX_SIZE];
        assert_int_equal(ib_safetensors_write(path, bad[i], 2, NULL, 0, hex, &err), IB_ERROR_USAGE);
        assert_string_equal(hex, "");
        assert_int_equal(temp_dir_count(*state), 0);
        assert_int_equal(ib_safetensors_hash(bad[i], 2, hex, NULL), IB_ERROR_USAGE);
        ib_error_clear(&err);
    }
    static const char *const twice[][2] = {{"k", "1"}, {"k", "2"}};
    static const char *const latin1[][2] = {{"k", "\xE9"}};
    assert_int_equal(ib_safetensors_write(path, demo, 1, twice, 2, NULL, NULL), IB_ERROR_USAGE);
    assert_int_equal(ib_safetensors_write(path, demo, 1, latin1, 1, NULL, NULL), IB_ERROR_USAGE);
    assert_int_equal(temp_dir_count(*state), 0);
    free(path);
}

/* A file of length, json and data_size zero bytes; padding makes the JSON a multiple of 8. */
static void write_raw(const char *path, uint64_t length, const char *json, size_t data_size) {
    FILE *stream = fopen(path, "wb");
    assert_non_null(stream);
    fwrite(&length, 8, 1, stream);
    fputs(json, stream);
    for (size_t i = 0; i < data_size; ++i)
        fputc(0, stream);
    assert_int_equal(fclose(stream), 0);
}

static void expect_refused(const char *path, const char *part_of_message) {
    ib_safetensors file;
    ib_error err = {0};
    ib_status status = ib_safetensors_open(path, &file, &err);
    const char *text = ib_error_text(&err);
    if (status != IB_ERROR_VERIFY || strstr(text, part_of_message) == NULL ||
        strstr(text, path) == NULL)
        fail_msg("status %d, \"%s\" where \"%s\" was expected", (int)status, text, part_of_message);
    assert_null(file.tensors);
    assert_null(file.metadata);
    assert_null(file.own.data);
    ib_error_clear(&err);
}

static void refuses_malformed_headers(void **state) {
    static const struct {
        const char *json;
        size_t data_size;
        const char *message;
    } cases[] = {
        {" {}", 0, "offset 8: the header does not start with '{'"},
        {"[]", 0, "does not start with '{'"},
        {"{", 0, "header: "},
        {"{}x", 0, "offset 10: header: "},
        {"{\"a\":1}", 0, "tensor a: is not described"},
        {"{\"\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1, "empty name"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]},"
         "\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[1,2]}}",
         2, "duplicate"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]},"
         "\"\\u0061\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[1,2]}}",
         2, "duplicate"},
        {"{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1,
         "duplicate"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1],\"x\":1}}", 1,
         "tensor a: is not described"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[]}}", 0, "tensor a: is not described"},
        {"{\"a\":{\"dtype\":7,\"shape\":[],\"data_offsets\":[0,1]}}", 1, "dtype is not a string"},
        {"{\"a\":{\"dtype\":\"F33\",\"shape\":[],\"data_offsets\":[0,4]}}", 4, "dtype F33"},
        {"{\"a\":{\"dtype\":\"f32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4, "dtype f32"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":1,\"data_offsets\":[0,1]}}", 1, "not an array"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1],\"data_offsets\":[0,1]}}", 1,
         "more than 4 dimensions"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[-1],\"data_offsets\":[0,1]}}", 1, "whole numbers"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1.0],\"data_offsets\":[0,1]}}", 1, "whole numbers"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[\"1\"],\"data_offsets\":[0,1]}}", 1, "whole numbers"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[99999999999999999999],\"data_offsets\":[0,1]}}", 1,
         "whole numbers"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0]}}", 1, "data_offsets is not"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":{}}}", 1, "data_offsets is not"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1,2]}}", 1,
         "data_offsets is not"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[1,0]}}", 1,
         "data_offsets is not"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[-1,0]}}", 1,
         "data_offsets is not"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,1]}}", 1,
         "span 1 bytes, its shape needs 2"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,0]}}", 0,
         "below 10^18"},
        /* 2^61 doubles are 2^64 bytes: 0 if it wrapped */
        {"{\"a\":{\"dtype\":\"F64\",\"shape\":[576460752303423488,4],\"data_offsets\":[0,0]}}", 0,
         "more than 2^63"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[999999999999999999],"
         "\"data_offsets\":[0,999999999999999999]}}",
         16, "truncated?"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}",
         3, "tensor b: starts at data offset 1 where 2 was expected (overlap)"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[2,3]}}",
         3, "tensor b: starts at data offset 2 where 1 was expected (gap)"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}", 2, "(gap)"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[1,5]}}",
         5, "tensor b: data offset 1 is not aligned for F32"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 3, "truncated?"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 5,
         "1 bytes after the last tensor"},
        {"{}", 1, "1 bytes after the last tensor"},
        {"{\"__metadata__\":[]}", 0, "__metadata__ is not an object"},
        {"{\"__metadata__\":{\"k\":1}}", 0, "__metadata__: k is not a string"},
        {"{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0, "duplicate"},
        {"{\"a\\u0000b\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1, "header: "},
        {"{\"\xFF\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1, "header: "},
    };
    char *path = ib_path_join(*state, "bad.safetensors");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        size_t length = strlen(cases[i].json);
        char *padded = ib_format("%s%*s", cases[i].json, (int)((8 - length % 8) % 8), "");
        write_raw(path, strlen(padded), padded, cases[i].data_size);
        expect_refused(path, cases[i].message);
        free(padded);
    }
    free(path);
}

static void refuses_lies_about_the_header_length(void **state) {
    static const struct {
        uint64_t length;
        const char *json;
        const char *message;
    } cases[] = {
        {0, "", "does not start with '{'"},
        {0, "{}      ", "does not start with '{'"},
        {16, "{}      ", "header length 16 goes beyond the end of the file (16 bytes)"},
        {2, "{}      ", "not a multiple of 8"},
        {99999999, "{}      ", "goes beyond the end"},
        {100000001, "{}      ", "over the format's limit"},
        {UINT64_MAX, "{}      ", "over the format's limit"},
        {UINT64_MAX - 7, "{}      ", "over the format's limit"},
        {(uint64_t)1 << 63, "{}      ", "over the format's limit"},
    };
    char *path = ib_path_join(*state, "bad.safetensors");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        write_raw(path, cases[i].length, cases[i].json, 0);
        expect_refused(path, cases[i].message);
    }
    free(path);
}

/* Every proper prefix of a good file is refused: no byte of it may be missed in silence. */
static void refuses_every_truncation(void **state) {
    char *path = ib_path_join(*state, "demo.safetensors");
    assert_int_equal(ib_safetensors_write(path, demo, DEMO_COUNT, NULL, 0, NULL, NULL), IB_OK);
    char *data;
    size_t size;
    assert_int_equal(ib_read_file(path, 1 << 20, &data, &size, NULL), IB_OK);
    while (size-- > 0) {
        assert_int_equal(truncate(path, (off_t)size), 0);
        expect_refused(path, size < 8 ? "ends inside its 8-byte header length" : "offset");
    }
    free(data);
    free(path);
}

static void missing_file_is_reported(void **state) {
    char *path = ib_path_join(*state, "absent.safetensors");
    ib_safetensors file;
    ib_error err = {0};
    assert_int_not_equal(ib_safetensors_open(path, &file, &err), IB_OK);
    assert_non_null(strstr(ib_error_text(&err), path));
    ib_error_clear(&err);
    free(path);
}

static void unwritable_directory(void **state) {
    ib_error err = {0};
    char *missing = ib_path_join(*state, "no/such/demo.safetensors");
    char hex[IB_SHA256_HEX_SIZE];
    assert_int_equal(ib_safetensors_write(missing, demo, DEMO_COUNT, NULL, 0, hex, &err),
                     IB_ERROR_RUNTIME);
    assert_non_null(strstr(ib_error_text(&err), missing));
    assert_string_equal(hex, "");
    ib_error_clear(&err);
    free(missing);

    char *path = ib_path_join(*state, "demo.safetensors");
    assert_int_equal(chmod(*state, 0555), 0);
    int was_root = geteuid() == 0;
    if (was_root) /* root may write anywhere, so be nobody for a moment */
        assert_int_equal(seteuid(65534), 0);
    ib_status status = ib_safetensors_write(path, demo, DEMO_COUNT, NULL, 0, hex, &err);
    if (was_root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(chmod(*state, 0755), 0);
    assert_int_equal(status, IB_ERROR_RUNTIME);
    assert_non_null(strstr(ib_error_text(&err), "Permission denied"));
    assert_int_equal(temp_dir_count(*state), 0);
    ib_error_clear(&err);
    free(path);
}

static void full_disk(void **state) {
    char *mounted = ib_path_join(*state, "small");
    assert_int_equal(ib_make_directories(mounted, NULL), IB_OK);
    if (mount("tmpfs", mounted, "tmpfs", 0, "size=64k") != 0) {
        print_message("skipped: a full disk, as no 64 KiB tmpfs can be mounted here (tests/fault "
                      "has the same through a file size limit)\n");
        free(mounted);
        skip();
        return;
    }
    enum { ELEMENTS = 1 << 20 };
    float *large = calloc(ELEMENTS, sizeof *large);
    ib_named_tensor tensor = {"large", IB_F32, {1, {ELEMENTS}}, large};
    char *path = ib_path_join(mounted, "demo.safetensors");
    ib_error err = {0};
    ib_status status = ib_safetensors_write(path, &tensor, 1, NULL, 0, NULL, &err);
    int left = temp_dir_count(mounted);
    assert_int_equal(umount(mounted), 0);
    assert_int_equal(status, IB_ERROR_RUNTIME);
    assert_non_null(strstr(ib_error_text(&err), "No space left"));
    assert_int_equal(left, 0);
    ib_error_clear(&err);
    free(large);
    free(path);
    free(mounted);
}

/* A failed write must leave the file that was there before. */
static void failure_keeps_the_old_file(void **state) {
    char *path = ib_path_join(*state, "demo.safetensors");
    char before[IB_SHA256_HEX_SIZE];
    char after[IB_SHA256_HEX_SIZE];
    assert_int_equal(ib_safetensors_write(path, demo, DEMO_COUNT, NULL, 0, before, NULL), IB_OK);
    ib_named_tensor bad = {"a", IB_F32, {1, {2}}, NULL};
    assert_int_not_equal(ib_safetensors_write(path, &bad, 1, NULL, 0, NULL, NULL), IB_OK);
    assert_int_equal(ib_sha256_file(path, after, NULL), IB_OK);
    assert_string_equal(before, after);
    free(path);
}

int main(void) {
#define TEST(function) cmocka_unit_test_setup_teardown(function, enter_directory, leave_directory)
    const struct CMUnitTest tests[] = {
        TEST(writes_fixed_bytes),
        TEST(round_trip),
        TEST(hash_is_that_of_the_file),
        TEST(order_of_arguments_does_not_matter),
        TEST(refuses_bad_tensors),
        TEST(refuses_malformed_headers),
        TEST(refuses_lies_about_the_header_length),
        TEST(refuses_every_truncation),
        TEST(missing_file_is_reported),
        TEST(unwritable_directory),
        TEST(full_disk),
        TEST(failure_keeps_the_old_file),
    };
    return cmocka_run_group_tests_name("safetensors", tests, NULL, NULL);
}
