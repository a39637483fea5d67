/* What operation cases run in: guarded buffers, inputs from numbers alone, a kernel table with
 * exactly the scratch it asks for. */
#ifndef TESTS_BACKEND_OP_MEMORY_H
#define TESTS_BACKEND_OP_MEMORY_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "backend/cpu/cpu.h"
#include "base/philox.h"
#include "base/settle.h"
#include "op_cases.h"

/* ---- guarded memory ----------------------------------------------------------------------------
 */

enum { GUARD = 64, PAGE = 4096 }; /* kernels may read, not write, one vector past the end */

/* [page that faults][canaries][bytes][canaries, at least GUARD][page that faults] */
struct guarded {
    uint8_t *map, *data;
    size_t map_bytes, bytes;
};

static inline struct guarded guarded_take(size_t bytes) {
    struct guarded g = {.bytes = bytes};
    size_t inner = (GUARD + bytes + GUARD + 63 + PAGE - 1) / PAGE * PAGE;
    g.map_bytes = inner + 2 * (size_t)PAGE;
    g.map = mmap(NULL, g.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g.map == MAP_FAILED || mprotect(g.map, PAGE, PROT_NONE) != 0 ||
        mprotect(g.map + PAGE + inner, PAGE, PROT_NONE) != 0) {
        perror("guarded memory");
        abort();
    }
    memset(g.map + PAGE, 0xFF, inner); /* as floats: NaN */
    g.data = g.map + PAGE + (inner - GUARD - bytes) / 64 * 64;
    memset(g.data, 0, bytes);
    return g;
}

/* 1 while nobody wrote outside. */
static inline int guarded_intact(const struct guarded *g) {
    const uint8_t *end = g->map + g->map_bytes - PAGE;
    for (const uint8_t *p = g->map + PAGE; p < end; ++p)
        if ((p < g->data || p >= g->data + g->bytes) && *p != 0xFF)
            return 0;
    return 1;
}

static inline void guarded_free(struct guarded *g) {
    if (g->map != NULL)
        munmap(g->map, g->map_bytes);
    *g = (struct guarded){0};
}

static inline float *floats_of(const struct guarded *g) {
    return (float *)(void *)g->data;
}

static inline struct guarded take_floats(int64_t count) {
    return guarded_take((size_t)count * sizeof(float));
}

/* ---- inputs ------------------------------------------------------------------------------------
 */

