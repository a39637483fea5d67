/* exp, log and fma of NUMERICS.md: within 1 ulp of binary64's exp and log, the same bits by
 * hardware and by software fma; the software fma is the correctly rounded one.
 *
 * make test takes every 4099th of the 2^32 floats and the edges; ISOBIT_EXHAUSTIVE=1 takes all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/fpenv.h"
#include "base/philox.h"
#include "base/threads.h"

/* The header twice: soft_* with our own fma, hard_* with the instruction. */
#define IB_REF_HARDWARE_FMA 0
#define exact_bits          soft_bits
#define exact_float         soft_float
#define exact_fma_soft      soft_fma_soft
#define exact_fma           soft_fma
#define exact_sqrt          soft_sqrt
#define exact_power_of_two  soft_power_of_two
#define exact_exp           soft_exp
#define exact_log           soft_log
#include "backend/cpu/ref/exact_math.h"
#undef IB_CPU_EXACT_MATH_H
#undef IB_REF_HARDWARE_FMA
#undef exact_bits
#undef exact_float
#undef exact_fma_soft
#undef exact_fma
#undef exact_sqrt
#undef exact_power_of_two
#undef exact_exp
#undef exact_log

#if defined(__x86_64__) && defined(__clang__)
#pragma clang attribute push(__attribute__((target("fma"))), apply_to = function)
#elif defined(__x86_64__)
#pragma GCC push_options
#pragma GCC target("fma")
#endif
#define IB_REF_HARDWARE_FMA 1
#define exact_bits          hard_bits
#define exact_float         hard_float
#define exact_fma_soft      hard_fma_soft
#define exact_fma           hard_fma
#define exact_sqrt          hard_sqrt
#define exact_power_of_two  hard_power_of_two
#define exact_exp           hard_exp
#define exact_log           hard_log
#include "backend/cpu/ref/exact_math.h"

/* Out of line, so that the instruction is used where the caller may not. */
__attribute__((noinline)) static float run_hard_exp(float x) {
    (void)hard_fma_soft;
    return hard_exp(x);
}
__attribute__((noinline)) static float run_hard_log(float x) {
    return hard_log(x);
}
__attribute__((noinline)) static float run_hard_fma(float a, float b, float c) {
    return hard_fma(a, b, c);
}
#if defined(__x86_64__) && defined(__clang__)
#pragma clang attribute pop
#elif defined(__x86_64__)
#pragma GCC pop_options
#endif

static int has_fma(void) {
#if defined(__x86_64__)
    return __builtin_cpu_supports("fma");
#else
    return 1;
#endif
}

static int exhaustive(void) {
    const char *value = getenv("ISOBIT_EXHAUSTIVE");
    return value != NULL && strcmp(value, "1") == 0;
}

/* NUMERICS 0.2 */
static const uint64_t GOLDEN_SLICE = 0xF552D2F07D604B53u;

/* ---- exp and log */

/* |got - exact| in units of the spacing of floats at exact. Differences of class (NaN, infinity
 * where the exact value rounds to a finite float) count as 1e9. */
static double ulps(float got, long double exact) {
    if (isnan(exact) || isnan(got))
        return isnan(exact) && isnan(got) ? 0 : 1e9;
    if (isinf(exact))
        return (long double)got == exact ? 0 : 1e9;
    int exponent;
    frexpl(exact, &exponent);
    if (exact == 0 || exponent < -125)
        exponent = -125;
    if (isinf(got)) /* counts as 2^128, what overflow rounds to */
        return exact >= 0x1.FFFFFEp127L ? (double)((0x1p128L - exact) * 0x1p-104L) : 1e9;
    return (double)(fabsl((long double)got - exact) * ldexpl(1, 24 - exponent));
}

/* The same in binary64, for finite normal floats well inside the range; < 0: use ulps. */
static double quick_ulps(float got, double exact) {
    uint64_t bits, spacing;
    memcpy(&bits, &exact, sizeof bits);
    int exponent = (int)(bits >> 52 & 0x7FF) - 1023;
    if (exponent < -126 || exponent > 126 || isinf(got))
        return -1;
    spacing = (uint64_t)(1023 + 23 - exponent) << 52; /* its inverse */
    double scale;
    memcpy(&scale, &spacing, sizeof scale);
    return fabs((double)got - exact) * scale;
}

