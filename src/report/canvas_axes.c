/* Axes: where they end, what is marked on them, and which marks have room for their numbers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/canvas.h"

/* From the axis: clear of the markers that lie on it. */
enum { TICK_BELOW = 16, TICK_BESIDE = 11 };

static double nice_step(double width) {
    double unit = pow(10, floor(log10(width))), steps = width / unit;
    return unit * (steps <= 1 ? 1 : steps <= 2 ? 2 : steps <= 5 ? 5 : 10);
}

/* Beyond these the differences of doubles overflow or vanish. */
static const double greatest = 1e300, least = 1e-300;

static double within(double value) {
    return fmin(fmax(value, -greatest), greatest);
}

void ib_axis_fit(ib_axis *axis, double low, double high) {
    if (!(low <= high)) {
        low = axis->log ? 1 : 0;
        high = axis->log ? 10 : 1;
    }
    low = within(low), high = within(high);
    if (axis->log && low <= 0)
        axis->log = 0;
    if (axis->log) {
        axis->low = fmax(low, least) / 1.3;
        axis->high = fmax(high, least) * 1.3;
        return;
    }
    double width = high - low;
    if (!(width > 1e-9 * fmax(fabs(low), fabs(high))) || width < least) {
        width = fabs(high) * 0.1;
        if (width < least)
            width = 1;
    }
    axis->step = nice_step(width / 5);
    if (axis->whole && axis->step < 1)
        axis->step = 1;
    axis->low = floor(low / axis->step + 1e-9) * axis->step;
    axis->high = ceil(high / axis->step - 1e-9) * axis->step;
    if (axis->low < axis->high)
        return;
    /* One value: no axis goes below 0 or beyond 100 % for its sake. */
    double only = axis->low;
    if (only != 0)
        axis->low -= axis->step;
    if (!axis->percent || only != 100)
        axis->high += axis->step;
}

