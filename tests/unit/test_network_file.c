/* Networks as files: what the built-in ones are, what blocks unfold to, and what is refused, each
 * with its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/sha256.h"
#include "catalog/networks.h"
#include "nn/network_file.h"

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

static char *canonical_of(const char *text) {
    ib_network_file file = {0};
    ib_error err = {0};
    char *canonical = NULL;
    if (ib_network_parse("a.yaml", text, strlen(text), &file, &err) != IB_OK)
        fail_msg("%s", ib_error_text(&err));
    assert_int_equal(ib_network_canonical(&file, &canonical, &err), IB_OK);
    ib_network_file_close(&file);
    return canonical;
}

/* The networks are part of what experiment_sha256 stands for: their rows never change. */
static void built_in(void **state) {
    static const struct {
        const char *name, *sha256;
        size_t rows;
    } WANT[] = {
        {"cnn", "481378397e30554db6af9ef1104a6a775d44c11b913f442573c0e25e4912207c", 11},
        {"lenet5", "d82d41027ff1eb03be9f107afc78af7d2cfa568e57fd23613c98057c0e73f4be", 12},
        {"mlp", "3154bd6d1a91aebdf9cbdfe6fbe049a0bd0d45fdc9f0405745725d703f452dc6", 8},
        {"resnet18", "e08edab65678f8ca5466354903b3c64325435159fe0ad6492088241f181f5401", 68},
        {"resnet34", "1b8a153d069e2e8f65adb07c56170e652c067384597ac5e92bbb510e8648bfa5", 124},
        {"resnet50", "f55d78fe49572468750de28b5da692c93cc0297241914b9f096aec314cb1ba9a", 174},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(WANT); ++i) {
        const ib_experiment experiment = {.model = (int)i};
        ib_network_file file = {0};
        ib_error err = {0};
        char *canonical = NULL, hex[IB_SHA256_HEX_SIZE];
        if (ib_network_of(&experiment, &file, &err) != IB_OK)
            fail_msg("%s", ib_error_text(&err));
        assert_string_equal(file.name, WANT[i].name);
        assert_string_equal(ib_network_at(i)->name, WANT[i].name);
        assert_int_equal(ib_network_canonical(&file, &canonical, &err), IB_OK);
        ib_sha256_bytes(canonical, strlen(canonical), hex);
        print_message("%s %zu %s\n", file.name, file.count, hex);
        assert_string_equal(hex, WANT[i].sha256);
        assert_int_equal(file.count, WANT[i].rows);
        free(canonical);
        ib_network_file_close(&file);
    }
    assert_null(ib_network_at(COUNT_OF(WANT)));
}

/* Different texts of one network. */
static void one_form(void **state) {
    static const char LONG[] =
        "name: a\nrows:\n"
        "  - conv: {name: b.0.c, out: 8, kernel: 3, stride: 1, pad: 1, bias: true}\n"
        "  - relu\n"
        "  - conv: {name: b.1.c, out: 8, kernel: 3, stride: 1, pad: 1, bias: true}\n"
        "  - relu: {name: b.1}\n"
        "  - max-pool: {size: 2, stride: 2, pad: 0}\n"
        "  - flatten\n"
        "  - linear: {name: linear1, out: classes, bias: true}\n";
    static const char SHORT[] =
        "name: other\nabout: the same network\ninput: {channels: 1, height: 8, width: 8}\n"
        "blocks:\n"
        "  layer:\n"
        "    - conv: {name: c, out_channels: $out, kernel_size: 3, padding: 1}\n"
        "    - relu: {}\n"
        "rows:\n"
        "  - block: {use: layer, name: b, repeat: 2, out: 8}\n"
        "  - max-pool: 2\n"
        "  - flatten\n"
        "  - linear: {out: classes}\n";
    (void)state;
    char *a = canonical_of(LONG), *b = canonical_of(SHORT);
    /* the last row of a block is called as the block is */
    static const char NAMED[] = "{\"relu\":{\"name\":\"b.0\"}}", PLAIN[] = "{\"relu\":{}}";
    char *named = strstr(b, NAMED);
    assert_non_null(named);
    memmove(named + sizeof PLAIN - 1, named + sizeof NAMED - 1,
            strlen(named + sizeof NAMED - 1) + 1);
    memcpy(named, PLAIN, sizeof PLAIN - 1);
    assert_string_equal(a, b);
    free(a);
    free(b);
}

