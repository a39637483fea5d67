/* Every operation case on every instruction set of this machine, with 1, 2, 3 and 7 threads,
 * against the scalar reference: all outputs bit for bit, nothing written outside a buffer or the
 * planned scratch. The reference itself by hardware and by software fma. Two of the thread counts
 * flush denormals, one of these watching for any, so that the same bits show that there are none.
 *
 * ISOBIT_RANDOM_CASES=N adds N random convolutions and N random linear layers (default 40). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fpenv.h"
#include "op_run.h"
#include "oracle.h"

static const unsigned THREADS[] = {1, 2, 3, 7};
/* How each of them treats denormals: the bits are the same, because there is none to treat. */
static const ib_fp_mode DENORMALS[] = {IB_FP_KEEP, IB_FP_WATCH, IB_FP_FLUSH, IB_FP_KEEP};

enum { MAX_MESSAGES = 40 };

/* The oracle takes smaller cases only. */
static const double ORACLE_MACS = 1.5e6;

/* The slow reference runs every case once; what repeats it stays below these. */
static const double SOFT_MACS = 6e7, REFERENCE_THREADS_MACS = 4e6;

struct tally {
    ib_pool *pools[COUNT_OF(THREADS)];
    unsigned cases, comparisons, failures;
    uint64_t elements, nonzero;
};

static const ib_cpu_kernels *reference(void) {
    const ib_cpu_kernels *const *t = ib_cpu_kernel_tables();
    for (; *t != NULL; ++t)
        if (strcmp((*t)->isa, "scalar") == 0 && ib_cpu_supports(*t))
            return *t;
    fail_msg("no scalar kernels");
    return NULL;
}

/* Tables of one name differ by how they compute fma. */
static const char *label(const ib_cpu_kernels *kernels) {
    const ib_cpu_kernels *const *t = ib_cpu_kernel_tables();
    for (; *t != NULL && *t != kernels; ++t)
        if (strcmp((*t)->isa, kernels->isa) == 0)
            return "scalar, software fma";
    return kernels->isa;
}

static void describe(char *text, size_t size, enum op_kind op, size_t index,
                     const struct conv_case *c, const struct linear_case *l) {
    if (op == OP_CONV || op == OP_BARE_CONV)
        snprintf(text, size,
                 "%s %zu (n=%d %dx%d ci=%d co=%d kernel=%dx%d stride=%d pad=%d relu=%d pool=%d "
                 "dropout=%d fill=%d)",
                 op_name(op), index, c->n, c->h, c->w, c->ci, c->co, c->kh, c->kw, c->stride,
                 c->pad, c->relu, c->pool, c->dropout, (int)c->fill);
    else if (op == OP_LINEAR)
        snprintf(text, size, "linear %zu (n=%d in=%d out=%d relu=%d dropout=%d fill=%d)", index,
                 l->n, l->in, l->out, l->relu, l->dropout, (int)l->fill);
    else
        snprintf(text, size, "%s %zu", op_name(op), index);
}

/* Names the first element that differs; 0 if none. */
static int differs(const char *name, const char *isa, unsigned threads, const struct op_run *want,
                   const struct op_run *got, unsigned *failures) {
    int found = 0;
    if (!got->intact) {
        found = 1;
        if (++*failures <= MAX_MESSAGES)
            print_error("%s: %s, %u threads: wrote outside a buffer\n", name, isa, threads);
    }
    for (int i = 0; i < want->output_count; ++i) {
        const struct guarded *a = want->outputs[i].buffer, *b = got->outputs[i].buffer;
        if (a->bytes == b->bytes && memcmp(a->data, b->data, a->bytes) == 0)
            continue;
        found = 1;
        if (++*failures > MAX_MESSAGES)
            continue;
        size_t at = 0, unequal = 0, step = want->outputs[i].is_float ? 4 : 1;
        for (size_t j = 0; j + step <= a->bytes; j += step)
            if (memcmp(a->data + j, b->data + j, step) != 0 && unequal++ == 0)
                at = j;
        if (step == 1) {
            print_error("%s: %s, %u threads: %s[%zu] is %u, wanted %u; %zu differ\n", name, isa,
                        threads, want->outputs[i].name, at, b->data[at], a->data[at], unequal);
            continue;
        }
        uint32_t x, y;
        float fx, fy;
        memcpy(&x, a->data + at, 4), memcpy(&y, b->data + at, 4);
        memcpy(&fx, a->data + at, 4), memcpy(&fy, b->data + at, 4);
        print_error("%s: %s, %u threads: %s[%zu] is %08X (%.9g), wanted %08X (%.9g); %zu of %zu "
                    "differ\n",
                    name, isa, threads, want->outputs[i].name, at / 4, y, (double)fy, x, (double)fx,
                    unequal, a->bytes / 4);
    }
    return found;
}

