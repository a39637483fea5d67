/* Every operation case on every backend (op_subjects.h) against the scalar reference: all outputs
 * bit for bit, nothing written outside a buffer or the planned scratch. The reference itself by
 * hardware and by software fma, and against NUMERICS.md written down a second time. Two of the
 * thread counts flush denormals, one of these watching for any, so that the same bits show that
 * there are none.
 *
 * ISOBIT_RANDOM_CASES=N adds N random convolutions and N random linear layers (default 40). */
#include "op_subjects.h"
#include "oracle.h"

/* The oracle takes smaller cases only. */
static const double ORACLE_MACS = 1.5e6;

static void describe(char *text, size_t size, enum op_kind op, size_t index,
                     const struct conv_case *c, const struct linear_case *l) {
    if (c != NULL)
        snprintf(text, size,
                 "%s %zu (n=%d %dx%d ci=%d co=%d kernel=%dx%d stride=%d pad=%d relu=%d pool=%d "
                 "dropout=%d fill=%d)",
                 op_name(op), index, c->n, c->h, c->w, c->ci, c->co, c->kh, c->kw, c->stride,
                 c->pad, c->relu, c->pool, c->dropout, (int)c->fill);
    else if (l != NULL)
        snprintf(text, size, "%s %zu (n=%d in=%d out=%d relu=%d dropout=%d fill=%d)", op_name(op),
                 index, l->n, l->in, l->out, l->relu, l->dropout, (int)l->fill);
    else
        snprintf(text, size, "%s %zu", op_name(op), index);
}

struct numbered {
    enum op_kind op;
    size_t index;
};

static void run_numbered(const void *item, uint64_t salt, ib_backend *backend, struct op_run *run) {
    const struct numbered *n = item;
    (void)salt;
    run_op(n->op, n->index, backend, run);
}
static void run_conv_item(const void *item, uint64_t salt, ib_backend *backend,
                          struct op_run *run) {
    run_conv(item, 0, 0, salt, backend, run);
}
static void run_linear_item(const void *item, uint64_t salt, ib_backend *backend,
                            struct op_run *run) {
    run_linear(item, 0, 0, salt, backend, run);
}

static void check_table(enum op_kind op) {
    struct tally tally = {0};
    char name[200];
    for (size_t i = 0; i < op_case_count(op); ++i) {
        struct numbered item = {op, i};
        describe(name, sizeof name, op, i, op_conv_case(op, i), op_linear_case(op, i));
        check_case(&tally, name, op_case_macs(op, i), run_numbered, &item, 0);
    }
    tally_close(&tally, op_name(op));
}

#define ROW(id, name, cases, call)                                                                 \
    static void table_##id(void **state) {                                                         \
        (void)state;                                                                               \
        check_table(OP_##id);                                                                      \
    }
OP_TABLE(ROW)
#undef ROW

/* ---- the reference itself ----------------------------------------------------------------------
 */

static void oracle_conv_forward_kernel(ib_cpu *cpu, const ib_conv *c, const ib_conv_pointers *p) {
    struct oracle_tensors t = {.x = p->x, .w = p->w, .b = p->b, .y = p->y, .argmax = p->argmax};
    int64_t pixels = c->pool ? ib_pad16(ib_conv_pooled_features(c))
                             : ib_conv_out_h(c) * ib_conv_out_w(c) * ib_pad16(c->co);
    (void)cpu;
    memset(p->y, 0, (size_t)(c->n * pixels) * sizeof *p->y); /* what pads */
    oracle_conv_forward(c, &t);
}
static void oracle_conv_backward_kernel(ib_cpu *cpu, const ib_conv *c, const ib_conv_pointers *p) {
    struct oracle_tensors t = {.x = p->x,
                               .w = p->w,
                               .dy = p->dy,
                               .dx = p->dx,
                               .dw = p->dw,
                               .db = p->db,
                               .argmax = p->argmax};
    (void)cpu;
    oracle_conv_backward(c, &t);
}
static void oracle_linear_forward_kernel(ib_cpu *cpu, const ib_linear *l,
                                         const ib_linear_pointers *p) {
    struct oracle_tensors t = {.x = p->x, .w = p->w, .b = p->b, .y = p->y};
    (void)cpu;
    memset(p->y, 0, (size_t)(l->n * ib_pad16(l->out)) * sizeof *p->y);
    oracle_linear_forward(l, &t);
}
static void oracle_linear_backward_kernel(ib_cpu *cpu, const ib_linear *l,
                                          const ib_linear_pointers *p) {
    struct oracle_tensors t = {
        .x = p->x, .w = p->w, .dy = p->dy, .dx = p->dx, .dw = p->dw, .db = p->db};
    (void)cpu;
    memset(p->dx, 0, (size_t)(l->n * ib_pad16(l->in)) * sizeof *p->dx);
    oracle_linear_backward(l, &t);
}

