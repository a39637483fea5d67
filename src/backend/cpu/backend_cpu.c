#include "backend_cpu.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "backend/backends.h"
#include "base/arena.h"
#include "base/fpenv.h"
#include "cpu.h"

static ib_cpu *cpu_of(ib_backend *self) {
    return (ib_cpu *)(void *)self;
}

static void *address(const ib_buffer *buffer) {
    return buffer->handle == NULL ? NULL : (char *)buffer->handle + buffer->offset;
}

/* A buffer is an arena of its own: page-aligned, zeroed, with huge pages where it is large. */
static ib_status buffer_create(ib_backend *self, size_t bytes, ib_buffer *buffer, ib_error *err) {
    (void)self;
    ib_arena arena;
    *buffer = (ib_buffer){0};
    IB_TRY(ib_arena_open(bytes + 64, &arena, err)); /* kernels may read one vector past the end */
    *buffer = (ib_buffer){arena.base, 0, bytes};
    return IB_OK;
}

static void buffer_destroy(ib_backend *self, ib_buffer *buffer) {
    (void)self;
    if (buffer->handle != NULL) {
        ib_arena arena = {buffer->handle, ib_arena_rounded(buffer->bytes + 64), 0};
        ib_arena_close(&arena);
    }
    *buffer = (ib_buffer){0};
}

static ib_status upload(ib_backend *self, const ib_buffer *to, const void *from, size_t bytes,
                        ib_error *err) {
    (void)self, (void)err;
    memcpy(address(to), from, bytes);
    return IB_OK;
}

static ib_status download(ib_backend *self, const ib_buffer *from, void *to, size_t bytes,
                          ib_error *err) {
    (void)self, (void)err;
    memcpy(to, address(from), bytes);
    return IB_OK;
}

static ib_status attach_data(ib_backend *self, const ib_data_view *data, ib_error *err) {
    (void)err;
    cpu_of(self)->data = *data;
    return IB_OK;
}

/* ---- steps: nothing is recorded, every step is done as it is asked for ------------------------
 */

static ib_status step_table(ib_backend *self, const ib_step_scalars *steps, size_t count,
                            ib_error *err) {
    (void)self, (void)steps, (void)count, (void)err;
    return IB_OK;
}

static ib_status step_begin(ib_backend *self, const ib_step_key *key, size_t index, int *replayed,
                            ib_error *err) {
    (void)self, (void)key, (void)index, (void)err;
    *replayed = 0;
    return IB_OK;
}

static ib_status step_end(ib_backend *self, ib_error *err) {
    (void)self, (void)err;
    return IB_OK;
}

/* ---- scratch ----------------------------------------------------------------------------------
 */

static ib_status grow(float **memory, size_t *floats_now, size_t wanted, ib_error *err) {
    if (wanted <= *floats_now)
        return IB_OK;
    ib_arena arena;
    IB_TRY(ib_arena_open(wanted * sizeof(float), &arena, err));
    if (*memory != NULL)
        munmap(*memory, ib_arena_rounded(*floats_now * sizeof(float)));
    *memory = (float *)(void *)arena.base;
    *floats_now = wanted;
    return IB_OK;
}

static ib_status reserve(ib_cpu *cpu, size_t per_thread, size_t shared, ib_error *err) {
    IB_TRY(grow(&cpu->shared_scratch, &cpu->shared_scratch_floats, shared + 64, err));
    if (per_thread <= cpu->thread_scratch_floats)
        return IB_OK;
    unsigned threads = ib_pool_size(cpu->pool);
    /* An odd number of lines apart, so that the threads' pieces fall on different cache sets. */
    size_t each = (per_thread + 15) / 16 * 16 + 16 * 17;
    IB_TRY(grow(&cpu->thread_block, &cpu->thread_block_floats, each * threads, err));
    for (unsigned t = 0; t < threads; ++t)
        cpu->thread_scratch[t] = cpu->thread_block + t * each;
    cpu->thread_scratch_floats = per_thread;
    return IB_OK;
}

/* ---- operations -------------------------------------------------------------------------------
 */

/* Zero terms may be skipped while operands are finite (NUMERICS.md, section 1). */
static ib_status check_operands(ib_backend *self, ib_error *err) {
    ib_cpu *cpu = cpu_of(self);
    int unbounded = cpu->unbounded_operand;
    cpu->unbounded_operand = 0;
    if (unbounded)
        return ib_fail(err, IB_ERROR_DIVERGED, "the input of %s",
                       self->label != NULL ? self->label : "a layer");
    return IB_OK;
}

/* The first of the list that fits; lists end with one that takes any shape. */
#define CHOOSE(kernel, shape)                                                                      \
    while ((kernel)->fits != NULL && !(kernel)->fits(shape))                                       \
    ++(kernel)

