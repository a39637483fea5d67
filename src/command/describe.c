/* isobit describe: what a model consists of and costs, and the least time of a training step. */
#include <string.h>

#include <jansson.h>

#include "command/bench_parts.h"
#include "command/command.h"
#include "data/lock.h"
#include "model/model.h"

/* The machine's ceilings and what follows from them. */
struct floor {
    double fma_gflops, memory_gb_s, fma_ms, update_ms;
};

struct totals {
    uint64_t macs, counted;
};

static struct totals totals_of(const ib_model *model) {
    struct totals t = {0, 0};
    for (size_t i = 0; i < ib_model_row_count(model); ++i) {
        ib_row_info row = ib_model_row(model, i);
        t.macs += row.macs;
        t.counted += row.counted;
    }
    return t;
}

static ib_status measure(const ib_config *config, ib_backend *backend, const ib_model *model,
                         struct floor *floor, ib_error *err) {
    floor->fma_gflops = ib_bench_fma_peak(backend, backend->info.threads);
    IB_TRY(ib_bench_stream_rate(backend, (size_t)512 << 20, 0.5, &floor->memory_gb_s, err));
    double flops = 2.0 * (double)ib_model_macs_step(model) * (double)config->experiment.batch_size;
    floor->fma_ms = flops / floor->fma_gflops / 1e6;
    floor->update_ms = (double)ib_model_update_bytes(model) / floor->memory_gb_s / 1e6;
    return IB_OK;
}

static void print_shape(const ib_shape *shape, char text[64]) {
    if (shape->rank == 1)
        snprintf(text, 64, "%lld", (long long)shape->extent[0]);
    else
        snprintf(text, 64, "%lld x %lld x %lld", (long long)shape->extent[0],
                 (long long)shape->extent[1], (long long)shape->extent[2]);
}

static int operation_width(const ib_model *model) {
    size_t width = strlen("operation");
    for (size_t i = 0; i < ib_model_row_count(model); ++i) {
        size_t length = strlen(ib_model_row(model, i).operation);
        width = length > width ? length : width;
    }
    return (int)width;
}

static void print_text(const ib_config *config, const ib_model *model, const struct floor *floor,
                       FILE *out) {
    char shape[64];
    struct totals totals = totals_of(model);
    ib_network_memory memory = ib_model_memory(model);
    int width = operation_width(model);
    fprintf(out, "%-22s %-*s %14s %11s %12s %12s\n", "layer", width, "operation", "output",
            "parameters", "MACs", "bytes");
    for (size_t i = 0; i < ib_model_row_count(model); ++i) {
        ib_row_info row = ib_model_row(model, i);
        print_shape(&row.output, shape);
        fprintf(out, "%-22s %-*s %14s %11zu %12llu %12zu\n", row.name, width, row.operation, shape,
                row.parameters, (unsigned long long)row.macs, row.output_bytes);
    }
    fprintf(out,
            "\n"
            "parameters          %14zu  (%.2f M)\n"
            "multiply-adds       %14llu  (%.2f M) an image, forward: convolutions and linear "
            "layers\n"
            "as counting tools   %14llu  (%.2f M): 4 more for each normalised value, 2 for each\n"
            "                                    channel of a mean over pixels\n"
            "training step       %14llu  (%.2f M) an image\n",
            ib_model_parameter_count(model), 1e-6 * (double)ib_model_parameter_count(model),
            (unsigned long long)totals.macs, 1e-6 * (double)totals.macs,
            (unsigned long long)totals.counted, 1e-6 * (double)totals.counted,
            (unsigned long long)ib_model_macs_step(model),
            1e-6 * (double)ib_model_macs_step(model));
    fprintf(out,
            "\nmemory of training at batch %lld, in MB: parameters %.1f, gradients %.1f, optimiser "
            "%.1f,\nactivations %.1f, their gradients %.1f\n",
            (long long)config->experiment.batch_size, 1e-6 * (double)memory.parameters,
            1e-6 * (double)memory.gradients, 1e-6 * (double)memory.optimizer,
            1e-6 * (double)memory.activations, 1e-6 * (double)memory.activation_gradients);
    if (config->output.measure)
        fprintf(out,
                "\nfloor of a training step: %.3f ms: %.3f of multiply-adds at %.1f GFLOP/s, %.3f "
                "of the\nupdate's %.1f MB at %.1f GB/s\n",
                floor->fma_ms + floor->update_ms, floor->fma_ms, floor->fma_gflops,
                floor->update_ms, 1e-6 * (double)ib_model_update_bytes(model), floor->memory_gb_s);
}

