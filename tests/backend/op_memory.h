/* What an operation case runs in: operands of one backend between guards, filled and read on the
 * host. On the CPU, where a buffer's handle is an address, they lie between pages that fault, and
 * each operation gets exactly the scratch that it planned; elsewhere buffers have margins. */
#ifndef TESTS_BACKEND_OP_MEMORY_H
#define TESTS_BACKEND_OP_MEMORY_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "backend/cpu/cpu.h"
#include "base/arena.h"
#include "op_fill.h"

/* The CPU backend, or NULL where the backend is another. */
static inline ib_cpu *op_cpu(ib_backend *backend) {
    return strcmp(backend->info.name, "cpu") == 0 ? (ib_cpu *)(void *)backend : NULL;
}

static inline void *op_memory(size_t bytes) {
    void *memory = calloc(1, bytes + 1);
    if (memory == NULL) {
        perror("memory of an operation case");
        abort();
    }
    return memory;
}

/* ---- guarded memory ----------------------------------------------------------------------------
 */

enum { GUARD = 64, PAGE = 4096 }; /* kernels may read, not write, one vector past the end */
enum { MARGIN = 192 };            /* of a buffer that is no host memory: 64-byte aligned, no more */

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

/* ---- runs --------------------------------------------------------------------------------------
 */

enum { MAX_OUTPUTS = 8, MAX_OPERANDS = 32 };

struct operand {
    uint8_t *host; /* what goes in; after run_collect what came out */
    size_t bytes;
    int input;            /* no operation may write to it */
    ib_buffer buffer;     /* what operations get: a part, somewhere inside */
    ib_buffer whole;      /* that part's buffer with its margins; elsewhere than on the CPU */
    struct guarded guard; /* on the CPU */
};

struct output {
    const char *name;
    int operand;
    int is_float;
    int settles; /* no element is between 0 and 2^-this; 0: not checked */
};

/* One case on one backend. Zero-initialised, but for the nudge. */
struct op_run {
    ib_backend *backend;
    struct operand operands[MAX_OPERANDS];
    int operand_count;
    struct output outputs[MAX_OUTPUTS];
    int output_count;
    ib_status status;
    ib_error err;
    int intact; /* no write outside a buffer or the planned scratch, no change of an input */
    struct {
        int operand; /* of an input, from 1; 0: none */
        size_t element;
        float by;
    } nudge;
};

static inline void run_open(struct op_run *run, ib_backend *backend) {
    run->backend = backend;
    run->intact = 1;
}

/* Zeros on the host. Inputs come first, until run_seal_inputs. */
static inline void *run_take(struct op_run *run, size_t bytes) {
    if (run->operand_count == MAX_OPERANDS)
        abort();
    struct operand *operand = &run->operands[run->operand_count++];
    *operand = (struct operand){.host = op_memory(bytes), .bytes = bytes};
    return operand->host;
}
static inline float *run_floats(struct op_run *run, int64_t count) {
    return run_take(run, (size_t)count * sizeof(float));
}

static inline int run_operand_at(const struct op_run *run, const void *host) {
    for (int i = 0; i < run->operand_count; ++i) {
        const struct operand *o = &run->operands[i];
        if ((const uint8_t *)host >= o->host && (const uint8_t *)host < o->host + o->bytes)
            return i;
    }
    abort();
}

/* The operand that was filled here, from here on; {NULL} for NULL. */
static inline ib_buffer run_buffer(const struct op_run *run, const void *host) {
    if (host == NULL)
        return (ib_buffer){0};
    const struct operand *o = &run->operands[run_operand_at(run, host)];
    size_t offset = (size_t)((const uint8_t *)host - o->host);
    return ib_buffer_part(&o->buffer, offset, o->bytes - offset);
}

static inline void run_output(struct op_run *run, const char *name, const void *host,
                              int is_float) {
    if (run->output_count == MAX_OUTPUTS)
        abort();
    run->outputs[run->output_count++] =
        (struct output){name, run_operand_at(run, host), is_float, is_float ? IB_SETTLE : 0};
}

