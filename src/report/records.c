#include "report/records.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/file.h"
#include "base/number.h"
#include "record/record_file.h"
#include "record/record_read.h"

enum { MAX_METRICS_BYTES = 1 << 30, MAX_LINE = 4096, MAX_EPOCHS = 1000000 };

size_t ib_metric_index(const ib_metric_info *metric) {
    return (size_t)(metric - ib_metric_at(0));
}

/* Records write values that are not finite as texts: to a report they are no values. */
static double number_of(const json_t *value) {
    return json_is_number(value) ? json_number_value(value) : NAN; /* jansson's are finite */
}

static char *text_or_empty(const char *text) {
    return strdup(text != NULL ? text : "");
}

/* "AMD EPYC, 2 threads, avx512". */
static char *machine_of(const json_t *environment, const ib_report_record *record) {
    const char *cpu = ib_json_text_at(environment, "cpu_model", NULL);
    const char *device = ib_json_text_at(environment, "device", NULL);
    int plain = strcmp(record->backend, "cpu") == 0 || record->backend[0] == '\0';
    return ib_format("%s%s%s%s%s, %d thread%s%s%s", plain ? "" : record->backend,
                     plain ? "" : " on ", device != NULL ? device : "", device != NULL ? ", " : "",
                     cpu != NULL ? cpu : "unknown processor", record->threads,
                     record->threads == 1 ? "" : "s", record->isa[0] != '\0' ? ", " : "",
                     record->isa);
}

static void take_results(const json_t *json, ib_report_record *record) {
    const json_t *results = json_object_get(json, "results");
    const json_t *metrics = json_object_get(results, "metrics");
    const ib_metric_info *metric;
    for (size_t m = 0; (metric = ib_metric_at(m)) != NULL && m < IB_REPORT_METRICS; ++m) {
        record->finals[m] = number_of(json_object_get(results, metric->name));
        if (isnan(record->finals[m]))
            record->finals[m] = number_of(json_object_get(metrics, metric->name));
    }
    double epochs = number_of(json_object_get(json_object_get(json, "configuration"), "epochs"));
    record->epochs_asked = epochs >= 1 && epochs <= MAX_EPOCHS ? epochs : 0;
    if (record->epochs_asked > 0)
        record->finals[ib_metric_index(ib_metric_find("epoch_seconds"))] =
            record->finals[ib_metric_index(ib_metric_find("train_seconds"))] / record->epochs_asked;
}

static void put_final(ib_report_record *record, const char *metric, double value) {
    record->finals[ib_metric_index(ib_metric_find(metric))] = value;
}

static void take_gpus(const json_t *gpus, ib_report_record *record) {
    double use = 0, memory = NAN;
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(gpus); ++i) {
        const json_t *gpu = json_array_get(gpus, i);
        double percent = number_of(json_object_get(gpu, "utilization_percent_mean"));
        memory = fmax(memory, number_of(json_object_get(gpu, "memory_max_bytes")));
        use += isnan(percent) ? 0 : percent;
        count += !isnan(percent);
    }
    put_final(record, "gpu_percent_mean", count > 0 ? use / (double)count : NAN);
    put_final(record, "gpu_memory_bytes", memory);
}

