/* isobit bench roofline: the ceilings everything else is measured against. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/threads.h"
#include "run/bench.h"
#include "run/bench_parts.h"

enum { PROBE_REPEATS = 10 };

struct probe {
    ib_backend *backend;
    int64_t iterations;
    double flops[256]; /* of each item */
};

static void probe_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    struct probe *p = context;
    p->flops[item] = p->backend->ops->fma_probe(p->backend, p->iterations);
}

/* GFLOP/s of independent FMAs on `threads` threads at once: the best of PROBE_REPEATS runs. */
ib_status ib_bench_fma_peak(ib_backend *backend, unsigned threads, double *gflops, ib_error *err) {
    ib_pool *pool = NULL;
    *gflops = 0;
    if (threads > 256)
        threads = 256;
    IB_TRY(ib_pool_open(threads, &pool, err));
    struct probe probe = {.backend = backend, .iterations = 1000000};
    for (int i = 0; i < PROBE_REPEATS; ++i) {
        double start = ib_seconds();
        ib_pool_run(pool, threads, probe_item, &probe);
        double seconds = ib_seconds() - start, flops = 0;
        for (unsigned t = 0; t < threads; ++t)
            flops += probe.flops[t];
        if (flops / seconds > *gflops * 1e9)
            *gflops = flops / seconds / 1e9;
    }
    ib_pool_close(pool);
    return IB_OK;
}

struct stream {
    float *a, *b;
    size_t floats; /* of one item */
};

static void stream_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    const struct stream *s = context;
    float *a = s->a + item * s->floats;
    const float *b = s->b + item * s->floats;
    for (size_t i = 0; i < s->floats; ++i)
        a[i] = a[i] + b[i];
}

/* GB/s of a[i] += b[i] over arrays of total_bytes together: 2 reads and 1 write. */
ib_status ib_bench_stream_rate(unsigned threads, size_t total_bytes, double seconds, double *rate,
                               ib_error *err) {
    ib_pool *pool = NULL;
    struct stream s = {.floats = total_bytes / 2 / sizeof(float) / threads};
    *rate = 0;
    s.a = calloc(s.floats * threads, sizeof *s.a);
    s.b = calloc(s.floats * threads, sizeof *s.b);
    ib_status status = s.a == NULL || s.b == NULL ? ib_fail_memory(err) : IB_OK;
    if (status == IB_OK)
        status = ib_pool_open(threads, &pool, err);
    double until = ib_seconds() + seconds;
    while (status == IB_OK && (ib_seconds() < until || *rate == 0)) {
        double start = ib_seconds();
        ib_pool_run(pool, threads, stream_item, &s);
        double took = ib_seconds() - start;
        double now = 3.0 * (double)(s.floats * threads) * sizeof(float) / took / 1e9;
        if (now > *rate)
            *rate = now;
    }
    ib_pool_close(pool);
    free(s.a);
    free(s.b);
    return status;
}

ib_status ib_bench_open_backend(const ib_config *config, ib_backend **backend, ib_error *err) {
    ib_backend_options options = {config->backend, config->isa, (unsigned)config->threads};
    return ib_backend_open(&options, backend, err);
}

ib_status ib_bench_print_json(json_t *object, FILE *out, ib_error *err) {
    if (object == NULL)
        return ib_fail_memory(err);
    char *text = json_dumps(object, JSON_REAL_PRECISION(17));
    json_decref(object);
    if (text == NULL)
        return ib_fail_memory(err);
    fprintf(out, "%s\n", text);
    free(text);
    return IB_OK;
}

ib_status ib_bench_roofline(const ib_config *config, double seconds, FILE *out, ib_error *err) {
    ib_backend *backend = NULL;
    double one = 0, all = 0, memory = 0, cache = 0;
    IB_TRY(ib_bench_open_backend(config, &backend, err));
    unsigned threads = backend->info.threads;
    ib_status status = ib_bench_fma_peak(backend, 1, &one, err);
    if (status == IB_OK)
        status = ib_bench_fma_peak(backend, threads, &all, err);
    if (status == IB_OK)
        status = ib_bench_stream_rate(threads, (size_t)512 << 20, seconds / 2, &memory, err);
    if (status == IB_OK)
        status = ib_bench_stream_rate(threads, (size_t)1 << 20, seconds / 2, &cache, err);
    if (status == IB_OK && config->json)
        status = ib_bench_print_json(
            json_pack("{s:s, s:s, s:i, s:f, s:f, s:f, s:f}", "backend", backend->info.name, "isa",
                      backend->info.isa, "threads", (int)threads, "fma_peak_gflops_one_thread", one,
                      "fma_peak_gflops", all, "memory_gb_per_s", memory, "cache_gb_per_s", cache),
            out, err);
    else if (status == IB_OK)
        fprintf(out,
                "backend %s, isa %s, %u threads\n"
                "FMA peak, 1 thread    %8.1f GFLOP/s\n"
                "FMA peak, all threads %8.1f GFLOP/s\n"
                "memory (512 MiB)      %8.1f GB/s\n"
                "cache  (1 MiB)        %8.1f GB/s\n",
                backend->info.name, backend->info.isa, threads, one, all, memory, cache);
    ib_backend_close(backend);
    return status;
}
