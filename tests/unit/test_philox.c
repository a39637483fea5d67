/* Philox4x32-10: the known answers of Random123, element order, bounded integers, and the vector
 * versions inside the dropout of every instruction set. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/backend.h"
#include "base/philox.h"

/* kat_vectors of Random123 1.14, "philox4x32 10". */
static void known_answers(void **state) {
    (void)state;
    static const uint32_t KAT[3][10] = {
        /* counter, key, result */
        {0, 0, 0, 0, 0, 0, 0x6627E8D5u, 0xE169C58Du, 0xBC57AC4Cu, 0x9B00DBD8u},
        {~0u, ~0u, ~0u, ~0u, ~0u, ~0u, 0x408F276Du, 0x41C83B0Eu, 0xA20BC7C6u, 0x6D5451FDu},
        {0x243F6A88u, 0x85A308D3u, 0x13198A2Eu, 0x03707344u, 0xA4093822u, 0x299F31D0u, 0xD16CFE09u,
         0x94FDCCEBu, 0x5001E420u, 0x24126EA1u},
    };
    for (size_t i = 0; i < 3; ++i) {
        const uint32_t *k = KAT[i];
        ib_rng rng = {.key0 = k[4], .key1 = k[5], .step_low = k[2], .tag = k[3]};
        uint32_t out[4];
        ib_philox_block(&rng, (uint64_t)k[1] << 32 | k[0], out);
        assert_memory_equal(out, k + 6, sizeof out);
    }
    print_message("3 known answers\n");
}

static void seed_stream_and_step_fill_the_counter(void **state) {
    (void)state;
    ib_rng rng = ib_rng_make(0x0123456789ABCDEFu, IB_STREAM_DROPOUT, 0x1FE, 0xFEDC56789ABCDEF0u);
    assert_int_equal(rng.key0, 0x89ABCDEFu);
    assert_int_equal(rng.key1, 0x01234567u);
    assert_int_equal(rng.step_low, 0x9ABCDEF0u);
    assert_int_equal(rng.tag, 0x02FE5678u); /* stream, low byte of sub, step bits 32..47 */
}

