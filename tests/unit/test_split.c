/* Splits and the shuffle under them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/philox.h"
#include "data/split.h"

static void test_official(void **state) {
    (void)state;
    ib_split split;
    assert_int_equal(ib_split_make(IB_SPLIT_OFFICIAL, 60000, 10000, 1, 0, 0, &split, NULL), IB_OK);
    assert_int_equal(split.train_count, 60000);
    assert_int_equal(split.validation_count, 0);
    assert_int_equal(split.test_count, 10000);
    for (uint32_t i = 0; i < 60000; ++i)
        assert_int_equal(split.train[i], i);
    for (uint32_t i = 0; i < 10000; ++i)
        assert_int_equal(split.test[i], 60000 + i);
    ib_split_close(&split);
    assert_null(split.storage);

    assert_int_equal(ib_split_make(IB_SPLIT_OFFICIAL, 60000, 10000, 1, 7, 3, &split, NULL), IB_OK);
    assert_int_equal(split.train_count, 7);
    assert_int_equal(split.test_count, 3);
    assert_int_equal(split.train[6], 6);
    assert_int_equal(split.test[0], 60000);
    ib_split_close(&split);
}

static void test_merged(void **state) {
    (void)state;
    ib_split split, limited, other;
    assert_int_equal(ib_split_make(IB_SPLIT_70_10_20, 60000, 10000, 1, 0, 0, &split, NULL), IB_OK);
    assert_int_equal(split.train_count, 49000);
    assert_int_equal(split.validation_count, 7000);
    assert_int_equal(split.test_count, 14000);
    uint8_t *seen = calloc(70000, 1);
    const uint32_t *parts[] = {split.train, split.validation, split.test};
    const size_t counts[] = {49000, 7000, 14000};
    for (int p = 0; p < 3; ++p)
        for (size_t i = 0; i < counts[p]; ++i) {
            assert_in_range(parts[p][i], 0, 69999);
            assert_int_equal(seen[parts[p][i]]++, 0); /* every image in exactly one part */
        }
    free(seen);

    assert_int_equal(ib_split_make(IB_SPLIT_70_10_20, 60000, 10000, 1, 100, 50, &limited, NULL),
                     IB_OK);
    assert_memory_equal(limited.train, split.train, 100 * sizeof(uint32_t));
    assert_memory_equal(limited.test, split.test, 50 * sizeof(uint32_t));
    assert_int_equal(limited.validation_count, 7000);
    assert_int_equal(ib_split_make(IB_SPLIT_70_10_20, 60000, 10000, 2, 0, 0, &other, NULL), IB_OK);
    assert_memory_not_equal(other.train, split.train, 100 * sizeof(uint32_t));
    ib_split_close(&other);
    ib_split_close(&limited);
    ib_split_close(&split);

    /* floors: 7 and 1 of 11, the rest is test */
    assert_int_equal(ib_split_make(IB_SPLIT_70_10_20, 10, 1, 1, 0, 0, &split, NULL), IB_OK);
    assert_int_equal(split.train_count, 7);
    assert_int_equal(split.validation_count, 1);
    assert_int_equal(split.test_count, 3);
    ib_split_close(&split);
    assert_int_equal(ib_split_make(IB_SPLIT_70_10_20, 0, 0, 1, 0, 0, &split, NULL), IB_OK);
    assert_int_equal(split.test_count, 0);
    ib_split_close(&split);
}

static void test_limits(void **state) {
    (void)state;
    const ib_split_kind kinds[] = {IB_SPLIT_OFFICIAL, IB_SPLIT_70_10_20};
    const size_t train[] = {60001, 49001}, test[] = {10001, 14001};
    for (int i = 0; i < 2; ++i) {
        ib_split split;
        ib_error err = {0};
        assert_int_equal(ib_split_make(kinds[i], 60000, 10000, 1, train[i], 0, &split, &err),
                         IB_ERROR_USAGE);
        assert_non_null(strstr(ib_error_text(&err), "--train-size"));
        assert_null(split.storage);
        assert_int_equal(ib_split_make(kinds[i], 60000, 10000, 1, 0, test[i], &split, &err),
                         IB_ERROR_USAGE);
        assert_non_null(strstr(ib_error_text(&err), "--test-size"));
        assert_int_equal(ib_split_make(kinds[i], UINT32_MAX, 10000, 1, 0, 0, &split, &err),
                         IB_ERROR_USAGE);
        ib_error_clear(&err);
    }
}

