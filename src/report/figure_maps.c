/* Figures of cells: heatmaps and confusion matrices with their numbers, and images. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/canvas.h"

enum { TITLE = 30, FOOT = 28, LEFT = 34, CELL = 30, GAP = 30, LEAST_NUMBER = 8 };

/* cividis in nine steps: readable with every kind of colour vision. */
static const unsigned char ramp[][3] = {{0, 34, 78},     {26, 56, 111},   {66, 78, 108},
                                        {96, 101, 111},  {124, 123, 120}, {153, 147, 118},
                                        {186, 174, 107}, {222, 203, 87},  {254, 232, 56}};

static void ramp_colour(double share, char colour[8], const char **ink) {
    size_t steps = sizeof ramp / sizeof ramp[0] - 1;
    double place = fmin(fmax(share, 0), 1) * (double)steps;
    size_t i = place >= (double)steps ? steps - 1 : (size_t)place;
    double rest = place - (double)i, rgb[3];
    for (size_t k = 0; k < 3; ++k)
        rgb[k] = ramp[i][k] + rest * (ramp[i + 1][k] - ramp[i][k]);
    snprintf(colour, 8, "#%02x%02x%02x", (unsigned)lround(rgb[0]), (unsigned)lround(rgb[1]),
             (unsigned)lround(rgb[2]));
    /* WCAG's contrast with white is below 4.5 from this luminance on */
    double light = 0;
    static const double weights[] = {0.2126, 0.7152, 0.0722};
    for (size_t k = 0; k < 3; ++k)
        light += weights[k] * pow(rgb[k] / 255, 2.2);
    *ink = light > 0.18 ? "#010101" : "#fdfdfd";
}

static void find_range(const ib_report_figure *figure, double *low, double *high) {
    *low = INFINITY, *high = -INFINITY;
    for (size_t p = 0; p < figure->panel_count; ++p) {
        const ib_figure_panel *panel = &figure->panels[p];
        for (size_t i = 0; i < panel->row_count * panel->column_count; ++i)
            if (isfinite(panel->matrix[i])) {
                *low = fmin(*low, panel->matrix[i]);
                *high = fmax(*high, panel->matrix[i]);
            }
    }
}

typedef struct map_grid {
    double names, cell, height; /* of row names; of a cell */
    size_t columns, max_columns, max_rows;
} map_grid;

static map_grid lay_out(const ib_report_figure *figure, double room) {
    map_grid g = {.names = 20};
    double least = 0, title = 0;
    for (size_t p = 0; p < figure->panel_count; ++p) {
        const ib_figure_panel *panel = &figure->panels[p];
        if (panel->column_count > g.max_columns)
            g.max_columns = panel->column_count;
        if (panel->row_count > g.max_rows)
            g.max_rows = panel->row_count;
        title = fmax(title, ib_text_width(panel->title, IB_FONT));
        for (size_t r = 0; r < panel->row_count; ++r)
            g.names = fmax(g.names, ib_text_width(panel->row_labels[r], IB_SMALL_FONT));
        for (size_t c = 0; c < panel->column_count; ++c)
            least = fmax(least, ib_text_width(panel->column_labels[c], IB_SMALL_FONT) + 8);
    }
    g.names = fmin(g.names, 170) + 10;
    double low, high;
    find_range(figure, &low, &high);
    double number = figure->kind != IB_FIGURE_CONFUSION ? 56 : high < 1000 ? 28 : 46;
    least = fmin(fmax(least, number), 110);
    double across = (double)(g.max_columns > 0 ? g.max_columns : 1);
    double panel = g.names + fmax(GAP + least * across, title + 12);
    g.columns = (size_t)fmax(1, floor((room - LEFT) / panel));
    if (g.columns > figure->panel_count)
        g.columns = figure->panel_count;
    g.cell = ((room - LEFT) / (double)g.columns - g.names - GAP) / across;
    g.cell = fmax(fmin(g.cell, 110), 28);
    double upwards =
        (ib_text_width(figure->y_label, IB_FONT) + 8) / (double)(g.max_rows > 0 ? g.max_rows : 1);
    g.height = fmax(CELL, fmin(upwards, 48));
    return g;
}

static double head_height(const ib_report_figure *figure, size_t first, const map_grid *g) {
    size_t lines = 1;
    for (size_t p = first; p < first + g->columns && p < figure->panel_count; ++p)
        for (size_t c = 0; c < figure->panels[p].column_count; ++c) {
            size_t needed = ib_canvas_wrapped(NULL, 0, 0, 'c', IB_SMALL_FONT, g->cell - 4,
                                              figure->panels[p].column_labels[c]);
            lines = needed > lines ? needed : lines;
        }
    return 15.0 * (double)lines + 8;
}

