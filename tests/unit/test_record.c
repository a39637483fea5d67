/* The run record on disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <unistd.h>

#include "options/options.h"
#include "record/metric_lines.h"
#include "record/record.h"
#include "record/recorded.h"
#include "record/run_files.h"
#include "temp_dir.h"

#define CANONICAL "{\"seed\":1}"
#define EXPERIMENT                                                                                 \
    "fbe47f6d82b435a89f6e6fca65ad16138195de06c5fc3ffb66826a76e64e479f" /* its SHA-256 */

/* The linker sends the library's clock_gettime here (tests/CMakeLists.txt). */
int __real_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time);

static time_t set_back; /* s, by whoever sets the machine's clock */

int __wrap_clock_gettime(clockid_t clock, struct timespec *time) {
    int failed = __real_clock_gettime(clock, time);
    if (clock == CLOCK_REALTIME)
        time->tv_sec -= set_back;
    return failed;
}

/* A record's surroundings, without training. */
typedef struct fixture {
    char *directory;
    ib_config config;
    ib_dataset dataset;
    ib_split split;
    ib_backend_info backend;
    ib_record_start start;
} fixture;

static int set_up(void **state) {
    fixture *f = calloc(1, sizeof *f);
    f->directory = temp_dir_make();
    if (ib_config_defaults(&f->config, NULL) != IB_OK)
        return 1;
    free(f->config.record.runs_dir);
    f->config.record.runs_dir = ib_path_join(f->directory, "some/runs");
    f->dataset.info = ib_dataset_find("digits");
    f->split.train_count = 60000;
    f->split.test_count = 10000;
    f->backend = (ib_backend_info){.name = "cpu", .isa = "scalar", .threads = 3};
    f->start = (ib_record_start){.configuration = &f->config,
                                 .runs_dir = f->config.record.runs_dir,
                                 .sample_period = f->config.record.sample_period,
                                 .experiment = "digits-cnn",
                                 .canonical = CANONICAL,
                                 .experiment_sha256 = EXPERIMENT,
                                 .dataset = &f->dataset,
                                 .split = &f->split,
                                 .backend = &f->backend,
                                 .usable_cpus = 5};
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture *f = *state;
    ib_config_free(&f->config);
    temp_dir_remove(f->directory);
    free(f);
    return 0;
}

static json_t *read_run(const ib_record *record) {
    char *path = ib_path_join(ib_record_directory(record), "run.json");
    json_error_t why;
    json_t *read = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
    if (read == NULL)
        fail_msg("%s: %s", path, why.text);
    free(path);
    return read;
}

static const char *text_at(const json_t *object, const char *key) {
    return json_string_value(json_object_get(object, key));
}

