#include "report/records.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/file.h"
#include "record/metric_lines.h"
#include "record/recorded.h"
#include "record/run_files.h"

enum { MAX_EPOCHS = 1000000 };

/* "AMD EPYC, 2 threads, avx512". */
static char *machine_of(const ib_run_environment *e) {
    int plain = e->backend == NULL || strcmp(e->backend, "cpu") == 0;
    int threads = e->threads >= 1 && e->threads <= 1e6 ? (int)e->threads : 1;
    return ib_format("%s%s%s%s%s, %d thread%s%s%s", plain ? "" : e->backend, plain ? "" : " on ",
                     e->device != NULL ? e->device : "", e->device != NULL ? ", " : "",
                     e->cpu_model != NULL ? e->cpu_model : "unknown processor", threads,
                     threads == 1 ? "" : "s", e->isa != NULL ? ", " : "",
                     e->isa != NULL ? e->isa : "");
}

static void put_final(ib_report_record *record, const char *metric, double value) {
    record->finals[ib_metric_index(ib_metric_find(metric))] = value;
}

static void take_epochs(ib_report_record *record) {
    double epochs = json_number_value(ib_recorded_option(record->run.configuration, "epochs"));
    record->epochs_asked = epochs >= 1 && epochs <= MAX_EPOCHS ? epochs : 0;
    if (record->epochs_asked > 0)
        put_final(record, "epoch_seconds",
                  ib_run_metric(&record->run, "train_seconds") / record->epochs_asked);
}

static void take_resources(const ib_run_resources *resources, ib_report_record *record) {
    double use = 0, memory = NAN;
    size_t count = 0;
    for (size_t i = 0; i < resources->gpu_count; ++i) {
        double percent = resources->gpus[i].percent_mean;
        memory = fmax(memory, resources->gpus[i].memory_max_bytes);
        use += isnan(percent) ? 0 : percent;
        count += !isnan(percent);
    }
    put_final(record, "cpu_seconds", resources->cpu_seconds);
    put_final(record, "cpu_percent_mean", resources->cpu_percent_mean);
    put_final(record, "peak_rss_bytes",
              fmax(ib_run_metric(&record->run, "peak_rss_bytes"), resources->rss_max_bytes));
    put_final(record, "gpu_percent_mean", count > 0 ? use / (double)count : NAN);
    put_final(record, "gpu_memory_bytes", memory);
}

static ib_status take_cost(const ib_report_pricing *pricing, ib_report_record *record,
                           ib_error *err) {
    static const ib_report_pricing nothing = {0};
    ib_cost cost;
    int finished;
    pricing = pricing != NULL ? pricing : &nothing;
    ib_status status = ib_cost_take(&record->run, pricing->prices, pricing->price, pricing->watts,
                                    &cost, &finished, err);
    if (status == IB_OK && finished) {
        put_final(record, "run_seconds", cost.seconds);
        put_final(record, "watt_hours", cost.watt_hours);
        put_final(record, "cost_on_demand", cost.on_demand);
        put_final(record, "cost_spot", cost.spot);
        put_final(record, "cost_of_1000_runs", 1000 * ib_cost_money(&cost));
        record->energy_estimated = cost.energy != NULL && strcmp(cost.energy, "estimated") == 0;
        record->price = cost.price;
        record->hardware = cost.machine;
        cost.machine = NULL;
    }
    ib_cost_free(&cost);
    return status;
}

/* ---- metrics.jsonl ------------------------------------------------------------------------------
 */

/* Room for the epoch, or NULL: it is none of this run's. */
static double *epoch_row(ib_report_record *record, uint64_t epoch) {
    double last = record->epochs_asked > 0 ? record->epochs_asked : 1;
    if (epoch < 1 || (double)epoch > last)
        return NULL;
    size_t wanted = (size_t)epoch;
    if (wanted > record->epoch_count) {
        double *rows = realloc(record->by_epoch, wanted * IB_METRICS_MOST * sizeof *rows);
        if (rows == NULL) {
            record->lost = 1;
            return NULL;
        }
        for (size_t i = record->epoch_count * IB_METRICS_MOST; i < wanted * IB_METRICS_MOST; ++i)
            rows[i] = NAN;
        record->by_epoch = rows;
        record->epoch_count = wanted;
    }
    return record->by_epoch + (wanted - 1) * IB_METRICS_MOST;
}

static void take_line(ib_report_record *record, const ib_metric_line *line) {
    const ib_metric_info *metric = line->key != NULL ? ib_metric_find(line->key) : NULL;
    if (metric == NULL)
        return;
    size_t m = ib_metric_index(metric);
    double value = isfinite(line->value) ? line->value : NAN; /* to a report it is none */
    double *row = epoch_row(record, line->epoch);
    if (row != NULL && metric->by_epoch)
        row[m] = value;
    /* What run.json does not hold: the last line counts. */
    if (strncmp(line->key, "validation_", 11) == 0 || strcmp(line->key, "epoch_train_loss") == 0)
        record->finals[m] = value;
}

static ib_status read_metrics(ib_report_record *record, ib_error *err) {
    ib_metric_lines lines;
    ib_metric_line line;
    int there = 1;
    ib_status status = ib_metric_lines_open(&record->run, 0, &lines, err);
    lines.without_steps = 1;
    while (status == IB_OK && there) {
        status = ib_metric_lines_next(&lines, &line, &there, err);
        if (status == IB_OK)
            take_line(record, &line);
    }
    ib_metric_lines_close(&lines);
    return status;
}