static IB_ONE_KERNEL(conv, oracle_conv_forwards, NULL, oracle_conv_forward_kernel);
static IB_ONE_KERNEL(conv, oracle_conv_backwards, NULL, oracle_conv_backward_kernel);
static IB_ONE_KERNEL(linear, oracle_linear_forwards, NULL, oracle_linear_forward_kernel);
static IB_ONE_KERNEL(linear, oracle_linear_backwards, NULL, oracle_linear_backward_kernel);

static const ib_cpu_kernels ORACLE = {.isa = "oracle",
                                      .conv_forward = oracle_conv_forwards,
                                      .conv_backward = oracle_conv_backwards,
                                      .linear_forward = oracle_linear_forwards,
                                      .linear_backward = oracle_linear_backwards};

/* The page NUMERICS.md, written down a second time, agrees with the reference. */
static void reference_follows_the_definition(void **state) {
    (void)state;
    struct tally tally = {0};
    struct subject subject = {"the reference against the definition", reference, IB_FP_KEEP, 0};
    ib_backend *oracle;
    char name[200];
    assert_int_equal(ib_cpu_open_kernels(&ORACLE, 1, &oracle, NULL), IB_OK);
    static const enum op_kind KNOWN[] = {OP_CONV,        OP_LINEAR,    OP_BARE_CONV,
                                         OP_BARE_LINEAR, OP_LATE_CONV, OP_LATE_LINEAR};
    for (size_t k = 0; k < COUNT_OF(KNOWN); ++k)
        for (size_t i = 0; i < op_case_count(KNOWN[k]); ++i) {
            enum op_kind op = KNOWN[k];
            struct op_run want = {0}, got = {0};
            if (op_case_macs(op, i) > ORACLE_MACS)
                continue;
            describe(name, sizeof name, op, i, op_conv_case(op, i), op_linear_case(op, i));
            run_op(op, i, oracle, &want);
            run_op(op, i, reference, &got);
            check_meaningful(name, &got, &tally);
            differs(name, &subject, &want, &got, &tally.failures);
            run_close(&want);
            run_close(&got);
            ++tally.cases;
            ++tally.comparisons;
        }
    ib_backend_close(oracle);
    tally_close(&tally, "definition");
}

/* ---- random cases -------------------------------------------------------------------------------
 */

struct dice {
    ib_rng rng;
    uint64_t rolls;
};

static int roll(struct dice *dice, int from, int to) {
    return from + (int)ib_rng_below(&dice->rng, dice->rolls++, (uint32_t)(to - from + 1));
}

static struct conv_case random_conv(struct dice *dice) {
    static const int CI[] = {1, 1, 3, 16, 16, 20, 32, 48, 64, 80};
    static const int CO[] = {8, 10, 16, 16, 32, 32, 48, 64, 80, 96};
    static const int N[] = {1, 2, 3, 7, 8, 9, 17, 25, 33};
    for (;;) {
        int listed = roll(dice, 0, 2) == 0; /* a third on the list path */
        struct conv_case c = {.n = N[roll(dice, 0, 8)],
                              .h = roll(dice, 1, 24),
                              .w = roll(dice, 1, 24),
                              .ci = CI[roll(dice, 0, 9)],
                              .co = CO[roll(dice, 0, 9)],
                              .kh = roll(dice, 1, 7),
                              .kw = roll(dice, 1, 7),
                              .stride = roll(dice, 1, 3),
                              .pad = roll(dice, 0, 3),
                              .relu = roll(dice, 0, 1),
                              .pool = roll(dice, 0, 1),
                              .fill = (enum fill)roll(dice, 0, 3)};
        c.dropout = c.pool ? roll(dice, 0, 2) * 25 : 0;
        if (listed) {
            c.kh = c.kw = 3;
            c.pad = 0;
            c.stride = c.pool = c.relu = 1;
        }
        c.relu |= c.pool;
        if (c.pad >= c.kh || c.pad >= c.kw || c.kh > c.h + 2 * c.pad || c.kw > c.w + 2 * c.pad)
            continue;
        ib_conv conv = conv_of_case(&c, 0);
        if (c.pool && (ib_conv_out_h(&conv) < 2 || ib_conv_out_w(&conv) < 2))
            continue;
        if (conv_case_macs(&c) < 6e6)
            return c;
    }
}

