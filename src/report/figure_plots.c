/* Figures with two numeric axes: curves with bands over seeds, and scatters. */
#include <math.h>
#include <stdlib.h>

#include "report/canvas.h"

enum { TITLE = 26, FOOT = 52, LEFT = 90, GAP = 26, RIGHT = 18, NO_FOOT = 16, MARKED = 30 };

typedef struct grid {
    size_t columns, rows;
    double width, height; /* of a panel's plot */
    double legend, title;
    double foot; /* below a panel that is not in the last row */
} grid;

static grid lay_out(ib_canvas *canvas, const ib_report_figure *figure, int lines) {
    grid g = {.columns = figure->panel_count < 3    ? figure->panel_count
                         : figure->panel_count == 4 ? 2
                                                    : 3};
    int over_time = figure->kind == IB_FIGURE_USAGE; /* one below the other, on one time axis */
    if (canvas->room < IB_WIDE || over_time || g.columns == 0)
        g.columns = 1;
    g.rows = (figure->panel_count + g.columns - 1) / g.columns;
    g.width = (canvas->room - LEFT - RIGHT - GAP * (double)(g.columns - 1)) / (double)g.columns;
    g.height = over_time        ? 170
               : g.columns == 1 ? (canvas->room < IB_WIDE ? 230 : 300)
               : g.columns == 2 ? 230
                                : 190;
    g.foot = over_time ? NO_FOOT : FOOT;
    g.title = ib_titles_height(figure, TITLE);
    g.legend = ib_canvas_legend(NULL, figure, canvas->room, 0, lines);
    canvas->width = canvas->room;
    canvas->height = g.legend + (double)g.rows * (g.title + g.height + g.foot) + FOOT - g.foot;
    return g;
}

static ib_rect panel_rect(const grid *g, size_t panel) {
    size_t row = panel / g->columns;
    double left = LEFT + (double)(panel % g->columns) * (g->width + GAP);
    double top = g->legend + (double)row * (g->title + g->height + g->foot) + g->title;
    return (ib_rect){left, top, left + g->width, top + g->height};
}

static double scaled(double value, int percent) {
    return percent ? 100 * value : value;
}

/* Whether the value can stand on the axis. */
static int drawable(double value, const ib_axis *axis) {
    return isfinite(value) && (!axis->log || value > 0);
}

typedef struct span {
    double low, high;
} span;

static void widen(span *s, double value) {
    s->low = fmin(s->low, value);
    s->high = fmax(s->high, value);
}

static void find_spans(const ib_figure_panel *panel, int bands, ib_axis *x, const ib_axis *y,
                       span *of_x, span *of_y) {
    for (size_t s = 0; s < panel->series_count; ++s)
        for (size_t i = 0; i < panel->series[s].count; ++i) {
            const ib_figure_point *point = &panel->series[s].points[i];
            if (!drawable(scaled(point->y, y->percent), y) || !isfinite(point->x))
                continue;
            x->whole &= point->x == floor(point->x);
            widen(of_x, scaled(point->x, x->percent));
            const double ys[] = {point->y, point->low, point->high};
            for (size_t k = 0; k < (bands ? 3 : 1); ++k)
                if (drawable(scaled(ys[k], y->percent), y))
                    widen(of_y, scaled(ys[k], y->percent));
        }
}

static void fit_axes(const ib_report_figure *figure, ib_axis *x, ib_axis *y, int bands) {
    span of_x = {INFINITY, -INFINITY}, of_y = of_x;
    for (size_t p = 0; p < figure->panel_count; ++p)
        find_spans(&figure->panels[p], bands, x, y, &of_x, &of_y);
    ib_axis_fit(x, of_x.low, of_x.high);
    ib_axis_fit(y, of_y.low, of_y.high);
}

static void write_labels(const ib_canvas *canvas, const ib_report_figure *figure, const grid *g,
                         size_t p) {
    ib_rect plot = panel_rect(g, p);
    ib_canvas_fitted(canvas, plot.left, plot.top - 14, 'l', g->width, figure->panels[p].title);
    const char *own = figure->panels[p].y_label;
    if (p % g->columns == 0)
        ib_canvas_fitted_upwards(canvas, 14, (plot.top + plot.bottom) / 2, g->height + g->title,
                                 own != NULL ? own : figure->y_label);
    if (p + g->columns >= figure->panel_count)
        ib_canvas_fitted(canvas, (plot.left + plot.right) / 2, plot.bottom + 38, 'c',
                         g->width + GAP - 8, figure->x_label);
}

