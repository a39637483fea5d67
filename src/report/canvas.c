#include "report/canvas.h"

#include <math.h>
#include <string.h>

enum { MAX_LINE = 512 };

/* Okabe and Ito's colours, without the yellow that white paper swallows. */
const char *const ib_series_colours[IB_COLOURS] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                                   "#e69f00", "#56b4e9", "#7a5c3e"};

double ib_text_width(const char *text, double size) {
    double ems = 0;
    for (; *text != '\0'; ++text) {
        unsigned char c = (unsigned char)*text;
        if ((c & 0xC0) == 0x80)
            continue;
        ems += c >= 0xE1 ? 1.0 : strchr(" .,:;'|il", c) != NULL ? 0.34 : 0.61;
    }
    return ems * size;
}

void ib_canvas_quote(FILE *out, const char *text) {
    fputc('\'', out);
    for (; *text != '\0'; ++text) {
        unsigned char c = (unsigned char)*text;
        if (c == '\'')
            fputc('\'', out);
        fputc(c < 0x20 || c == 0x7F ? ' ' : c, out);
    }
    fputc('\'', out);
}

static void write_at(const ib_canvas *canvas, double x, double y) {
    fprintf(canvas->out, "screen %.6f, screen %.6f", x / canvas->width, 1 - y / canvas->height);
}

static void write_label(const ib_canvas *canvas, double x, double y, char anchor, int size,
                        const char *colour, const char *text, const char *rotation) {
    if (text == NULL || *text == '\0')
        return;
    fputs("set label ", canvas->out);
    ib_canvas_quote(canvas->out, text);
    fputs(" at ", canvas->out);
    write_at(canvas, x, y);
    fprintf(canvas->out, " %s %s front noenhanced font ',%d' tc rgb '%s'\n",
            anchor == 'l'   ? "left"
            : anchor == 'r' ? "right"
                            : "center",
            rotation, size, colour);
}

void ib_canvas_text(const ib_canvas *canvas, double x, double y, char anchor, int size,
                    const char *colour, const char *text) {
    write_label(canvas, x, y, anchor, size, colour, text, "");
}

static void write_fitted(const ib_canvas *canvas, double x, double y, char anchor, double width,
                         const char *text, const char *rotation) {
    int size = IB_FONT;
    while (size > IB_LEAST_FONT && ib_text_width(text, size) > width)
        --size;
    if (ib_text_width(text, size) <= width) {
        write_label(canvas, x, y, anchor, size, IB_INK, text, rotation);
        return;
    }
    char cut[MAX_LINE + 8];
    size_t length = 0;
    while (text[length] != '\0' && length + 8 < MAX_LINE) {
        size_t next = length + 1;
        while ((text[next] & 0xC0) == 0x80)
            ++next;
        snprintf(cut, sizeof cut, "%.*s…", (int)next, text);
        if (ib_text_width(cut, size) > width)
            break;
        length = next;
    }
    snprintf(cut, sizeof cut, "%.*s…", (int)length, text);
    write_label(canvas, x, y, anchor, size, IB_INK, cut, rotation);
}

void ib_canvas_fitted(const ib_canvas *canvas, double x, double y, char anchor, double width,
                      const char *text) {
    write_fitted(canvas, x, y, anchor, width, text, "");
}

void ib_canvas_fitted_upwards(const ib_canvas *canvas, double x, double y, double width,
                              const char *text) {
    write_fitted(canvas, x, y, 'c', width, text, "rotate by 90");
}

/* The bytes of the line that starts text: up to the last space that fits, else what fits. */
static size_t line_length(const char *text, int size, double width) {
    char line[MAX_LINE];
    size_t space = 0, i = 0;
    while (text[i] != '\0' && i + 8 < sizeof line) {
        size_t next = i + 1;
        while ((text[next] & 0xC0) == 0x80)
            ++next;
        memcpy(line, text, next);
        line[next] = '\0';
        if (i > 0 && ib_text_width(line, size) > width)
            return space > 0 ? space : i;
        if (text[i] == ' ')
            space = i;
        i = next;
    }
    return i;
}

size_t ib_canvas_wrapped(const ib_canvas *canvas, double x, double y, char anchor, int size,
                         double width, const char *text) {
    char lines[IB_TEXT_LINES][MAX_LINE + 8];
    size_t count = 0;
    while (*text != '\0' && count < IB_TEXT_LINES) {
        size_t length = line_length(text, size, width);
        int last = count + 1 == IB_TEXT_LINES && text[length] != '\0';
        snprintf(lines[count++], sizeof lines[0], "%.*s%s", (int)length, text, last ? "…" : "");
        text += length;
        while (*text == ' ')
            ++text;
    }
    if (canvas != NULL)
        for (size_t i = 0; i < count; ++i)
            ib_canvas_text(canvas, x, y + ((double)i - (double)(count - 1) / 2) * size * 1.25,
                           anchor, size, IB_INK, lines[i]);
    return count;
}

void ib_canvas_line(const ib_canvas *canvas, double x0, double y0, double x1, double y1,
                    const char *colour, double width, int dash) {
    fputs("set arrow from ", canvas->out);
    write_at(canvas, x0, y0);
    fputs(" to ", canvas->out);
    write_at(canvas, x1, y1);
    fprintf(canvas->out, " nohead front lc rgb '%s' lw %g dt %d\n", colour, width, dash);
}