struct worst {
    double error;
    uint32_t input;
};

struct slice {
    uint64_t begin, end, step;
    struct worst exp, log;
    uint64_t checked, unlike; /* hardware and software fma differ */
    uint64_t rounded_wrong;   /* not the nearest float: for information */
};

static void check_input(struct slice *s, uint32_t bits, int hardware) {
    float x;
    memcpy(&x, &bits, sizeof x);
    float e = soft_exp(x), l = soft_log(x);
    if (hardware) {
        float he = run_hard_exp(x), hl = run_hard_log(x);
        s->unlike += memcmp(&e, &he, sizeof e) != 0 || memcmp(&l, &hl, sizeof l) != 0;
    }
    ++s->checked;
    /* binary64 first: its error is below 1e-8 ulp of binary32; then the winner in more digits */
    if (fabsf(x) > 120.0f) {
        if (x > 0 ? !isinf(e) : e != 0)
            s->exp = (struct worst){1e9, bits};
    } else if (isnan(x)) {
        if (!isnan(e))
            s->exp = (struct worst){1e9, bits};
    } else {
        double exact = exp((double)x), error = quick_ulps(e, exact);
        if (error < 0)
            error = ulps(e, exact);
        s->rounded_wrong += error > 0.5 && error < 1e8;
        if (error > s->exp.error * 0.999 && (error = ulps(e, expl((long double)x))) > s->exp.error)
            s->exp = (struct worst){error, bits};
    }
    if (bits >> 31 && bits != 0x80000000u) {
        if (!isnan(l))
            s->log = (struct worst){1e9, bits};
        return;
    }
    double exact = log((double)x), error = quick_ulps(l, exact);
    if (error < 0)
        error = ulps(l, exact);
    s->rounded_wrong += error > 0.5 && error < 1e8;
    if (error > s->log.error * 0.999 && (error = ulps(l, logl((long double)x))) > s->log.error)
        s->log = (struct worst){error, bits};
}

static void *check_slice(void *argument) {
    struct slice *s = argument;
    int hardware = has_fma();
    ib_fp_enter();
    for (uint64_t bits = s->begin; bits < s->end; bits += s->step)
        check_input(s, (uint32_t)bits, hardware);
    return NULL;
}

static void merge(struct slice *to, const struct slice *from) {
    if (from->exp.error > to->exp.error)
        to->exp = from->exp;
    if (from->log.error > to->log.error)
        to->log = from->log;
    to->checked += from->checked;
    to->unlike += from->unlike;
    to->rounded_wrong += from->rounded_wrong;
}

static void exp_and_log_within_an_ulp(void **state) {
    (void)state;
    enum { MAX_THREADS = 64 };
    static const float EDGES[] = {0.0f, 1.0f, 88.72284f, 88.722832f, 88.722847f, 89.0f, -87.33655f,
                                  -88.0f, -103.97f, -103.972084f, -104.0f, -104.000008f, -105.0f,
                                  0.34657359f, -0.34657359f, 0.70710678f, 1.41421356f, 0.5f, 2.0f,
                                  0x1p-149f, 0x1p-126f, 0x1.FFFFFEp127f, 0x1p-25f, -0x1p-25f,
                                  1.0000001f, 0.99999994f,
                                  /* among the worst of all 2^32 */
                                  -0x1.790924p+2f, 0x1.F31712p+3f, 0x1.67CC32p+0f};
    pthread_t threads[MAX_THREADS];
    struct slice slices[MAX_THREADS], all = {.step = 1};
    unsigned count = ib_usable_cpus() < MAX_THREADS ? ib_usable_cpus() : MAX_THREADS;
    for (unsigned t = 0; t < count; ++t) {
        slices[t] = (struct slice){.begin = ((1ull << 32) * t) / count,
                                   .end = ((1ull << 32) * (t + 1)) / count,
                                   .step = exhaustive() ? 1 : 4099};
        assert_int_equal(pthread_create(&threads[t], NULL, check_slice, &slices[t]), 0);
    }
    for (unsigned t = 0; t < count; ++t) {
        pthread_join(threads[t], NULL);
        merge(&all, &slices[t]);
    }
    for (size_t i = 0; i < sizeof EDGES / sizeof EDGES[0]; ++i)
        for (uint32_t near = 0; near < 64; ++near) {
            uint32_t bits;
            memcpy(&bits, &EDGES[i], sizeof bits);
            check_input(&all, bits + near - 32, has_fma());
        }
    print_message("%llu floats%s: exp at most %.6f ulp (at %08X), log at most %.6f ulp (at %08X); "
                  "%llu not rounded to nearest; %llu unlike with %s\n",
                  (unsigned long long)all.checked, exhaustive() ? " (all)" : "", all.exp.error,
                  all.exp.input, all.log.error, all.log.input,
                  (unsigned long long)all.rounded_wrong, (unsigned long long)all.unlike,
                  has_fma() ? "hardware fma" : "nothing: no hardware fma here");
    assert_true(all.checked > 1000000);
    assert_true(all.exp.error <= 1.0);
    assert_true(all.log.error <= 1.0);
    assert_int_equal(all.unlike, 0);
}

