/* The backends that operation tests compare: every instruction set of this machine with 1, 2, 3 and
 * 7 threads, and devices where the build has them, each against the scalar reference. */
#ifndef TESTS_BACKEND_OP_SUBJECTS_H
#define TESTS_BACKEND_OP_SUBJECTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend/cpu/backend_cpu.h"
#include "op_table.h"

static const unsigned THREADS[] = {1, 2, 3, 7};
/* How each of them treats denormals: the bits are the same, because there is none to treat. */
static const ib_fp_mode DENORMALS[] = {IB_FP_KEEP, IB_FP_WATCH, IB_FP_FLUSH, IB_FP_KEEP};

enum { MAX_MESSAGES = 40, MAX_SUBJECTS = 24 };

/* The slow reference runs every case once; what repeats it stays below these. */
static const double SOFT_MACS = 6e7, REFERENCE_THREADS_MACS = 4e6, ANY_MACS = 1e300;

struct subject {
    const char *label;
    ib_backend *backend;
    ib_fp_mode mode;
    double most_macs; /* of a case that it runs */
};

struct tally {
    unsigned cases, comparisons, failures;
    uint64_t elements, nonzero;
};

static ib_backend *reference; /* scalar, one thread */
static struct subject subjects[MAX_SUBJECTS];
static size_t subject_count;

static inline void add_subject(struct subject subject) {
    if (op_cpu(subject.backend) != NULL)
        ib_pool_set_fp_mode(op_cpu(subject.backend)->pool, subject.mode);
    assert_true(subject_count < MAX_SUBJECTS);
    subjects[subject_count++] = subject;
}

/* The second table called "scalar", which computes fma by software. */
static inline void open_software_fma(void) {
    const ib_cpu_kernels *first = NULL;
    for (const ib_cpu_kernels *const *t = ib_cpu_kernel_tables(); *t != NULL; ++t) {
        struct subject subject = {"scalar, software fma", NULL, IB_FP_KEEP, SOFT_MACS};
        if (strcmp((*t)->isa, "scalar") != 0 || !ib_cpu_supports(*t))
            continue;
        if (first == NULL) {
            first = *t;
            continue;
        }
        assert_int_equal(ib_cpu_open_kernels(*t, 1, &subject.backend, NULL), IB_OK);
        add_subject(subject);
    }
}

static inline void open_instruction_set(const char *isa) {
    int scalar = strcmp(isa, "scalar") == 0;
    for (size_t i = 0; i < COUNT_OF(THREADS); ++i) {
        struct subject subject = {isa, NULL, DENORMALS[i],
                                  scalar ? REFERENCE_THREADS_MACS : ANY_MACS};
        ib_backend_options options = {"cpu", isa, THREADS[i]};
        if (scalar && THREADS[i] == 1)
            continue; /* that is the reference */
        assert_int_equal(ib_backend_open(&options, &subject.backend, NULL), IB_OK);
        add_subject(subject);
    }
}

/* A backend of another device takes part by its name alone. */
static inline void open_devices(void) {
    static const char *const DEVICES[] = {"opencl", "cuda"};
    for (size_t i = 0; i < COUNT_OF(DEVICES); ++i) {
        struct subject subject = {DEVICES[i], NULL, IB_FP_KEEP, ANY_MACS};
        ib_backend_options options = {DEVICES[i], "auto", 1};
        ib_error err = {0};
        if (ib_backend_open(&options, &subject.backend, &err) == IB_OK)
            add_subject(subject);
        else
            print_message("%s takes no part: %s\n", DEVICES[i], ib_error_text(&err));
        ib_error_clear(&err);
    }
}

static inline int open_subjects(void **state) {
    ib_backend_options options = {"cpu", "scalar", 1};
    const char *isa;
    int supported;
    (void)state;
    assert_int_equal(ib_backend_open(&options, &reference, NULL), IB_OK);
    for (size_t i = 0; (isa = ib_backend_isa_at(i, &supported)) != NULL; ++i)
        if (supported)
            open_instruction_set(isa);
    open_software_fma();
    open_devices();
    return 0;
}

static inline int close_subjects(void **state) {
    (void)state;
    for (size_t i = 0; i < subject_count; ++i)
        ib_backend_close(subjects[i].backend);
    ib_backend_close(reference);
    return 0;
}

/* Has it met a denormal since this was asked? */
static inline int met_denormal(const struct subject *subject) {
    ib_cpu *cpu = op_cpu(subject->backend);
    int met = cpu != NULL && ib_pool_met_denormal(cpu->pool);
    if (cpu != NULL)
        ib_pool_set_fp_mode(cpu->pool, subject->mode);
    return met;
}