/* The reader has each member where the writer put it. */
static void check_read(const ib_record *record) {
    ib_run run;
    ib_error err = {0};
    assert_int_equal(ib_run_read(ib_record_directory(record), &run, &err), IB_OK);
    assert_string_equal(run.directory, ib_record_directory(record));
    assert_int_equal(run.sealed, 1);
    assert_int_equal(run.status, IB_RECORDED_FINISHED);
    assert_non_null(strstr(run.directory, run.run_id));
    assert_string_equal(run.experiment, "digits-cnn");
    assert_string_equal(run.experiment_sha256, EXPERIMENT);
    assert_int_equal(json_integer_value(json_object_get(run.canonical, "seed")), 1);
    assert_null(run.message);
    assert_int_equal(strlen(run.started), strlen("2026-11-23T10:15:30Z"));
    assert_true(strcmp(run.started, run.ended) <= 0);
    assert_int_equal(run.resumes, 0);
    assert_int_equal(json_array_size(run.resume_times), 0);
    assert_true(json_is_array(run.resume_times));
    assert_string_equal(json_string_value(ib_recorded_option(run.configuration, "optimizer")),
                        "adadelta");
    assert_non_null(ib_recorded_option(run.configuration, "batch-size"));
    assert_int_equal(json_object_size(run.files), 1);
    const ib_run_environment *e = &run.environment;
    assert_non_null(e->isobit_version);
    assert_non_null(e->git_commit);
    assert_non_null(e->compiler);
    assert_string_equal(e->backend, "cpu");
    assert_string_equal(e->isa, "scalar");
    assert_true(e->threads == 3);
    assert_true(json_object_size(e->members) > 10);
    assert_string_equal(run.data.dataset, "digits");
    assert_int_equal(run.data.train_count, 60000);
    assert_int_equal(run.data.validation_count, 0);
    assert_int_equal(run.data.test_count, 10000);
    assert_int_equal(run.data.shape.classes, 10);
    assert_int_equal(run.data.shape.width, 28);
    assert_int_equal(json_object_size(run.data.sha256), 4);
    assert_true(isnan(run.resources.seconds));
    assert_true(json_is_object(run.results));
    assert_string_equal(run.model_sha256, "aa");
    assert_null(run.optimizer_sha256);
    assert_true(ib_run_metric(&run, "test_accuracy") == 0.3);
    assert_true(isnan(ib_run_metric(&run, "test_loss")));
    assert_true(ib_run_metric(&run, "train_seconds") == 7);
    assert_true(ib_run_metric(&run, "macro_f1") > 0);
    assert_true(isnan(ib_run_metric(&run, "predict_seconds")));
    assert_non_null(run.confusion);
    assert_true(run.confusion[3 * 10 + 5] == 7 && run.confusion[5 * 10 + 3] == 0);
    assert_int_equal(ib_run_check_files(&run, &err), IB_OK);
    assert_int_equal(ib_run_check_file(&run, "metrics.jsonl", &err), IB_OK);
    assert_true(ib_run_knows(&run, "metrics.jsonl") && ib_run_knows(&run, "mlflow.json"));
    assert_false(ib_run_knows(&run, "trace.bin"));
    assert_true(ib_run_is_live(run.directory)); /* the writer has not closed it */
    ib_run_close(&run);
}

static void a_finished_run(void **state) {
    fixture *f = *state;
    ib_record *record = NULL;
    ib_error err = {0};
    assert_int_equal(ib_record_begin(&f->start, &record, &err), IB_OK);
    json_t *run = read_run(record);
    assert_string_equal(text_at(run, "status"), "running");
    assert_true(json_is_null(json_object_get(run, "results")));
    assert_int_equal(strlen(text_at(run, "run_id")), strlen("20261123T101530Z-012345"));
    json_decref(run);

    ib_run_results results = {.model_sha256 = "aa",
                              .experiment_sha256 = EXPERIMENT,
                              .test_accuracy = 0.3,
                              .test_loss = 0.0 / 0.0,
                              .train_seconds = 7,
                              .backend = &f->backend,
                              .exact = 1,
                              .run_dir = ib_record_directory(record)};
    ib_evaluation test = {0};
    assert_int_equal(ib_evaluation_begin(&test, 10, &err), IB_OK);
    test.confusion[3 * 10 + 5] = 7;
    test.confusion[3 * 10 + 3] = 1;
    test.confusion[5 * 10 + 5] = 2;
    ib_metrics metrics;
    assert_int_equal(ib_metrics_compute(test.confusion, test.classes, &metrics, &err), IB_OK);
    results.metrics = &metrics;
    assert_int_equal(ib_record_finish(record, IB_OK, NULL, &results, &test, &err), IB_OK);
    run = read_run(record);
    assert_string_equal(text_at(run, "status"), "finished");
    assert_string_equal(text_at(run, "canonical"), CANONICAL);
    const json_t *written = json_object_get(run, "results");
    assert_true(json_real_value(json_object_get(written, "test_accuracy")) == 0.3);
    assert_string_equal(text_at(written, "model_sha256"), "aa");
    assert_true(json_is_null(json_object_get(written, "optimizer_sha256")));
    const json_t *told = json_object_get(written, "metrics");
    assert_true(json_real_value(json_object_get(told, "macro_recall")) == (1.0 / 8 + 1) / 2);
    const json_t *f1 = json_object_get(told, "class_f1");
    assert_true(json_real_value(json_array_get(f1, 3)) == 2.0 / 9);
    assert_true(json_is_null(json_array_get(f1, 0)));
    const json_t *row = json_array_get(json_object_get(run, "confusion"), 3);
    assert_int_equal(json_integer_value(json_array_get(row, 5)), 7);
    const json_t *environment = json_object_get(run, "environment");
    assert_string_equal(text_at(environment, "isa"), "scalar");
    assert_int_equal(json_integer_value(json_object_get(environment, "usable_cpus")), 5);
    assert_string_equal(text_at(json_object_get(run, "configuration"), "optimizer"), "adadelta");
    json_decref(run);
    check_read(record);
    ib_metrics_free(&metrics);
    ib_evaluation_free(&test);
    ib_record_close(record);
}