static void random_cases(void **state) {
    (void)state;
    const char *wanted = getenv("ISOBIT_RANDOM_CASES"), *seed = getenv("ISOBIT_RANDOM_SEED");
    int count = wanted != NULL ? atoi(wanted) : 40;
    struct dice dice = {
        ib_rng_make(seed != NULL ? (uint64_t)atoi(seed) : 1, (enum ib_stream)0xED, 0, 0), 0};
    struct tally tally = {0};
    char name[200];
    for (int i = 0; i < count; ++i) {
        struct conv_case c = random_conv(&dice);
        struct linear_case l = {roll(&dice, 1, 70),     roll(&dice, 1, 700),
                                roll(&dice, 1, 150),    roll(&dice, 0, 1),
                                roll(&dice, 0, 2) * 25, (enum fill)roll(&dice, 0, 2)};
        l.relu |= l.dropout != 0;
        describe(name, sizeof name, OP_CONV, (size_t)i, &c, NULL);
        check_case(&tally, name, conv_case_macs(&c), run_conv_item, &c,
                   0xAB00000000u + (uint64_t)i);
        describe(name, sizeof name, OP_LINEAR, (size_t)i, NULL, &l);
        check_case(&tally, name, linear_case_macs(&l), run_linear_item, &l,
                   0xAC00000000u + (uint64_t)i);
    }
    tally_close(&tally, "random");
}

/* ---- what the comparison rests on --------------------------------------------------------------
 */

/* One flipped bit anywhere in the outputs, and one byte outside, must be seen. */
static void comparison_can_fail(void **state) {
    (void)state;
    struct op_run want = {0}, got = {0};
    struct subject subject = {"scalar", reference, IB_FP_KEEP, 0};
    run_op(OP_CONV, 2, reference, &want);
    for (int i = 0; i < want.output_count; ++i) {
        unsigned failures = MAX_MESSAGES; /* silent */
        run_op(OP_CONV, 2, reference, &got);
        assert_false(differs("same", &subject, &want, &got, &failures));
        const struct operand *result = run_result(&got, i);
        result->host[result->bytes - 1] ^= 1;
        assert_true(differs("planted", &subject, &want, &got, &failures));
        assert_int_equal(failures, MAX_MESSAGES + 1);
        run_close(&got);
    }
    run_close(&want);
    struct guarded g = guarded_take(100);
    assert_true(guarded_intact(&g));
    g.data[100] = 0;
    assert_false(guarded_intact(&g));
    guarded_free(&g);
}

static void one_denormal(void *context, size_t item, unsigned thread) {
    volatile float *x = context;
    (void)thread;
    if (item == 40)
        x[1] = x[0] * 0.5f;
}

/* Wherever it is computed, a denormal is seen: as a result, as an operand, on any thread. */
static void watching_sees_denormals(void **state) {
    (void)state;
    static const float FROM[] = {0x1p-126f, 0x1p-127f, 0x1p-125f};
    for (size_t t = 0; t < COUNT_OF(THREADS); ++t) {
        ib_pool *pool;
        assert_int_equal(ib_pool_open(THREADS[t], &pool, NULL), IB_OK);
        for (size_t i = 0; i < COUNT_OF(FROM); ++i) {
            float x[2] = {FROM[i], 0};
            ib_pool_set_fp_mode(pool, IB_FP_WATCH);
            ib_fp_state saved = ib_fp_enter_as(IB_FP_WATCH);
            ib_pool_run(pool, 80, one_denormal, x);
            ib_pool_note_denormals(pool);
            ib_fp_leave(saved);
            assert_int_equal(ib_pool_met_denormal(pool), FROM[i] < 0x1p-125f);
        }
        ib_pool_close(pool);
    }
}

/* A failed operation is a difference. */
static void failures_are_seen(void **state) {
    (void)state;
    unsigned failures = MAX_MESSAGES;
    struct subject subject = {"scalar", reference, IB_FP_KEEP, 0};
    struct op_run want = {0}, got = {0};
    struct max_pool_case large = {1, 16, 16, 16, 16, 1, 0, 0, PLAIN}; /* 256 taps: refused */
    run_op(OP_MAX_POOL, 0, reference, &want);
    run_max_pool(&large, 1, reference, &got);
    assert_int_not_equal(got.status, IB_OK);
    assert_true(differs("failed", &subject, &want, &got, &failures));
    run_close(&got);
    run_close(&want);
}