/* Names the first element that differs; 0 if none. */
static inline int differs(const char *name, const struct subject *by, const struct op_run *want,
                          const struct op_run *got, unsigned *failures) {
    int found = 0;
    const char *isa = by->label;
    unsigned threads = by->backend->info.threads;
    if (got->status != IB_OK) {
        if (++*failures <= MAX_MESSAGES)
            print_error("%s: %s, %u threads: %s\n", name, isa, threads, ib_error_text(&got->err));
        return 1;
    }
    if (!got->intact) {
        found = 1;
        if (++*failures <= MAX_MESSAGES)
            print_error("%s: %s, %u threads: wrote outside a buffer\n", name, isa, threads);
    }
    for (int i = 0; i < want->output_count; ++i) {
        const struct operand *a = run_result(want, i), *b = run_result(got, i);
        if (a->bytes == b->bytes && memcmp(a->host, b->host, a->bytes) == 0)
            continue;
        found = 1;
        if (++*failures > MAX_MESSAGES)
            continue;
        size_t at = 0, unequal = 0, step = want->outputs[i].is_float ? 4 : 1;
        for (size_t j = 0; j + step <= a->bytes; j += step)
            if (memcmp(a->host + j, b->host + j, step) != 0 && unequal++ == 0)
                at = j;
        if (step == 1) {
            print_error("%s: %s, %u threads: %s[%zu] is %u, wanted %u; %zu differ\n", name, isa,
                        threads, want->outputs[i].name, at, b->host[at], a->host[at], unequal);
            continue;
        }
        uint32_t x, y;
        float fx, fy;
        memcpy(&x, a->host + at, 4), memcpy(&y, b->host + at, 4);
        memcpy(&fx, a->host + at, 4), memcpy(&fy, b->host + at, 4);
        print_error("%s: %s, %u threads: %s[%zu] is %08X (%.9g), wanted %08X (%.9g); %zu of %zu "
                    "differ\n",
                    name, isa, threads, want->outputs[i].name, at / 4, y, (double)fy, x, (double)fx,
                    unequal, a->bytes / 4);
    }
    return found;
}

/* A case that yields nothing, or NaN where compilers may differ, would prove nothing. Nothing that
 * is stored is a denormal, or would lead to one. */
static inline void check_meaningful(const char *name, const struct op_run *run,
                                    struct tally *tally) {
    if (run->status != IB_OK)
        fail_msg("%s: the reference: %s", name, ib_error_text(&run->err));
    uint64_t nonzero = 0;
    for (int i = 0; i < run->output_count; ++i) {
        const struct operand *g = run_result(run, i);
        if (!run->outputs[i].is_float)
            continue;
        for (size_t j = 0; j < g->bytes / 4; ++j) {
            uint32_t bits;
            memcpy(&bits, g->host + 4 * j, 4);
            if ((bits & 0x7F800000u) == 0x7F800000u)
                fail_msg("%s: the reference leaves %s[%zu] = %08X: unset or not finite", name,
                         run->outputs[i].name, j, bits);
            float value;
            memcpy(&value, &bits, 4);
            int settles = run->outputs[i].settles; /* a -0 of the input may pass through */
            if (settles != 0 && bits != 0x80000000u && ib_is_unsettled(value, settles))
                fail_msg("%s: the reference leaves %s[%zu] = %a: not settled", name,
                         run->outputs[i].name, j, (double)value);
            nonzero += bits != 0;
            ++tally->elements;
        }
    }
    tally->nonzero += nonzero;
}

typedef void run_function(const void *item, uint64_t salt, ib_backend *backend, struct op_run *run);

/* One case on every subject. */
static inline void check_case(struct tally *tally, const char *name, double macs,
                              run_function *function, const void *item, uint64_t salt) {
    struct op_run want = {0};
    const char *wrong_set = "";
    function(item, salt, reference, &want);
    check_meaningful(name, &want, tally);
    if (!want.intact && ++tally->failures <= MAX_MESSAGES)
        print_error("%s: the reference wrote outside a buffer\n", name);
    for (size_t i = 0; i < subject_count; ++i) {
        const struct subject *s = &subjects[i];
        struct op_run got = {0};
        /* where one thread count is wrong, the others would say the same */
        if (macs > s->most_macs || s->label == wrong_set)
            continue;
        function(item, salt, s->backend, &got);
        ++tally->comparisons;
        if (differs(name, s, &want, &got, &tally->failures))
            wrong_set = s->label;
        if (met_denormal(s) && ++tally->failures <= MAX_MESSAGES)
            print_error("%s: %s, %u threads: met a denormal\n", name, s->label,
                        s->backend->info.threads);
        run_close(&got);
    }
    run_close(&want);
    ++tally->cases;
}

static inline void tally_close(struct tally *tally, const char *what) {
    print_message("%s: %u cases, %u comparisons, %llu reference elements (%llu not +0), %u "
                  "failures\n",
                  what, tally->cases, tally->comparisons, (unsigned long long)tally->elements,
                  (unsigned long long)tally->nonzero, tally->failures);
    assert_true(tally->cases > 0 && tally->comparisons >= tally->cases);
    assert_true(tally->elements == 0 || tally->nonzero > tally->elements / 50);
    assert_int_equal(tally->failures, 0);
}

#endif