/* Nothing that settles: a third +0, exact powers of two among the others. */
static inline float random_settled(uint32_t kind, uint32_t sign, uint32_t mantissa) {
    uint32_t exponent = kind % 100 < 55 ? 87u : kind % 100 < 80 ? 106u : 120u;
    exponent += (kind >> 8) % 3;
    if ((kind >> 12) % 4 == 0)
        mantissa = (kind >> 14) % 2;
    uint32_t bits = kind % 100 < 33 ? 0 : sign | exponent << 23 | mantissa;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline float random_float(uint32_t kind, uint32_t word, enum fill fill, int positive) {
    uint32_t sign = positive ? 0 : word & 0x80000000u, mantissa = word & 0x7FFFFFu, bits;
    if (fill == BRINK)
        return random_settled(kind, sign, mantissa);
    if (kind % 100 < (fill == VANISH ? 15 : 36))
        return 0.0f;
    if (kind % 100 < 42) {
        bits = 0x80000000u;      /* -0 */
    } else if (fill == VANISH) { /* 2^-40 */
        bits = sign | 87u << 23 | mantissa;
    } else if (fill == PLAIN || fill == FLAT || kind % 100 < 85) { /* 2^-7 to 1 */
        bits = sign | (120u + (kind >> 8) % 7) << 23 | mantissa;
    } else if (kind % 100 < 89) { /* the least that is settled */
        bits = sign | 87u << 23 | (mantissa & 1);
    } else if (kind % 100 < 94) {
        bits = sign | (87u + (kind >> 8) % 30) << 23 | mantissa;
    } else {
        bits = sign | (127u + (kind >> 8) % 40) << 23 | mantissa;
    }
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Fills [outer][mid_stored][inner_stored]; padding in mid and inner stays +0. salt makes draws
 * differ. positive: as after a ReLU (-0 included). */
static inline void fill_floats(float *to, int64_t outer, int64_t mid, int64_t mid_stored,
                               int64_t inner, int64_t inner_stored, uint64_t salt, enum fill fill,
                               int positive) {
    ib_rng rng = ib_rng_make(salt, (enum ib_stream)0xEE, 0, 0);
    for (int64_t o = 0; o < outer; ++o)
        for (int64_t m = 0; m < mid; ++m)
            for (int64_t i = 0; i < inner; ++i) {
                int64_t at = (o * mid_stored + m) * inner_stored + i;
                uint32_t words[4];
                ib_philox_block(&rng, (uint64_t)at, words);
                to[at] = random_float(words[0] >> 3, words[1], fill, positive);
            }
}

/* Makes rectangles of 5 x 7 pixels of [n][h][w][ci] alike but for the signs of zeros. */
static inline void flatten_pixels(float *x, int64_t n, int64_t h, int64_t w, int64_t ci) {
    for (int64_t i = 0; i < n * h * w; ++i) {
        int64_t y = i / w % h, left = i % w;
        int64_t from = i - y % 5 * w - left % 7;
        for (int64_t c = 0; c < ci; ++c) {
            float value = x[from * ci + c];
            x[i * ci + c] = value == 0.0f && (i + c) % 3 == 0 ? -value : value;
        }
    }
}

/* Outputs start as NaN where an operation must write, and +0 in padding. */
static inline void fill_garbage(float *to, int64_t outer, int64_t mid, int64_t mid_stored,
                                int64_t inner, int64_t inner_stored) {
    for (int64_t o = 0; o < outer; ++o)
        for (int64_t m = 0; m < mid; ++m)
            memset(to + (o * mid_stored + m) * inner_stored, 0xFF, (size_t)inner * sizeof(float));
}

static inline ib_dropout make_dropout(int percent, uint64_t salt, uint64_t elements) {
    ib_dropout d = {.enabled = percent != 0, .scale = 1.0f};
    if (!d.enabled)
        return d;
    d.rng = ib_rng_make(salt, IB_STREAM_DROPOUT, 1, 0x123456789ABCu);
    if (percent == AT_WORD) {
        d.threshold = ib_rng_word(&d.rng, elements * 2 / 3);
        d.scale = 1.25f;
        return d;
    }
    double p = (double)percent / 100;
    d.threshold = (uint32_t)(p * 4294967296.0 + 0.5);
    d.scale = (float)(1.0 / (1.0 - p));
    return d;
}

/* ---- results -----------------------------------------------------------------------------------
 */

enum { MAX_OUTPUTS = 6, MAX_BUFFERS = 16 };

/* One run's buffers; the outputs among them by name. */
struct op_run {
    struct guarded buffers[MAX_BUFFERS];
    int buffer_count;
    struct {
        const char *name;
        const struct guarded *buffer;
        int is_float;
        int settles; /* no element is between 0 and 2^-this; 0: not checked */
    } outputs[MAX_OUTPUTS];
    int output_count;
    int intact; /* no write outside a buffer or the planned scratch, no change of an input */
};

static inline struct guarded *run_take(struct op_run *run, size_t bytes) {
    if (run->buffer_count == MAX_BUFFERS)
        abort();
    run->buffers[run->buffer_count] = guarded_take(bytes);
    return &run->buffers[run->buffer_count++];
}
static inline float *run_floats(struct op_run *run, int64_t count) {
    return floats_of(run_take(run, (size_t)count * sizeof(float)));
}

static inline void run_output(struct op_run *run, const char *name, const void *data,
                              int is_float) {
    for (int i = 0; i < run->buffer_count; ++i)
        if (run->buffers[i].data == data) {
            run->outputs[run->output_count].name = name;
            run->outputs[run->output_count].is_float = is_float;
            run->outputs[run->output_count].settles = is_float ? IB_SETTLE : 0;
            run->outputs[run->output_count++].buffer = &run->buffers[i];
            return;
        }
    abort();
}

/* The last output settles at another exponent; 0: it is not stored by a step, so not at all. */
static inline void run_settles(struct op_run *run, int exponent) {
    run->outputs[run->output_count - 1].settles = exponent;
}

/* Inputs become read-only: a kernel that writes to one faults. */
static inline void run_seal_inputs(struct op_run *run) {
    for (int i = 0; i < run->buffer_count; ++i)
        mprotect(run->buffers[i].map, run->buffers[i].map_bytes - PAGE, PROT_READ);
}

static inline void run_close(struct op_run *run) {
    for (int i = 0; i < run->buffer_count; ++i)
        guarded_free(&run->buffers[i]);
    *run = (struct op_run){0};
}

/* ---- machines: a kernel table with a pool and exactly the scratch it asks for -------------------
 */

struct machine {
    ib_cpu cpu;
    struct guarded scratch[16], shared;
    float *pieces[16];
    unsigned threads;
};

static inline void machine_open(struct machine *m, const ib_cpu_kernels *kernels, ib_pool *pool,
                                size_t per_thread, size_t shared) {
    *m = (struct machine){.cpu = {.kernels = kernels, .pool = pool}};
    m->threads = ib_pool_size(pool);
    if (m->threads > COUNT_OF(m->pieces))
        abort();
    for (unsigned t = 0; t < m->threads; ++t) {
        m->scratch[t] = take_floats((int64_t)per_thread);
        memset(m->scratch[t].data, 0xFF, m->scratch[t].bytes);
        m->pieces[t] = floats_of(&m->scratch[t]);
    }
    m->shared = take_floats((int64_t)shared);
    memset(m->shared.data, 0xFF, m->shared.bytes);
    m->cpu.thread_scratch = m->pieces;
    m->cpu.thread_scratch_floats = per_thread;
    m->cpu.shared_scratch = floats_of(&m->shared);
    m->cpu.shared_scratch_floats = shared;
}

/* Frees the scratch; 0 if anything was written outside it. */
static inline int machine_close(struct machine *m) {
    int intact = guarded_intact(&m->shared);
    for (unsigned t = 0; t < m->threads; ++t) {
        intact &= guarded_intact(&m->scratch[t]);
        guarded_free(&m->scratch[t]);
    }
    guarded_free(&m->shared);
    return intact;
}

static inline void run_check_buffers(struct op_run *run, int scratch_intact) {
    run->intact = scratch_intact;
    for (int i = 0; i < run->buffer_count; ++i)
        run->intact &= guarded_intact(&run->buffers[i]);
}

#endif
