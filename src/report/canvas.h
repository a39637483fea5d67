/* Drawing into SVG. Lengths are pixels from the upper left corner; what is not finite is not
 * drawn. Texts are hostile: markup.h. A colour is a class of the style sheet, so that one drawing
 * serves light and dark pages, or "#rrggbb" where the colour itself is the value. */
#ifndef IB_REPORT_CANVAS_H
#define IB_REPORT_CANVAS_H

#include <stddef.h>
#include <stdio.h>

#include "report/report.h"

enum { IB_COLOURS = 7, IB_SHAPES = 5, IB_LOOKS = IB_COLOURS * IB_SHAPES, IB_TEXT_LINES = 3 };
#define IB_INK   "ink"
#define IB_MUTED "muted"
#define IB_RULE  "rule"

typedef struct ib_canvas {
    FILE *out;
    double room; /* the greatest width: IB_WIDE, or IB_NARROW for a phone */
    double width, height;
    int *failed; /* set to 1 where memory ran out and something is not drawn; NULL with out NULL */
} ib_canvas;
typedef struct ib_rect {
    double left, top, right, bottom;
} ib_rect;
typedef struct ib_spot {
    double x, y;
} ib_spot;
typedef struct ib_axis {
    double low, high, step;
    int log, percent;
    int whole; /* only whole numbers are marked */
} ib_axis;

enum { IB_WIDE = 720, IB_NARROW = 400 };
enum { IB_FONT = 14, IB_SMALL_FONT = 12, IB_LEAST_FONT = 10 };

/* ---- canvas_text.c */

/* As wide as the widest of the fonts that readers are likely to have. */
double ib_text_width(const char *text, double size);
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

/* ---- canvas.c */

/* Pieces of an element's tag: a number, an attribute, and how it is painted: "fill" or "stroke". */
void ib_canvas_length(const ib_canvas *canvas, double length);
void ib_canvas_attribute(const ib_canvas *canvas, const char *name, double value);
void ib_canvas_colour(const ib_canvas *canvas, const char *paint, const char *colour);

void ib_canvas_line(const ib_canvas *canvas, double x0, double y0, double x1, double y1,
                    const char *colour, double width, int dashed);
void ib_canvas_box(const ib_canvas *canvas, ib_rect box, const char *fill, const char *border);
void ib_canvas_mark(const ib_canvas *canvas, double x, double y, const char *colour, int shape);
void ib_canvas_polyline(const ib_canvas *canvas, const ib_spot *spots, size_t count,
                        const char *colour, int dashed);
/* A polygon that lets through what lies behind it. */
void ib_canvas_area(const ib_canvas *canvas, const ib_spot *spots, size_t count,
                    const char *colour);
/* height rows of width grey pixels; 0 is black. */
void ib_canvas_image(const ib_canvas *canvas, ib_rect box, const unsigned char *pixels,
                     size_t width, size_t height);

/* ---- canvas_series.c */

/* The shape of a series' marks; published ones are hollow. */
int ib_series_shape(size_t series, int published);
const char *ib_series_colour(size_t series);
/* Where the legend has a panel's series: the same name looks the same in all panels. */
size_t ib_series_place(const ib_report_figure *figure, const ib_figure_panel *panel, size_t series);
/* Names and signs of series, in rows from y down; returns the height. canvas NULL: only counts. */
double ib_canvas_legend(const ib_canvas *canvas, const ib_report_figure *figure, double width,
                        double y, int lines);
/* The room above panels: less where none has a title. */
double ib_titles_height(const ib_report_figure *figure, double height);

/* ---- canvas_axes.c */

enum { IB_MOST_TICKS = 48, IB_TICK_TEXT = 32 };
typedef struct ib_tick {
    double value;
    int rank; /* the lower, the sooner it gets its number where there is no room for all */
    char text[IB_TICK_TEXT];
} ib_tick;

/* Round ends and step around what was seen; low > high: nothing was seen. */
void ib_axis_fit(ib_axis *axis, double low, double high);
/* Between from and to, whatever the value. */
double ib_axis_at(const ib_axis *axis, double value, double from, double to);
size_t ib_axis_ticks(const ib_axis *axis, ib_tick ticks[IB_MOST_TICKS]);
void ib_canvas_number(double value, int percent, char *text, size_t size);
/* Grid, border and tick numbers of a plot. A NULL axis has none. */
void ib_canvas_axes(const ib_canvas *canvas, ib_rect plot, const ib_axis *x, int x_numbers,
                    const ib_axis *y, int y_numbers);

/* ---- figure_*.c, one per kind: sets the size with canvas->out NULL, draws otherwise. */

void ib_draw_curves(ib_canvas *canvas, const ib_report_figure *figure);
void ib_draw_usage(ib_canvas *canvas, const ib_report_figure *figure);
void ib_draw_scatter(ib_canvas *canvas, const ib_report_figure *figure);
void ib_draw_bars(ib_canvas *canvas, const ib_report_figure *figure);
void ib_draw_matrix(ib_canvas *canvas, const ib_report_figure *figure);
void ib_draw_images(ib_canvas *canvas, const ib_report_figure *figure);

/* ---- figure_svg.c: a whole drawing, fresh memory; NULL: out of memory. */

/* As a file of its own. */
char *ib_svg_file(const ib_report_figure *figure, size_t *size);
/* As a part of an HTML page: the wide drawing, then the narrow one. */
char *ib_svg_inline(const ib_report_figure *figure, size_t number);
/* Sets the canvas' size and, where it has a stream, draws. */
void ib_draw_figure(ib_canvas *canvas, const ib_report_figure *figure);

#endif