static double row_height(const ib_report_figure *figure, size_t first, const map_grid *g) {
    size_t rows = 0;
    for (size_t p = first; p < first + g->columns && p < figure->panel_count; ++p)
        if (figure->panels[p].row_count > rows)
            rows = figure->panels[p].row_count;
    return ib_titles_height(figure, TITLE) + g->height * (double)rows +
           head_height(figure, first, g) + FOOT + 8;
}

static double cell_share(const ib_report_figure *figure, double value, double low, double high) {
    if (figure->log_scale && low >= 0) {
        double shift = figure->kind == IB_FIGURE_CONFUSION || low == 0 ? 1 : 0;
        low = log(low + shift), high = log(high + shift), value = log(value + shift);
    }
    return high > low ? (value - low) / (high - low) : 0.5;
}

static void draw_cell(const ib_canvas *canvas, const ib_report_figure *figure, ib_rect box,
                      double value, double low, double high) {
    double x = (box.left + box.right) / 2, y = (box.top + box.bottom) / 2;
    if (!isfinite(value)) {
        ib_canvas_box(canvas, box, NULL, IB_RULE);
        ib_canvas_text(canvas, x, y, 'c', IB_SMALL_FONT, IB_MUTED, "–");
        return;
    }
    char colour[8], text[64];
    const char *ink;
    ramp_colour(cell_share(figure, value, low, high), colour, &ink);
    ib_canvas_box(canvas, box, colour, NULL);
    if (figure->kind == IB_FIGURE_CONFUSION)
        snprintf(text, sizeof text, "%.0f", value);
    else
        ib_canvas_number(figure->percent ? 100 * value : value, figure->percent, text, sizeof text);
    int size = IB_SMALL_FONT;
    while (size > LEAST_NUMBER && ib_text_width(text, size) > box.right - box.left)
        --size;
    ib_canvas_text(canvas, x, y, 'c', size, ink, text);
}

static void draw_panel(const ib_canvas *canvas, const ib_report_figure *figure,
                       const ib_figure_panel *panel, const map_grid *g, double left, double top,
                       int first, double low, double high) {
    double x0 = left + g->names, y0 = top + ib_titles_height(figure, TITLE);
    double bottom = y0 + g->height * (double)panel->row_count;
    ib_canvas_fitted(canvas, x0, top + 14, 'l', canvas->width - x0, panel->title);
    for (size_t r = 0; r < panel->row_count; ++r) {
        double y = y0 + g->height * (double)r;
        ib_canvas_wrapped(canvas, x0 - 8, y + g->height / 2, 'r', IB_SMALL_FONT, g->names - 8,
                          panel->row_labels[r]);
        for (size_t c = 0; c < panel->column_count; ++c) {
            double x = x0 + g->cell * (double)c;
            ib_rect box = {x + 1, y + 1, x + g->cell - 1, y + g->height - 1};
            draw_cell(canvas, figure, box, panel->matrix[r * panel->column_count + c], low, high);
        }
    }
    double foot = 8;
    for (size_t c = 0; c < panel->column_count; ++c) {
        double lines = 15.0 * (double)ib_canvas_wrapped(NULL, 0, 0, 'c', IB_SMALL_FONT, g->cell - 4,
                                                        panel->column_labels[c]);
        ib_canvas_wrapped(canvas, x0 + g->cell * ((double)c + 0.5), bottom + 4 + lines / 2, 'c',
                          IB_SMALL_FONT, g->cell - 4, panel->column_labels[c]);
        foot = fmax(foot, lines + 8);
    }
    ib_canvas_fitted(canvas, x0 + g->cell * (double)panel->column_count / 2, bottom + foot + 10,
                     'c', g->cell * (double)panel->column_count + g->names + GAP - 8,
                     figure->x_label);
    if (first)
        ib_canvas_fitted_upwards(canvas, 14, (y0 + bottom) / 2, bottom - y0 + 8, figure->y_label);
}

void ib_draw_matrix(ib_canvas *canvas, const ib_report_figure *figure) {
    map_grid g = lay_out(figure, canvas->room);
    canvas->width = fmax(
        LEFT + (double)g.columns * (g.names + GAP + g.cell * (double)g.max_columns), canvas->room);
    canvas->height = 0;
    for (size_t p = 0; p < figure->panel_count; p += g.columns)
        canvas->height += row_height(figure, p, &g);
    if (canvas->out == NULL)
        return;
    double low, high, top = 0;
    find_range(figure, &low, &high);
    for (size_t p = 0; p < figure->panel_count; ++p) {
        double left =
            LEFT + (double)(p % g.columns) * (g.names + GAP + g.cell * (double)g.max_columns);
        draw_panel(canvas, figure, &figure->panels[p], &g, left, top, p % g.columns == 0, low,
                   high);
        if ((p + 1) % g.columns == 0)
            top += row_height(figure, p + 1 - g.columns, &g);
    }
}