/* The last output settles at another exponent; 0: it is not stored by a step, so not at all. */
static inline void run_settles(struct op_run *run, int exponent) {
    run->outputs[run->output_count - 1].settles = exponent;
}

static inline const struct operand *run_result(const struct op_run *run, int output) {
    return &run->operands[run->outputs[output].operand];
}

/* What was taken so far is read only. */
static inline void run_seal_inputs(struct op_run *run) {
    for (int i = 0; i < run->operand_count; ++i)
        run->operands[i].input = 1;
    if (run->nudge.operand > 0 && run->nudge.operand <= run->operand_count)
        ((float *)(void *)run->operands[run->nudge.operand - 1].host)[run->nudge.element] +=
            run->nudge.by;
}

static inline void place_operand(struct op_run *run, struct operand *o) {
    const ib_backend_ops *ops = run->backend->ops;
    if (op_cpu(run->backend) != NULL) {
        o->guard = guarded_take(o->bytes);
        o->buffer = (ib_buffer){o->guard.map, (size_t)(o->guard.data - o->guard.map), o->bytes};
    } else {
        size_t bytes = MARGIN + o->bytes + MARGIN;
        run->status = ops->buffer_create(run->backend, bytes, &o->whole, &run->err);
        if (run->status != IB_OK)
            return;
        uint8_t *canaries = op_memory(bytes);
        memset(canaries, 0xFF, bytes);
        run->status = ops->upload(run->backend, &o->whole, canaries, bytes, &run->err);
        free(canaries);
        o->buffer = ib_buffer_part(&o->whole, MARGIN, o->bytes);
    }
    if (run->status == IB_OK)
        run->status = ops->upload(run->backend, &o->buffer, o->host, o->bytes, &run->err);
    if (o->guard.map != NULL && o->input) /* a kernel that writes to it faults */
        mprotect(o->guard.map, o->guard.map_bytes - PAGE, PROT_READ);
}

/* All operands onto the backend. */
static inline void run_start(struct op_run *run) {
    for (int i = 0; i < run->operand_count && run->status == IB_OK; ++i)
        place_operand(run, &run->operands[i]);
}

/* Nothing but the operand's own bytes may have changed, of an input not even these. */
static inline void collect_device_operand(struct op_run *run, struct operand *o) {
    uint8_t *all = op_memory(o->whole.bytes);
    run->status =
        run->backend->ops->download(run->backend, &o->whole, all, o->whole.bytes, &run->err);
    for (size_t i = 0; run->status == IB_OK && i < o->whole.bytes; ++i)
        if (i < MARGIN || i >= MARGIN + o->bytes)
            run->intact &= all[i] == 0xFF;
    if (o->input)
        run->intact &= memcmp(all + MARGIN, o->host, o->bytes) == 0;
    memcpy(o->host, all + MARGIN, o->bytes);
    free(all);
}

/* All outputs back to the host. */
static inline void run_collect(struct op_run *run) {
    for (int i = 0; i < run->operand_count && run->status == IB_OK; ++i) {
        struct operand *o = &run->operands[i];
        if (o->guard.map == NULL) {
            collect_device_operand(run, o);
            continue;
        }
        run->intact &= guarded_intact(&o->guard);
        run->status =
            run->backend->ops->download(run->backend, &o->buffer, o->host, o->bytes, &run->err);
    }
}

static inline void run_close(struct op_run *run) {
    for (int i = 0; i < run->operand_count; ++i) {
        struct operand *o = &run->operands[i];
        free(o->host);
        guarded_free(&o->guard);
        run->backend->ops->buffer_destroy(run->backend, &o->whole);
    }
    ib_error_clear(&run->err);
    *run = (struct op_run){0};
}

/* ---- scratch of the CPU backend ----------------------------------------------------------------
 */

enum { MAX_THREADS = 16 };

