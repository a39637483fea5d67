/* The JSON reader: it takes what jansson's takes, with the same values, and refuses the rest; texts
 * of values; the stream into memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json_value.h"
#include "base/text_stream.h"

static const char *const SEEDS[] = {
    "{\"a\":[1,-2,3.5e-3,true,false,null],\"b\":{\"c\":\"d\\n\\u00e9\\ud83d\\ude00\\/\"}}",
    "[\"\", \"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\", \"\\\"\\\\\\b\\f\\r\\t\", 0, -0, 1E+5, 0.0]",
    " {\"key\":\"train_loss\",\"value\":2.3,\"step\":1,\"epoch\":1,\"timestamp\":1790000000000} \n",
    "{\"x\":[[[[[]]]]],\"\":{},\"y\":[{},[],{}]}",
    "[123456789012345678,-9223372036854775808,1e308,4.9e-324]",
};
enum { SEED_COUNT = sizeof SEEDS / sizeof SEEDS[0], MUTANTS = 60000 };

static uint32_t next_random(uint32_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* What is read otherwise on purpose. */
static int has_long_number(const char *text, size_t size) {
    size_t digits = 0;
    for (size_t i = 0; i < size; ++i) {
        digits = text[i] >= '0' && text[i] <= '9' ? digits + 1 : 0;
        if (digits >= 19)
            return 1;
    }
    return 0;
}

static int compare(const char *text, size_t size) {
    json_t *ours;
    json_error_t why;
    ib_json_problem problem;
    ib_error err = {0};
    if (has_long_number(text, size))
        return 0;
    json_t *theirs = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
    assert_int_equal(ib_json_parse(text, size, &ours, &problem, &err), IB_OK);
    if ((ours == NULL) != (theirs == NULL) || (ours != NULL && !json_equal(ours, theirs)))
        fail_msg("'%.*s': ours '%s', theirs '%s'", (int)size, text,
                 problem.text != NULL ? problem.text : "taken",
                 theirs != NULL ? "taken" : why.text);
    assert_int_equal(ours == NULL, problem.text != NULL);
    assert_true(problem.offset <= size);
    int taken = ours != NULL;
    json_decref(ours);
    json_decref(theirs);
    return taken;
}

static void seeds_are_read_as_by_jansson(void **state) {
    (void)state;
    for (size_t i = 0; i < SEED_COUNT; ++i)
        if (!has_long_number(SEEDS[i], strlen(SEEDS[i])))
            assert_int_equal(compare(SEEDS[i], strlen(SEEDS[i])), 1);
}

static void mutants_are_judged_as_by_jansson(void **state) {
    static const char BYTES[] = "{}[]\",:\\u0019eE.-+ntf \x01\x7f\x80\xc3\xff\n";
    uint32_t random = 20261130;
    size_t taken = 0;
    (void)state;
    for (size_t m = 0; m < MUTANTS; ++m) {
        const char *seed = SEEDS[m % SEED_COUNT];
        size_t size = strlen(seed), changes = 1 + next_random(&random) % 3;
        char *text = malloc(size);
        memcpy(text, seed, size);
        for (size_t c = 0; c < changes; ++c)
            text[next_random(&random) % size] = BYTES[next_random(&random) % (sizeof BYTES - 1)];
        if (next_random(&random) % 4 == 0)
            size -= next_random(&random) % size;
        char *exact = malloc(size); /* no NUL behind it, so that a sanitizer sees what reads on */
        memcpy(exact, text, size);
        taken += (size_t)compare(exact, size);
        free(exact);
        free(text);
    }
    assert_true(taken > MUTANTS / 100 && taken < MUTANTS);
}

static void bad_texts_are_told_with_their_place(void **state) {
    static const struct {
        const char *text, *problem;
        size_t line, offset;
    } CASES[] = {
        {"", "neither", 1, 0},
        {"3", "neither", 1, 0},
        {"{}x", "after the end", 1, 2},
        {"{\"a\":1,\n\"a\":2}", "duplicate", 2, 11},
        {"[1,]", "no value", 1, 3},
        {"[01]", "not a number", 1, 3},
        {"[\"a", "without its end", 1, 3},
        {"[\"\\u0000\"]", "not an escape", 1, 8},
        {"[\"\\ud800\"]", "not an escape", 1, 8},
        {"[\"\xff\"]", "not UTF-8", 1, 2},
        {"[1e999]", "too large", 1, 6},
        {"{\"a\" 1}", "no colon", 1, 5},
        {"[1 2]", "no comma", 1, 3},
    };
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; ++i) {
        json_t *json;
        ib_json_problem problem;
        assert_int_equal(ib_json_parse(CASES[i].text, strlen(CASES[i].text), &json, &problem, NULL),
                         IB_OK);
        assert_null(json);
        if (strstr(problem.text, CASES[i].problem) == NULL || problem.line != CASES[i].line ||
            problem.offset != CASES[i].offset)
            fail_msg("'%s': '%s', line %zu, offset %zu", CASES[i].text, problem.text, problem.line,
                     problem.offset);
    }
}

static void long_numbers_are_texts(void **state) {
    static const char TEXT[] =
        "[18446744073709551615,1234567890123456789,-1,0.1234567890123456789]";
    json_t *json;
    (void)state;
    assert_int_equal(ib_json_parse(TEXT, sizeof TEXT - 1, &json, NULL, NULL), IB_OK);
    assert_string_equal(json_string_value(json_array_get(json, 0)), "18446744073709551615");
    assert_string_equal(json_string_value(json_array_get(json, 1)), "1234567890123456789");
    assert_int_equal(json_integer_value(json_array_get(json, 2)), -1);
    assert_true(json_is_real(json_array_get(json, 3)));
    json_decref(json);
}

static void depth_is_bounded(void **state) {
    enum { LEVELS = 1000000 };
    char *text = malloc(2 * LEVELS);
    json_t *json;
    ib_json_problem problem;
    (void)state;
    memset(text, '[', LEVELS);
    memset(text + LEVELS, ']', LEVELS);
    assert_int_equal(ib_json_parse(text, 2 * LEVELS, &json, &problem, NULL), IB_OK);
    assert_null(json);
    assert_int_equal(problem.offset, IB_JSON_MOST_LEVELS);
    const char *middle = text + LEVELS - IB_JSON_MOST_LEVELS;
    assert_int_equal(ib_json_parse(middle, 2 * IB_JSON_MOST_LEVELS, &json, &problem, NULL), IB_OK);
    assert_non_null(json);
    json_decref(json);
    free(text);
}

static void a_stream_keeps_all(void **state) {
    enum { LINES = 5000 };
    ib_text_stream text;
    (void)state;
    assert_int_equal(ib_text_open(&text, NULL), IB_OK);
    assert_string_equal(text.data, "");
    for (int i = 0; i < LINES; ++i)
        fprintf(text.stream, "%09d\n", i);
    assert_int_equal(ib_text_flush(&text, NULL), IB_OK);
    assert_int_equal(text.size, 10 * LINES);
    fputs("end", text.stream);
    assert_int_equal(ib_text_close(&text, NULL), IB_OK);
    assert_int_equal(text.size, 10 * LINES + 3);
    assert_string_equal(text.data + 10 * LINES, "end");
    assert_memory_equal(text.data + 10 * 4321, "000004321\n", 10);
    free(text.data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seeds_are_read_as_by_jansson),
        cmocka_unit_test(mutants_are_judged_as_by_jansson),
        cmocka_unit_test(bad_texts_are_told_with_their_place),
        cmocka_unit_test(long_numbers_are_texts),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(a_stream_keeps_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