void ib_canvas_box(const ib_canvas *canvas, ib_rect box, const char *fill, const char *border) {
    fputs("set object rectangle from ", canvas->out);
    write_at(canvas, box.left, box.bottom);
    fputs(" to ", canvas->out);
    write_at(canvas, box.right, box.top);
    if (fill != NULL)
        fprintf(canvas->out, " fc rgb '%s' fs solid 1 ", fill);
    else
        fputs(" fs empty ", canvas->out);
    if (border != NULL)
        fprintf(canvas->out, "border lc rgb '%s' lw 1.5\n", border);
    else
        fputs("noborder\n", canvas->out);
}

void ib_canvas_mark(const ib_canvas *canvas, double x, double y, const char *colour, int shape) {
    fputs("set label '' at ", canvas->out);
    write_at(canvas, x, y);
    fprintf(canvas->out, " front point pt %d ps 0.9 lw 1.5 lc rgb '%s'\n", shape, colour);
}

int ib_series_shape(size_t series, int published) {
    static const int full[IB_SHAPES] = {7, 5, 9, 13, 11}, hollow[IB_SHAPES] = {6, 4, 8, 12, 10};
    return (published ? hollow : full)[series % IB_SHAPES];
}

const char *ib_series_colour(size_t series) {
    return ib_series_colours[series % IB_COLOURS];
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

static double nice_step(double width) {
    double unit = pow(10, floor(log10(width))), steps = width / unit;
    return unit * (steps <= 1 ? 1 : steps <= 2 ? 2 : steps <= 5 ? 5 : 10);
}

void ib_axis_fit(ib_axis *axis, double low, double high) {
    if (!(low <= high)) {
        low = axis->log ? 1 : 0;
        high = axis->log ? 10 : 1;
    }
    if (axis->log && low <= 0)
        axis->log = 0;
    if (axis->log) {
        axis->low = low / 1.3;
        axis->high = high * 1.3;
        return;
    }
    double width = high - low;
    if (!(width > 1e-9 * fabs(high)))
        width = high != 0 ? fabs(high) * 0.1 : 1;
    axis->step = nice_step(width / 5);
    if (axis->whole && axis->step < 1)
        axis->step = 1;
    axis->low = floor(low / axis->step + 1e-9) * axis->step;
    axis->high = ceil(high / axis->step - 1e-9) * axis->step;
    if (axis->low == axis->high)
        axis->low -= axis->step, axis->high += axis->step;
}

double ib_axis_at(const ib_axis *axis, double value, double from, double to) {
    double share = axis->log ? log(value / axis->low) / log(axis->high / axis->low)
                             : (value - axis->low) / (axis->high - axis->low);
    return from + share * (to - from);
}

void ib_canvas_number(double value, int percent, char *text, size_t size) {
    double magnitude = fabs(value);
    if (percent)
        snprintf(text, size, "%.2f %%", value);
    else if (magnitude >= 100)
        snprintf(text, size, "%.0f", value);
    else if (magnitude >= 10)
        snprintf(text, size, "%.1f", value);
    else if (magnitude >= 0.0001 || value == 0)
        snprintf(text, size, "%.3g", value);
    else
        snprintf(text, size, "%.1e", value);
}

static void write_ticks(FILE *out, char name, const ib_axis *axis, int numbers) {
    if (axis == NULL) {
        fprintf(out, "unset logscale %c\nset %crange [0:1]\nunset %ctics\n", name, name, name);
        return;
    }
    fprintf(out, "%s logscale %c\nset %crange [%.9g:%.9g]\n", axis->log ? "set" : "unset", name,
            name, axis->low, axis->high);
    fprintf(out, "set format %c '%s'\nset %ctics nomirror scale 0 font ',%d' textcolor rgb '%s' ",
            name,
            !numbers        ? ""
            : axis->percent ? "%g %%"
                            : "%g",
            name, IB_SMALL_FONT, IB_MUTED);
    if (!axis->log) {
        fprintf(out, "%.9g,%.9g,%.9g\n", axis->low, axis->step, axis->high);
        return;
    }
    static const double steps[] = {1, 2, 5};
    int wide = axis->high / axis->low > 200;
    const char *comma = "(";
    for (int decade = (int)floor(log10(axis->low)); decade <= (int)ceil(log10(axis->high));
         ++decade)
        for (size_t i = 0; i < (wide ? 1 : 3); ++i) {
            double value = steps[i] * pow(10, decade);
            if (value < axis->low || value > axis->high)
                continue;
            fprintf(out, "%s%.9g", comma, value);
            comma = ", ";
        }
    fputs(*comma == '(' ? "auto\n" : ")\n", out);
}

void ib_canvas_axes(const ib_canvas *canvas, ib_rect plot, const ib_axis *x, int x_numbers,
                    const ib_axis *y, int y_numbers) {
    FILE *out = canvas->out;
    fprintf(out,
            "set lmargin at screen %.6f\nset rmargin at screen %.6f\n"
            "set tmargin at screen %.6f\nset bmargin at screen %.6f\n",
            plot.left / canvas->width, plot.right / canvas->width, 1 - plot.top / canvas->height,
            1 - plot.bottom / canvas->height);
    write_ticks(out, 'x', x, x_numbers);
    write_ticks(out, 'y', y, y_numbers);
    if (x == NULL && y == NULL) {
        fputs("unset border\nunset grid\n", out);
        return;
    }
    fprintf(out, "set border %d lc rgb '%s' lw 1\nset grid %s %s back lt 1 lc rgb '%s' lw 0.8\n",
            y == NULL ? 2 : 3, IB_MUTED, x != NULL ? "xtics" : "noxtics",
            y != NULL ? "ytics" : "noytics", IB_RULE);
}

void ib_canvas_clear(const ib_canvas *canvas) {
    fputs("unset label\nunset arrow\nunset object\n", canvas->out);
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
                               series->published ? 2 : 1);
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
