#include "run/bench.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/threads.h"
#include "backend/backend.h"
#include "data/dataset.h"
#include "model/model.h"

enum { PROBE_REPEATS = 10, BENCH_IMAGES = 4096 };

/* ---- roofline --------------------------------------------------------------------------------- */

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
static ib_status fma_peak(ib_backend *backend, unsigned threads, double *gflops, ib_error *err) {
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
static ib_status stream_rate(unsigned threads, size_t total_bytes, double seconds, double *rate,
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

static ib_status open_backend(const ib_config *config, ib_backend **backend, ib_error *err) {
    ib_backend_options options = {config->backend, config->isa, (unsigned)config->threads};
    return ib_backend_open(&options, backend, err);
}

static ib_status print_json(json_t *object, FILE *out, ib_error *err) {
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
    IB_TRY(open_backend(config, &backend, err));
    unsigned threads = backend->info.threads;
    ib_status status = fma_peak(backend, 1, &one, err);
    if (status == IB_OK)
        status = fma_peak(backend, threads, &all, err);
    if (status == IB_OK)
        status = stream_rate(threads, (size_t)512 << 20, seconds / 2, &memory, err);
    if (status == IB_OK)
        status = stream_rate(threads, (size_t)1 << 20, seconds / 2, &cache, err);
    if (status == IB_OK && config->json)
        status = print_json(json_pack("{s:s, s:s, s:i, s:f, s:f, s:f, s:f}", "backend",
                                      backend->info.name, "isa", backend->info.isa, "threads",
                                      (int)threads, "fma_peak_gflops_one_thread", one,
                                      "fma_peak_gflops", all, "memory_gb_per_s", memory,
                                      "cache_gb_per_s", cache),
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

/* ---- training steps --------------------------------------------------------------------------- */

/* Images for timing: digits when the data directory has them, else noise with strokes' sparsity. */
static void make_images(uint8_t *pixels, uint8_t *labels) {
    ib_rng rng = ib_rng_make(1, IB_STREAM_DIGITS, 255, 0);
    for (size_t i = 0; i < BENCH_IMAGES; ++i) {
        labels[i] = (uint8_t)(ib_rng_word(&rng, i) % IB_CLASSES);
        uint32_t word = ib_rng_word(&rng, BENCH_IMAGES + i);
        for (size_t p = 0; p < IB_IMAGE_PIXELS; ++p) {
            size_t y = p / IB_IMAGE_SIDE, x = p % IB_IMAGE_SIDE;
            size_t left = 6 + labels[i] + word % 3, top = 4 + word / 3 % 5;
            int ink = (x >= left && x < left + 3) || (y >= top + labels[i] && y < top + labels[i] + 3);
            int inside = x >= 4 && x < 24 && y >= 4 && y < 24;
            pixels[i * IB_IMAGE_PIXELS + p] = (uint8_t)(ink && inside ? 200 + (word + p) % 56 : 0);
        }
    }
}

struct timing {
    double *milliseconds;
    size_t count, capacity;
};

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static ib_status time_steps(ib_model *model, const ib_config *config, double seconds,
                            struct timing *timing, ib_error *err) {
    size_t batch = (size_t)config->batch_size;
    uint8_t *pixels = malloc((size_t)BENCH_IMAGES * IB_IMAGE_PIXELS), *labels = malloc(BENCH_IMAGES);
    const uint8_t **images = malloc(batch * sizeof *images);
    uint8_t *chosen = malloc(batch);
    ib_status status = IB_OK;
    if (!pixels || !labels || !images || !chosen)
        status = ib_fail_memory(err);
    else
        make_images(pixels, labels);
    double until = 0;
    enum { WARM_UP = 20 };
    for (uint64_t step = 0; status == IB_OK; ++step) {
        if (step == WARM_UP)
            until = ib_seconds() + seconds;
        if (step >= WARM_UP + 10 && (ib_seconds() > until || timing->count == timing->capacity))
            break;
        for (size_t i = 0; i < batch; ++i) {
            size_t at = (step * batch + i) * 7919 % BENCH_IMAGES;
            images[i] = pixels + at * IB_IMAGE_PIXELS;
            chosen[i] = labels[at];
        }
        float loss;
        double start = ib_seconds();
        status = ib_model_train_step(model, images, chosen, batch, config->seed, step, config->lr,
                                     &loss, err);
        if (step >= WARM_UP)
            timing->milliseconds[timing->count++] = 1e3 * (ib_seconds() - start);
    }
    free(pixels);
    free(labels);
    free((void *)images);
    free(chosen);
    qsort(timing->milliseconds, timing->count, sizeof *timing->milliseconds, by_value);
    return status;
}

static ib_status report_steps(const ib_config *config, const ib_backend *backend,
                              const ib_model *model, const struct timing *timing, double peak,
                              FILE *out, ib_error *err) {
    double median = timing->milliseconds[timing->count / 2], least = timing->milliseconds[0];
    double late = timing->milliseconds[timing->count * 9 / 10];
    double gflop = 2e-9 * (double)ib_model_macs_step(model) * (double)config->batch_size;
    double images = 1e3 * (double)config->batch_size / median;
    double share = gflop / (median * 1e-3) / peak;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    if (config->json)
        return print_json(
            json_pack("{s:s, s:I, s:s, s:s, s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I}",
                      "model", ib_model_kind_name((ib_model_kind)config->model), "batch_size",
                      (json_int_t)config->batch_size, "backend", backend->info.name, "isa",
                      backend->info.isa, "threads", (int)backend->info.threads, "steps",
                      (int)timing->count, "step_ms_median", median, "step_ms_min", least,
                      "step_ms_p90", late, "images_per_second", images, "dense_gflop_per_step",
                      gflop, "fma_peak_gflops", peak, "fma_peak_fraction", share, "peak_rss_bytes",
                      (json_int_t)usage.ru_maxrss * 1024),
            out, err);
    fprintf(out,
            "%s, batch %lld, isa %s, %u threads: %zu steps\n"
            "step        %8.3f ms median, %.3f min, %.3f 90th percentile\n"
            "images      %8.0f /s\n"
            "dense work  %8.3f GFLOP a step\n"
            "FMA peak    %8.1f GFLOP/s, measured before and after (the better)\n"
            "share       %8.1f %% of the peak, counted as dense work\n",
            ib_model_kind_name((ib_model_kind)config->model), (long long)config->batch_size,
            backend->info.isa, backend->info.threads, timing->count, median, least, late, images,
            gflop, peak, 100 * share);
    return IB_OK;
}

ib_status ib_bench_step(const ib_config *config, double seconds, FILE *out, ib_error *err) {
    ib_backend *backend = NULL;
    ib_model *model = NULL;
    struct timing timing = {.capacity = 1 << 20};
    double before = 0, after = 0;
    IB_TRY(open_backend(config, &backend, err));
    timing.milliseconds = malloc(timing.capacity * sizeof *timing.milliseconds);
    ib_status status = timing.milliseconds == NULL ? ib_fail_memory(err) : IB_OK;
    if (status == IB_OK)
        status = ib_model_open(backend, config, 0.1307, 0.3081, (size_t)config->batch_size, 1,
                               &model, err);
    if (status == IB_OK)
        status = ib_model_initialize(model, config->seed, err);
    if (status == IB_OK)
        status = fma_peak(backend, backend->info.threads, &before, err);
    if (status == IB_OK)
        status = time_steps(model, config, seconds, &timing, err);
    if (status == IB_OK)
        status = fma_peak(backend, backend->info.threads, &after, err);
    if (status == IB_OK)
        status = report_steps(config, backend, model, &timing, before > after ? before : after, out,
                              err);
    free(timing.milliseconds);
    ib_model_close(model);
    ib_backend_close(backend);
    return status;
}