static void metrics_are_lines(void **state) {
    fixture *f = *state;
    ib_record *record = NULL;
    ib_error err = {0};
    assert_int_equal(ib_record_begin(&f->start, &record, &err), IB_OK);
    const double values[] = {0.1, 1.0 / 0.0, -1.0 / 0.0, 0.0 / 0.0 * 1.0};
    for (uint64_t i = 0; i < 4; ++i)
        assert_int_equal(ib_record_metric(record, "loss", values[i], i, 1, &err), IB_OK);
    assert_int_equal(ib_record_flush(record, &err), IB_OK);
    char *path = ib_path_join(ib_record_directory(record), "metrics.jsonl");
    FILE *stream = fopen(path, "r");
    assert_non_null(stream);
    const char *const texts[] = {NULL, "Infinity", "-Infinity", "NaN"};
    char line[256];
    for (int i = 0; i < 4; ++i) {
        assert_non_null(fgets(line, sizeof line, stream));
        json_t *metric = json_loads(line, 0, NULL);
        assert_non_null(metric);
        const json_t *value = json_object_get(metric, "value");
        if (texts[i] == NULL)
            assert_true(json_real_value(value) == 0.1);
        else
            assert_string_equal(json_string_value(value), texts[i]);
        assert_int_equal(json_integer_value(json_object_get(metric, "step")), i);
        assert_true(json_integer_value(json_object_get(metric, "timestamp")) > 1500000000000);
        json_decref(metric);
    }
    assert_null(fgets(line, sizeof line, stream));
    fclose(stream);
    free(path);
    ib_metric_lines lines;
    ib_metric_line read;
    const ib_run run = {.directory = (char *)(uintptr_t)ib_record_directory(record)};
    int there = 0;
    assert_int_equal(ib_metric_lines_open(&run, 0, &lines, &err), IB_OK);
    for (uint64_t i = 0; i < 4; ++i) {
        assert_int_equal(ib_metric_lines_next(&lines, &read, &there, &err), IB_OK);
        assert_true(there);
        assert_string_equal(read.key, "loss");
        assert_true(read.value == values[i] || (isnan(read.value) && i == 3));
        assert_true(read.step == i && read.epoch == 1 && read.time > 1500000000000);
        json_t *again = ib_metric_value_json(read.value);
        assert_true(texts[i] == NULL ? json_real_value(again) == 0.1
                                     : strcmp(json_string_value(again), texts[i]) == 0);
        json_decref(again);
    }
    assert_int_equal(ib_metric_lines_next(&lines, &read, &there, &err), IB_OK);
    assert_false(there);
    ib_metric_lines_close(&lines);
    ib_record_close(record);
}

/* The keys of the lines from an offset on, "-" for what is no metric; fresh memory. */
static char *keys_from(const char *directory, uint64_t offset, int without_steps) {
    ib_metric_lines lines;
    ib_metric_line line;
    ib_error err = {0};
    const ib_run run = {.directory = (char *)(uintptr_t)directory};
    int there = 1;
    char *keys = strdup("");
    assert_int_equal(ib_metric_lines_open(&run, offset, &lines, &err), IB_OK);
    lines.without_steps = without_steps;
    while (there) {
        assert_int_equal(ib_metric_lines_next(&lines, &line, &there, &err), IB_OK);
        char *longer = !there ? NULL : ib_format("%s %s", keys, line.key != NULL ? line.key : "-");
        if (longer != NULL) {
            free(keys);
            keys = longer;
        }
    }
    ib_metric_lines_close(&lines);
    return keys;
}

