#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "catalog/networks.h"
#include "nn/network_file.h"

static int same(const char *a, const char *b, const char *before) {
    if (a != NULL && before != NULL && strcmp(a, before) == 0)
        a = NULL;
    if (b != NULL && before != NULL && strcmp(b, before) == 0)
        b = NULL;
    return (a == NULL) == (b == NULL) && (a == NULL || strcmp(a, b) == 0);
}

static void tables(void **state) {
    (void)state;
    for (size_t k = 0; ib_network_at(k) != NULL; ++k) {
        ib_rows rows;
        ib_network_file f = {0};
        ib_error err = {0};
        char path[200];
        snprintf(path, sizeof path, "%s/src/catalog/networks/%s.yaml", getenv("SOURCE_DIR"),
                 ib_network_at(k)->name);
        if (ib_network_read(path, &f, &err) != IB_OK)
            fail_msg("%s", ib_error_text(&err));
        assert_int_equal(ib_rows_open(ib_network_at(k), &rows, &err), IB_OK);
        for (size_t i = 0; i <= f.count; ++i) {
            const ib_row *a = &rows.rows[i], *b = &f.rows[i];
            const char *before = i > 0 ? rows.rows[i - 1].name : NULL;
            if ((a->kind == NULL) != (b->kind == NULL))
                fail_msg("%s %zu: end", path, i);
            if (a->kind == NULL)
                break;
            if (strcmp(a->kind, b->kind) != 0 || !same(a->name, b->name, NULL) ||
                !same(a->from, b->from, before) || !same(a->with, b->with, NULL) ||
                a->out != b->out || a->kernel != b->kernel || a->pad != b->pad || a->p != b->p ||
                (a->stride != b->stride && a->stride + b->stride != 1) || a->no_bias != b->no_bias)
                fail_msg("%s row %zu: %s %s", path, i, a->kind, a->name);
        }
        char *text;
        assert_int_equal(ib_network_canonical(&f, &text, &err), IB_OK);
        print_message("%s %s\n", f.name, strlen(text) < 2000 ? text : "");
        free(text);
        ib_rows_close(&rows);
        ib_network_file_close(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(tables)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