/* A point in the plot; NaN where it cannot stand on the axes. */
static ib_spot spot_of(ib_rect plot, const ib_axis *x, const ib_axis *y, double at, double value) {
    at = scaled(at, x->percent), value = scaled(value, y->percent);
    if (!drawable(at, x) || !drawable(value, y))
        return (ib_spot){NAN, NAN};
    return (ib_spot){ib_axis_at(x, at, plot.left, plot.right),
                     ib_axis_at(y, value, plot.bottom, plot.top)};
}

/* What lies between the lowest and the highest seed, in one piece for each stretch of the series
 * without gaps. spots: room for twice the points. */
static void draw_band(const ib_canvas *canvas, ib_rect plot, const ib_axis *x, const ib_axis *y,
                      const ib_figure_series *series, const char *colour, ib_spot *spots) {
    for (size_t from = 0, to; from < series->count; from = to + 1) {
        int wide = 0;
        for (to = from; to < series->count; ++to) {
            const ib_figure_point *point = &series->points[to];
            if (!isfinite(spot_of(plot, x, y, point->x, point->y).x))
                break;
            wide |= point->low < point->high;
        }
        size_t count = to - from;
        for (size_t i = 0; i < count; ++i) {
            const ib_figure_point *point = &series->points[from + i];
            ib_spot middle = spot_of(plot, x, y, point->x, point->y);
            ib_spot low = spot_of(plot, x, y, point->x, point->low);
            ib_spot high = spot_of(plot, x, y, point->x, point->high);
            spots[i] = isfinite(high.y) ? high : middle;
            spots[2 * count - 1 - i] = isfinite(low.y) ? low : middle;
        }
        if (wide)
            ib_canvas_area(canvas, spots, 2 * count, colour);
    }
}

/* Bands, lines and marks of a panel, in this order: nothing hides what is smaller. */
static void draw_series(const ib_canvas *canvas, const ib_report_figure *figure,
                        const ib_figure_panel *panel, ib_rect plot, const ib_axis *x,
                        const ib_axis *y, int curves) {
    size_t most = 0;
    for (size_t s = 0; s < panel->series_count; ++s)
        most = panel->series[s].count > most ? panel->series[s].count : most;
    ib_spot *spots = calloc(2 * most + 1, sizeof *spots);
    *canvas->failed |= spots == NULL;
    for (int layer = curves ? 0 : 2; spots != NULL && layer < 3; ++layer)
        for (size_t s = 0; s < panel->series_count; ++s) {
            const ib_figure_series *series = &panel->series[s];
            size_t place = ib_series_place(figure, panel, s);
            const char *colour = ib_series_colour(place);
            if (layer == 0) {
                draw_band(canvas, plot, x, y, series, colour, spots);
                continue;
            }
            for (size_t i = 0; i < series->count; ++i)
                spots[i] = spot_of(plot, x, y, series->points[i].x, series->points[i].y);
            if (layer == 1)
                ib_canvas_polyline(canvas, spots, series->count, colour, series->published);
            size_t every = curves && series->count > MARKED ? series->count / (MARKED / 3) : 1;
            for (size_t i = 0; layer == 2 && i < series->count; i += every)
                ib_canvas_mark(canvas, spots[i].x, spots[i].y, colour,
                               ib_series_shape(place, series->published));
        }
    free(spots);
}

void ib_draw_curves(ib_canvas *canvas, const ib_report_figure *figure) {
    grid g = lay_out(canvas, figure, 1);
    if (canvas->out == NULL)
        return;
    ib_axis x = {.whole = 1}, y = {.percent = figure->percent, .log = figure->log_scale};
    fit_axes(figure, &x, &y, 1);
    ib_canvas_legend(canvas, figure, canvas->width, 0, 1);
    for (size_t p = 0; p < figure->panel_count; ++p) {
        ib_canvas_axes(canvas, panel_rect(&g, p), &x, p + g.columns >= figure->panel_count, &y,
                       p % g.columns == 0);
        write_labels(canvas, figure, &g, p);
        draw_series(canvas, figure, &figure->panels[p], panel_rect(&g, p), &x, &y, 1);
    }
}