static int compare_words(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Element e is word (e / 16) % 4 of block 16 * (e / 64) + e % 16: each word of each block once. */
static void elements_use_every_word_once(void **state) {
    (void)state;
    enum { GROUPS = 40, COUNT = 64 * GROUPS };
    static uint32_t by_element[COUNT], by_block[COUNT];
    ib_rng rng = ib_rng_make(99, IB_STREAM_SHUFFLE, 3, 7);
    for (uint64_t e = 0; e < COUNT; ++e) {
        uint32_t block[4];
        by_element[e] = ib_rng_word(&rng, e);
        ib_philox_block(&rng, (e / 64) * 16 + e % 16, block);
        assert_int_equal(by_element[e], block[e % 64 / 16]);
    }
    for (uint64_t block = 0; block < COUNT / 4; ++block)
        ib_philox_block(&rng, block, by_block + 4 * block);
    qsort(by_element, COUNT, sizeof *by_element, compare_words);
    qsort(by_block, COUNT, sizeof *by_block, compare_words);
    assert_memory_equal(by_element, by_block, sizeof by_block);
    /* beyond 2^34 elements the block number needs the counter's second word */
    uint32_t low[4], high[4];
    ib_philox_block(&rng, 5, low);
    ib_philox_block(&rng, 5 + (1ull << 32), high);
    assert_int_equal(ib_rng_word(&rng, 5 + (1ull << 34)), high[0]);
    assert_int_not_equal(low[0], high[0]);
}

static void bounded_integers(void **state) {
    (void)state;
    static const uint32_t BOUNDS[] = {1, 2, 3, 7, 10, 60000, 70000, 1u << 31, 0xFFFFFFFFu};
    enum { DRAWS = 20000 };
    ib_rng rng = ib_rng_make(5, IB_STREAM_SPLIT, 0, 0);
    unsigned checks = 0;
    for (size_t b = 0; b < sizeof BOUNDS / sizeof BOUNDS[0]; ++b) {
        uint32_t seen[10] = {0}, bound = BOUNDS[b];
        for (uint64_t e = 0; e < DRAWS; ++e, ++checks) {
            uint32_t value = ib_rng_below(&rng, e, bound), word = ib_rng_word(&rng, e);
            assert_true(value < bound);
            assert_int_equal(value, (uint32_t)((double)word * (double)bound / 4294967296.0));
            if (bound <= 10)
                ++seen[value];
        }
        for (uint32_t v = 0; v < bound && bound <= 10; ++v) { /* within 5 standard deviations */
            double mean = DRAWS / (double)bound, away = (double)seen[v] - mean;
            assert_true(away * away <= 25 * mean);
        }
    }
    print_message("%u bounded integers\n", checks);
}

/* ---- dropout on every instruction set
 * ------------------------------------------------------------ */

struct device {
    ib_backend *backend;
    ib_buffer x, w, b, y;
};

enum { MAX_OUT = 224, MAX_N = 9 };

static void device_open(const char *isa, struct device *d) {
    ib_backend_options options = {"cpu", isa, 2};
    assert_int_equal(ib_backend_open(&options, &d->backend, NULL), IB_OK);
    const ib_backend_ops *ops = d->backend->ops;
    assert_int_equal(ops->buffer_create(d->backend, 4 * 16 * MAX_N, &d->x, NULL), IB_OK);
    assert_int_equal(ops->buffer_create(d->backend, 4 * 16 * MAX_OUT, &d->w, NULL), IB_OK);
    assert_int_equal(ops->buffer_create(d->backend, 4 * MAX_OUT, &d->b, NULL), IB_OK);
    assert_int_equal(ops->buffer_create(d->backend, 4 * MAX_N * MAX_OUT, &d->y, NULL), IB_OK);
}

static void device_close(struct device *d) {
    ib_buffer *buffers[] = {&d->x, &d->w, &d->b, &d->y};
    for (size_t i = 0; i < 4; ++i)
        d->backend->ops->buffer_destroy(d->backend, buffers[i]);
    ib_backend_close(d->backend);
}

/* Zero inputs and biases of one leave the mask alone: y is scale or +0. */
static unsigned check_mask(struct device *d, int64_t n, int64_t out, ib_dropout dropout) {
    float ones[MAX_OUT] = {0};
    static float y[MAX_N * MAX_OUT];
    int64_t stride = ib_pad16(out);
    ib_linear l = {.n = n,
                   .in = 1,
                   .out = out,
                   .relu = 1,
                   .mask_input = 1,
                   .input_scale = 1,
                   .dropout = dropout};
    ib_linear_operands p = {.x = d->x, .w = d->w, .b = d->b, .y = d->y};
    for (int64_t i = 0; i < out; ++i)
        ones[i] = 1.0f;
    const ib_backend_ops *ops = d->backend->ops;
    ops->upload(d->backend, &d->b, ones, sizeof ones, NULL);
    assert_int_equal(ib_plan_linear_forward(d->backend, &l, NULL), IB_OK);
    assert_int_equal(ib_linear_forward(d->backend, &l, &p, NULL), IB_OK);
    ops->download(d->backend, &d->y, y, sizeof y, NULL);
    for (int64_t i = 0; i < n; ++i)
        for (int64_t o = 0; o < out; ++o) {
            uint32_t word = ib_rng_word(&dropout.rng, (uint64_t)(i * out + o));
            float want = word < dropout.threshold ? 0.0f : dropout.scale;
            assert_memory_equal(&y[i * stride + o], &want, sizeof want);
        }
    return (unsigned)(n * out);
}

static void dropout_masks(void **state) {
    (void)state;
    static const int64_t OUTS[] = {1, 10, 15, 16, 17, 63, 64, 65, 128, 200};
    unsigned checks = 0, isas = 0;
    int supported;
    for (size_t i = 0; ib_backend_isa_at(i, &supported) != NULL; ++i) {
        struct device d;
        if (!supported)
            continue;
        device_open(ib_backend_isa_at(i, &supported), &d);
        ++isas;
        for (size_t o = 0; o < sizeof OUTS / sizeof OUTS[0]; ++o)
            for (int64_t n = 1; n <= MAX_N; n += 4) {
                ib_dropout dropout = {.enabled = 1, .threshold = 1u << 30, .scale = 1.25f};
                dropout.rng = ib_rng_make(0xDEADBEEF12345678u * (o + 1), IB_STREAM_DROPOUT,
                                          (uint32_t)n, 0xABCDEF0123u);
                checks += check_mask(&d, n, OUTS[o], dropout);
                /* the comparison is "below": at a word's very value the element stays */
                for (uint64_t e = 0; e < (uint64_t)(n * OUTS[o]); e += 37)
                    for (uint32_t more = 0; more < 2; ++more) {
                        dropout.threshold = ib_rng_word(&dropout.rng, e) + more;
                        checks += check_mask(&d, n, OUTS[o], dropout);
                    }
                dropout.threshold = 0;
                checks += check_mask(&d, n, OUTS[o], dropout);
                dropout.threshold = 0xFFFFFFFFu;
                checks += check_mask(&d, n, OUTS[o], dropout);
            }
        device_close(&d);
    }
    print_message("%u mask elements on %u instruction sets\n", checks, isas);
    assert_true(isas >= 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(seed_stream_and_step_fill_the_counter),
        cmocka_unit_test(elements_use_every_word_once),
        cmocka_unit_test(bounded_integers),
        cmocka_unit_test(dropout_masks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
