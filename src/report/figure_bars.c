/* Bars lie down, so that their groups' names can be read. Where a bar from 0 would hide the
 * differences (accuracies near 100 %, log scales), marks stand in for bars, on an axis that does
 * not start at 0. */
#include <math.h>
#include <string.h>

#include "report/canvas.h"

enum { TITLE = 28, FOOT = 54, VALUE = 76, BAR = 19, GROUP_GAP = 12, MARGIN = 8, MOST_NAME = 110 };

/* "label" would say nothing. */
static int has_dimension_name(const ib_report_figure *figure) {
    return figure->x_label[0] != '\0' && strcmp(figure->x_label, "label") != 0;
}

static double names_width(const ib_report_figure *figure, double room) {
    double width = has_dimension_name(figure)
                       ? fmin(ib_text_width(figure->x_label, IB_SMALL_FONT), MOST_NAME)
                       : 0;
    for (size_t p = 0; p < figure->panel_count; ++p)
        for (size_t l = 0; l < figure->panels[p].label_count; ++l)
            width = fmax(width, ib_text_width(figure->panels[p].labels[l], IB_FONT));
    return fmin(width, 0.32 * room) + 22;
}

static double group_height(const ib_figure_panel *panel, size_t group, double width) {
    double names =
        17.5 * (double)ib_canvas_wrapped(NULL, 0, 0, 'r', IB_FONT, width, panel->labels[group]);
    double bars = BAR * (double)(panel->series_count > 0 ? panel->series_count : 1);
    return fmax(names, bars) + GROUP_GAP;
}

static double panel_height(const ib_figure_panel *panel, double width) {
    double height = 6;
    for (size_t g = 0; g < panel->label_count; ++g)
        height += group_height(panel, g, width);
    return height;
}

/* What the groups are named by, above the first of them. Returns its height; plot NULL: only
 * counts. */
static double draw_dimension(const ib_canvas *canvas, const ib_report_figure *figure,
                             const ib_rect *plot, double width) {
    const double line = 15;
    if (!has_dimension_name(figure))
        return 0;
    double height = 4 + line * (double)ib_canvas_wrapped(NULL, 0, 0, 'r', IB_SMALL_FONT, width,
                                                         figure->x_label);
    if (plot != NULL)
        ib_canvas_wrapped(canvas, plot->left - 10, plot->top - 2 - height / 2, 'r', IB_SMALL_FONT,
                          width, figure->x_label);
    return height;
}

static double head_height(const ib_report_figure *figure, size_t panel, double names) {
    double head = figure->panels[panel].title[0] != '\0' ? TITLE : 4;
    return panel > 0 ? head : fmax(head, draw_dimension(NULL, figure, NULL, names));
}

static double shown(const ib_report_figure *figure, double value) {
    return figure->percent ? 100 * value : value;
}

static int usable(const ib_axis *axis, double value) {
    return isfinite(value) && (!axis->log || value > 0);
}

/* The axis of all panels; returns whether bars can start at its end. */
static int fit_axis(const ib_report_figure *figure, ib_axis *axis) {
    double low = INFINITY, high = -INFINITY;
    for (size_t p = 0; p < figure->panel_count; ++p)
        for (size_t s = 0; s < figure->panels[p].series_count; ++s)
            for (size_t i = 0; i < figure->panels[p].series[s].count; ++i) {
                const ib_figure_point *point = &figure->panels[p].series[s].points[i];
                const double values[] = {point->y, point->low, point->high};
                for (size_t k = 0; k < 3; ++k) {
                    double value = shown(figure, values[k]);
                    if (!usable(axis, value))
                        continue;
                    low = fmin(low, value);
                    high = fmax(high, value);
                }
            }
    int from_zero = !axis->log && !(figure->percent && low > 0.5 * high);
    ib_axis_fit(axis, from_zero ? fmin(low, 0) : low, from_zero ? fmax(high, 0) : high);
    return from_zero;
}