/* A case that yields nothing, or NaN where compilers may differ, would prove nothing. Nothing that
 * is stored is a denormal, or would lead to one. */
static void check_meaningful(const char *name, const struct op_run *run, struct tally *tally) {
    uint64_t nonzero = 0;
    for (int i = 0; i < run->output_count; ++i) {
        const struct guarded *g = run->outputs[i].buffer;
        if (!run->outputs[i].is_float)
            continue;
        for (size_t j = 0; j < g->bytes / 4; ++j) {
            uint32_t bits;
            memcpy(&bits, g->data + 4 * j, 4);
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

typedef void run_function(const void *item, uint64_t salt, const ib_cpu_kernels *kernels,
                          ib_pool *pool, struct op_run *run);

/* Runs in a treatment of denormals; 1 if it met one while it watched. */
static int run_as(ib_fp_mode mode, run_function *function, const void *item, uint64_t salt,
                  const ib_cpu_kernels *kernels, ib_pool *pool, struct op_run *run) {
    ib_pool_set_fp_mode(pool, mode);
    ib_fp_state saved = ib_fp_enter_as(mode);
    function(item, salt, kernels, pool, run);
    ib_pool_note_denormals(pool);
    ib_fp_leave(saved);
    return ib_pool_met_denormal(pool);
}

static void check_case(struct tally *tally, const char *name, double macs, run_function *function,
                       const void *item, uint64_t salt) {
    const ib_cpu_kernels *ref = reference();
    struct op_run want, got;
    function(item, salt, ref, tally->pools[0], &want);
    check_meaningful(name, &want, tally);
    if (!want.intact && ++tally->failures <= MAX_MESSAGES)
        print_error("%s: the reference wrote outside a buffer\n", name);
    for (const ib_cpu_kernels *const *t = ib_cpu_kernel_tables(); *t != NULL; ++t) {
        if (!ib_cpu_supports(*t))
            continue;
        int scalar = strcmp((*t)->isa, "scalar") == 0;
        for (size_t i = 0; i < COUNT_OF(THREADS); ++i) {
            if (*t == ref ? i == 0 || macs > REFERENCE_THREADS_MACS
                          : scalar && (i > 0 || macs > SOFT_MACS))
                continue;
            int met = run_as(DENORMALS[i], function, item, salt, *t, tally->pools[i], &got);
            ++tally->comparisons;
            int wrong = differs(name, label(*t), THREADS[i], &want, &got, &tally->failures);
            if (met && ++tally->failures <= MAX_MESSAGES)
                print_error("%s: %s, %u threads: met a denormal\n", name, label(*t), THREADS[i]);
            run_close(&got);
            if (wrong)
                break; /* the other thread counts would say the same */
        }
    }
    run_close(&want);
    ++tally->cases;
}

struct numbered {
    enum op_kind op;
    size_t index;
};

static void run_numbered(const void *item, uint64_t salt, const ib_cpu_kernels *kernels,
                         ib_pool *pool, struct op_run *run) {
    const struct numbered *n = item;
    (void)salt;
    run_op(n->op, n->index, kernels, pool, run);
}
static void run_conv_item(const void *item, uint64_t salt, const ib_cpu_kernels *kernels,
                          ib_pool *pool, struct op_run *run) {
    run_conv(item, 0, salt, kernels, pool, run);
}
static void run_linear_item(const void *item, uint64_t salt, const ib_cpu_kernels *kernels,
                            ib_pool *pool, struct op_run *run) {
    run_linear(item, salt, kernels, pool, run);
}

static void tally_open(struct tally *tally) {
    *tally = (struct tally){0};
    for (size_t i = 0; i < COUNT_OF(THREADS); ++i)
        assert_int_equal(ib_pool_open(THREADS[i], &tally->pools[i], NULL), IB_OK);
}

static void tally_close(struct tally *tally, const char *what) {
    for (size_t i = 0; i < COUNT_OF(THREADS); ++i)
        ib_pool_close(tally->pools[i]);
    print_message("%s: %u cases, %u comparisons, %llu reference elements (%llu not +0), %u "
                  "failures\n",
                  what, tally->cases, tally->comparisons, (unsigned long long)tally->elements,
                  (unsigned long long)tally->nonzero, tally->failures);
    assert_true(tally->cases > 0 && tally->comparisons >= tally->cases);
    assert_true(tally->nonzero > tally->elements / 50);
    assert_int_equal(tally->failures, 0);
}

static const struct conv_case *conv_case_at(enum op_kind op, size_t index) {
    return op == OP_BARE_CONV ? &BARE_CONV_CASES[index] : &CONV_CASES[index % COUNT_OF(CONV_CASES)];
}

static void check_table(enum op_kind op) {
    struct tally tally;
    char name[200];
    tally_open(&tally);
    for (size_t i = 0; i < op_case_count(op); ++i) {
        struct numbered item = {op, i};
        describe(name, sizeof name, op, i, conv_case_at(op, i),
                 &LINEAR_CASES[i % COUNT_OF(LINEAR_CASES)]);
        check_case(&tally, name, op_case_macs(op, i), run_numbered, &item, 0);
    }
    tally_close(&tally, op_name(op));
}

static void convolutions(void **state) {
    (void)state;
    check_table(OP_CONV);
}
static void bare_convolutions(void **state) {
    (void)state;
    check_table(OP_BARE_CONV);
}
static void linear_layers(void **state) {
    (void)state;
    check_table(OP_LINEAR);
}
static void normalisations(void **state) {
    (void)state;
    check_table(OP_NORM);
}
static void pools(void **state) {
    (void)state;
    check_table(OP_POOL);
}
static void softmaxes(void **state) {
    (void)state;
    check_table(OP_SOFTMAX);
}
static void updates(void **state) {
    (void)state;
    check_table(OP_UPDATE);
}
static void image_loads(void **state) {
    (void)state;
    check_table(OP_LOAD);
}

/* ---- the reference itself
 * ------------------------------------------------------------------------ */

/* Scratch for nothing: the oracle needs none. */
static void no_conv_scratch(const ib_conv *conv, size_t *per_thread, size_t *shared) {
    (void)conv;
    *per_thread = *shared = 0;
}
static void no_linear_scratch(const ib_linear *linear, size_t *per_thread, size_t *shared) {
    (void)linear;
    *per_thread = *shared = 0;
}
static void oracle_conv_forward_kernel(ib_cpu *cpu, const ib_conv *c, const ib_conv_pointers *p) {
    struct oracle_tensors t = {.x = p->x, .w = p->w, .b = p->b, .y = p->y, .argmax = p->argmax};
    (void)cpu;
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
static const float *kept_bias; /* the oracle does a linear layer at once, on the backward call */
static float *kept_output;
static void oracle_linear_forward_kernel(ib_cpu *cpu, const ib_linear *l,
                                         const ib_linear_pointers *p) {
    (void)cpu, (void)l;
    kept_bias = p->b;
    kept_output = p->y;
}
static void oracle_linear_backward_kernel(ib_cpu *cpu, const ib_linear *l,
                                          const ib_linear_pointers *p) {
    struct oracle_tensors t = {.x = p->x,
                               .w = p->w,
                               .b = kept_bias,
                               .y = kept_output,
                               .dy = p->dy,
                               .dx = p->dx,
                               .dw = p->dw,
                               .db = p->db};
    (void)cpu;
    oracle_linear(l, &t);
}

static const ib_cpu_kernels ORACLE = {.isa = "oracle",
                                      .conv_scratch = no_conv_scratch,
                                      .linear_scratch = no_linear_scratch,
                                      .conv_forward = oracle_conv_forward_kernel,
                                      .conv_backward = oracle_conv_backward_kernel,
                                      .linear_forward = oracle_linear_forward_kernel,
                                      .linear_backward = oracle_linear_backward_kernel};

/* The page NUMERICS.md, written down a second time, agrees with the reference. */
static void reference_follows_the_definition(void **state) {
    (void)state;
    struct tally tally;
    char name[200];
    tally_open(&tally);
    static const enum op_kind KNOWN[] = {OP_CONV, OP_LINEAR, OP_BARE_CONV};
    for (size_t k = 0; k < COUNT_OF(KNOWN); ++k)
        for (size_t i = 0; i < op_case_count(KNOWN[k]); ++i) {
            enum op_kind op = KNOWN[k];
            struct op_run want, got;
            if (op_case_macs(op, i) > ORACLE_MACS)
                continue;
            describe(name, sizeof name, op, i, conv_case_at(op, i),
                     &LINEAR_CASES[i % COUNT_OF(LINEAR_CASES)]);
            run_op(op, i, &ORACLE, tally.pools[0], &want);
            run_op(op, i, reference(), tally.pools[0], &got);
            check_meaningful(name, &got, &tally);
            differs(name, "the reference against the definition", 1, &want, &got, &tally.failures);
            run_close(&want);
            run_close(&got);
            ++tally.cases;
            ++tally.comparisons;
        }
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
    struct tally tally;
    char name[200];
    tally_open(&tally);
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

/* ---- what the comparison rests on
 * ---------------------------------------------------------------- */

/* One flipped bit anywhere in the outputs, and one byte outside, must be seen. */
static void comparison_can_fail(void **state) {
    (void)state;
    struct tally tally;
    tally_open(&tally);
    struct op_run want, got;
    run_op(OP_CONV, 2, reference(), tally.pools[0], &want);
    for (int i = 0; i < want.output_count; ++i) {
        unsigned failures = MAX_MESSAGES; /* silent */
        run_op(OP_CONV, 2, reference(), tally.pools[0], &got);
        assert_false(differs("same", "scalar", 1, &want, &got, &failures));
        got.outputs[i].buffer->data[got.outputs[i].buffer->bytes - 1] ^= 1;
        assert_true(differs("planted", "scalar", 1, &want, &got, &failures));
        assert_int_equal(failures, MAX_MESSAGES + 1);
        run_close(&got);
    }
    run_close(&want);
    struct guarded g = guarded_take(100);
    assert_true(guarded_intact(&g));
    g.data[100] = 0;
    assert_false(guarded_intact(&g));
    guarded_free(&g);
    for (size_t i = 0; i < COUNT_OF(THREADS); ++i)
        ib_pool_close(tally.pools[i]);
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

/* A weight that stops being finite is reported by every instruction set, wherever it lies. */
static void bad_weights_are_reported(void **state) {
    (void)state;
    static const uint32_t BAD[] = {0x7F800000u, 0xFF800000u, 0x7FC00000u};
    ib_update u = {.kind = IB_SGD, .lr = 0.5f};
    unsigned checks = 0;
    ib_pool *pool;
    assert_int_equal(ib_pool_open(3, &pool, NULL), IB_OK);
    for (const ib_cpu_kernels *const *t = ib_cpu_kernel_tables(); *t != NULL; ++t) {
        if (!ib_cpu_supports(*t))
            continue;
        for (int count = 16; count <= 8208; count += 4096)
            for (size_t b = 0; b <= COUNT_OF(BAD); ++b)
                for (int at = 0; at < count; at += count / 16 - 1 + (count == 16)) {
                    struct guarded w = take_floats(count), dw = take_floats(count);
                    struct machine m;
                    if (b < COUNT_OF(BAD))
                        memcpy(w.data + 4 * at, &BAD[b], 4);
                    int finite = 1;
                    machine_open(&m, *t, pool, 0, 0);
                    (*t)->update(&m.cpu, &u, count, floats_of(&w), floats_of(&dw), NULL, NULL,
                                 &finite);
                    assert_true(machine_close(&m));
                    assert_int_equal(finite, b == COUNT_OF(BAD));
                    ++checks;
                    guarded_free(&w);
                    guarded_free(&dw);
                }
    }
    ib_pool_close(pool);
    print_message("%u bad weights\n", checks);
    assert_true(checks > 100);
}

#if defined(__x86_64__)
/* The caller's rounding mode and flush-to-zero neither change results nor are changed. */
static void caller_environment_is_kept(void **state) {
    (void)state;
    enum { N = 9, IN = 33, OUT = 20, IN16 = 48, OUT16 = 32 };
    static const unsigned MODES[] = {0x1F80u, 0x1F80u | 0x8040u, 0x1F80u | 0x2000u,
                                     0x1F80u | 0x6000u | 0x8000u};
    unsigned checks = 0;
    int supported;
    for (size_t isa = 0; ib_backend_isa_at(isa, &supported) != NULL; ++isa) {
        float results[COUNT_OF(MODES)][N * OUT16];
        if (!supported)
            continue;
        for (size_t mode = 0; mode < COUNT_OF(MODES); ++mode) {
            ib_backend *backend;
            ib_buffer x, w, b, y;
            ib_linear l = {.n = N, .in = IN, .out = OUT, .mask_input = 1, .input_scale = 1};
            static float values[IN16 * OUT16];
            /* before the pool's threads start: they inherit it */
            __builtin_ia32_ldmxcsr(MODES[mode]);
            ib_backend_options options = {"cpu", ib_backend_isa_at(isa, &supported), 3};
            assert_int_equal(ib_backend_open(&options, &backend, NULL), IB_OK);
            const ib_backend_ops *ops = backend->ops;
            assert_int_equal(ops->buffer_create(backend, sizeof(float) * N * IN16, &x, NULL),
                             IB_OK);
            assert_int_equal(ops->buffer_create(backend, sizeof values, &w, NULL), IB_OK);
            assert_int_equal(ops->buffer_create(backend, sizeof(float) * OUT16, &b, NULL), IB_OK);
            assert_int_equal(ops->buffer_create(backend, sizeof(float) * N * OUT16, &y, NULL),
                             IB_OK);
            fill_floats(values, 1, N, N, IN, IN16, 1, WILD, 0);
            ops->upload(backend, &x, 0, values, sizeof(float) * N * IN16, NULL);
            memset(values, 0, sizeof values);
            fill_floats(values, 1, IN, IN16, OUT, OUT16, 2, VANISH, 0);
            ops->upload(backend, &w, 0, values, sizeof values, NULL);
            assert_int_equal(ib_plan_linear(backend, &l, NULL), IB_OK);
            assert_int_equal(ib_linear_forward(backend, &l, &x, &w, &b, &y, NULL), IB_OK);
            unsigned after = __builtin_ia32_stmxcsr() & ~0x3Fu;
            __builtin_ia32_ldmxcsr(0x1F80u);
            assert_int_equal(after, MODES[mode]);
            ops->download(backend, &y, 0, results[mode], sizeof results[mode], NULL);
            assert_memory_equal(results[0], results[mode], sizeof results[mode]);
            ops->buffer_destroy(backend, &x), ops->buffer_destroy(backend, &w);
            ops->buffer_destroy(backend, &b), ops->buffer_destroy(backend, &y);
            ib_backend_close(backend);
            ++checks;
        }
    }
    print_message("%u environments\n", checks);
    assert_true(checks >= COUNT_OF(MODES));
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comparison_can_fail),
        cmocka_unit_test(watching_sees_denormals),
        cmocka_unit_test(reference_follows_the_definition),
        cmocka_unit_test(convolutions),
        cmocka_unit_test(bare_convolutions),
        cmocka_unit_test(linear_layers),
        cmocka_unit_test(normalisations),
        cmocka_unit_test(pools),
        cmocka_unit_test(softmaxes),
        cmocka_unit_test(updates),
        cmocka_unit_test(image_loads),
        cmocka_unit_test(random_cases),
        cmocka_unit_test(bad_weights_are_reported),
#if defined(__x86_64__)
        cmocka_unit_test(caller_environment_is_kept),
#endif
    };
    ib_fp_enter();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