static void lines_of_any_kind_are_read(void **state) {
    static const char FIRST[] = "{\"key\":\"a\",\"value\":1}\n"
                                "{\"key\":\"train_loss\",\"value\":1}\n"
                                "\n{\"key\":7,\"value\":1}\n{\"key\":\"b\"}\nno JSON\n"
                                "{\"key\":\"c\",\"value\":[1]}\n"
                                "{\"key\":\"d\",\"value\":-2e300,\"step\":-1}\n";
    static const char LAST[] = "{\"key\":\"e\",\"value\":1}\n{\"key\":\"f\",\"value\":1}";
    fixture *f = *state;
    char *text = ib_format("%s%s", FIRST, LAST);
    temp_dir_write(f->directory, "metrics.jsonl", text, strlen(text));
    free(text);
    char *keys = keys_from(f->directory, 0, 0);
    assert_string_equal(keys, " a train_loss - - - - - d e");
    free(keys);
    keys = keys_from(f->directory, 0, 1);
    assert_string_equal(keys, " a - - - - - d e");
    free(keys);
    keys = keys_from(f->directory, strlen(FIRST), 0);
    assert_string_equal(keys, " e");
    free(keys);
}

static void files_of_lines_are_bounded(void **state) {
    fixture *f = *state;
    const ib_run run = {.directory = f->directory};
    ib_error err = {0};
    ib_lines lines;
    ib_metric_lines metrics;
    const char *line;
    size_t size;
    char *text = malloc(IB_LINE_MOST + 1), *path = ib_path_join(f->directory, "metrics.jsonl");
    memset(text, 'x', IB_LINE_MOST);
    text[IB_LINE_MOST] = '\n';
    temp_dir_write(f->directory, "metrics.jsonl", text, IB_LINE_MOST + 1);
    free(text);
    assert_int_equal(ib_run_lines_open(&run, "metrics.jsonl", 1, &lines, &err), IB_OK);
    assert_int_equal(ib_lines_next(&lines, &line, &size, &err), IB_OK);
    assert_true(line != NULL && size == IB_LINE_MOST - 1);
    ib_lines_close(&lines);
    assert_int_equal(ib_run_lines_open(&run, "metrics.jsonl", 0, &lines, &err), IB_OK);
    assert_int_equal(ib_lines_next(&lines, &line, &size, &err), IB_ERROR_VERIFY);
    assert_non_null(strstr(ib_error_text(&err), "metrics.jsonl, offset 0: a line of more"));
    ib_lines_close(&lines);
    ib_error_clear(&err);

    assert_int_equal(truncate(path, (off_t)IB_RECORDED_MOST + 1), 0);
    assert_int_equal(ib_metric_lines_open(&run, 0, &metrics, &err), IB_ERROR_RUNTIME);
    assert_non_null(strstr(ib_error_text(&err), "larger than"));
    ib_metric_lines_close(&metrics);
    ib_error_clear(&err);
    assert_int_equal(unlink(path), 0);
    char *keys = keys_from(f->directory, 0, 0);
    assert_string_equal(keys, "");
    free(keys);
    free(path);
}

static void a_run_says_how_it_ended(void **state) {
    fixture *f = *state;
    const struct {
        ib_status outcome;
        const char *status;
    } cases[] = {{IB_ERROR_DIVERGED, "diverged"},
                 {IB_INTERRUPTED, "interrupted"},
                 {IB_TERMINATED, "interrupted"},
                 {IB_ERROR_RUNTIME, "failed"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        ib_record *record = NULL;
        ib_error err = {0};
        assert_int_equal(ib_record_begin(&f->start, &record, &err), IB_OK);
        assert_int_equal(ib_record_finish(record, cases[i].outcome, "why", NULL, NULL, &err),
                         IB_OK);
        json_t *run = read_run(record);
        assert_string_equal(text_at(run, "status"), cases[i].status);
        assert_string_equal(text_at(run, "message"), "why");
        assert_int_equal(json_integer_value(json_object_get(run, "exit_code")), cases[i].outcome);
        json_decref(run);
        ib_run read;
        assert_int_equal(ib_run_read(ib_record_directory(record), &read, &err), IB_OK);
        assert_string_equal(ib_run_status_name(read.status), cases[i].status);
        assert_string_equal(read.message, "why");
        assert_null(read.results);
        ib_run_close(&read);
        ib_record_close(record);
    }
}

static size_t entries_in(const char *path) {
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, NULL, NULL);
    for (int i = 0; i < count; ++i)
        free(entries[i]);
    free(entries);
    return count < 2 ? 0 : (size_t)count - 2;
}

