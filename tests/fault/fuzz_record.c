/* libFuzzer: a run record that somebody else has written, to all that reads records. The input is
 * run.json, metrics.jsonl, resources.jsonl, misclassified.json, mlflow.json and a checkpoint's JSON
 * without its seal, separated by the byte 0xFF; what is missing at the end is missing. */
#include <math.h>

#include "base/sha256.h"
#include "fuzz_files.h"
#include "mlflow/mlflow_cursor.h"
#include "monitor/resources_totals.h"
#include "record/checkpoint.h"
#include "record/cost.h"
#include "record/record_file.h"
#include "record/recorded.h"
#include "record/run_files.h"
#include "report/compare.h"
#include "report/records.h"
#include "study/record_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char EXPERIMENT[] = "0000000000000000000000000000000000000000000000000000000000000000";

static void refused(ib_status status, ib_error *err) {
    require(status == IB_OK || (err->message != NULL && err->status == status),
            "a refusal without a reason");
    ib_error_clear(err);
}

static void read_report(const char *directory) {
    static const ib_price price = {
        .name = "machine", .currency = "USD", .on_demand = 1, .spot = 0.5};
    const ib_report_pricing pricing = {.price = &price, .watts = 100};
    ib_report_record record;
    ib_error err = {0};
    ib_status status = ib_report_record_read(directory, &pricing, &record, &err);
    const ib_metric_info *metric;
    if (status == IB_OK)
        for (size_t m = 0; (metric = ib_metric_at(m)) != NULL; ++m)
            for (size_t epoch = 0; epoch < 3; ++epoch)
                ib_report_record_value(&record, metric, epoch);
    refused(status, &err);
    status = IB_OK;

    ib_figure_image *images = NULL;
    size_t count = 0, total = 0;
    char *missing = NULL;
    if (record.run.document != NULL)
        status = ib_report_misclassified(&record, 9, &images, &count, &total, &missing, &err);
    require(count <= 9, "more images than asked for");
    ib_figure_images_free(images, count);
    free(missing);
    ib_report_record_free(&record);
    refused(status, &err);
}

static void compare(const char *directory, FILE *nowhere) {
    const char *const runs[] = {directory, directory};
    ib_comparison comparison = {0};
    ib_error err = {0};
    size_t first, second;
    json_t *metric;
    ib_status status = ib_comparison_open(runs, 2, &comparison, &err);
    if (status == IB_OK) {
        require(!ib_comparison_conflict(&comparison, &first, &second), "unlike itself");
        json_decref(ib_comparison_json(&comparison));
        if (ib_comparison_metrics(&comparison.runs[0], &comparison.runs[1], &metric, &err) == IB_OK)
            json_decref(metric);
        ib_error_clear(&err);
        status = ib_comparison_print(&comparison, nowhere, &err);
    }
    ib_comparison_close(&comparison);
    refused(status, &err);
}

static void read_cost(const char *directory) {
    ib_prices prices = {0};
    ib_cost cost;
    int finished;
    ib_error err = {0};
    ib_status status = ib_cost_read(directory, &prices, NULL, 100, &cost, &finished, &err);
    if (status == IB_OK && finished) {
        json_t *json = ib_cost_json(&cost);
        char *text = json == NULL ? NULL : json_dumps(json, 0);
        require(text != NULL, "no JSON");
        free(text);
        json_decref(json);
    }
    ib_cost_free(&cost);
    refused(status, &err);
}

/* As --resume and reproduce do. */
static void adopt(const char *directory) {
    static const char *const NAMES[] = {"data-dir",  "init-model", "log-interval", "trace",
                                        "threads",   "seed",       "momentum",     "svm-gamma",
                                        "optimizer", "normalize"};
    ib_run run;
    ib_error err = {0};
    ib_arguments arguments = {.command = ib_command_find("train")};
    require(ib_config_defaults(&arguments.config, NULL) == IB_OK, "no defaults");
    ib_status status = ib_run_read(directory, &run, &err);
    refused(status, &err);
    refused(ib_adopt_experiment(&run, NULL, &arguments, &err), &err);
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; ++i)
        refused(ib_adopt_option(NAMES[i], run.configuration, directory, &arguments, &err), &err);
    ib_arguments_free(&arguments);
    ib_run_close(&run);
}

