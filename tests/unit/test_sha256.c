/* SHA-256 and base64 by published vectors, by every way this machine has, in every cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base64.h"
#include "base/sha256.h"
#include "base/sha256_blocks.h"

/* FIPS 180-4's examples, and a million times "a". */
static void published_digests(void **state) {
    (void)state;
    static const char *const KNOWN[][2] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"}};
    char hex[IB_SHA256_HEX_SIZE];
    for (size_t i = 0; i < sizeof KNOWN / sizeof KNOWN[0]; ++i) {
        ib_sha256_bytes(KNOWN[i][0], strlen(KNOWN[i][0]), hex);
        assert_string_equal(hex, KNOWN[i][1]);
    }
    ib_sha256 hash;
    ib_sha256_begin(&hash);
    for (int i = 0; i < 1000000; ++i)
        ib_sha256_update(&hash, "a", 1);
    ib_sha256_end_hex(&hash, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void every_way_and_cut_agrees(void **state) {
    (void)state;
    enum { SIZE = 700 };
    uint8_t data[SIZE];
    for (int i = 0; i < SIZE; ++i)
        data[i] = (uint8_t)((uint32_t)i * 2654435761u >> 11);
    for (size_t size = 0; size <= SIZE; ++size) {
        char whole[IB_SHA256_HEX_SIZE], cut[IB_SHA256_HEX_SIZE];
        ib_sha256 one, other;
        ib_sha256_begin(&one);
        one.blocks = ib_sha256_portable;
        ib_sha256_update(&one, data, size);
        ib_sha256_end_hex(&one, whole);
        ib_sha256_begin(&other); /* as this machine does it */
        for (size_t at = 0; at < size;) {
            size_t part = 1 + (at * 7 + size) % 97;
            part = part < size - at ? part : size - at;
            ib_sha256_update(&other, data + at, part);
            at += part;
        }
        ib_sha256 copy = other;
        ib_sha256_end_hex(&other, cut);
        assert_string_equal(cut, whole);
        ib_sha256_end_hex(&copy, cut);
        assert_string_equal(cut, whole);
    }
    print_message("this machine %s instructions for SHA-256\n",
                  ib_sha256_has_instructions() ? "has" : "has no");
}

/* RFC 4648's examples; and what is none is refused. */
static void base64(void **state) {
    (void)state;
    static const char *const KNOWN[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    static const char *const WRONG[] = {
        "Zg=a", "Z===", "Zm9", "Zm9v=", "Zh==", "Zm9=", "Z!==", "====", "Zg\n="};
    for (size_t i = 0; i < sizeof KNOWN / sizeof KNOWN[0]; ++i) {
        size_t size = strlen(KNOWN[i][0]);
        char text[16];
        uint8_t back[8] = {0};
        ib_base64_encode((const uint8_t *)KNOWN[i][0], size, text);
        assert_string_equal(text, KNOWN[i][1]);
        assert_true(ib_base64_decode(text, back, size));
        assert_memory_equal(back, KNOWN[i][0], size);
    }
    for (size_t i = 0; i < sizeof WRONG / sizeof WRONG[0]; ++i)
        for (size_t size = 0; size < 4; ++size) {
            uint8_t back[8];
            assert_false(ib_base64_decode(WRONG[i], back, size));
        }
    uint8_t bytes[256], back[256];
    char text[400];
    for (int i = 0; i < 256; ++i)
        bytes[i] = (uint8_t)(255 - i);
    ib_base64_encode(bytes, 256, text);
    assert_true(ib_base64_decode(text, back, 256));
    assert_memory_equal(bytes, back, 256);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_digests),
        cmocka_unit_test(every_way_and_cut_agrees),
        cmocka_unit_test(base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
