/* The report as JSON: all that the page shows, as numbers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/file.h"
#include "base/json_text.h"
#include "base/number.h"
#include "report/write.h"

enum { REPORT_FORMAT = 1 };

/* NaN is null. */
static void write_number(ib_json *json, const char *key, double value) {
    if (isnan(value))
        ib_json_string(json, key, NULL);
    else
        ib_json_double(json, key, value);
}

static const char *role_name(ib_column_role role) {
    static const char *const NAMES[] = {"heading",    "ours",   "published",
                                        "difference", "remark", "spread"};
    return NAMES[role];
}

static void write_table(const ib_report_table *table, ib_json *json) {
    ib_json_open(json, NULL, '{');
    ib_json_string(json, "name", table->name);
    ib_json_string(json, "title", table->title);
    ib_json_string(json, "note", table->note);
    ib_json_string(json, "missing", table->missing);
    ib_json_open(json, "columns", '[');
    for (size_t c = 0; c < table->column_count; ++c) {
        ib_json_open(json, NULL, '{');
        ib_json_string(json, "key", table->columns[c].key);
        ib_json_string(json, "name", table->columns[c].name);
        ib_json_string(json, "role", role_name(table->columns[c].role));
        ib_json_close(json, '}');
    }
    ib_json_close(json, ']');
    ib_json_open(json, "rows", '[');
    for (size_t r = 0; r < table->row_count; ++r) {
        ib_json_open(json, NULL, '[');
        for (size_t c = 0; c < table->column_count; ++c) {
            const ib_report_value *value = &table->values[r * table->column_count + c];
            ib_json_open(json, NULL, '{');
            ib_json_string(json, "text", value->text);
            write_number(json, "value", value->value);
            ib_json_close(json, '}');
        }
        ib_json_close(json, ']');
    }
    ib_json_close(json, ']');
    ib_json_close(json, '}');
}

static void write_texts(ib_json *json, const char *key, char *const *texts, size_t count) {
    ib_json_open(json, key, '[');
    for (size_t i = 0; i < count; ++i)
        ib_json_string(json, NULL, texts[i]);
    ib_json_close(json, ']');
}

static void write_series(const ib_figure_series *series, ib_json *json) {
    ib_json_open(json, NULL, '{');
    ib_json_string(json, "name", series->name);
    ib_json_bool(json, "published", series->published);
    ib_json_open(json, "points", '[');
    for (size_t i = 0; i < series->count; ++i) {
        const ib_figure_point *point = &series->points[i];
        ib_json_open(json, NULL, '{');
        write_number(json, "x", point->x);
        write_number(json, "y", point->y);
        write_number(json, "low", point->low);
        write_number(json, "high", point->high);
        if (point->label != NULL)
            ib_json_string(json, "label", point->label);
        ib_json_close(json, '}');
    }
    ib_json_close(json, ']');
    ib_json_close(json, '}');
}

static void write_image(const ib_figure_image *image, ib_json *json) {
    size_t bytes = image->height * image->width * image->channels;
    char *encoded = malloc(ib_base64_length(bytes) + 1);
    json->failed |= encoded == NULL;
    if (encoded != NULL)
        ib_base64_encode(image->pixels, bytes, encoded);
    ib_json_open(json, NULL, '{');
    ib_json_uint(json, "index", image->index);
    ib_json_uint(json, "actual", image->actual);
    ib_json_uint(json, "predicted", image->predicted);
    write_number(json, "probability", image->probability);
    ib_json_uint(json, "height", image->height);
    ib_json_uint(json, "width", image->width);
    ib_json_uint(json, "channels", image->channels);
    ib_json_string(json, "pixels", encoded);
    ib_json_close(json, '}');
    free(encoded);
}

