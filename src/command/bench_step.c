/* isobit bench step: what a training step makes of the machine. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "command/bench.h"
#include "command/bench_parts.h"
#include "command/session.h"
#include "data/dataset.h"
#include "data/digits.h"
#include "model/model.h"

enum { BENCH_IMAGES = 4096, WARM_UP = 20 };

struct timing {
    double *milliseconds;
    size_t count, capacity;
    uint64_t peak_rss_bytes; /* of the steps, without the probes of memory */
};

/* The better of two measurements of each ceiling. */
struct ceilings {
    double fma_gflops, memory_gb_s;
};

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Images for timing are digits (NUMERICS.md): as much ground, and as sparse, as what is trained on,
 * because kernels that skip zeros and repetitions depend on it. The order goes over all of them. */
struct source {
    uint8_t *pixels;
    uint16_t *labels;
    uint32_t *order;
    size_t order_count;
};

static void source_close(struct source *source) {
    free(source->pixels);
    free(source->labels);
    free(source->order);
}

static ib_status source_open(struct source *source, ib_model *model, size_t batch, ib_error *err) {
    size_t steps = (BENCH_IMAGES + batch - 1) / batch;
    source->order_count = steps * batch;
    source->pixels = malloc((size_t)BENCH_IMAGES * IB_DIGITS_PIXELS);
    source->labels = malloc(BENCH_IMAGES * sizeof *source->labels);
    source->order = malloc(source->order_count * sizeof *source->order);
    if (source->pixels == NULL || source->labels == NULL || source->order == NULL)
        return ib_fail_memory(err);
    for (uint32_t i = 0; i < BENCH_IMAGES; ++i) {
        source->labels[i] = (uint16_t)ib_digits_label(0, i);
        ib_digits_draw(0, i, source->pixels + (size_t)i * IB_DIGITS_PIXELS);
    }
    for (size_t i = 0; i < source->order_count; ++i)
        source->order[i] = (uint32_t)(i * 7919 % BENCH_IMAGES);
    IB_TRY(ib_model_attach_images(model, source->pixels, source->labels, BENCH_IMAGES, err));
    return ib_model_order(model, source->order, source->order_count, err);
}

static ib_status one_step(ib_model *model, const ib_config *config, const struct source *source,
                          uint64_t step, double *milliseconds, ib_error *err) {
    size_t batch = (size_t)config->experiment.batch_size, done;
    size_t at = step * batch % source->order_count;
    ib_model_steps steps = {.at = at,
                            .end = at + batch,
                            .batch = batch,
                            .count = 1,
                            .seed = config->experiment.seed,
                            .step = step,
                            .learning_rates = &config->experiment.lr};
    float loss;
    double start = ib_seconds();
    ib_status status = ib_model_train(model, &steps, &loss, &done, err);
    *milliseconds = 1e3 * (ib_seconds() - start);
    return status;
}

static ib_status time_steps(ib_model *model, const ib_config *config, struct source *source,
                            double seconds, struct timing *timing, ib_error *err) {
    double until = 0, ignored;
    uint64_t step = 0;
    for (; step < WARM_UP; ++step)
        IB_TRY(one_step(model, config, source, step, &ignored, err));
    until = ib_seconds() + seconds;
    for (; timing->count < timing->capacity && (timing->count < 10 || ib_seconds() < until); ++step)
        IB_TRY(one_step(model, config, source, step, &timing->milliseconds[timing->count++], err));
    qsort(timing->milliseconds, timing->count, sizeof *timing->milliseconds, by_value);
    return IB_OK;
}

static ib_status report_steps(const ib_config *config, const ib_backend *backend,
                              const ib_model *model, const struct timing *timing,
                              const struct ceilings *ceilings, FILE *out, ib_error *err) {
    double median = timing->milliseconds[timing->count / 2], least = timing->milliseconds[0];
    double late = timing->milliseconds[timing->count * 9 / 10];
    double gflop = 2e-9 * (double)ib_model_macs_step(model) * (double)config->experiment.batch_size;
    double images = 1e3 * (double)config->experiment.batch_size / median;
    double peak = ceilings->fma_gflops, share = gflop / (median * 1e-3) / peak;
    double update_ms = (double)ib_model_update_bytes(model) / ceilings->memory_gb_s / 1e6;
    double floor_ms = 1e3 * gflop / peak + update_ms;
    if (config->output.json)
        return ib_bench_print_json(
            json_pack("{s:s, s:I, s:s, s:s, s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, "
                      "s:f, s:I}",
                      "model", ib_experiment_model_name(&config->experiment),
                      "batch_size", (json_int_t)config->experiment.batch_size, "backend",
                      backend->info.name, "isa", backend->info.isa, "threads",
                      (int)backend->info.threads, "steps", (int)timing->count, "step_ms_median",
                      median, "step_ms_min", least, "step_ms_p90", late, "images_per_second",
                      images, "dense_gflop_per_step", gflop, "fma_peak_gflops", peak,
                      "fma_peak_fraction", share, "memory_gb_per_s", ceilings->memory_gb_s,
                      "floor_step_ms", floor_ms, "floor_fraction", floor_ms / median,
                      "peak_rss_bytes", (json_int_t)timing->peak_rss_bytes),
            out, err);
    fprintf(
        out,
        "%s, batch %lld, isa %s, %u threads: %zu steps\n"
        "step        %8.3f ms median, %.3f min, %.3f 90th percentile\n"
        "images      %8.0f /s\n"
        "dense work  %8.3f GFLOP a step\n"
        "FMA peak    %8.1f GFLOP/s, measured before and after (the better)\n"
        "share       %8.1f %% of the peak, counted as dense work\n"
        "floor       %8.3f ms: dense work at the peak, %.1f MB of the update at %.1f GB/s; the\n"
        "            step is at %.1f %% of it\n"
        "memory      %8.1f MB at most\n",
        ib_experiment_model_name(&config->experiment),
        (long long)config->experiment.batch_size, backend->info.isa, backend->info.threads,
        timing->count, median, least, late, images, gflop, peak, 100 * share, floor_ms,
        1e-6 * (double)ib_model_update_bytes(model), ceilings->memory_gb_s, 100 * floor_ms / median,
        1e-6 * (double)timing->peak_rss_bytes);
    return IB_OK;
}