/* What the run took, and what that costs. */
static ib_status take_resources(const json_t *json, const ib_report_pricing *pricing,
                                ib_report_record *record, ib_error *err) {
    static const ib_report_pricing nothing = {0};
    const json_t *resources = json_object_get(json, "resources");
    const char *reason = ib_json_text_at(resources, "energy_reason", NULL);
    size_t peak = ib_metric_index(ib_metric_find("peak_rss_bytes"));
    record->has_resources = !isnan(number_of(json_object_get(resources, "seconds")));
    put_final(record, "cpu_seconds", number_of(json_object_get(resources, "cpu_seconds")));
    put_final(record, "cpu_percent_mean",
              number_of(json_object_get(resources, "cpu_percent_mean")));
    record->finals[peak] =
        fmax(record->finals[peak], number_of(json_object_get(resources, "rss_max_bytes")));
    take_gpus(json_object_get(resources, "gpus"), record);
    if (reason != NULL && (record->energy_reason = strdup(reason)) == NULL)
        return ib_fail_memory(err);
    ib_cost cost;
    int finished;
    pricing = pricing != NULL ? pricing : &nothing;
    ib_status status = ib_cost_take(json, record->directory, pricing->prices, pricing->price,
                                    pricing->watts, &cost, &finished, err);
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

static ib_status take_confusion(const json_t *json, ib_report_record *record, ib_error *err) {
    const json_t *rows = json_object_get(json, "confusion");
    size_t classes = ib_recorded_shape_of(json_object_get(json, "data")).classes;
    record->classes = classes;
    if (classes == 0 || json_array_size(rows) != classes)
        return IB_OK;
    double *confusion = calloc(classes * classes, sizeof *confusion);
    if (confusion == NULL)
        return ib_fail_memory(err);
    int good = 1;
    for (size_t k = 0; good && k < classes * classes; ++k) {
        double n = number_of(json_array_get(json_array_get(rows, k / classes), k % classes));
        confusion[k] = n;
        good = n >= 0 && n <= 1e15;
    }
    if (good)
        record->confusion = confusion;
    else
        free(confusion);
    return IB_OK;
}

ib_status ib_report_record_read(const char *directory, const ib_report_pricing *pricing,
                                ib_report_record *record, ib_error *err) {
    *record = (ib_report_record){.directory = strdup(directory)};
    json_t *json = NULL;
    if (record->directory == NULL)
        return ib_fail_memory(err);
    IB_TRY(ib_record_read(directory, &json, err));
    if (json == NULL)
        return ib_fail(err, IB_ERROR_VERIFY, "there is no run record: %s/run.json is missing",
                       directory);
    const json_t *environment = json_object_get(json, "environment");
    double threads = number_of(json_object_get(environment, "threads"));
    record->threads = threads >= 1 && threads <= 1e6 ? (int)threads : 1;
    record->run_id = text_or_empty(ib_json_text_at(json, "run_id", NULL));
    record->backend = text_or_empty(ib_json_text_at(environment, "backend", NULL));
    record->isa = text_or_empty(ib_json_text_at(environment, "isa", NULL));
    record->experiment_sha256 = text_or_empty(ib_json_text_at(json, "experiment_sha256", NULL));
    record->model_sha256 = text_or_empty(ib_json_text_at(json, "results", "model_sha256"));
    if (record->backend != NULL && record->isa != NULL)
        record->machine = machine_of(environment, record);
    take_results(json, record);
    ib_status status = ib_record_check_metrics(directory, json, err);
    if (status == IB_OK)
        status = take_confusion(json, record, err);
    if (status == IB_OK)
        status = take_resources(json, pricing, record, err);
    record->sealed = ib_record_is_sealed(json);
    if (record->sealed)
        record->files = json_incref(json_object_get(json, "files"));
    json_decref(json);
    IB_TRY(status);
    if (record->run_id == NULL || record->machine == NULL || record->experiment_sha256 == NULL ||
        record->model_sha256 == NULL)
        return ib_fail_memory(err);
    return IB_OK;
}

void ib_report_record_free(ib_report_record *record) {
    free(record->directory);
    free(record->obstacle);
    free(record->run_id);
    free(record->machine);
    free(record->backend);
    free(record->isa);
    free(record->experiment_sha256);
    free(record->model_sha256);
    free(record->by_epoch);
    free(record->confusion);
    free(record->energy_reason);
    free(record->hardware);
    json_decref(record->files);
    *record = (ib_report_record){0};
}

/* ---- metrics.jsonl ------------------------------------------------------------------------------
 */

/* Room for the epoch, or NULL: it is none of this run's. */
static double *epoch_row(ib_report_record *record, double epoch) {
    double last = record->epochs_asked > 0 ? record->epochs_asked : 1;
    if (!(epoch >= 1 && epoch <= last) || epoch != floor(epoch))
        return NULL;
    size_t wanted = (size_t)epoch;
    if (wanted > record->epoch_count) {
        double *rows = realloc(record->by_epoch, wanted * IB_REPORT_METRICS * sizeof *rows);
        if (rows == NULL)
            return NULL;
        for (size_t i = record->epoch_count * IB_REPORT_METRICS; i < wanted * IB_REPORT_METRICS;
             ++i)
            rows[i] = NAN;
        record->by_epoch = rows;
        record->epoch_count = wanted;
    }
    return record->by_epoch + (wanted - 1) * IB_REPORT_METRICS;
}

static void take_line(ib_report_record *record, const char *line, size_t length) {
    json_t *json = json_loadb(line, length, 0, NULL);
    const char *key = ib_json_text_at(json, "key", NULL);
    const ib_metric_info *metric = key != NULL ? ib_metric_find(key) : NULL;
    if (metric != NULL) {
        size_t m = ib_metric_index(metric);
        double value = number_of(json_object_get(json, "value"));
        double *row = epoch_row(record, number_of(json_object_get(json, "epoch")));
        if (row != NULL && metric->by_epoch)
            row[m] = value;
        /* What run.json does not hold: the last line counts. */
        if (strncmp(key, "validation_", 11) == 0 || strcmp(key, "epoch_train_loss") == 0)
            record->finals[m] = value;
    }
    json_decref(json);
}

static void read_metrics(ib_report_record *record) {
    /* The many lines of each step's loss need not be parsed. */
    static const char STEP[] = "{\"key\":\"train_loss\"";
    char *path = ib_path_join(record->directory, "metrics.jsonl");
    char *text = NULL;
    size_t size = 0;
    record->metrics_read = 1;
    if (path != NULL && ib_path_exists(path) &&
        ib_read_file(path, MAX_METRICS_BYTES, &text, &size, NULL) == IB_OK)
        for (size_t at = 0; at < size;) {
            const char *end = memchr(text + at, '\n', size - at);
            size_t length = end == NULL ? size - at : (size_t)(end - (text + at));
            int is_step =
                length >= sizeof STEP - 1 && memcmp(text + at, STEP, sizeof STEP - 1) == 0;
            if (end != NULL && length <= MAX_LINE && !is_step)
                take_line(record, text + at, length);
            at += length + 1;
        }
    free(text);
    free(path);
}

double ib_report_record_value(ib_report_record *record, const ib_metric_info *metric,
                              size_t epoch) {
    size_t m = ib_metric_index(metric);
    if (epoch == 0 && !isnan(record->finals[m]))
        return record->finals[m];
    if (!metric->by_epoch)
        return NAN;
    if (!record->metrics_read)
        read_metrics(record);
    if (epoch == 0)
        return record->finals[m];
    return epoch <= record->epoch_count ? record->by_epoch[(epoch - 1) * IB_REPORT_METRICS + m]
                                        : NAN;
}

/* ---- misclassified images -----------------------------------------------------------------------
 */

/* The image's bytes, fresh; NULL: no such image, or out of memory. */
static unsigned char *decode(const char *text, size_t bytes) {
    unsigned char *decoded = text == NULL ? NULL : malloc(bytes + 1);
    if (decoded != NULL && ib_base64_decode(text, decoded, bytes))
        return decoded;
    free(decoded);
    return NULL;
}

/* 0: not an image as records hold them. */
static int take_image(const json_t *entry, size_t classes, const ib_recorded_shape *shape,
                      ib_figure_image *image) {
    double index = number_of(json_object_get(entry, "index"));
    double actual = number_of(json_object_get(entry, "actual"));
    double predicted = number_of(json_object_get(entry, "predicted"));
    if (!(index >= 0 && index < 1e15) || !(actual >= 0 && actual < (double)classes) ||
        !(predicted >= 0 && predicted < (double)classes))
        return 0;
    double q = number_of(json_object_get(entry, "probability"));
    *image = (ib_figure_image){.height = shape->height,
                               .width = shape->width,
                               .channels = shape->channels,
                               .actual = (unsigned)actual,
                               .predicted = (unsigned)predicted,
                               .probability = q >= 0 && q <= 1 ? q : NAN,
                               .index = (size_t)index};
    image->pixels = decode(ib_json_text_at(entry, "pixels", NULL),
                           shape->height * shape->width * shape->channels);
    return image->pixels != NULL;
}

ib_status ib_report_record_check(const ib_report_record *record, const char *name, ib_error *err) {
    json_t *claims = json_pack("{s:O?}", "files", record->files);
    ib_status status = claims == NULL ? ib_fail_memory(err)
                                      : ib_record_check_file(record->directory, claims, name, err);
    json_decref(claims);
    return status;
}

ib_status ib_report_misclassified(const ib_report_record *record, size_t limit,
                                  ib_figure_image **images, size_t *count, size_t *total,
                                  char **missing, ib_error *err) {
    char *path = ib_path_join(record->directory, "misclassified.json");
    json_t *json = NULL;
    *images = NULL;
    *count = *total = 0;
    *missing = NULL;
    if (path == NULL)
        return ib_fail_memory(err);
    ib_error why = {0};
    if (ib_report_record_check(record, "misclassified.json", &why) != IB_OK ||
        ib_json_file_read(path, &json, &why) != IB_OK)
        *missing = strdup(ib_error_text(&why));
    else if (json == NULL)
        *missing = ib_format("%s has no misclassified.json: it was written by an earlier version",
                             record->directory);
    ib_error_clear(&why);
    free(path);
    const json_t *shown = json_object_get(json, "shown");
    ib_recorded_shape shape = ib_recorded_shape_of(json);
    size_t listed = json_array_size(shown);
    double images_in_all = number_of(json_object_get(json, "images"));
    if (json != NULL)
        *images = calloc(listed < limit ? listed + 1 : limit, sizeof **images);
    for (size_t i = 0; *images != NULL && i < listed && *count < limit; ++i)
        *count += (size_t)take_image(json_array_get(shown, i), record->classes, &shape,
                                     &(*images)[*count]);
    *total = images_in_all >= 0 && images_in_all < 1e15 ? (size_t)images_in_all : *count;
    int failed = json != NULL ? *images == NULL : *missing == NULL;
    json_decref(json);
    return failed ? ib_fail_memory(err) : IB_OK;
}