static void draw_value(const ib_canvas *canvas, const ib_report_figure *figure, ib_rect plot,
                       const ib_axis *axis, int bars, double y, size_t place, int published,
                       const ib_figure_point *point) {
    double value = shown(figure, point->y);
    if (!usable(axis, value))
        return;
    const char *colour = ib_series_colour(place);
    double end = ib_axis_at(axis, value, plot.left, plot.right), right = end;
    if (bars) {
        double zero = ib_axis_at(axis, 0, plot.left, plot.right);
        ib_rect box = {fmin(zero, end), y - BAR / 2.0 + 2, fmax(zero, end), y + BAR / 2.0 - 2};
        ib_canvas_box(canvas, box, published ? NULL : colour, published ? colour : NULL);
        right = box.right;
    } else {
        ib_canvas_mark(canvas, end, y, colour, ib_series_shape(place, published));
    }
    double low = shown(figure, point->low), high = shown(figure, point->high);
    if (usable(axis, low) && usable(axis, high) && low < high) {
        double from = ib_axis_at(axis, low, plot.left, plot.right);
        double to = ib_axis_at(axis, high, plot.left, plot.right);
        const char *line = bars ? IB_INK : colour;
        ib_canvas_line(canvas, from, y, to, y, line, 1.2, 0);
        ib_canvas_line(canvas, from, y - 4, from, y + 4, line, 1.2, 0);
        ib_canvas_line(canvas, to, y - 4, to, y + 4, line, 1.2, 0);
        right = fmax(right, to);
    }
    char text[64];
    ib_canvas_number(value, figure->percent, text, sizeof text);
    ib_canvas_text(canvas, right + 9, y, 'l', IB_SMALL_FONT, IB_INK, text);
}

static void draw_panel(const ib_canvas *canvas, const ib_report_figure *figure,
                       const ib_figure_panel *panel, ib_rect plot, const ib_axis *axis, int bars,
                       double names) {
    double top = plot.top + 3;
    for (size_t g = 0; g < panel->label_count; ++g) {
        double height = group_height(panel, g, names), middle = top + height / 2;
        ib_canvas_wrapped(canvas, plot.left - 10, middle, 'r', IB_FONT, names, panel->labels[g]);
        for (size_t s = 0; s < panel->series_count; ++s) {
            const ib_figure_series *series = &panel->series[s];
            double y = middle + BAR * ((double)s - ((double)panel->series_count - 1) / 2);
            for (size_t i = 0; i < series->count; ++i)
                if (series->points[i].x == (double)g)
                    draw_value(canvas, figure, plot, axis, bars, y,
                               ib_series_place(figure, panel, s), series->published,
                               &series->points[i]);
        }
        top += height;
    }
}

void ib_draw_bars(ib_canvas *canvas, const ib_report_figure *figure) {
    double left = names_width(figure, canvas->room), names = left - 20;
    double legend = ib_canvas_legend(NULL, figure, canvas->room, 0, 0);
    canvas->width = canvas->room;
    canvas->height = legend + 8;
    for (size_t p = 0; p < figure->panel_count; ++p)
        canvas->height +=
            head_height(figure, p, names) + MARGIN + panel_height(&figure->panels[p], names);
    canvas->height += FOOT;
    if (canvas->out == NULL)
        return;
    ib_axis axis = {.percent = figure->percent, .log = figure->log_scale};
    int bars = fit_axis(figure, &axis);
    ib_canvas_legend(canvas, figure, canvas->room, 0, 0);
    double top = legend + 8;
    for (size_t p = 0; p < figure->panel_count; ++p) {
        const ib_figure_panel *panel = &figure->panels[p];
        top += head_height(figure, p, names);
        ib_rect plot = {left, top, canvas->room - VALUE, top + panel_height(panel, names)};
        int last = p + 1 == figure->panel_count;
        ib_canvas_axes(canvas, plot, &axis, last, NULL, 0);
        ib_canvas_fitted(canvas, plot.left, plot.top - 13, 'l', canvas->room - plot.left,
                         panel->title);
        if (last)
            ib_canvas_fitted(canvas, (plot.left + plot.right) / 2, plot.bottom + 38, 'c',
                             plot.right - plot.left + VALUE, figure->y_label);
        if (p == 0)
            draw_dimension(canvas, figure, &plot, names);
        draw_panel(canvas, figure, panel, plot, &axis, bars, names);
        top = plot.bottom + MARGIN;
    }
}