static void index_runs(const char *parent) {
    ib_record_index index = {.experiment = strdup("fuzz"), .directory = strdup(parent)};
    ib_error err = {0};
    refused(ib_record_index_refresh(&index, &err), &err);
    ib_record_index_find(&index, EXPERIMENT, NULL);
    ib_record_index_close(&index);
}

static void open_cursor(const char *directory) {
    ib_mlflow_cursor cursor = {0};
    ib_error err = {0};
    int busy = 0;
    ib_status status = ib_mlflow_cursor_open(directory, "http://s", 1, &cursor, &busy, &err);
    if (status == IB_OK) {
        ib_mlflow_state_text(&cursor, "run_id");
        ib_mlflow_state_number(&cursor, "metrics_bytes");
    }
    ib_mlflow_cursor_close(&cursor);
    refused(status, &err);
}

static void read_checkpoint(const char *directory, const uint8_t *part, size_t size) {
    char hex[IB_SHA256_HEX_SIZE];
    ib_checkpoint checkpoint;
    ib_error err = {0};
    ib_sha256_bytes(part, size, hex);
    char *text = ib_format("%.*s,\"sha256\":\"%s\"}\n", (int)size, (const char *)part, hex);
    require(text != NULL, "no memory");
    free(fuzz_write("run/checkpoints/step-000000000007.json", (const uint8_t *)text, strlen(text)));
    free(text);
    /* The model's files are missing: what the JSON says is all that is read. */
    ib_status status = ib_checkpoint_read(directory, EXPERIMENT, NULL, &checkpoint, &err);
    require(status != IB_OK, "a checkpoint without its model was taken");
    refused(status, &err);
}

static void replay(const char *directory, FILE *nowhere) {
    ib_lines lines;
    ib_resource_past past;
    ib_error err = {0};
    const ib_run run = {.directory = (char *)(uintptr_t)directory};
    ib_status status = ib_run_lines_open(&run, "resources.jsonl", 0, &lines, &err);
    if (status == IB_OK)
        status = ib_resources_replay(&lines, &past, &err);
    if (status == IB_OK) {
        ib_json json = {.out = nowhere};
        ib_resources_write(&past.totals, NULL, &json);
    }
    ib_lines_close(&lines);
    refused(status, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const NAMES[] = {"run/run.json", "run/metrics.jsonl", "run/resources.jsonl",
                                        "run/misclassified.json", "run/mlflow.json"};
    static char *directory, *checkpoints;
    static FILE *nowhere;
    if (directory == NULL) {
        directory = ib_path_join(fuzz_directory(), "run");
        checkpoints = ib_path_join(directory, "checkpoints");
        nowhere = fopen("/dev/null", "w");
        require(ib_make_directories(checkpoints, NULL) == IB_OK && nowhere != NULL, "no folder");
    }
    char *paths[5];
    for (size_t i = 0; i < 5; ++i) {
        size_t part_size;
        const uint8_t *part = fuzz_part(&data, &size, &part_size);
        paths[i] = fuzz_write(NAMES[i], part, part_size);
    }
    read_report(directory);
    compare(directory, nowhere);
    read_cost(directory);
    adopt(directory);
    index_runs(fuzz_directory());
    open_cursor(directory);
    if (data != NULL && memchr(data, 0, size) == NULL)
        read_checkpoint(directory, data, size);
    replay(directory, nowhere);
    for (size_t i = 0; i < 5; ++i)
        free(paths[i]);
    return 0;
}
