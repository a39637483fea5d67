/* Drawing by gnuplot commands. Lengths are pixels from the upper left corner. Texts are hostile:
 * they go into single quotes, where gnuplot expands nothing, and never into formats. */
#ifndef IB_REPORT_CANVAS_H
#define IB_REPORT_CANVAS_H

#include <stddef.h>
#include <stdio.h>

#include "report/report.h"

enum { IB_COLOURS = 7, IB_SHAPES = 5, IB_LOOKS = IB_COLOURS * IB_SHAPES, IB_TEXT_LINES = 3 };
/* Colours that a page may replace by its theme's: figure_svg.c. */
#define IB_INK   "black"
#define IB_MUTED "#5c6670"
#define IB_RULE  "#d8dde2"
extern const char *const ib_series_colours[IB_COLOURS];

typedef struct ib_canvas {
    FILE *out;
    double room; /* the greatest width: IB_WIDE, or IB_NARROW for a phone */
    double width, height;
} ib_canvas;
typedef struct ib_rect {
    double left, top, right, bottom;
} ib_rect;
typedef struct ib_axis {
    double low, high, step;
    int log, percent;
    int whole; /* only whole numbers are marked */
} ib_axis;

enum { IB_WIDE = 720, IB_NARROW = 400 };
enum { IB_FONT = 14, IB_SMALL_FONT = 12, IB_LEAST_FONT = 10 };

double ib_text_width(const char *text, double size);
void ib_canvas_quote(FILE *out, const char *text);
/* anchor: 'l', 'c' or 'r'; y is the middle of the line. */
void ib_canvas_text(const ib_canvas *canvas, double x, double y, char anchor, int size,
                    const char *colour, const char *text);
/* In at most width pixels: smaller, and cut at last. */
void ib_canvas_fitted(const ib_canvas *canvas, double x, double y, char anchor, double width,
                      const char *text);
void ib_canvas_fitted_upwards(const ib_canvas *canvas, double x, double y, double width,
                              const char *text);
/* Broken at spaces into at most IB_TEXT_LINES lines around y; returns their number. lines may be
 * counted without drawing: canvas NULL. */
size_t ib_canvas_wrapped(const ib_canvas *canvas, double x, double y, char anchor, int size,
                         double width, const char *text);
void ib_canvas_line(const ib_canvas *canvas, double x0, double y0, double x1, double y1,
                    const char *colour, double width, int dash);
void ib_canvas_box(const ib_canvas *canvas, ib_rect box, const char *fill, const char *border);
void ib_canvas_mark(const ib_canvas *canvas, double x, double y, const char *colour, int shape);

/* The shape of a series' marks; published ones are hollow. */
int ib_series_shape(size_t series, int published);
const char *ib_series_colour(size_t series);
/* Where the legend has a panel's series: the same name looks the same in all panels. */
size_t ib_series_place(const ib_report_figure *figure, const ib_figure_panel *panel, size_t series);

/* Round ends and step around what was seen; low > high: nothing was seen. */
void ib_axis_fit(ib_axis *axis, double low, double high);
double ib_axis_at(const ib_axis *axis, double value, double from, double to);
void ib_canvas_number(double value, int percent, char *text, size_t size);
/* Ranges, margins, tick marks and grid of the plot that comes next. A NULL axis has no ticks. */
void ib_canvas_axes(const ib_canvas *canvas, ib_rect plot, const ib_axis *x, int x_numbers,
                    const ib_axis *y, int y_numbers);
/* Forgets texts, lines and boxes: they belong to one panel. */
void ib_canvas_clear(const ib_canvas *canvas);

/* Names and signs of series, in rows from y down; returns the height. canvas NULL: only counts. */
double ib_canvas_legend(const ib_canvas *canvas, const ib_report_figure *figure, double width,
                        double y, int lines);

/* The room above panels: less where none has a title. */
double ib_titles_height(const ib_report_figure *figure, double height);

/* One per kind: sets the size with canvas->out NULL, draws otherwise. */
void ib_draw_curves(ib_canvas *canvas, const ib_report_figure *figure);
void ib_draw_usage(ib_canvas *canvas, const ib_report_figure *figure);
void ib_draw_scatter(ib_canvas *canvas, const ib_report_figure *figure);
void ib_draw_bars(ib_canvas *canvas, const ib_report_figure *figure);
void ib_draw_matrix(ib_canvas *canvas, const ib_report_figure *figure);
void ib_draw_images(ib_canvas *canvas, const ib_report_figure *figure);

/* gnuplot's SVG as a part of an HTML page. NULL: out of memory. */
char *ib_svg_inline(const char *svg, const ib_report_figure *figure, size_t number, int narrow);

#endif
