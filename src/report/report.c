#include "report/report.h"

#include <stdlib.h>
#include <string.h>

const char *ib_report_constant_remark(const ib_report_table *table, size_t column) {
    if (table->columns[column].role != IB_COLUMN_REMARK || table->row_count == 0)
        return NULL;
    /* A line without values was measured nowhere. */
    int may_lack = strcmp(table->columns[column].key, "machine") == 0;
    const char *first = NULL;
    for (size_t r = 0; r < table->row_count; ++r) {
        const char *text = table->values[r * table->column_count + column].text;
        if (may_lack && text[0] == '\0')
            continue;
        if (first != NULL && strcmp(text, first) != 0)
            return NULL;
        first = text;
    }
    return first != NULL ? first : "";
}

size_t ib_report_next_remark(const ib_report_table *table, size_t column) {
    for (; column < table->column_count; ++column) {
        const char *text = ib_report_constant_remark(table, column);
        if (text != NULL && text[0] != '\0')
            break;
    }
    return column;
}

int ib_report_is_drawn(const ib_report_figure *figure) {
    return figure->panel_count > 0 && !figure->too_large;
}

static void free_table(ib_report_table *table) {
    for (size_t i = 0; i < table->column_count; ++i) {
        free(table->columns[i].name);
        free(table->columns[i].key);
    }
    for (size_t i = 0; table->values != NULL && i < table->row_count * table->column_count; ++i)
        free(table->values[i].text);
    free(table->columns);
    free(table->values);
    free(table->name);
    free(table->title);
    free(table->note);
    free(table->missing);
}

static void free_texts(char **texts, size_t count) {
    for (size_t i = 0; texts != NULL && i < count; ++i)
        free(texts[i]);
    free(texts);
}

void ib_figure_images_free(ib_figure_image *images, size_t count) {
    for (size_t i = 0; images != NULL && i < count; ++i)
        free(images[i].pixels);
    free(images);
}

static void free_panel(ib_figure_panel *panel) {
    for (size_t s = 0; s < panel->series_count; ++s) {
        for (size_t i = 0; i < panel->series[s].count; ++i)
            free(panel->series[s].points[i].label);
        free(panel->series[s].points);
        free(panel->series[s].name);
    }
    free(panel->series);
    free_texts(panel->labels, panel->label_count);
    free_texts(panel->row_labels, panel->row_count);
    free_texts(panel->column_labels, panel->column_count);
    free(panel->matrix);
    ib_figure_images_free(panel->images, panel->image_count);
    free(panel->title);
    free(panel->y_label);
}

static void free_figure(ib_report_figure *figure) {
    for (size_t i = 0; i < figure->panel_count; ++i)
        free_panel(&figure->panels[i]);
    free(figure->panels);
    free(figure->name);
    free(figure->title);
    free(figure->note);
    free(figure->missing);
    free(figure->x_label);
    free(figure->y_label);
    free(figure->description);
}

static void free_run(ib_report_run *run) {
    free(run->cell);
    free(run->state);
    free(run->machine);
    free(run->run_id);
    free(run->experiment_sha256);
    free(run->model_sha256);
}

void ib_report_free(ib_report *report) {
    for (size_t i = 0; i < report->table_count; ++i)
        free_table(&report->tables[i]);
    for (size_t i = 0; i < report->figure_count; ++i)
        free_figure(&report->figures[i]);
    for (size_t i = 0; i < report->finding_count; ++i) {
        free(report->findings[i].text);
        free(report->findings[i].basis);
    }
    for (size_t i = 0; i < report->run_count; ++i)
        free_run(&report->runs[i]);
    free_texts(report->machines, report->machine_count);
    free(report->tables);
    free(report->figures);
    free(report->findings);
    free(report->runs);
    free(report->name);
    free(report->title);
    free(report->description);
    free(report->source);
    free(report->command);
    free(report->program);
    *report = (ib_report){0};
}
