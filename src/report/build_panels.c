/* Panels, series and points of a figure. */
#include <stdlib.h>
#include <string.h>

#include "report/build_figures.h"

ib_figure_panel *ib_add_panel(ib_builder *b, ib_report_figure *figure, char *title) {
    ib_figure_panel *panel = ib_append(b, &figure->panels, &figure->panel_count, sizeof *panel);
    if (panel == NULL) {
        free(title);
        return NULL;
    }
    panel->title = ib_keep(b, title);
    return panel;
}

ib_figure_series *ib_add_series(ib_builder *b, ib_figure_panel *panel, char *name) {
    ib_figure_series *series = ib_append(b, &panel->series, &panel->series_count, sizeof *series);
    if (series == NULL) {
        free(name);
        return NULL;
    }
    series->name = ib_keep(b, name);
    return series;
}

void ib_drop_last_series(ib_figure_panel *panel) {
    ib_figure_series *last = &panel->series[--panel->series_count];
    free(last->name);
    free(last->points);
    *last = (ib_figure_series){0};
}

void ib_add_point(ib_builder *b, ib_figure_series *series, double x, double y, double low,
                  double high, char *label) {
    ib_figure_point *point = ib_append(b, &series->points, &series->count, sizeof *point);
    if (point == NULL) {
        free(label);
        return;
    }
    *point = (ib_figure_point){.x = x, .y = y, .low = low, .high = high, .label = label};
}

void ib_drop_panels(ib_report_figure *figure) {
    ib_report_figure panels = {.panels = figure->panels, .panel_count = figure->panel_count};
    ib_report scratch = {.figures = calloc(1, sizeof panels), .figure_count = 1};
    if (scratch.figures == NULL)
        return;
    scratch.figures[0] = panels;
    figure->panels = NULL;
    figure->panel_count = 0;
    ib_report_free(&scratch);
}