/* The very bits, on a slice: a changed coefficient may stay within an ulp. FNV-1a. */
static void committed_bits(void **state) {
    (void)state;
    uint64_t hash = 0xCBF29CE484222325u;
    for (uint64_t bits = 0; bits < 1ull << 32; bits += 4099) {
        float x = soft_float((uint32_t)bits), e = soft_exp(x), l = soft_log(x);
        uint32_t results[2] = {e == e ? soft_bits(e) : 0x7FC00000u,
                               l == l ? soft_bits(l) : 0x7FC00000u};
        for (int i = 0; i < 2; ++i)
            hash = (hash ^ results[i]) * 0x100000001B3u;
    }
    if (hash != GOLDEN_SLICE)
        fail_msg("exp and log of the slice hash to %016llX", (unsigned long long)hash);
}

static void special_values(void **state) {
    (void)state;
    const float inf = INFINITY;
    assert_true(soft_exp(0.0f) == 1.0f && soft_exp(-0.0f) == 1.0f);
    assert_true(soft_exp(inf) == inf && soft_exp(89.0f) == inf);
    assert_true(soft_exp(-inf) == 0.0f && !signbit(soft_exp(-inf)) && soft_exp(-105.0f) == 0.0f);
    assert_true(isnan(soft_exp(NAN)) && isnan(soft_log(NAN)));
    assert_true(soft_log(1.0f) == 0.0f && !signbit(soft_log(1.0f)));
    assert_true(soft_log(0.0f) == -inf && soft_log(-0.0f) == -inf && soft_log(inf) == inf);
    assert_true(isnan(soft_log(-1.0f)) && isnan(soft_log(-inf)) && isnan(soft_log(-0x1p-149f)));
    /* what softmax rests on: the greatest class's exp is just 1, and a sum of at least 1 has a log
     * that is not negative */
    for (uint32_t bits = 0x3F800000u; bits < 0x43800000u; bits += 997)
        assert_true(soft_log(soft_float(bits)) >= 0.0f);
}

/* ---- fma */

static uint64_t fma_checks;

static void check_fma(uint32_t a, uint32_t b, uint32_t c) {
    float x = soft_float(a), y = soft_float(b), z = soft_float(c);
    float got = soft_fma_soft(x, y, z), library = fmaf(x, y, z);
    ++fma_checks;
    if (isnan(library)) {
        if (!isnan(got))
            fail_msg("fma(%08X, %08X, %08X) = %08X, wanted NaN", a, b, c, soft_bits(got));
        return;
    }
    if (soft_bits(got) != soft_bits(library) ||
        (has_fma() && soft_bits(run_hard_fma(x, y, z)) != soft_bits(library)))
        fail_msg("fma(%08X, %08X, %08X) = %08X, wanted %08X", a, b, c, soft_bits(got),
                 soft_bits(library));
}