/* ---- a record
 * -------------------------------------------------------------------------------------
 */

ib_status ib_report_record_read(const char *directory, const ib_report_pricing *pricing,
                                ib_report_record *record, ib_error *err) {
    *record = (ib_report_record){0};
    IB_TRY(ib_run_read(directory, &record->run, err));
    if (record->run.document == NULL)
        return ib_fail(err, IB_ERROR_VERIFY, "there is no run record: %s/run.json is missing",
                       directory);
    record->machine = machine_of(&record->run.environment);
    if (record->machine == NULL)
        return ib_fail_memory(err);
    memcpy(record->finals, record->run.metrics, sizeof record->finals);
    take_epochs(record);
    take_resources(&record->run.resources, record);
    IB_TRY(read_metrics(record, err));
    return take_cost(pricing, record, err);
}

void ib_report_record_free(ib_report_record *record) {
    ib_run_close(&record->run);
    free(record->obstacle);
    free(record->machine);
    free(record->by_epoch);
    free(record->hardware);
    *record = (ib_report_record){0};
}

double ib_report_record_value(ib_report_record *record, const ib_metric_info *metric,
                              size_t epoch) {
    size_t m = ib_metric_index(metric);
    if (epoch == 0 && !isnan(record->finals[m]))
        return record->finals[m];
    if (!metric->by_epoch)
        return NAN;
    if (epoch == 0)
        return record->finals[m];
    return epoch <= record->epoch_count ? record->by_epoch[(epoch - 1) * IB_METRICS_MOST + m] : NAN;
}

/* ---- misclassified images -----------------------------------------------------------------------
 */

/* The image's bytes, fresh; NULL: no such image. */
static ib_status decode(const char *text, size_t bytes, unsigned char **pixels) {
    unsigned char *decoded = text == NULL ? NULL : malloc(bytes + 1);
    *pixels = NULL;
    if (text != NULL && decoded == NULL)
        return IB_ERROR_RUNTIME;
    if (decoded != NULL && ib_base64_decode(text, decoded, bytes))
        *pixels = decoded;
    else
        free(decoded);
    return IB_OK;
}

/* Adds to *count, unless it is no image as records hold them. The only failure is memory. */
static ib_status take_image(const json_t *entry, size_t classes, const ib_recorded_shape *shape,
                            ib_figure_image *image, size_t *count) {
    double index = ib_json_number_at(entry, "index");
    double actual = ib_json_number_at(entry, "actual");
    double predicted = ib_json_number_at(entry, "predicted");
    if (!(index >= 0 && index < 1e15) || !(actual >= 0 && actual < (double)classes) ||
        !(predicted >= 0 && predicted < (double)classes))
        return IB_OK;
    double q = ib_json_number_at(entry, "probability");
    *image = (ib_figure_image){.height = shape->height,
                               .width = shape->width,
                               .channels = shape->channels,
                               .actual = (unsigned)actual,
                               .predicted = (unsigned)predicted,
                               .probability = q >= 0 && q <= 1 ? q : NAN,
                               .index = (size_t)index};
    IB_TRY(decode(ib_json_text_at(entry, "pixels"), shape->height * shape->width * shape->channels,
                  &image->pixels));
    *count += image->pixels != NULL;
    return IB_OK;
}

ib_status ib_report_misclassified(const ib_report_record *record, size_t limit,
                                  ib_figure_image **images, size_t *count, size_t *total,
                                  char **missing, ib_error *err) {
    char *path = ib_path_join(record->run.directory, "misclassified.json");
    json_t *json = NULL;
    ib_contents contents = {0};
    *images = NULL;
    *count = *total = 0;
    *missing = NULL;
    if (path == NULL)
        return ib_fail_memory(err);
    ib_error why = {0};
    ib_status status =
        ib_run_contents_open(&record->run, path, "misclassified.json", &contents, &why);
    if (status == IB_OK && contents.data != NULL)
        status = ib_json_file_parse(path, (const char *)contents.data, contents.size, &json, &why);
    ib_contents_close(&contents);
    if (status != IB_OK) {
        *missing = strdup(ib_error_text(&why));
    } else if (json == NULL) {
        *missing = ib_format("%s has no misclassified.json: it was written by an earlier version",
                             record->run.directory);
    }
    int failed = ib_error_is_memory(&why) || (json == NULL && *missing == NULL);
    ib_error_clear(&why);
    free(path);
    const json_t *shown = json_object_get(json, "shown");
    ib_recorded_shape shape = ib_recorded_shape_of(json);
    size_t listed = json_array_size(shown);
    double images_in_all = ib_json_number_at(json, "images");
    if (json != NULL)
        *images = calloc(listed < limit ? listed + 1 : limit, sizeof **images);
    failed |= json != NULL && *images == NULL;
    for (size_t i = 0; !failed && i < listed && *count < limit; ++i)
        failed = take_image(json_array_get(shown, i), record->run.data.shape.classes, &shape,
                            &(*images)[*count], count) != IB_OK;
    *total = images_in_all >= 0 && images_in_all < 1e15 ? (size_t)images_in_all : *count;
    json_decref(json);
    return failed ? ib_fail_memory(err) : IB_OK;
}