#define ADDRESS(type, name) at.name = address(&operands->name);
#define IB_OPERATION(operation, kind, direction)                                                   \
    static ib_status plan_##operation(ib_backend *self, const ib_##kind *shape, ib_error *err) {   \
        const ib_cpu_##kind##_kernel *kernel = cpu_of(self)->kernels->operation;                   \
        size_t per_thread = 0, shared = 0;                                                         \
        CHOOSE(kernel, shape);                                                                     \
        if (kernel->scratch != NULL)                                                               \
            kernel->scratch(shape, &per_thread, &shared);                                          \
        return reserve(cpu_of(self), per_thread, shared, err);                                     \
    }                                                                                              \
    static ib_status operation(ib_backend *self, const ib_##kind *shape,                           \
                               const ib_##kind##_operands *operands, ib_error *err) {              \
        const ib_cpu_##kind##_kernel *kernel = cpu_of(self)->kernels->operation;                   \
        ib_##kind##_pointers at;                                                                   \
        IB_OPERANDS_##kind(ADDRESS, ADDRESS) CHOOSE(kernel, shape);                                \
        ib_fp_state saved = ib_fp_enter_as(ib_pool_fp_mode(cpu_of(self)->pool));                   \
        kernel->run(cpu_of(self), shape, &at);                                                     \
        ib_pool_note_denormals(cpu_of(self)->pool);                                                \
        ib_fp_leave(saved);                                                                        \
        return check_operands(self, err);                                                          \
    }
#include "backend/operations.inc"
#undef IB_OPERATION

/* ---- the host ---------------------------------------------------------------------------------
 */

static ib_cpu *cpu_of_host(ib_host *host) {
    return (ib_cpu *)(void *)((char *)host - offsetof(ib_cpu, host));
}

static double fma_rate(ib_host *self, int64_t iterations) {
    return cpu_of_host(self)->kernels->fma_probe(iterations);
}

static void run_on_threads(ib_host *self, size_t items, ib_work *work, void *context) {
    ib_pool_run(cpu_of_host(self)->pool, items, work, context);
}

static void close_cpu(ib_backend *self) {
    ib_cpu *cpu = cpu_of(self);
    ib_pool_close(cpu->pool);
    if (cpu->shared_scratch != NULL)
        munmap(cpu->shared_scratch, ib_arena_rounded(cpu->shared_scratch_floats * sizeof(float)));
    if (cpu->thread_block != NULL)
        munmap(cpu->thread_block, ib_arena_rounded(cpu->thread_block_floats * sizeof(float)));
    free(cpu->thread_scratch);
    free(cpu);
}

static const ib_backend_ops CPU_OPS = {
    .buffer_create = buffer_create,
    .buffer_destroy = buffer_destroy,
    .upload = upload,
    .download = download,
    .attach_data = attach_data,
    .step_table = step_table,
    .step_begin = step_begin,
    .step_end = step_end,
#define IB_OPERATION(operation, kind, direction)                                                   \
    .plan_##operation = plan_##operation, .operation = operation,
#include "backend/operations.inc"
#undef IB_OPERATION
    .close = close_cpu,
};

/* ---- opening ----------------------------------------------------------------------------------
 */

static ib_status choose(const char *isa, const ib_cpu_kernels **kernels, ib_error *err) {
    int known = 0;
    for (const ib_cpu_kernels *const *t = ib_cpu_kernel_tables(); *t != NULL; ++t) {
        if (strcmp(isa, "auto") != 0 && strcmp(isa, (*t)->isa) != 0)
            continue;
        known = 1;
        if (ib_cpu_supports(*t)) {
            *kernels = *t;
            return IB_OK;
        }
    }
    return ib_fail(err, IB_ERROR_UNAVAILABLE,
                   known ? "this CPU or operating system lacks the instruction set %s"
                         : "this build has no kernels for the instruction set %s",
                   isa);
}

static ib_status open_cpu(const ib_cpu_kernels *kernels, unsigned threads, int unpinned,
                          ib_backend **backend, ib_error *err) {
    *backend = NULL;
    if (threads == 0)
        threads = ib_usable_cpus();
    ib_cpu *cpu = calloc(1, sizeof *cpu);
    if (cpu == NULL)
        return ib_fail_memory(err);
    cpu->kernels = kernels;
    cpu->host = (ib_host){threads, kernels->svm, run_on_threads, fma_rate};
    cpu->base = (ib_backend){
        .ops = &CPU_OPS, .info = {"cpu", kernels->isa, threads, 1}, .host = &cpu->host};
    cpu->thread_scratch = calloc(threads, sizeof *cpu->thread_scratch);
    ib_status status = IB_OK;
    if (cpu->thread_scratch == NULL)
        status = ib_fail_memory(err);
    else
        status = unpinned ? ib_pool_open_unpinned(threads, &cpu->pool, err)
                          : ib_pool_open(threads, &cpu->pool, err);
    if (status != IB_OK) {
        close_cpu(&cpu->base);
        return status;
    }
    *backend = &cpu->base;
    return IB_OK;
}

/* isa "auto" takes the best this machine runs. */
ib_status ib_cpu_backend_open(const ib_backend_options *options, ib_backend **backend,
                              ib_error *err) {
    const ib_cpu_kernels *kernels = NULL;
    *backend = NULL;
    IB_TRY(choose(options->isa, &kernels, err));
    return open_cpu(kernels, options->threads, options->unpinned, backend, err);
}

ib_status ib_cpu_open_kernels(const ib_cpu_kernels *kernels, unsigned threads, ib_backend **backend,
                              ib_error *err) {
    return open_cpu(kernels, threads, 0, backend, err);
}
