/* The comparison as a table, and as JSON. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/sha256.h"
#include "record/recorded.h"
#include "report/compare.h"

/* Up to so many runs are columns; more are rows. */
enum { MAX_COLUMNS = 4 };

typedef enum source { OF_CANONICAL, TEXT, THREADS, STATUS, METRIC, OTHER_TIME } source;

typedef struct row {
    const char *section, *name, *key;
    source source;
    size_t offset; /* of a text in ib_run */
} row;

static const char DIFFERENT[] = "Configured otherwise";
static const char MACHINE[] = "Machine";
static const char RESULT[] = "Results";
static const char TIME[] = "Where the time went";
static const char HASHES[] = "Hashes";

static const row FIXED[] = {
    {MACHINE, "isobit", "isobit_version", TEXT, offsetof(ib_run, environment.isobit_version)},
    {MACHINE, "commit", "git_commit", TEXT, offsetof(ib_run, environment.git_commit)},
    {MACHINE, "compiler", "compiler", TEXT, offsetof(ib_run, environment.compiler)},
    {MACHINE, "processor", "cpu_model", TEXT, offsetof(ib_run, environment.cpu_model)},
    {MACHINE, "backend", "backend", TEXT, offsetof(ib_run, environment.backend)},
    {MACHINE, "instruction set", "isa", TEXT, offsetof(ib_run, environment.isa)},
    {MACHINE, "threads", "threads", THREADS, 0},
    {RESULT, "status", "status", STATUS, 0},
    {RESULT, "test accuracy", "test_accuracy", METRIC, 0},
    {RESULT, "test loss", "test_loss", METRIC, 0},
    {RESULT, "images/s", "images_per_second", METRIC, 0},
    {RESULT, "memory, bytes", "peak_rss_bytes", METRIC, 0},
    {TIME, "training, s", "train_seconds", METRIC, 0},
    {TIME, "prediction, s", "predict_seconds", METRIC, 0},
    {TIME, "the rest, s", NULL, OTHER_TIME, 0},
    {TIME, "in all, s", "total_seconds", METRIC, 0},
    {HASHES, "experiment", "experiment_sha256", TEXT, offsetof(ib_run, experiment_sha256)},
    {HASHES, "model", "model_sha256", TEXT, offsetof(ib_run, model_sha256)},
    {HASHES, "optimiser", "optimizer_sha256", TEXT, offsetof(ib_run, optimizer_sha256)},
};
enum { FIXED_ROWS = sizeof FIXED / sizeof FIXED[0] };

/* Of both a new value; *failed is set when memory ran out. */
static json_t *text_json(const char *text, int *failed) {
    json_t *value = text == NULL ? NULL : json_string(text);
    *failed |= text != NULL && value == NULL;
    return value;
}

static json_t *number_json(double number, int *failed) {
    json_t *value = ib_json_number(number);
    *failed |= isfinite(number) && value == NULL;
    return value;
}

/* Of the last part of the run only: the training of earlier parts is not in its total. */
static double rest_of(const ib_run *run) {
    double predict = ib_run_metric(run, "predict_seconds");
    double rest = ib_run_metric(run, "total_seconds") - ib_run_metric(run, "train_seconds") -
                  (isnan(predict) ? 0 : predict);
    return rest < 0 ? NAN : rest;
}

/* New; NULL: the run has none, or memory ran out, which sets *failed. */
static json_t *value_of(const ib_run *run, const row *r, int *failed) {
    switch (r->source) {
    case OF_CANONICAL:
        return json_incref(json_object_get(run->canonical, r->key));
    case TEXT:
        return text_json(*(const char *const *)(const void *)((const char *)run + r->offset),
                         failed);
    case THREADS:
        return number_json(run->environment.threads, failed);
    case STATUS:
        return text_json(ib_run_status_name(run->status), failed);
    case METRIC:
        return number_json(ib_run_metric(run, r->key), failed);
    case OTHER_TIME:
        return number_json(rest_of(run), failed);
    }
    return NULL;
}

/* The rows of a network are too much for a cell; they differ, and that is what it says. */
static char *network_text(const char *rows) {
    char hex[IB_SHA256_HEX_SIZE];
    ib_sha256_bytes(rows, strlen(rows), hex);
    return ib_format("rows %.12s", hex);
}