static void an_unwritable_place_leaves_nothing(void **state) {
    fixture *f = *state;
    ib_record *record = NULL;
    ib_error err = {0};
    temp_dir_write(f->directory, "file", "x", 1);
    free(f->config.record.runs_dir);
    f->config.record.runs_dir = ib_path_join(f->directory, "file");
    f->start.runs_dir = f->config.record.runs_dir;
    assert_int_equal(ib_record_begin(&f->start, &record, &err), IB_ERROR_RUNTIME);
    assert_null(record);
    assert_non_null(strstr(ib_error_text(&err), "--runs-dir"));
    assert_int_equal(entries_in(f->directory), 1);
    ib_error_clear(&err);
}

static void finish_one(fixture *f, ib_record *record) {
    ib_run_results results = {.experiment_sha256 = EXPERIMENT, .backend = &f->backend, .exact = 1};
    ib_evaluation test = {0};
    ib_metrics metrics;
    assert_int_equal(ib_evaluation_begin(&test, 10, NULL), IB_OK);
    test.confusion[0] = 1;
    assert_int_equal(ib_metrics_compute(test.confusion, test.classes, &metrics, NULL), IB_OK);
    results.metrics = &metrics;
    assert_int_equal(ib_record_finish(record, IB_OK, NULL, &results, &test, NULL), IB_OK);
    ib_metrics_free(&metrics);
    ib_evaluation_free(&test);
}

/* Times of one record never run backwards, and its duration is not the clock's. */
static void a_clock_is_set_back(void **state) {
    fixture *f = *state;
    ib_record *record = NULL;
    set_back = 0;
    assert_int_equal(ib_record_begin(&f->start, &record, NULL), IB_OK);
    ib_record_watch(record, 0, NULL);
    for (uint64_t i = 0; i < 4; ++i) {
        assert_int_equal(ib_record_metric(record, "loss", 0, i, 1, NULL), IB_OK);
        set_back = 7200;
    }
    finish_one(f, record);
    set_back = 0;
    json_t *run = read_run(record);
    assert_true(strcmp(text_at(run, "started"), text_at(run, "ended")) <= 0);
    double seconds = json_number_value(json_object_get(run, "seconds"));
    assert_true(seconds > 0 && seconds < 3600);
    json_decref(run);
    char *path = ib_path_join(ib_record_directory(record), "metrics.jsonl");
    FILE *stream = fopen(path, "r");
    char line[256];
    json_int_t last = 0;
    for (int i = 0; i < 4; ++i) {
        assert_non_null(fgets(line, sizeof line, stream));
        json_t *read = json_loads(line, 0, NULL);
        json_int_t time = json_integer_value(json_object_get(read, "timestamp"));
        assert_true(time >= last);
        last = time;
        json_decref(read);
    }
    fclose(stream);
    free(path);
    ib_record_close(record);
}

/* The first part of the run was begun by a clock that was ahead. */
static void a_clock_was_set_back_between(void **state) {
    fixture *f = *state;
    ib_record *record = NULL;
    set_back = -7200;
    assert_int_equal(ib_record_begin(&f->start, &record, NULL), IB_OK);
    char *directory = strdup(ib_record_directory(record));
    ib_record_close(record);
    set_back = 0;
    ib_error err = {0};
    assert_int_equal(ib_record_reopen(directory, &record, &err), IB_OK);
    assert_int_equal(ib_record_continue(record, &f->start, &(ib_prefix){0}, 5, &err), IB_OK);
    finish_one(f, record);
    json_t *run = read_run(record);
    assert_true(strcmp(text_at(run, "started"), text_at(run, "ended")) <= 0);
    assert_true(json_number_value(json_object_get(run, "seconds")) >= 5);
    json_decref(run);
    ib_record_close(record);
    free(directory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_clock_is_set_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_clock_was_set_back_between, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_finished_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(metrics_are_lines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lines_of_any_kind_are_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_of_lines_are_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_run_says_how_it_ended, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_unwritable_place_leaves_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