/* Of an official split they are the last of the training part. */
static void test_validation_is_held_back(void **state) {
    (void)state;
    ib_split split, counts;
    ib_error err = {0};
    for (size_t limit = 0; limit <= 50000; limit += 50000) {
        assert_int_equal(ib_split_make(IB_SPLIT_OFFICIAL, 60000, 10000, 1, limit, 0, &split, NULL),
                         IB_OK);
        assert_int_equal(ib_split_limit_validation(&split, 10000, NULL), IB_OK);
        assert_int_equal(split.train_count, 50000);
        assert_int_equal(split.validation_count, 10000);
        assert_int_equal(split.test_count, 10000);
        assert_int_equal(split.train[49999], 49999);
        assert_int_equal(split.validation[0], 50000);
        assert_int_equal(split.validation[9999], 59999);
        assert_int_equal(split.test[0], 60000);
        ib_split_close(&split);
        assert_int_equal(ib_split_count(IB_SPLIT_OFFICIAL, 60000, 10000, limit, 0, &counts, NULL),
                         IB_OK);
        assert_int_equal(ib_split_limit_validation(&counts, 10000, NULL), IB_OK);
        assert_int_equal(counts.train_count, 50000);
        assert_int_equal(counts.validation_count, 10000);
    }
    assert_int_equal(ib_split_count(IB_SPLIT_OFFICIAL, 60000, 10000, 100, 0, &counts, NULL), IB_OK);
    assert_int_equal(ib_split_limit_validation(&counts, 0, NULL), IB_OK);
    assert_int_equal(counts.validation_count, 0);
    assert_int_equal(ib_split_limit_validation(&counts, 59901, &err), IB_ERROR_USAGE);
    assert_non_null(strstr(ib_error_text(&err), "--validation-size 59901"));
    ib_error_clear(&err);
    assert_int_equal(ib_split_limit_validation(&counts, 59900, NULL), IB_OK);
    assert_int_equal(counts.train_count, 100);
    assert_int_equal(ib_split_limit_validation(&counts, 60000, NULL), IB_ERROR_USAGE);
}

static void test_shuffle(void **state) {
    (void)state;
    uint32_t a[97], b[97];
    for (uint32_t i = 0; i < 97; ++i)
        a[i] = b[i] = i;
    ib_shuffle(a, 97, 5, IB_STREAM_SHUFFLE, 3);
    /* the definition, written out again */
    ib_rng rng = ib_rng_make(5, IB_STREAM_SHUFFLE, 0, 3);
    for (uint32_t i = 96; i >= 1; --i) {
        uint32_t j = ib_rng_below(&rng, i, i + 1), kept = b[i];
        b[i] = b[j], b[j] = kept;
    }
    assert_memory_equal(a, b, sizeof a);
    ib_shuffle(b, 97, 5, IB_STREAM_SHUFFLE, 4);
    assert_memory_not_equal(a, b, sizeof a);
    ib_shuffle(a, 0, 5, IB_STREAM_SHUFFLE, 0);
    ib_shuffle(a, 1, 5, IB_STREAM_SHUFFLE, 0);

    /* pinned: the first of 70,000 under seed 1, from a second implementation of Philox */
    ib_split split;
    assert_int_equal(ib_split_make(IB_SPLIT_70_10_20, 60000, 10000, 1, 0, 0, &split, NULL), IB_OK);
    const uint32_t golden[] = {668, 171, 2422, 33383, 5410, 54402};
    for (int i = 0; i < 6; ++i)
        assert_int_equal(split.train[i], golden[i]);
    ib_split_close(&split);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_official), cmocka_unit_test(test_merged),
        cmocka_unit_test(test_limits),   cmocka_unit_test(test_validation_is_held_back),
        cmocka_unit_test(test_shuffle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