/* Fresh memory; NULL: out of it. */
static char *text_of(const ib_run *run, const row *r) {
    int failed = 0;
    json_t *value = value_of(run, r, &failed);
    if (failed)
        return NULL;
    int rounded = r->section == TIME || strcmp(r->name, "images/s") == 0;
    int is_network = json_is_string(value) && r->key != NULL && strcmp(r->key, "network") == 0;
    char *text = value == NULL || json_is_null(value) ? strdup("-")
                 : is_network                         ? network_text(json_string_value(value))
                 : json_is_number(value) && rounded   ? ib_format("%.3f", json_number_value(value))
                 : json_is_number(value) || json_is_string(value)
                     ? ib_recorded_text(value)
                     : ib_json_dump(value, JSON_ENCODE_ANY | JSON_COMPACT);
    json_decref(value);
    return text;
}

static int is_differing(const ib_comparison *comparison, const row *r, int *failed) {
    json_t *first = value_of(&comparison->runs[0], r, failed);
    int differs = 0;
    for (size_t i = 1; i < comparison->count && !differs; ++i) {
        json_t *other = value_of(&comparison->runs[i], r, failed);
        differs = first != other && !json_equal(first, other); /* NULL equals nothing */
        json_decref(other);
    }
    json_decref(first);
    return differs;
}

/* Keys of the canonical forms in which the runs differ: an object; NULL: out of memory. */
static json_t *differing_keys(const ib_comparison *comparison) {
    json_t *keys = json_object(), *seen = json_object();
    int failed = keys == NULL || seen == NULL;
    for (size_t i = 0; !failed && i < comparison->count; ++i) {
        const char *key;
        json_t *value;
        json_object_foreach(comparison->runs[i].canonical, key, value) {
            row r = {DIFFERENT, key, key, OF_CANONICAL, 0};
            if (json_object_get(seen, key) != NULL)
                continue;
            failed |= json_object_set(seen, key, value) != 0;
            if (is_differing(comparison, &r, &failed))
                failed |= json_object_set(keys, key, value) != 0;
        }
    }
    json_decref(seen);
    if (!failed)
        return keys;
    json_decref(keys);
    return NULL;
}

/* A grid of texts, printed with its first column to the left. */
typedef struct grid {
    char **cells;
    size_t rows, columns;
} grid;

static char **cell(const grid *g, size_t r, size_t c) {
    return &g->cells[r * g->columns + c];
}

static size_t width_of(const grid *g, size_t column) {
    size_t width = 0;
    for (size_t r = 0; r < g->rows; ++r)
        if (strlen(*cell(g, r, column)) > width)
            width = strlen(*cell(g, r, column));
    return width;
}

static ib_status print_grid(const grid *g, const char *const *sections, FILE *out, ib_error *err) {
    size_t *widths = calloc(g->columns, sizeof *widths);
    if (widths == NULL)
        return ib_fail_memory(err);
    for (size_t c = 0; c + 1 < g->columns; ++c)
        widths[c] = width_of(g, c);
    for (size_t r = 0; r < g->rows; ++r) {
        if (sections != NULL && sections[r] != NULL && (r == 0 || sections[r] != sections[r - 1]))
            fprintf(out, "\n%s\n", sections[r]);
        for (size_t c = 0; c < g->columns; ++c)
            fprintf(out, "%s%-*s", c == 0 ? "" : "  ", (int)widths[c], *cell(g, r, c));
        fputc('\n', out);
    }
    free(widths);
    return IB_OK;
}

static ib_status fill_grid(const ib_comparison *comparison, const row *rows, size_t count,
                           int transposed, grid *g, ib_error *err) {
    g->rows = (transposed ? comparison->count : count) + 1;
    g->columns = (transposed ? count : comparison->count) + 1;
    g->cells = calloc(g->rows * g->columns, sizeof *g->cells);
    if (g->cells == NULL)
        return ib_fail_memory(err);
    int complete = (*cell(g, 0, 0) = strdup("run")) != NULL;
    for (size_t run = 0; run < comparison->count; ++run) {
        char **at = transposed ? cell(g, run + 1, 0) : cell(g, 0, run + 1);
        complete &= (*at = ib_format("[%zu]", run + 1)) != NULL;
        for (size_t r = 0; r < count; ++r) {
            at = transposed ? cell(g, run + 1, r + 1) : cell(g, r + 1, run + 1);
            complete &= (*at = text_of(&comparison->runs[run], &rows[r])) != NULL;
        }
    }
    for (size_t r = 0; r < count; ++r) {
        char **at = transposed ? cell(g, 0, r + 1) : cell(g, r + 1, 0);
        complete &= (*at = strdup(rows[r].name)) != NULL;
    }
    return complete ? IB_OK : ib_fail_memory(err);
}

