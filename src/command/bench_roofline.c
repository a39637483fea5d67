/* isobit bench roofline: the ceilings everything else is measured against. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/json_value.h"
#include "command/bench.h"
#include "command/bench_parts.h"

enum { PROBE_REPEATS = 10 };

struct probe {
    ib_backend *backend;
    int64_t iterations;
    double flops[256]; /* of each item */
};

static void probe_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    struct probe *p = context;
    p->flops[item] = p->backend->host->fma_probe(p->backend->host, p->iterations);
}

double ib_bench_fma_peak(ib_backend *backend, unsigned threads) {
    struct probe probe = {.backend = backend, .iterations = 1000000};
    double gflops = 0;
    if (threads > sizeof probe.flops / sizeof probe.flops[0])
        threads = sizeof probe.flops / sizeof probe.flops[0];
    for (int i = 0; i < PROBE_REPEATS; ++i) {
        double start = ib_seconds();
        backend->host->run(backend->host, threads, probe_item, &probe);
        double seconds = ib_seconds() - start, flops = 0;
        for (unsigned t = 0; t < threads; ++t)
            flops += probe.flops[t];
        if (flops / seconds > gflops * 1e9)
            gflops = flops / seconds / 1e9;
    }
    return gflops;
}

struct stream {
    float *a, *b;
    size_t floats; /* of one item */
    int passes;
};

static void stream_item(void *context, size_t item, unsigned thread) {
    (void)thread;
    const struct stream *s = context;
    float *a = s->a + item * s->floats;
    const float *b = s->b + item * s->floats;
    for (int pass = 0; pass < s->passes; ++pass)
        for (size_t i = 0; i < s->floats; ++i)
            a[i] = a[i] + b[i];
}

ib_status ib_bench_stream_rate(ib_backend *backend, size_t total_bytes, double seconds,
                               double *rate, ib_error *err) {
    unsigned threads = backend->info.threads;
    struct stream s = {.floats = total_bytes / 2 / sizeof(float) / threads};
    /* Small arrays are gone through often enough that starting the threads does not count. */
    s.passes = total_bytes < ((size_t)64 << 20) ? (int)(((size_t)64 << 20) / total_bytes) : 1;
    *rate = 0;
    s.a = calloc(s.floats * threads, sizeof *s.a);
    s.b = calloc(s.floats * threads, sizeof *s.b);
    ib_status status = s.a == NULL || s.b == NULL ? ib_fail_memory(err) : IB_OK;
    /* Untouched pages would all be the one page of zeros. */
    for (size_t i = 0; status == IB_OK && i < s.floats * threads; ++i)
        s.a[i] = s.b[i] = 1.0f;
    double until = ib_seconds() + seconds;
    for (int run = 0; status == IB_OK && (run < 3 || ib_seconds() < until); ++run) {
        double start = ib_seconds();
        backend->host->run(backend->host, threads, stream_item, &s);
        double bytes = 3.0 * s.passes * (double)(s.floats * threads) * sizeof(float);
        double now = bytes / (ib_seconds() - start) / 1e9;
        if (now > *rate)
            *rate = now;
    }
    free(s.a);
    free(s.b);
    return status;
}

ib_status ib_bench_open_backend(const ib_machine *machine, ib_backend **backend, ib_error *err) {
    ib_backend_options options = {machine->backend, machine->isa, (unsigned)machine->threads};
    return ib_backend_open(&options, backend, err);
}

ib_status ib_bench_print_json(json_t *object, FILE *out, ib_error *err) {
    if (object == NULL)
        return ib_fail_memory(err);
    char *text = ib_json_dump(object, JSON_REAL_PRECISION(17));
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
    IB_TRY(ib_bench_open_backend(&config->machine, &backend, err));
    unsigned threads = backend->info.threads;
    one = ib_bench_fma_peak(backend, 1);
    all = ib_bench_fma_peak(backend, threads);
    ib_status status = ib_bench_stream_rate(backend, (size_t)512 << 20, seconds / 2, &memory, err);
    if (status == IB_OK)
        status = ib_bench_stream_rate(backend, (size_t)1 << 20, seconds / 2, &cache, err);
    if (status == IB_OK && config->output.json)
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