enum { TILE = 84, TILE_GAP = 20, CAPTION = 40 };

static size_t tiles_across(double room) {
    return (size_t)(room / (TILE + TILE_GAP - 1));
}

/* Its title says which run it is: in as many lines as that needs. */
static double images_head(const ib_canvas *canvas, const ib_figure_panel *panel, double room,
                          double top) {
    const double line = IB_FONT * 1.25;
    size_t lines = ib_canvas_wrapped(NULL, 0, 0, 'l', IB_FONT, room - 16, panel->title);
    if (canvas != NULL)
        ib_canvas_wrapped(canvas, 8, top + 6 + line * (double)lines / 2, 'l', IB_FONT, room - 16,
                          panel->title);
    return lines > 0 ? 12 + line * (double)lines : 6;
}

static double images_height(const ib_figure_panel *panel, double room) {
    size_t across = tiles_across(room);
    size_t rows = (panel->image_count + across - 1) / across;
    return images_head(NULL, panel, room, 0) + (double)rows * (TILE + CAPTION + 10);
}

/* Dark on white, whatever the page, as they are usually shown; the mean of a pixel's channels. */
static void draw_pixels(const ib_canvas *canvas, const ib_figure_image *image, ib_rect box) {
    size_t count = image->height * image->width;
    unsigned channels = image->channels > 0 ? (unsigned)image->channels : 1;
    unsigned char *grey = malloc(count + 1);
    for (size_t i = 0; grey != NULL && i < count; ++i) {
        unsigned sum = 0;
        for (size_t c = 0; c < image->channels; ++c)
            sum += image->pixels[i * channels + c];
        grey[i] = (unsigned char)(255 - sum / channels);
    }
    if (grey != NULL)
        ib_canvas_image(canvas, box, grey, image->width, image->height);
    else
        *canvas->failed = 1;
    free(grey);
}

/* Where in its square an image lies that is no square itself: in the middle, its longer side full.
 */
static ib_rect tile_of(const ib_figure_image *image, double x, double y) {
    double longer = (double)(image->height > image->width ? image->height : image->width);
    double width = TILE * (double)image->width / longer;
    double height = TILE * (double)image->height / longer;
    x += (TILE - width) / 2;
    y += (TILE - height) / 2;
    return (ib_rect){x, y, x + width, y + height};
}

static void draw_images(const ib_canvas *canvas, const ib_figure_panel *panel, double top) {
    size_t across = tiles_across(canvas->room);
    double pitch = canvas->room / (double)across;
    top += images_head(canvas, panel, canvas->room, top);
    for (size_t i = 0; i < panel->image_count; ++i) {
        const ib_figure_image *image = &panel->images[i];
        double x = (double)(i % across) * pitch + (pitch - TILE) / 2;
        size_t row = i / across;
        double y = top + (double)row * (TILE + CAPTION + 10);
        char text[64];
        snprintf(text, sizeof text, "%u taken for %u", image->actual, image->predicted);
        ib_canvas_text(canvas, x + TILE / 2.0, y + TILE + 13, 'c', IB_SMALL_FONT, IB_INK, text);
        int length = isfinite(image->probability)
                         ? snprintf(text, sizeof text, "%.0f %%, ", 100 * image->probability)
                         : 0;
        snprintf(text + length, sizeof text - (size_t)length, "no. %zu", image->index);
        ib_canvas_text(canvas, x + TILE / 2.0, y + TILE + 29, 'c', IB_SMALL_FONT, IB_MUTED, text);
        draw_pixels(canvas, image, tile_of(image, x, y));
    }
}

void ib_draw_images(ib_canvas *canvas, const ib_report_figure *figure) {
    canvas->width = canvas->room + 10;
    canvas->height = 0;
    for (size_t p = 0; p < figure->panel_count; ++p)
        canvas->height += images_height(&figure->panels[p], canvas->room);
    if (canvas->out == NULL)
        return;
    double top = 0;
    for (size_t p = 0; p < figure->panel_count; ++p) {
        draw_images(canvas, &figure->panels[p], top);
        top += images_height(&figure->panels[p], canvas->room);
    }
}
