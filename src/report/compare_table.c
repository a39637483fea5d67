/* The comparison as a table, and as JSON. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/number.h"
#include "record/record_file.h"
#include "report/compare.h"

/* Up to so many runs are columns; more are rows. */
enum { MAX_COLUMNS = 4 };

typedef enum source { OF_CANONICAL, OF_ENVIRONMENT, OF_RESULTS, OF_RECORD, OTHER_TIME } source;

typedef struct row {
    const char *section, *name, *key;
    source source;
} row;

static const char DIFFERENT[] = "Configured otherwise";
static const char MACHINE[] = "Machine";
static const char RESULT[] = "Results";
static const char TIME[] = "Where the time went";
static const char HASHES[] = "Hashes";

static const row FIXED[] = {
    {MACHINE, "isobit", "isobit_version", OF_ENVIRONMENT},
    {MACHINE, "commit", "git_commit", OF_ENVIRONMENT},
    {MACHINE, "compiler", "compiler", OF_ENVIRONMENT},
    {MACHINE, "processor", "cpu_model", OF_ENVIRONMENT},
    {MACHINE, "backend", "backend", OF_ENVIRONMENT},
    {MACHINE, "instruction set", "isa", OF_ENVIRONMENT},
    {MACHINE, "threads", "threads", OF_ENVIRONMENT},
    {RESULT, "status", "status", OF_RECORD},
    {RESULT, "test accuracy", "test_accuracy", OF_RESULTS},
    {RESULT, "test loss", "test_loss", OF_RESULTS},
    {RESULT, "images/s", "images_per_second", OF_RESULTS},
    {RESULT, "memory, bytes", "peak_rss_bytes", OF_RESULTS},
    {TIME, "training, s", "train_seconds", OF_RESULTS},
    {TIME, "prediction, s", "predict_seconds", OF_RESULTS},
    {TIME, "the rest, s", NULL, OTHER_TIME},
    {TIME, "in all, s", "total_seconds", OF_RESULTS},
    {HASHES, "experiment", "experiment_sha256", OF_RECORD},
    {HASHES, "model", "model_sha256", OF_RESULTS},
    {HASHES, "optimiser", "optimizer_sha256", OF_RESULTS},
};
enum { FIXED_ROWS = sizeof FIXED / sizeof FIXED[0] };

static json_t *value_of(const ib_comparison *comparison, size_t run, const row *r) {
    const json_t *record = comparison->records[run];
    const json_t *results = json_object_get(record, "results");
    switch (r->source) {
    case OF_CANONICAL:
        return json_object_get(comparison->canonical[run], r->key);
    case OF_ENVIRONMENT:
        return json_object_get(json_object_get(record, "environment"), r->key);
    case OF_RESULTS:
        return json_object_get(results, r->key);
    case OF_RECORD:
        return json_object_get(record, r->key);
    case OTHER_TIME:
        break;
    }
    return NULL;
}

/* Of the last part of the run only: the training of earlier parts is not in its total. */
static char *rest_text(const json_t *record) {
    const json_t *results = json_object_get(record, "results");
    const json_t *total = json_object_get(results, "total_seconds");
    double rest = json_number_value(total) -
                  json_number_value(json_object_get(results, "train_seconds")) -
                  json_number_value(json_object_get(results, "predict_seconds"));
    return total == NULL || rest < 0 ? strdup("-") : ib_format("%.3f", rest);
}

static char *text_of(const ib_comparison *comparison, size_t run, const row *r) {
    char number[IB_DOUBLE_TEXT];
    if (r->source == OTHER_TIME)
        return rest_text(comparison->records[run]);
    const json_t *value = value_of(comparison, run, r);
    if (json_is_string(value))
        return strdup(json_string_value(value));
    if (json_is_real(value) && (r->section == TIME || strcmp(r->name, "images/s") == 0))
        return ib_format("%.3f", json_real_value(value));
    if (json_is_real(value)) {
        ib_print_double(json_real_value(value), number);
        return strdup(number);
    }
    if (value == NULL || json_is_null(value))
        return strdup("-");
    return ib_json_dump(value, JSON_ENCODE_ANY | JSON_COMPACT);
}

static int is_differing(const ib_comparison *comparison, const row *r) {
    for (size_t i = 1; i < comparison->count; ++i) {
        const json_t *a = value_of(comparison, 0, r), *b = value_of(comparison, i, r);
        if (a != b && (a == NULL || b == NULL || !json_equal(a, b)))
            return 1;
    }
    return 0;
}

/* Keys of the canonical forms in which the runs differ: an object; NULL: out of memory. */
static json_t *differing_keys(const ib_comparison *comparison) {
    json_t *keys = json_object(), *seen = json_object();
    int failed = keys == NULL || seen == NULL;
    for (size_t i = 0; !failed && i < comparison->count; ++i) {
        const char *key;
        json_t *value;
        json_object_foreach(comparison->canonical[i], key, value) {
            row r = {DIFFERENT, key, key, OF_CANONICAL};
            if (json_object_get(seen, key) != NULL)
                continue;
            failed |= json_object_set(seen, key, value) != 0;
            if (is_differing(comparison, &r))
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
            complete &= (*at = text_of(comparison, run, &rows[r])) != NULL;
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

static int is_shown(const ib_comparison *comparison, const row *r) {
    if (r->section == MACHINE)
        return is_differing(comparison, r);
    if (r->source == OTHER_TIME)
        return 1;
    for (size_t i = 0; i < comparison->count; ++i) {
        const json_t *value = value_of(comparison, i, r);
        if (value != NULL && !json_is_null(value))
            return 1;
    }
    return 0;
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
    const char *key;
    json_t *value;
    json_object_foreach(keys, key, value) {
        (void)value;
        rows[count++] = (row){DIFFERENT, key, key, OF_CANONICAL};
    }
    for (size_t i = 0; i < FIXED_ROWS; ++i)
        if (is_shown(comparison, &FIXED[i]))
            rows[count++] = FIXED[i];
    for (size_t i = 0; i < comparison->count; ++i)
        fprintf(out, "[%zu] %s\n", i + 1, comparison->directories[i]);
    fputc('\n', out);
    ib_status status = print_rows(comparison, rows, count, out, err);
    free(rows);
    json_decref(keys);
    return status;
}

/* A value that the record does not have is left out. */
static json_t *run_json(const ib_comparison *comparison, size_t run) {
    json_t *object = json_pack("{s:s}", "run", comparison->directories[run]);
    int failed = object == NULL;
    for (size_t r = 0; !failed && r < FIXED_ROWS; ++r) {
        json_t *value = FIXED[r].key == NULL ? NULL : value_of(comparison, run, &FIXED[r]);
        failed = value != NULL && json_object_set(object, FIXED[r].key, value) != 0;
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
        json_t *found = json_object_get(comparison->canonical[i], key);
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
        failed = json_array_append_new(runs, run_json(comparison, i)) != 0;
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