void ib_draw_usage(ib_canvas *canvas, const ib_report_figure *figure) {
    grid g = lay_out(canvas, figure, 1);
    if (canvas->out == NULL)
        return;
    ib_axis x = {0}, any = {0};
    span time = {0, 0}, ignored = {INFINITY, -INFINITY};
    for (size_t p = 0; p < figure->panel_count; ++p)
        find_spans(&figure->panels[p], 0, &x, &any, &time, &ignored);
    ib_axis_fit(&x, time.low, time.high);
    ib_canvas_legend(canvas, figure, canvas->width, 0, 1);
    for (size_t p = 0; p < figure->panel_count; ++p) {
        const ib_figure_panel *panel = &figure->panels[p];
        ib_axis y = {0}, of_time = {0};
        span values = {0, 0};
        find_spans(panel, 0, &of_time, &y, &ignored, &values);
        ib_axis_fit(&y, values.low, values.high);
        ib_canvas_axes(canvas, panel_rect(&g, p), &x, p + 1 == figure->panel_count, &y, 1);
        write_labels(canvas, figure, &g, p);
        draw_series(canvas, figure, panel, panel_rect(&g, p), &x, &y, 1);
    }
}

enum { MAX_BOXES = 256 };

static int overlaps(ib_rect a, ib_rect b) {
    return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

/* Beside its point, where it meets neither a mark nor a label; else it is left out, since the
 * tables hold it as well. */
static void place_label(const ib_canvas *canvas, ib_rect plot, double x, double y,
                        const char *label, ib_rect *taken, size_t *count) {
    double width = ib_text_width(label, IB_SMALL_FONT), half = IB_SMALL_FONT * 0.65;
    for (int distance = 0; distance < 3; ++distance)
        for (int side = 0; side < 6; ++side) {
            static const double across[] = {1, -1, 0, 0, 1, -1}, down[] = {0, 0, -1, 1, -1, -1};
            double centre = x + across[side] * (width / 2 + 9);
            double middle = y + down[side] * (half + 9 + 14.0 * distance);
            if (down[side] == 0)
                middle += (side == 0 ? 1 : -1) * 12.0 * distance;
            ib_rect box = {centre - width / 2, middle - half, centre + width / 2, middle + half};
            int free = box.left >= plot.left - 4 && box.right <= plot.right + RIGHT &&
                       box.top >= plot.top && box.bottom <= plot.bottom;
            for (size_t i = 0; free && i < *count; ++i)
                free = !overlaps(box, taken[i]);
            if (!free)
                continue;
            ib_canvas_text(canvas, centre, middle, 'c', IB_SMALL_FONT, IB_INK, label);
            if (distance > 0 || down[side] != 0) /* whose label it is could not be told */
                ib_canvas_line(canvas, x, y,
                               fmin(fmax(x, box.left + 0.1 * width), box.right - 0.1 * width),
                               middle < y ? box.bottom : box.top, IB_MUTED, 0.8, 0);
            if (*count < MAX_BOXES)
                taken[(*count)++] = box;
            return;
        }
}

static void place_labels(const ib_canvas *canvas, const ib_figure_panel *panel, ib_rect plot,
                         const ib_axis *x, const ib_axis *y) {
    ib_rect taken[MAX_BOXES];
    size_t count = 0;
    for (int labels = 0; labels < 2; ++labels) /* the marks first */
        for (size_t s = 0; s < panel->series_count; ++s)
            for (size_t i = 0; i < panel->series[s].count; ++i) {
                const ib_figure_point *point = &panel->series[s].points[i];
                double at = scaled(point->x, x->percent), value = scaled(point->y, y->percent);
                if (!drawable(at, x) || !drawable(value, y))
                    continue;
                double px = ib_axis_at(x, at, plot.left, plot.right);
                double py = ib_axis_at(y, value, plot.bottom, plot.top);
                if (labels && point->label != NULL)
                    place_label(canvas, plot, px, py, point->label, taken, &count);
                else if (!labels && count < MAX_BOXES)
                    taken[count++] = (ib_rect){px - 6, py - 6, px + 6, py + 6};
            }
}

void ib_draw_scatter(ib_canvas *canvas, const ib_report_figure *figure) {
    grid g = lay_out(canvas, figure, 0);
    if (canvas->out == NULL)
        return;
    int cost = figure->kind == IB_FIGURE_COST;
    ib_axis x = {.percent = figure->percent && !cost, .log = figure->log_scale && cost},
            y = {.percent = figure->percent, .log = figure->log_scale && !cost};
    fit_axes(figure, &x, &y, 0);
    ib_canvas_legend(canvas, figure, canvas->width, 0, 0);
    for (size_t p = 0; p < figure->panel_count; ++p) {
        ib_rect plot = panel_rect(&g, p);
        ib_canvas_axes(canvas, plot, &x, p + g.columns >= figure->panel_count, &y,
                       p % g.columns == 0);
        write_labels(canvas, figure, &g, p);
        place_labels(canvas, &figure->panels[p], plot, &x, &y);
        draw_series(canvas, figure, &figure->panels[p], plot, &x, &y, 0);
    }
}