/* A weight that stops being finite is reported by every instruction set, wherever it lies, and of
 * several steps the first. */
static void bad_weights_are_reported(void **state) {
    (void)state;
    static const uint32_t BAD[] = {0x7F800000u, 0xFF800000u, 0x7FC00000u};
    unsigned checks = 0;
    for (size_t s = 0; s < subject_count; ++s)
        for (int count = 16; count <= 8208; count += 4096)
            for (size_t b = 0; b <= COUNT_OF(BAD); ++b)
                for (int at = 0; at < count; at += count / 16 - 1 + (count == 16)) {
                    struct op_run run = {0};
                    ib_update u = {.kind = IB_SGD, .count = count, .index = 5};
                    u.scalars.of[IB_SGD_LR] = 0.5f;
                    run_open(&run, subjects[s].backend);
                    float *dw = run_floats(&run, count);
                    run_seal_inputs(&run);
                    float *w = run_floats(&run, count);
                    uint32_t *bad = run_take(&run, sizeof *bad);
                    if (b < COUNT_OF(BAD))
                        memcpy(w + at, &BAD[b], 4);
                    *bad = IB_NEVER_BAD;
                    run_start(&run);
                    ib_update_operands p = {.dw = run_buffer(&run, dw),
                                            .w = run_buffer(&run, w),
                                            .bad = run_buffer(&run, bad)};
                    RUN_OP(&run, update_weights, &u, &p);
                    u.index = 9; /* comes later: changes nothing */
                    RUN_OP(&run, update_weights, &u, &p);
                    run_collect(&run);
                    assert_int_equal(run.status, IB_OK);
                    assert_true(run.intact);
                    assert_int_equal(*bad, b == COUNT_OF(BAD) ? IB_NEVER_BAD : 5);
                    run_close(&run);
                    ++checks;
                }
    print_message("%u bad weights\n", checks);
    assert_true(checks > 100);
}

#if defined(__x86_64__)
/* The caller's rounding mode and flush-to-zero neither change results nor are changed. */
static void caller_environment_is_kept(void **state) {
    (void)state;
    static const unsigned MODES[] = {0x1F80u, 0x1F80u | 0x8040u, 0x1F80u | 0x2000u,
                                     0x1F80u | 0x6000u | 0x8000u};
    static const struct linear_case CASE = {9, 33, 20, 0, 0, VANISH};
    unsigned checks = 0;
    const char *isa;
    int supported;
    for (size_t i = 0; (isa = ib_backend_isa_at(i, &supported)) != NULL; ++i) {
        struct op_run first = {0};
        if (!supported)
            continue;
        for (size_t mode = 0; mode < COUNT_OF(MODES); ++mode) {
            struct op_run run = {0};
            ib_backend *backend;
            ib_backend_options options = {"cpu", isa, 3};
            /* before the pool's threads start: they inherit it */
            __builtin_ia32_ldmxcsr(MODES[mode]);
            assert_int_equal(ib_backend_open(&options, &backend, NULL), IB_OK);
            run_linear(&CASE, 0, 0, 7, backend, &run);
            unsigned after = __builtin_ia32_stmxcsr() & ~0x3Fu;
            __builtin_ia32_ldmxcsr(0x1F80u);
            assert_int_equal(after, MODES[mode]);
            unsigned failures = 0;
            struct subject subject = {isa, backend, IB_FP_KEEP, 0};
            if (mode > 0) {
                assert_false(differs("environment", &subject, &first, &run, &failures));
                run_close(&run);
            } else {
                first = run;
                first.backend = reference; /* outlives this one */
            }
            ib_backend_close(backend);
            ++checks;
        }
        run_close(&first);
    }
    print_message("%u environments\n", checks);
    assert_true(checks >= COUNT_OF(MODES));
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comparison_can_fail),
        cmocka_unit_test(watching_sees_denormals),
        cmocka_unit_test(failures_are_seen),
        cmocka_unit_test(reference_follows_the_definition),
#define ROW(id, name, cases, call) cmocka_unit_test(table_##id),
        OP_TABLE(ROW)
#undef ROW
            cmocka_unit_test(random_cases),
        cmocka_unit_test(bad_weights_are_reported),
#if defined(__x86_64__)
        cmocka_unit_test(caller_environment_is_kept),
#endif
    };
    ib_fp_enter();
    return cmocka_run_group_tests_name("operations", tests, open_subjects, close_subjects);
}