struct scratch {
    ib_cpu *cpu; /* NULL: another backend */
    struct guarded pieces[MAX_THREADS], shared;
    float *own[MAX_THREADS], *own_block, *own_shared;
    size_t own_piece_floats, own_block_floats, own_shared_floats;
};

/* Before an operation is planned: none, so that what is planned is what it asks for. */
static inline void scratch_begin(struct scratch *s, ib_backend *backend) {
    *s = (struct scratch){.cpu = op_cpu(backend)};
    ib_cpu *cpu = s->cpu;
    if (cpu == NULL)
        return;
    if (backend->info.threads > MAX_THREADS)
        abort();
    memcpy(s->own, cpu->thread_scratch, backend->info.threads * sizeof *s->own);
    s->own_block = cpu->thread_block, s->own_block_floats = cpu->thread_block_floats;
    s->own_piece_floats = cpu->thread_scratch_floats;
    s->own_shared = cpu->shared_scratch, s->own_shared_floats = cpu->shared_scratch_floats;
    cpu->thread_block = cpu->shared_scratch = NULL;
    cpu->thread_block_floats = cpu->thread_scratch_floats = cpu->shared_scratch_floats = 0;
}

static inline void scratch_unmap(float *memory, size_t floats) {
    if (memory != NULL)
        munmap(memory, ib_arena_rounded(floats * sizeof(float)));
}

static inline float *scratch_guarded(struct guarded *g, size_t floats) {
    *g = guarded_take(floats * sizeof(float));
    return (float *)(void *)g->data;
}

/* After it: so much, between guards. The backend adds 64 floats to what is shared. */
static inline void scratch_guard(struct scratch *s) {
    ib_cpu *cpu = s->cpu;
    if (cpu == NULL)
        return;
    size_t shared = cpu->shared_scratch_floats < 64 ? 0 : cpu->shared_scratch_floats - 64;
    scratch_unmap(cpu->thread_block, cpu->thread_block_floats);
    scratch_unmap(cpu->shared_scratch, cpu->shared_scratch_floats);
    cpu->thread_block = NULL;
    cpu->thread_block_floats = 0;
    for (unsigned t = 0; t < cpu->base.info.threads; ++t)
        cpu->thread_scratch[t] = scratch_guarded(&s->pieces[t], cpu->thread_scratch_floats);
    cpu->shared_scratch = scratch_guarded(&s->shared, shared);
}

/* Gives the backend's own back; 0 if anything was written outside what was planned. */
static inline int scratch_end(struct scratch *s) {
    ib_cpu *cpu = s->cpu;
    if (cpu == NULL)
        return 1;
    int intact = guarded_intact(&s->shared);
    for (unsigned t = 0; t < cpu->base.info.threads; ++t) {
        intact &= guarded_intact(&s->pieces[t]);
        guarded_free(&s->pieces[t]);
    }
    guarded_free(&s->shared);
    memcpy(cpu->thread_scratch, s->own, cpu->base.info.threads * sizeof *s->own);
    cpu->thread_block = s->own_block, cpu->thread_block_floats = s->own_block_floats;
    cpu->thread_scratch_floats = s->own_piece_floats;
    cpu->shared_scratch = s->own_shared, cpu->shared_scratch_floats = s->own_shared_floats;
    return intact;
}

/* Plans and runs one operation by the checked calls, unless one before failed. */
#define RUN_OP(run, operation, shape, operands_)                                                   \
    do {                                                                                           \
        struct scratch scratch_;                                                                   \
        if ((run)->status != IB_OK)                                                                \
            break;                                                                                 \
        scratch_begin(&scratch_, (run)->backend);                                                  \
        (run)->status = ib_plan_##operation((run)->backend, shape, &(run)->err);                   \
        scratch_guard(&scratch_);                                                                  \
        if ((run)->status == IB_OK)                                                                \
            (run)->status = ib_##operation((run)->backend, shape, operands_, &(run)->err);         \
        (run)->intact &= scratch_end(&scratch_);                                                   \
    } while (0)

#endif