static json_t *row_json(const ib_row_info *row) {
    json_t *shape = json_array(), *object = NULL;
    int complete = shape != NULL;
    for (int d = 0; complete && d < row->output.rank; ++d)
        complete = json_array_append_new(shape, json_integer(row->output.extent[d])) == 0;
    if (complete)
        object = json_pack("{s:s, s:s, s:O, s:I, s:I, s:I}", "name", row->name, "operation",
                           row->operation, "output", shape, "parameters",
                           (json_int_t)row->parameters, "macs", (json_int_t)row->macs,
                           "activation_bytes", (json_int_t)row->output_bytes);
    json_decref(shape);
    return object;
}

/* NULL: out of memory. */
static json_t *rows_json(const ib_model *model) {
    json_t *list = json_array();
    int complete = list != NULL;
    for (size_t i = 0; complete && i < ib_model_row_count(model); ++i) {
        ib_row_info row = ib_model_row(model, i);
        complete = json_array_append_new(list, row_json(&row)) == 0;
    }
    if (complete)
        return list;
    json_decref(list);
    return NULL;
}

static ib_status print_json(const ib_config *config, const ib_model *model,
                            const struct floor *floor, FILE *out, ib_error *err) {
    struct totals totals = totals_of(model);
    ib_network_memory memory = ib_model_memory(model);
    json_t *object =
        json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "model",
                  ib_experiment_model_name(&config->experiment), "batch_size",
                  (json_int_t)config->experiment.batch_size, "parameters",
                  (json_int_t)ib_model_parameter_count(model), "macs", (json_int_t)totals.macs,
                  "macs_counting_tool", (json_int_t)totals.counted, "macs_step",
                  (json_int_t)ib_model_macs_step(model), "parameter_bytes",
                  (json_int_t)memory.parameters, "gradient_bytes", (json_int_t)memory.gradients,
                  "optimizer_bytes", (json_int_t)memory.optimizer, "activation_bytes",
                  (json_int_t)memory.activations, "activation_gradient_bytes",
                  (json_int_t)memory.activation_gradients, "update_bytes_per_step",
                  (json_int_t)ib_model_update_bytes(model), "layers", rows_json(model));
    if (object != NULL && config->output.measure &&
        json_object_update_new(
            object, json_pack("{s:f, s:f, s:f, s:f, s:f}", "fma_peak_gflops", floor->fma_gflops,
                              "memory_gb_per_s", floor->memory_gb_s, "floor_fma_ms", floor->fma_ms,
                              "floor_update_ms", floor->update_ms, "floor_step_ms",
                              floor->fma_ms + floor->update_ms)) != 0) {
        json_decref(object);
        object = NULL;
    }
    return ib_bench_print_json(object, out, err);
}

ib_status ib_command_describe(ib_arguments *arguments, const ib_command_context *context,
                              ib_error *err) {
    const ib_config *config = &arguments->config;
    ib_backend *backend = NULL;
    ib_model *model = NULL;
    struct floor floor = {0};
    ib_dataset_description data;
    IB_TRY(ib_dataset_describe(config->data.dir, config->experiment.dataset, &data, err));
    ib_status status = ib_bench_open_backend(&config->machine, &backend, err);
    /* Planning a model costs address space, no memory. */
    if (status == IB_OK)
        status = ib_model_open(backend, &config->experiment, data.info,
                               (size_t)config->experiment.batch_size, 1, &model, err);
    ib_dataset_description_close(&data);
    if (status == IB_OK && config->output.measure)
        status = measure(config, backend, model, &floor, err);
    if (status == IB_OK && config->output.json)
        status = print_json(config, model, &floor, context->out, err);
    else if (status == IB_OK)
        print_text(config, model, &floor, context->out);
    ib_model_close(model);
    ib_backend_close(backend);
    return status;
}