static ib_status bench_model(const ib_config *config, ib_backend *backend, ib_model *model,
                             struct source *source, struct timing *timing, double seconds,
                             FILE *out, ib_error *err) {
    double before = 0, after = 0;
    unsigned threads = backend->info.threads;
    IB_TRY(ib_model_initialize(model, config->experiment.seed, err));
    IB_TRY(source_open(source, model, (size_t)config->experiment.batch_size, err));
    before = ib_bench_fma_peak(backend, threads);
    IB_TRY(time_steps(model, config, source, seconds, timing, err));
    timing->peak_rss_bytes = ib_peak_rss_bytes();
    after = ib_bench_fma_peak(backend, threads);
    struct ceilings ceilings = {.fma_gflops = before > after ? before : after};
    IB_TRY(ib_bench_stream_rate(backend, (size_t)512 << 20, 0.5, &ceilings.memory_gb_s, err));
    return report_steps(config, backend, model, timing, &ceilings, out, err);
}

static ib_status profile_model(const ib_config *config, ib_backend *backend, ib_model *model,
                               struct source *source, double seconds, FILE *out, ib_error *err) {
    ib_bench_limits limits = {0};
    unsigned threads = backend->info.threads;
    double ignored;
    IB_TRY(ib_model_initialize(model, config->experiment.seed, err));
    IB_TRY(source_open(source, model, (size_t)config->experiment.batch_size, err));
    limits.fma_gflops = ib_bench_fma_peak(backend, threads);
    IB_TRY(ib_bench_stream_rate(backend, (size_t)512 << 20, 0.5, &limits.memory_gb_s, err));
    IB_TRY(ib_bench_stream_rate(backend, (size_t)1 << 20, 0.2, &limits.cache_gb_s, err));
    uint64_t step = 0;
    for (; step < WARM_UP; ++step)
        IB_TRY(one_step(model, config, source, step, &ignored, err));
    ib_bench_profile *profile = NULL;
    IB_TRY(ib_bench_profile_open(backend, &profile, err));
    double until = ib_seconds() + seconds, milliseconds = 0;
    ib_status status = IB_OK;
    for (size_t steps = 0; status == IB_OK && (steps < 10 || ib_seconds() < until); ++steps) {
        status = one_step(model, config, source, step++, &milliseconds, err);
        if (status == IB_OK)
            status = ib_bench_profile_step(profile, milliseconds, err);
    }
    if (status == IB_OK)
        status = ib_bench_profile_report(profile, &limits, config->output.json, out, err);
    if (status == IB_OK && config->bench.profile != NULL)
        status = ib_bench_profile_trace(profile, config->bench.profile, err);
    ib_bench_profile_close(profile);
    return status;
}

static ib_status open_model(const ib_config *config, ib_backend *backend, ib_model **model,
                            ib_error *err) {
    const ib_dataset_info *digits = ib_dataset_find("digits");
    IB_TRY(ib_model_open(backend, &config->experiment, digits,
                         (size_t)config->experiment.batch_size, 1, model, err));
    return ib_check_model_memory(*model, err);
}

ib_status ib_bench_step(const ib_config *config, double seconds, FILE *out, ib_error *err) {
    ib_backend *backend = NULL;
    ib_model *model = NULL;
    struct timing timing = {.capacity = 1 << 20};
    struct source source = {0};
    IB_TRY(ib_bench_open_backend(&config->machine, &backend, err));
    timing.milliseconds = malloc(timing.capacity * sizeof *timing.milliseconds);
    ib_status status = timing.milliseconds == NULL ? ib_fail_memory(err) : IB_OK;
    if (status == IB_OK)
        status = open_model(config, backend, &model, err);
    if (status == IB_OK)
        status = bench_model(config, backend, model, &source, &timing, seconds, out, err);
    source_close(&source);
    source = (struct source){0};
    if (status == IB_OK && config->bench.profile != NULL)
        status = profile_model(config, backend, model, &source, 0.5, out, err);
    source_close(&source);
    free(timing.milliseconds);
    ib_model_close(model);
    ib_backend_close(backend);
    return status;
}

ib_status ib_bench_ops(const ib_config *config, double seconds, FILE *out, ib_error *err) {
    ib_backend *backend = NULL;
    ib_model *model = NULL;
    struct source source = {0};
    IB_TRY(ib_bench_open_backend(&config->machine, &backend, err));
    ib_status status = open_model(config, backend, &model, err);
    if (status == IB_OK)
        status = profile_model(config, backend, model, &source, seconds, out, err);
    source_close(&source);
    ib_model_close(model);
    ib_backend_close(backend);
    return status;
}