static void write_panel(const ib_figure_panel *panel, ib_json *json) {
    ib_json_open(json, NULL, '{');
    ib_json_string(json, "title", panel->title);
    if (panel->y_label != NULL)
        ib_json_string(json, "y_label", panel->y_label);
    write_texts(json, "labels", panel->labels, panel->label_count);
    ib_json_open(json, "series", '[');
    for (size_t s = 0; s < panel->series_count; ++s)
        write_series(&panel->series[s], json);
    ib_json_close(json, ']');
    write_texts(json, "row_labels", panel->row_labels, panel->row_count);
    write_texts(json, "column_labels", panel->column_labels, panel->column_count);
    ib_json_open(json, "matrix", '[');
    for (size_t r = 0; r < panel->row_count; ++r) {
        ib_json_open(json, NULL, '[');
        for (size_t c = 0; c < panel->column_count; ++c)
            write_number(json, NULL, panel->matrix[r * panel->column_count + c]);
        ib_json_close(json, ']');
    }
    ib_json_close(json, ']');
    ib_json_open(json, "images", '[');
    for (size_t i = 0; i < panel->image_count; ++i)
        write_image(&panel->images[i], json);
    ib_json_close(json, ']');
    ib_json_close(json, '}');
}

static void write_figure(const ib_report_figure *figure, ib_json *json) {
    ib_json_open(json, NULL, '{');
    ib_json_string(json, "name", figure->name);
    ib_json_string(json, "kind", ib_report_kind_name(figure->kind));
    ib_json_string(json, "title", figure->title);
    ib_json_string(json, "note", figure->note);
    ib_json_string(json, "missing", figure->missing);
    ib_json_string(json, "description", figure->description);
    ib_json_string(json, "x_label", figure->x_label);
    ib_json_string(json, "y_label", figure->y_label);
    ib_json_bool(json, "percent", figure->percent);
    ib_json_bool(json, "log_scale", figure->log_scale);
    ib_json_open(json, "panels", '[');
    for (size_t p = 0; p < figure->panel_count; ++p)
        write_panel(&figure->panels[p], json);
    ib_json_close(json, ']');
    ib_json_close(json, '}');
}

static void write_run(const ib_report_run *run, ib_json *json) {
    ib_json_open(json, NULL, '{');
    ib_json_string(json, "cell", run->cell);
    ib_json_string(json, "state", run->state);
    ib_json_string(json, "machine", run->machine);
    ib_json_string(json, "run_id", run->run_id);
    ib_json_string(json, "experiment_sha256", run->experiment_sha256);
    ib_json_string(json, "model_sha256", run->model_sha256);
    ib_json_close(json, '}');
}

static void write_report(const ib_report *report, ib_json *json) {
    ib_json_open(json, NULL, '{');
    ib_json_int(json, "format", REPORT_FORMAT);
    ib_json_string(json, "name", report->name);
    ib_json_string(json, "title", report->title);
    ib_json_string(json, "description", report->description);
    ib_json_string(json, "source", report->source);
    ib_json_string(json, "command", report->command);
    ib_json_string(json, "program", report->program);
    write_texts(json, "machines", report->machines, report->machine_count);
    ib_json_uint(json, "asked", report->asked);
    ib_json_uint(json, "finished", report->finished);
    ib_json_open(json, "findings", '[');
    for (size_t i = 0; i < report->finding_count; ++i) {
        ib_json_open(json, NULL, '{');
        ib_json_string(json, "text", report->findings[i].text);
        ib_json_string(json, "basis", report->findings[i].basis);
        ib_json_close(json, '}');
    }
    ib_json_close(json, ']');
    ib_json_open(json, "tables", '[');
    for (size_t i = 0; i < report->table_count; ++i)
        write_table(&report->tables[i], json);
    ib_json_close(json, ']');
    ib_json_open(json, "figures", '[');
    for (size_t i = 0; i < report->figure_count; ++i)
        write_figure(&report->figures[i], json);
    ib_json_close(json, ']');
    ib_json_open(json, "runs", '[');
    for (size_t i = 0; i < report->run_count; ++i)
        write_run(&report->runs[i], json);
    ib_json_close(json, ']');
    ib_json_close(json, '}');
    fputc('\n', json->out);
}

ib_status ib_report_write_json(const ib_report *report, const char *path, ib_error *err) {
    ib_atomic_file file;
    IB_TRY(ib_atomic_open(&file, path, err));
    ib_json json = {.out = file.stream};
    write_report(report, &json);
    if (!json.failed)
        return ib_atomic_commit(&file, err);
    ib_atomic_abort(&file);
    return ib_fail_memory(err);
}