static ib_status print_rows(const ib_comparison *comparison, const row *rows, size_t count,
                            FILE *out, ib_error *err) {
    grid g = {0};
    int transposed = comparison->count > MAX_COLUMNS;
    const char **sections = calloc(count + 1, sizeof *sections);
    ib_status status = sections == NULL ? ib_fail_memory(err)
                                        : fill_grid(comparison, rows, count, transposed, &g, err);
    for (size_t r = 0; status == IB_OK && r < count; ++r)
        sections[r + 1] = rows[r].section;
    if (status == IB_OK)
        status = print_grid(&g, transposed ? NULL : sections, out, err);
    for (size_t i = 0; g.cells != NULL && i < g.rows * g.columns; ++i)
        free(g.cells[i]);
    free(g.cells);
    free(sections);
    return status;
}

static int is_shown(const ib_comparison *comparison, const row *r, int *failed) {
    if (r->section == MACHINE)
        return is_differing(comparison, r, failed);
    if (r->source == OTHER_TIME)
        return 1;
    int shown = 0;
    for (size_t i = 0; i < comparison->count && !shown; ++i) {
        json_t *value = value_of(&comparison->runs[i], r, failed);
        shown = value != NULL && !json_is_null(value);
        json_decref(value);
    }
    return shown;
}

ib_status ib_comparison_print(const ib_comparison *comparison, FILE *out, ib_error *err) {
    json_t *keys = differing_keys(comparison);
    row *rows = calloc(json_object_size(keys) + FIXED_ROWS, sizeof *rows);
    if (keys == NULL || rows == NULL) {
        json_decref(keys);
        free(rows);
        return ib_fail_memory(err);
    }
    size_t count = 0;
    int failed = 0;
    const char *key;
    json_t *value;
    json_object_foreach(keys, key, value) {
        (void)value;
        rows[count++] = (row){DIFFERENT, key, key, OF_CANONICAL, 0};
    }
    for (size_t i = 0; i < FIXED_ROWS; ++i)
        if (is_shown(comparison, &FIXED[i], &failed))
            rows[count++] = FIXED[i];
    if (failed) {
        json_decref(keys);
        free(rows);
        return ib_fail_memory(err);
    }
    for (size_t i = 0; i < comparison->count; ++i)
        fprintf(out, "[%zu] %s\n", i + 1, comparison->runs[i].directory);
    fputc('\n', out);
    ib_status status = print_rows(comparison, rows, count, out, err);
    free(rows);
    json_decref(keys);
    return status;
}

static json_t *run_json(const ib_run *run) {
    json_t *object = json_pack("{s:s}", "run", run->directory);
    int failed = object == NULL;
    for (size_t r = 0; !failed && r < FIXED_ROWS; ++r) {
        json_t *own = value_of(run, &FIXED[r], &failed);
        if (!failed && FIXED[r].key != NULL)
            failed = json_object_set(object, FIXED[r].key, own != NULL ? own : json_null()) != 0;
        json_decref(own);
    }
    if (!failed)
        return object;
    json_decref(object);
    return NULL;
}

static json_t *values_json(const ib_comparison *comparison, const char *key) {
    json_t *values = json_array();
    int failed = values == NULL;
    for (size_t i = 0; !failed && i < comparison->count; ++i) {
        json_t *found = json_object_get(comparison->runs[i].canonical, key);
        failed = json_array_append(values, found != NULL ? found : json_null()) != 0;
    }
    if (!failed)
        return values;
    json_decref(values);
    return NULL;
}

json_t *ib_comparison_json(const ib_comparison *comparison) {
    json_t *runs = json_array(), *differences = json_object();
    json_t *keys = differing_keys(comparison), *object = NULL;
    const char *key;
    json_t *value;
    int failed = runs == NULL || differences == NULL || keys == NULL;
    for (size_t i = 0; !failed && i < comparison->count; ++i)
        failed = json_array_append_new(runs, run_json(&comparison->runs[i])) != 0;
    json_object_foreach(keys, key, value) {
        (void)value;
        failed = failed || json_object_set_new(differences, key, values_json(comparison, key)) != 0;
    }
    if (!failed)
        object = json_pack("{s:O, s:O}", "runs", runs, "differences", differences);
    json_decref(keys);
    json_decref(runs);
    json_decref(differences);
    return object;
}
