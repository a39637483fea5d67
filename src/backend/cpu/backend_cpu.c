#include "backend_cpu.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/arena.h"
#include "base/fpenv.h"
#include "cpu.h"

static ib_cpu *cpu_of(ib_backend *self) {
    return (ib_cpu *)(void *)self;
}

static float *floats(const ib_buffer *buffer) {
    return buffer == NULL ? NULL : buffer->handle;
}

/* A buffer is an arena of its own: page-aligned, zeroed, with huge pages where it is large. */
static ib_status buffer_create(ib_backend *self, size_t bytes, ib_buffer *buffer, ib_error *err) {
    (void)self;
    ib_arena arena;
    *buffer = (ib_buffer){0};
    IB_TRY(ib_arena_open(bytes + 64, &arena, err)); /* kernels may read one vector past the end */
    *buffer = (ib_buffer){arena.base, bytes};
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

static ib_buffer buffer_slice(ib_backend *self, const ib_buffer *whole, size_t offset,
                              size_t bytes) {
    (void)self;
    return (ib_buffer){(char *)whole->handle + offset, bytes};
}

static ib_status upload(ib_backend *self, ib_buffer *to, size_t offset, const void *from,
                        size_t bytes, ib_error *err) {
    (void)self, (void)err;
    memcpy((char *)to->handle + offset, from, bytes);
    return IB_OK;
}

static ib_status download(ib_backend *self, const ib_buffer *from, size_t offset, void *to,
                          size_t bytes, ib_error *err) {
    (void)self, (void)err;
    memcpy(to, (const char *)from->handle + offset, bytes);
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

static ib_status plan_conv(ib_backend *self, const ib_conv *conv, ib_error *err) {
    size_t per_thread, shared;
    cpu_of(self)->kernels->conv_scratch(conv, &per_thread, &shared);
    return reserve(cpu_of(self), per_thread, shared, err);
}

static ib_status plan_linear(ib_backend *self, const ib_linear *linear, ib_error *err) {
    size_t per_thread, shared;
    cpu_of(self)->kernels->linear_scratch(linear, &per_thread, &shared);
    return reserve(cpu_of(self), per_thread, shared, err);
}

/* ---- operations -------------------------------------------------------------------------------
 */

/* The floating-point environment of an operation on the caller's thread: that of the pool. */
static ib_fp_state enter(ib_backend *self) {
    return ib_fp_enter_as(ib_pool_fp_mode(cpu_of(self)->pool));
}

static void leave(ib_backend *self, ib_fp_state saved) {
    ib_pool_note_denormals(cpu_of(self)->pool);
    ib_fp_leave(saved);
}

static ib_status load_images(ib_backend *self, int64_t n, int64_t pixels, int64_t stride,
                             const uint8_t *const *images, const float *table, ib_buffer *x,
                             ib_error *err) {
    (void)err;
    ib_fp_state saved = enter(self);
    cpu_of(self)->kernels->load_images(cpu_of(self), n, pixels, stride, images, table, floats(x));
    leave(self, saved);
    return IB_OK;
}

static ib_status conv_forward(ib_backend *self, const ib_conv *conv, const ib_buffer *x,
                              const ib_buffer *w, const ib_buffer *b, ib_buffer *y,
                              ib_buffer *argmax, ib_error *err) {
    (void)err;
    ib_conv_pointers p = {.x = floats(x), .w = floats(w), .b = floats(b), .y = floats(y)};
    p.argmax = argmax == NULL ? NULL : argmax->handle;
    ib_fp_state saved = enter(self);
    cpu_of(self)->kernels->conv_forward(cpu_of(self), conv, &p);
    leave(self, saved);
    return IB_OK;
}

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

static ib_status conv_backward(ib_backend *self, const ib_conv *conv, const ib_buffer *x,
                               const ib_buffer *w, const ib_buffer *dy, const ib_buffer *argmax,
                               ib_buffer *dx, ib_buffer *dw, ib_buffer *db, ib_error *err) {
    ib_conv_pointers p = {.x = floats(x),
                          .w = floats(w),
                          .dy = floats(dy),
                          .dx = floats(dx),
                          .dw = floats(dw),
                          .db = floats(db)};
    p.argmax = argmax == NULL ? NULL : argmax->handle;
    ib_fp_state saved = enter(self);
    cpu_of(self)->kernels->conv_backward(cpu_of(self), conv, &p);
    leave(self, saved);
    return check_operands(self, err);
}

static ib_status linear_forward(ib_backend *self, const ib_linear *linear, const ib_buffer *x,
                                const ib_buffer *w, const ib_buffer *b, ib_buffer *y,
                                ib_error *err) {
    (void)err;
    ib_linear_pointers p = {.x = floats(x), .w = floats(w), .b = floats(b), .y = floats(y)};
    ib_fp_state saved = enter(self);
    cpu_of(self)->kernels->linear_forward(cpu_of(self), linear, &p);
    leave(self, saved);
    return IB_OK;
}

static ib_status linear_backward(ib_backend *self, const ib_linear *linear, const ib_buffer *x,
                                 const ib_buffer *w, const ib_buffer *dy, ib_buffer *dx,
                                 ib_buffer *dw, ib_buffer *db, ib_error *err) {
    ib_linear_pointers p = {.x = floats(x),
                            .w = floats(w),
                            .dy = floats(dy),
                            .dx = floats(dx),
                            .dw = floats(dw),
                            .db = floats(db)};
    ib_fp_state saved = enter(self);
    cpu_of(self)->kernels->linear_backward(cpu_of(self), linear, &p);
    leave(self, saved);
    return check_operands(self, err);
}

static ib_status norm_forward(ib_backend *self, const ib_norm *norm, const ib_buffer *x,
                              const ib_buffer *gamma, const ib_buffer *beta, ib_buffer *running,
                              ib_buffer *saved, const ib_buffer *add, ib_buffer *y, ib_error *err) {
    (void)err;
    ib_norm_pointers p = {.x = floats(x),
                          .gamma = floats(gamma),
                          .beta = floats(beta),
                          .running = floats(running),
                          .saved = floats(saved),
                          .add = floats(add),
                          .y = floats(y)};
    ib_fp_state before = enter(self);
    cpu_of(self)->kernels->norm_forward(cpu_of(self), norm, &p);
    leave(self, before);
    return IB_OK;
}

static ib_status norm_backward(ib_backend *self, const ib_norm *norm, const ib_buffer *x,
                               const ib_buffer *saved, const ib_buffer *y, const ib_buffer *dy,
                               const ib_buffer *second, ib_buffer *g, ib_buffer *dx,
                               ib_buffer *dgamma, ib_buffer *dbeta, ib_error *err) {
    (void)err;
    ib_norm_pointers p = {.x = floats(x),
                          .saved = floats(saved),
                          .y_kept = floats(y),
                          .dy = floats(dy),
                          .second = floats(second),
                          .g = floats(g),
                          .dx = floats(dx),
                          .dgamma = floats(dgamma),
                          .dbeta = floats(dbeta)};
    ib_fp_state before = enter(self);
    cpu_of(self)->kernels->norm_backward(cpu_of(self), norm, &p);
    leave(self, before);
    return IB_OK;
}

static ib_status pool_forward(ib_backend *self, const ib_pool3 *pool, const ib_buffer *x,
                              ib_buffer *y, ib_buffer *argmax, ib_error *err) {
    (void)err;
    ib_fp_state saved = enter(self);
    cpu_of(self)->kernels->pool_forward(cpu_of(self), pool, floats(x), floats(y), argmax->handle);
    leave(self, saved);
    return IB_OK;
}

static ib_status pool_backward(ib_backend *self, const ib_pool3 *pool, const ib_buffer *argmax,
                               const ib_buffer *dy, const ib_buffer *second, ib_buffer *dx,
                               ib_error *err) {
    (void)err;
    ib_fp_state saved = enter(self);
    cpu_of(self)->kernels->pool_backward(cpu_of(self), pool, argmax->handle, floats(dy),
                                         floats(second), floats(dx));
    leave(self, saved);
    return IB_OK;
}

static ib_status mean_forward(ib_backend *self, int64_t n, int64_t pixels, int64_t channels,
                              float inverse, const ib_buffer *x, ib_buffer *y, ib_error *err) {
    (void)err;
    ib_fp_state saved = enter(self);
    cpu_of(self)->kernels->mean_forward(cpu_of(self), n, pixels, channels, inverse, floats(x),
                                        floats(y));
    leave(self, saved);
    return IB_OK;
}

static ib_status mean_backward(ib_backend *self, int64_t n, int64_t pixels, int64_t channels,
                               float inverse, const ib_buffer *dy, ib_buffer *dx, ib_error *err) {
    (void)err;
    ib_fp_state saved = enter(self);
    cpu_of(self)->kernels->mean_backward(cpu_of(self), n, pixels, channels, inverse, floats(dy),
                                         floats(dx));
    leave(self, saved);
    return IB_OK;
}

static ib_status softmax_nll(ib_backend *self, int64_t n, int64_t classes, float inverse_n,
                             const ib_buffer *logits, const uint8_t *labels, float *losses,
                             ib_buffer *dlogits, float *total, ib_error *err) {
    (void)err;
    ib_fp_state saved = enter(self);
    cpu_of(self)->kernels->softmax_nll(n, classes, inverse_n, floats(logits), labels, losses,
                                       floats(dlogits), total);
    leave(self, saved);
    return IB_OK;
}

static ib_status update(ib_backend *self, const ib_update *u, int64_t count, ib_buffer *w,
                        const ib_buffer *dw, ib_buffer *state0, ib_buffer *state1, int *finite,
                        ib_error *err) {
    (void)err;
    ib_fp_state saved = enter(self);
    cpu_of(self)->kernels->update(cpu_of(self), u, count, floats(w), floats(dw), floats(state0),
                                  floats(state1), finite);
    leave(self, saved);
    return IB_OK;
}

static const ib_svm_ops *svm(ib_backend *self) {
    return cpu_of(self)->kernels->svm;
}

static double fma_rate(ib_backend *self, int64_t iterations) {
    return cpu_of(self)->kernels->fma_probe(iterations);
}

static void run_on_threads(ib_backend *self, size_t items, ib_work *work, void *context) {
    ib_pool_run(cpu_of(self)->pool, items, work, context);
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
    .buffer_slice = buffer_slice,
    .upload = upload,
    .download = download,
    .plan_conv = plan_conv,
    .plan_linear = plan_linear,
    .load_images = load_images,
    .conv_forward = conv_forward,
    .conv_backward = conv_backward,
    .linear_forward = linear_forward,
    .linear_backward = linear_backward,
    .norm_forward = norm_forward,
    .norm_backward = norm_backward,
    .pool_forward = pool_forward,
    .pool_backward = pool_backward,
    .mean_forward = mean_forward,
    .mean_backward = mean_backward,
    .softmax_nll = softmax_nll,
    .update = update,
    .svm = svm,
    .fma_probe = fma_rate,
    .run_on_threads = run_on_threads,
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

ib_status ib_cpu_open(const char *isa, unsigned threads, ib_backend **backend, ib_error *err) {
    const ib_cpu_kernels *kernels = NULL;
    *backend = NULL;
    IB_TRY(choose(isa, &kernels, err));
    if (threads == 0)
        threads = ib_usable_cpus();
    ib_cpu *cpu = calloc(1, sizeof *cpu);
    if (cpu == NULL)
        return ib_fail_memory(err);
    cpu->kernels = kernels;
    cpu->base = (ib_backend){.ops = &CPU_OPS, .info = {"cpu", kernels->isa, threads}};
    cpu->thread_scratch = calloc(threads, sizeof *cpu->thread_scratch);
    ib_status status =
        cpu->thread_scratch == NULL ? ib_fail_memory(err) : ib_pool_open(threads, &cpu->pool, err);
    if (status != IB_OK) {
        close_cpu(&cpu->base);
        return status;
    }
    *backend = &cpu->base;
    return IB_OK;
}