static void refused(void **state) {
    static const struct {
        const char *rows, *says;
    } CASES[] = {
        {"  - conv: {out: 8}\n", "a.yaml:3: conv: the row needs kernel"},
        {"  - conv\n", "a.yaml:3: conv: the row says nothing"},
        {"  - conv: {out: 8, kernel: 0}\n", "a.yaml:3: kernel: give an integer from 1 to 255"},
        {"  - conv: {out: 8, kernel: 3, kernel_size: 3}\n",
         "a.yaml:3: kernel_size: the row says kernel twice"},
        {"  - conv: {out: 8, kernel: 3, dilation: 2}\n",
         "a.yaml:3: dilation: conv has no such key: it has out, kernel, stride, pad, bias, name "
         "and from"},
        {"  - conv: {out: classes, kernel: 3}\n", "a.yaml:3: out: give an integer"},
        {"  - conv: {out: 8, kernel: 3, bias: no}\n", "a.yaml:3: bias: give true or false"},
        {"  - conv: 8\n", "a.yaml:3: conv: give its keys in braces: out, kernel"},
        {"  - cnov: {out: 8, kernel: 3}\n",
         "a.yaml:3: no kind of layer is called 'cnov'; did you mean conv?"},
        {"  - transformer\n", "a.yaml:3: no kind of layer is called 'transformer' ("},
        {"  - relu: 3\n", "a.yaml:3: relu: give its keys in braces: name and from"},
        {"  - relu: {name: input}\n", "a.yaml:3: name: 'input' is no name for a row"},
        {"  - relu: {name: a/b}\n", "a.yaml:3: name: 'a/b' is no name for a row"},
        {"  - relu: {name: r}\n  - relu: {name: r}\n",
         "a.yaml:4: name: an earlier row is called r, too"},
        {"  - relu: {from: nobody}\n", "a.yaml:3: from: no row before this one is called nobody"},
        {"  - relu\n  - add: [a]\n", "a.yaml:4: add: give the names of two rows"},
        {"  - relu: {name: r}\n  - add: [r, s]\n", "a.yaml:4: add: no row before this one"},
        {"  - dropout: many\n", "a.yaml:3: p: give a number"},
        {"  - conv: {out: $out, kernel: 3}\n", "a.yaml:3: $out stands for a value in blocks only"},
        {"  - block: {use: nothing, name: b}\n", "a.yaml:3: use: the file has no block 'nothing'"},
        {"  - block: {name: b}\n", "a.yaml:3: a block needs the key use"},
        {"  - [relu]\n", "a.yaml:3: a row is its kind, or its kind and keys"},
        {"  - {relu: {}, flatten: {}}\n", "a.yaml:3: a row is its kind"},
        {"  - block: {use: b, name: x}\nblocks: {b: [conv: {out: $o, kernel: 1}]}\n",
         "a.yaml:3: the block has $o in line 4: give o a value here"},
        {"  - block: {use: b, name: x}\nblocks: {b: [block: {use: b, name: y}]}\n",
         "blocks use each other at most 4 deep"},
        {"  - relu\n  - block: {use: b, name: x}\nblocks: {b: [relu: {from: input}]}\n",
         "a.yaml:4: the block reads the row before by name (line 5): give that row a name"},
        {"  - block: {use: b, name: x, repeat: 1001}\nblocks: {b: [relu]}\n",
         "a.yaml:3: repeat: give an integer from 1 to 1000"},
        {"  - block: {use: b, name: x, repeat: 1000}\n"
         "blocks: {b: [relu, relu, relu, relu, relu]}\n",
         "a.yaml:4: a network has at most 4096 rows"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); ++i) {
        ib_network_file file = {0};
        ib_error err = {0};
        char text[1024];
        int length = snprintf(text, sizeof text, "name: a\nrows:\n%s", CASES[i].rows);
        ib_status status = ib_network_parse("a.yaml", text, (size_t)length, &file, &err);
        if (status != IB_ERROR_USAGE || strstr(ib_error_text(&err), CASES[i].says) == NULL)
            fail_msg("%s: %d, %s", CASES[i].rows, (int)status, ib_error_text(&err));
        ib_error_clear(&err);
        ib_network_file_close(&file);
    }
    print_message("%zu files refused\n", COUNT_OF(CASES));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(built_in),
        cmocka_unit_test(one_form),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
