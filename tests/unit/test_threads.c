/* The thread pool: every item once, results visible to the caller, many short runs, sleepers woken.
 * Runs under ThreadSanitizer too. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/threads.h"

enum { ITEMS = 1000 };

struct tally {
    uint32_t times[ITEMS];
    unsigned pool_size;
    uint32_t wrong_threads[ITEMS];
};

static void count_item(void *context, size_t item, unsigned thread) {
    struct tally *tally = context;
    ++tally->times[item];
    tally->wrong_threads[item] += thread >= tally->pool_size;
}

static void check_runs(unsigned threads, unsigned runs, size_t items) {
    ib_pool *pool;
    struct tally tally = {{0}, threads, {0}};
    assert_int_equal(ib_pool_open(threads, &pool, NULL), IB_OK);
    assert_int_equal(ib_pool_size(pool), threads);
    for (unsigned run = 0; run < runs; ++run)
        ib_pool_run(pool, items, count_item, &tally);
    ib_pool_close(pool);
    for (size_t i = 0; i < ITEMS; ++i) {
        assert_int_equal(tally.times[i], i < items ? runs : 0);
        assert_int_equal(tally.wrong_threads[i], 0);
    }
}

static void every_item_once(void **state) {
    static const unsigned threads[] = {1, 2, 3, 7};
    static const size_t items[] = {0, 1, 2, 3, 17, ITEMS};
    (void)state;
    for (size_t t = 0; t < sizeof threads / sizeof threads[0]; ++t)
        for (size_t i = 0; i < sizeof items / sizeof items[0]; ++i)
            check_runs(threads[t], 50, items[i]);
}

static void many_short_runs(void **state) {
    (void)state;
    check_runs(2, 5000, 4);
    check_runs(5, 500, 5);
}

static void wakes_sleeping_workers(void **state) {
    ib_pool *pool;
    struct tally tally = {{0}, 3, {0}};
    (void)state;
    assert_int_equal(ib_pool_open(3, &pool, NULL), IB_OK);
    for (int run = 0; run < 20; ++run) {
        usleep(5000); /* far longer than workers spin */
        ib_pool_run(pool, ITEMS, count_item, &tally);
    }
    ib_pool_close(pool);
    for (size_t i = 0; i < ITEMS; ++i)
        assert_int_equal(tally.times[i], 20);
}

static void opens_and_closes(void **state) {
    (void)state;
    for (unsigned round = 0; round < 50; ++round)
        check_runs(1 + round % 4, round % 2, 8);
    ib_pool *pool;
    ib_error err = {0};
    assert_int_equal(ib_pool_open(0, &pool, &err), IB_ERROR_USAGE);
    ib_error_clear(&err);
    assert_int_equal(ib_pool_open(UINT_MAX, &pool, &err), IB_ERROR_USAGE);
    assert_null(pool);
    ib_error_clear(&err);
    ib_pool_close(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_once),
        cmocka_unit_test(many_short_runs),
        cmocka_unit_test(wakes_sleeping_workers),
        cmocka_unit_test(opens_and_closes),
    };
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