/* Every combination of values at the edges of every class. */
static void fma_of_special_values(void **state) {
    (void)state;
    static const uint32_t VALUES[] = {
        0x00000000u, 0x00000001u, 0x00000002u, 0x007FFFFFu, 0x00800000u, 0x00800001u, 0x00FFFFFFu,
        0x01000000u, 0x19800000u, 0x1A000000u, 0x33800000u, 0x33800001u, 0x337FFFFFu, 0x34000000u,
        0x3F000000u, 0x3F7FFFFFu, 0x3F800000u, 0x3F800001u, 0x3FFFFFFFu, 0x40000000u, 0x40490FDBu,
        0x4B7FFFFFu, 0x4B800000u, 0x5F7FFFFFu, 0x5F800000u, 0x7E800000u, 0x7F000000u, 0x7F7FFFFEu,
        0x7F7FFFFFu, 0x7F800000u, 0x7FC00000u, 0x7F800001u};
    enum { COUNT = sizeof VALUES / sizeof VALUES[0] };
    fma_checks = 0;
    for (size_t a = 0; a < COUNT; ++a)
        for (size_t b = 0; b < COUNT; ++b)
            for (size_t c = 0; c < COUNT; ++c)
                for (uint32_t signs = 0; signs < 8; ++signs)
                    check_fma(VALUES[a] ^ (signs & 1) << 31, VALUES[b] ^ (signs >> 1 & 1) << 31,
                              VALUES[c] ^ (signs >> 2) << 31);
    print_message("%llu fused multiply-adds\n", (unsigned long long)fma_checks);
    assert_true(fma_checks > 100000);
}

/* Random operands; addends that make the exact sum fall near, and on, the middle of two floats,
 * where rounding to binary64 first would round twice. */
static void fma_at_halfway(void **state) {
    (void)state;
    enum { ROUNDS = 400000 };
    ib_rng rng = ib_rng_make(1, (enum ib_stream)0xEE, 0, 0);
    uint64_t twice = 0;
    fma_checks = 0;
    for (uint64_t i = 0; i < ROUNDS; ++i) {
        uint32_t w[4];
        ib_philox_block(&rng, i, w);
        check_fma(w[0], w[1], w[2]);
        /* a * b = (1 + i 2^-23)(1 + j 2^-23) with trailing zeros; c its middle plus a far tail */
        uint32_t a = 0x3F800000u | (w[0] & 0x7FFFFFu), b = 0x3F800000u | 1u << (w[1] % 23);
        int down = (int)(w[3] % 60);
        uint32_t tail = (uint32_t)(127 - 24 - down) << 23 | (w[3] & 0x80000000u);
        check_fma(a, b, tail);
        check_fma(a, b, tail | (w[2] & 0x7FFFFFu));
        /* c big, product just half an ulp of it: 2^24 + odd, plus (1 +- tiny) */
        uint32_t c = 0x4B800000u | (w[2] & 0x7FFFFFu);
        uint32_t one = w[3] & 1 ? 0x3F800000u : 0x3F7FFFFFu;
        check_fma(one, 0x3F800000u + (w[3] >> 1 & 1), c);
        check_fma(one | 0x80000000u, 0x3F800000u + (w[3] >> 1 & 1), c);
        /* results among the denormals */
        uint32_t small = (w[0] & 0x7FFFFFu) | (w[1] % 30) << 23;
        check_fma(small, 0x3F000000u | (w[2] & 0xFFFFFFu), w[3] & 0x80FFFFFFu);
        float x = soft_float(a), y = soft_float(b), z = soft_float(tail);
        twice += (float)((double)x * (double)y + (double)z) != fmaf(x, y, z);
    }
    print_message("%llu fused multiply-adds, %llu where rounding twice is wrong\n",
                  (unsigned long long)fma_checks, (unsigned long long)twice);
    assert_true(twice > 100); /* the cases do tell */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(special_values),
        cmocka_unit_test(committed_bits),
        cmocka_unit_test(fma_of_special_values),
        cmocka_unit_test(fma_at_halfway),
        cmocka_unit_test(exp_and_log_within_an_ulp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
