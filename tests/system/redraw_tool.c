/* Draws a report.json's figures again, and writes its page: it holds all that they show.
 * usage: redraw_tool REPORT.json DIRECTORY [PAGE.html] */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/base64.h"
#include "report/figure.h"
#include "report/write_html.h"

static void *fresh(size_t count, size_t size) {
    void *memory = calloc(count + 1, size);
    if (memory == NULL)
        abort();
    return memory;
}

static char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? strdup(text) : NULL;
}

static double number_of(const json_t *value) {
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static size_t index_of(const json_t *object, const char *key) {
    return (size_t)json_integer_value(json_object_get(object, key));
}

static char **texts_of(const json_t *object, const char *key, size_t *count) {
    const json_t *list = json_object_get(object, key);
    *count = json_array_size(list);
    char **texts = fresh(*count, sizeof *texts);
    for (size_t i = 0; i < *count; ++i)
        texts[i] = strdup(json_string_value(json_array_get(list, i)));
    return texts;
}

static void read_series(const json_t *from, ib_figure_series *series) {
    const json_t *points = json_object_get(from, "points");
    series->name = text_of(from, "name");
    series->published = json_is_true(json_object_get(from, "published"));
    series->count = json_array_size(points);
    series->points = fresh(series->count, sizeof *series->points);
    for (size_t i = 0; i < series->count; ++i) {
        const json_t *point = json_array_get(points, i);
        series->points[i] = (ib_figure_point){.x = number_of(json_object_get(point, "x")),
                                              .y = number_of(json_object_get(point, "y")),
                                              .low = number_of(json_object_get(point, "low")),
                                              .high = number_of(json_object_get(point, "high")),
                                              .label = text_of(point, "label")};
    }
}

static void read_image(const json_t *from, ib_figure_image *image) {
    *image = (ib_figure_image){.height = index_of(from, "height"),
                               .width = index_of(from, "width"),
                               .channels = index_of(from, "channels"),
                               .actual = (unsigned)index_of(from, "actual"),
                               .predicted = (unsigned)index_of(from, "predicted"),
                               .probability = number_of(json_object_get(from, "probability")),
                               .index = index_of(from, "index")};
    if (json_object_get(from, "height") == NULL) { /* older reports: MNIST's shape */
        image->height = image->width = 28;
        image->channels = 1;
    }
    size_t bytes = image->height * image->width * image->channels;
    image->pixels = fresh(bytes, 1);
    if (!ib_base64_decode(json_string_value(json_object_get(from, "pixels")), image->pixels, bytes))
        abort();
}

static void read_panel(const json_t *from, ib_figure_panel *panel) {
    const json_t *series = json_object_get(from, "series");
    const json_t *images = json_object_get(from, "images");
    const json_t *matrix = json_object_get(from, "matrix");
    panel->title = text_of(from, "title");
    panel->y_label = text_of(from, "y_label");
    panel->labels = texts_of(from, "labels", &panel->label_count);
    panel->row_labels = texts_of(from, "row_labels", &panel->row_count);
    panel->column_labels = texts_of(from, "column_labels", &panel->column_count);
    panel->matrix = fresh(panel->row_count * panel->column_count, sizeof *panel->matrix);
    for (size_t i = 0; i < panel->row_count * panel->column_count; ++i)
        panel->matrix[i] = number_of(json_array_get(json_array_get(matrix, i / panel->column_count),
                                                    i % panel->column_count));
    panel->series_count = json_array_size(series);
    panel->series = fresh(panel->series_count, sizeof *panel->series);
    for (size_t i = 0; i < panel->series_count; ++i)
        read_series(json_array_get(series, i), &panel->series[i]);
    panel->image_count = json_array_size(images);
    panel->images = fresh(panel->image_count, sizeof *panel->images);
    for (size_t i = 0; i < panel->image_count; ++i)
        read_image(json_array_get(images, i), &panel->images[i]);
}

static ib_report_kind kind_of(const json_t *from) {
    const char *name = json_string_value(json_object_get(from, "kind"));
    for (int kind = 0; kind <= (int)IB_FIGURE_USAGE; ++kind)
        if (strcmp(ib_report_kind_name((ib_report_kind)kind), name) == 0)
            return (ib_report_kind)kind;
    abort();
}

static void read_figure(const json_t *from, ib_report_figure *figure) {
    const json_t *panels = json_object_get(from, "panels");
    *figure = (ib_report_figure){.kind = kind_of(from),
                                 .name = text_of(from, "name"),
                                 .title = text_of(from, "title"),
                                 .note = text_of(from, "note"),
                                 .missing = text_of(from, "missing"),
                                 .description = text_of(from, "description"),
                                 .x_label = text_of(from, "x_label"),
                                 .y_label = text_of(from, "y_label"),
                                 .percent = json_is_true(json_object_get(from, "percent")),
                                 .log_scale = json_is_true(json_object_get(from, "log_scale"))};
    figure->panel_count = json_array_size(panels);
    figure->panels = fresh(figure->panel_count, sizeof *figure->panels);
    for (size_t i = 0; i < figure->panel_count; ++i)
        read_panel(json_array_get(panels, i), &figure->panels[i]);
}

static ib_column_role role_of(const json_t *from) {
    static const char *const NAMES[] = {"heading",    "ours",   "published",
                                        "difference", "remark", "spread"};
    const char *name = json_string_value(json_object_get(from, "role"));
    for (int role = 0; role <= (int)IB_COLUMN_SPREAD; ++role)
        if (strcmp(NAMES[role], name) == 0)
            return (ib_column_role)role;
    abort();
}

static void read_table(const json_t *from, ib_report_table *table) {
    const json_t *columns = json_object_get(from, "columns"), *rows = json_object_get(from, "rows");
    *table = (ib_report_table){.name = text_of(from, "name"),
                               .title = text_of(from, "title"),
                               .note = text_of(from, "note"),
                               .missing = text_of(from, "missing"),
                               .column_count = json_array_size(columns),
                               .row_count = json_array_size(rows)};
    table->columns = fresh(table->column_count, sizeof *table->columns);
    for (size_t c = 0; c < table->column_count; ++c) {
        const json_t *column = json_array_get(columns, c);
        table->columns[c] = (ib_report_column){.name = text_of(column, "name"),
                                               .key = text_of(column, "key"),
                                               .role = role_of(column)};
    }
    table->values = fresh(table->row_count * table->column_count, sizeof *table->values);
    for (size_t i = 0; i < table->row_count * table->column_count; ++i) {
        const json_t *value =
            json_array_get(json_array_get(rows, i / table->column_count), i % table->column_count);
        table->values[i] = (ib_report_value){.text = text_of(value, "text"),
                                             .value = number_of(json_object_get(value, "value"))};
    }
}

static void read_run(const json_t *from, ib_report_run *run) {
    *run = (ib_report_run){.cell = text_of(from, "cell"),
                           .state = text_of(from, "state"),
                           .machine = text_of(from, "machine"),
                           .run_id = text_of(from, "run_id"),
                           .experiment_sha256 = text_of(from, "experiment_sha256"),
                           .model_sha256 = text_of(from, "model_sha256")};
}

static void read_report(const json_t *from, ib_report *report) {
    const json_t *findings = json_object_get(from, "findings");
    const json_t *tables = json_object_get(from, "tables");
    const json_t *figures = json_object_get(from, "figures"), *runs = json_object_get(from, "runs");
    *report = (ib_report){.name = text_of(from, "name"),
                          .title = text_of(from, "title"),
                          .description = text_of(from, "description"),
                          .source = text_of(from, "source"),
                          .command = text_of(from, "command"),
                          .program = text_of(from, "program"),
                          .asked = index_of(from, "asked"),
                          .finished = index_of(from, "finished"),
                          .finding_count = json_array_size(findings),
                          .table_count = json_array_size(tables),
                          .figure_count = json_array_size(figures),
                          .run_count = json_array_size(runs)};
    report->machines = texts_of(from, "machines", &report->machine_count);
    report->findings = fresh(report->finding_count, sizeof *report->findings);
    for (size_t i = 0; i < report->finding_count; ++i)
        report->findings[i] = (ib_finding){text_of(json_array_get(findings, i), "text"),
                                           text_of(json_array_get(findings, i), "basis")};
    report->tables = fresh(report->table_count, sizeof *report->tables);
    for (size_t i = 0; i < report->table_count; ++i)
        read_table(json_array_get(tables, i), &report->tables[i]);
    report->figures = fresh(report->figure_count, sizeof *report->figures);
    for (size_t i = 0; i < report->figure_count; ++i)
        read_figure(json_array_get(figures, i), &report->figures[i]);
    report->runs = fresh(report->run_count, sizeof *report->runs);
    for (size_t i = 0; i < report->run_count; ++i)
        read_run(json_array_get(runs, i), &report->runs[i]);
}

int main(int count, char **arguments) {
    json_error_t problem;
    ib_error err = {0};
    if (count < 3 || count > 4) {
        fprintf(stderr, "usage: redraw_tool REPORT.json DIRECTORY [PAGE.html]\n");
        return 2;
    }
    json_t *from = json_load_file(arguments[1], 0, &problem);
    ib_report report;
    if (json_object_get(from, "figures") == NULL) {
        fprintf(stderr, "redraw_tool: %s: no figures: %s\n", arguments[1], problem.text);
        return 3;
    }
    read_report(from, &report);
    json_decref(from);
    char **svgs = NULL;
    ib_status status = ib_report_measure(&report, &err);
    if (status == IB_OK)
        status = ib_report_draw(&report, arguments[2], &svgs, &err);
    if (status == IB_OK && count == 4)
        status = ib_report_write_html(&report, svgs, arguments[3], &err);
    if (status != IB_OK)
        fprintf(stderr, "redraw_tool: %s\n", ib_error_text(&err));
    ib_report_free_drawings(svgs, report.figure_count);
    ib_report_free(&report);
    ib_error_clear(&err);
    return (int)status;
}