double ib_axis_at(const ib_axis *axis, double value, double from, double to) {
    double share = axis->log ? log(value / axis->low) / log(axis->high / axis->low)
                             : (value - axis->low) / (axis->high - axis->low);
    return from + fmin(fmax(share, 0), 1) * (to - from); /* NaN: from */
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

/* As many digits as tell neighbours apart; "2e6" rather than "2000000". */
static void write_tick(ib_tick *tick, double step, double most, int percent) {
    char text[64];
    double value = fabs(tick->value) < 1e-6 * step ? 0 : tick->value;
    int least_digit = (int)floor(log10(step) + 1e-9), first_digit = (int)floor(log10(most) + 1e-9);
    if (most < 1e6 && step > 9e-6) {
        snprintf(text, sizeof text, "%.*f", least_digit < 0 ? -least_digit : 0, value);
    } else {
        int digits = first_digit - least_digit;
        snprintf(text, sizeof text, "%.*e", digits < 0 ? 0 : digits > 14 ? 14 : digits, value);
        char *exponent = strchr(text, 'e');
        int power = exponent != NULL ? atoi(exponent + 1) : 0;
        if (exponent != NULL) { /* 1.50e+06: 1.5e6 */
            while (exponent[-1] == '0' && memchr(text, '.', (size_t)(exponent - text)) != NULL)
                --exponent;
            exponent -= exponent[-1] == '.';
            if (value == 0)
                *exponent = '\0';
            else
                snprintf(exponent, 8, "e%d", power);
        }
    }
    snprintf(tick->text, sizeof tick->text, "%.20s%s", text, percent ? " %" : "");
}

static size_t linear_ticks(const ib_axis *axis, ib_tick *ticks) {
    double first = ceil(axis->low / axis->step - 1e-6);
    double most = fmax(fabs(axis->low), fabs(axis->high));
    size_t count = 0;
    for (; count < IB_MOST_TICKS; ++count) {
        double number = first + (double)count;
        if (number > axis->high / axis->step + 1e-6)
            break;
        ticks[count].value = number * axis->step;
        /* where there is no room for all: every second, fifth, tenth */
        ticks[count].rank = fmod(number, 10) == 0  ? 0
                            : fmod(number, 5) == 0 ? 1
                            : fmod(number, 2) == 0 ? 2
                                                   : 3;
        write_tick(&ticks[count], axis->step, most, axis->percent);
    }
    return count;
}

/* Powers of ten; between them 2 and 5 where the axis is short. */
static size_t log_ticks(const ib_axis *axis, ib_tick *ticks) {
    static const double steps[] = {1, 2, 5};
    int from = (int)floor(log10(axis->low)), to = (int)ceil(log10(axis->high));
    int every = (to - from + 9) / 10;
    int between = axis->high / axis->low <= 1000;
    size_t count = 0;
    for (int decade = from; decade <= to; ++decade) {
        if (every > 1 && decade % every != 0)
            continue;
        for (size_t i = 0; i < (between ? 3 : 1) && count < IB_MOST_TICKS; ++i) {
            double value = steps[i] * pow(10, decade);
            if (value < axis->low || value > axis->high)
                continue;
            ticks[count].value = value;
            ticks[count].rank = (int)i;
            write_tick(&ticks[count++], value, value, axis->percent);
        }
    }
    return count;
}

size_t ib_axis_ticks(const ib_axis *axis, ib_tick ticks[IB_MOST_TICKS]) {
    size_t count = axis->log ? log_ticks(axis, ticks) : linear_ticks(axis, ticks);
    if (count > 1 || !axis->log)
        return count;
    /* Between two round numbers: then linear ones. */
    ib_axis linear = {.low = axis->low, .high = axis->high, .percent = axis->percent};
    linear.step = nice_step((axis->high - axis->low) / 4);
    return linear_ticks(&linear, ticks);
}

static double tick_half(const ib_tick *tick, int across) {
    return across ? ib_text_width(tick->text, IB_SMALL_FONT) / 2 + 4 : IB_SMALL_FONT * 0.6;
}

/* Marks the ticks whose numbers have room: rank by rank, as many ranks as fit whole; of the first
 * that does not, those that do. */
static void choose_numbers(const ib_axis *axis, const ib_tick *ticks, size_t count, double from,
                           double to, int across, int *shown) {
    memset(shown, 0, count * sizeof *shown);
    for (int rank = 0; rank < 4; ++rank)
        for (size_t i = 0; i < count; ++i) {
            if (ticks[i].rank != rank)
                continue;
            double at = ib_axis_at(axis, ticks[i].value, from, to);
            int fits = 1;
            for (size_t k = 0; k < count && fits; ++k)
                fits = !shown[k] || fabs(at - ib_axis_at(axis, ticks[k].value, from, to)) >=
                                        tick_half(&ticks[i], across) + tick_half(&ticks[k], across);
            shown[i] = fits;
        }
}

static void draw_axis(const ib_canvas *canvas, ib_rect plot, const ib_axis *axis, int across,
                      int numbers, int grid) {
    ib_tick ticks[IB_MOST_TICKS];
    int shown[IB_MOST_TICKS];
    double from = across ? plot.left : plot.bottom, to = across ? plot.right : plot.top;
    size_t count = ib_axis_ticks(axis, ticks);
    choose_numbers(axis, ticks, count, from, to, across, shown);
    for (size_t i = 0; i < count; ++i) {
        double at = ib_axis_at(axis, ticks[i].value, from, to);
        if (grid && across)
            ib_canvas_line(canvas, at, plot.top, at, plot.bottom, IB_RULE, 0.8, 0);
        else if (grid)
            ib_canvas_line(canvas, plot.left, at, plot.right, at, IB_RULE, 0.8, 0);
        else if (numbers && shown[i] && across)
            /* the last one may reach beyond its plot, never beyond the drawing */
            ib_canvas_text(canvas, fmin(at, canvas->width - tick_half(&ticks[i], 1) + 3),
                           plot.bottom + TICK_BELOW, 'c', IB_SMALL_FONT, IB_MUTED, ticks[i].text);
        else if (numbers && shown[i])
            ib_canvas_text(canvas, plot.left - TICK_BESIDE, at, 'r', IB_SMALL_FONT, IB_MUTED,
                           ticks[i].text);
    }
}

void ib_canvas_axes(const ib_canvas *canvas, ib_rect plot, const ib_axis *x, int x_numbers,
                    const ib_axis *y, int y_numbers) {
    for (int grid = 1; grid >= 0; --grid) {
        if (x != NULL)
            draw_axis(canvas, plot, x, 1, x_numbers, grid);
        if (y != NULL)
            draw_axis(canvas, plot, y, 0, y_numbers, grid);
    }
    ib_canvas_line(canvas, plot.left, plot.top, plot.left, plot.bottom, IB_MUTED, 1, 0);
    if (y != NULL)
        ib_canvas_line(canvas, plot.left, plot.bottom, plot.right, plot.bottom, IB_MUTED, 1, 0);
}
