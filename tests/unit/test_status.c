/* Messages: what comes from names and files must not command a terminal or show a password. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/status.h"

static void messages_are_safe(void **state) {
    (void)state;
    ib_error err = {0};
    ib_fail(&err, IB_ERROR_RUNTIME, "from %s: %s", "http://user:p@ss@host/a@b",
            "\x1b[2J\xc2\x9b\x7f");
    assert_string_equal(ib_error_text(&err), "from http://host/a@b: \\x1b[2J\\xc2\\x9b\\x7f");
    ib_fail_context(&err, "ftp://u:PW@h");
    assert_string_equal(ib_error_text(&err),
                        "ftp://h: from http://host/a@b: \\x1b[2J\\xc2\\x9b\\x7f");
    ib_error_clear(&err);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(messages_are_safe)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
