/* How series look, and the legend that says so. */
#include <string.h>

#include "report/canvas.h"

int ib_series_shape(size_t series, int published) {
    return (int)(series % IB_SHAPES) + (published ? IB_SHAPES : 0);
}

const char *ib_series_colour(size_t series) {
    static const char *const classes[IB_COLOURS] = {"s1", "s2", "s3", "s4", "s5", "s6", "s7"};
    return classes[series % IB_COLOURS];
}

static const ib_figure_panel *widest_panel(const ib_report_figure *figure) {
    const ib_figure_panel *widest = NULL;
    for (size_t p = 0; p < figure->panel_count; ++p)
        if (widest == NULL || figure->panels[p].series_count > widest->series_count)
            widest = &figure->panels[p];
    return widest;
}

/* The series of ours that a published one stands beside: "a" for "a, published". */
static size_t ours_of(const ib_figure_panel *panel, size_t series) {
    const char *name = panel->series[series].name;
    for (size_t s = 0; s < panel->series_count && panel->series[series].published; ++s) {
        const char *ours = panel->series[s].name;
        size_t length = strlen(ours);
        if (!panel->series[s].published && strncmp(name, ours, length) == 0 &&
            (length == 0 || strncmp(name + length, ", ", 2) == 0))
            return s;
    }
    return series;
}

/* Colour and shape: a published series has those of ours, hollow, where it is the only one beside
 * it; the others are numbered. */
static size_t style_of(const ib_figure_panel *panel, size_t series) {
    size_t ours = ours_of(panel, series), beside = 0, number = 0;
    for (size_t s = 0; s < panel->series_count; ++s)
        beside += s != ours && ours_of(panel, s) == ours;
    if (ours != series && beside == 1)
        return style_of(panel, ours);
    for (size_t s = 0; s < series; ++s) {
        size_t other = ours_of(panel, s), count = 0;
        for (size_t i = 0; i < panel->series_count; ++i)
            count += i != other && ours_of(panel, i) == other;
        number += other == s || count != 1;
    }
    return number;
}

size_t ib_series_place(const ib_report_figure *figure, const ib_figure_panel *panel,
                       size_t series) {
    const ib_figure_panel *widest = widest_panel(figure);
    for (size_t s = 0; s < widest->series_count; ++s)
        if (strcmp(widest->series[s].name, panel->series[series].name) == 0)
            return style_of(widest, s);
    return series;
}

double ib_canvas_legend(const ib_canvas *canvas, const ib_report_figure *figure, double width,
                        double y, int lines) {
    const double row = 22, sign = 30;
    const ib_figure_panel *widest = widest_panel(figure);
    if (widest == NULL || widest->series_count == 0 ||
        (widest->series_count == 1 && widest->series[0].name[0] == '\0'))
        return 0;
    double x = 8;
    size_t rows = 1;
    for (size_t s = 0; s < widest->series_count; ++s) {
        const ib_figure_series *series = &widest->series[s];
        const char *name = series->name[0] != '\0' ? series->name : "measured here";
        size_t style = style_of(widest, s);
        double needed = sign + ib_text_width(name, IB_FONT) + 24;
        if (x > 8 && x + needed > width)
            ++rows, x = 8;
        if (canvas != NULL) {
            double middle = y + row * ((double)rows - 0.5);
            if (lines)
                ib_canvas_line(canvas, x, middle, x + 24, middle, ib_series_colour(style), 2,
                               series->published);
            ib_canvas_mark(canvas, x + 12, middle, ib_series_colour(style),
                           ib_series_shape(style, series->published));
            ib_canvas_fitted(canvas, x + sign, middle, 'l', width - x - sign, name);
        }
        x += needed;
    }
    return row * (double)rows + 8;
}

double ib_titles_height(const ib_report_figure *figure, double height) {
    for (size_t p = 0; p < figure->panel_count; ++p)
        if (figure->panels[p].title[0] != '\0')
            return height;
    return 8;
}
