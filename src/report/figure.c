#include "report/figure.h"

#include <errno.h>
#include <ftw.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/threads.h"
#include "report/canvas.h"
#include "report/gnuplot.h"

enum {
    MAX_DRAWING = 64 << 20,
    MAX_PROCESSES = 8,
    MAX_HEIGHT = 6000,        /* of a drawing, as a page shows it */
    PNG_PIXELS = 2000 * 1000, /* larger pictures are drawn less finely: compression takes long */
};

#define SVG_OPTIONS "dynamic font 'sans-serif,14' butt"
static const struct format {
    const char *suffix, *terminal, *options, *unit;
    double scale;  /* units to a pixel */
    double effort; /* to draw a pixel, beside a PNG's */
    int is_png, inline_only, narrow;
} formats[] = {
    {"svg", "svg", SVG_OPTIONS, "", 1, 0.1, 0, 0, 0},
    {"narrow.svg", "svg", SVG_OPTIONS, "", 1, 0.1, 0, 1, 1},
    {"png", "pngcairo", "font 'sans,14'", "", 2, 1, 1, 0, 0},
    {"pdf", "pdfcairo", "font 'sans,14' fontscale 0.75 linewidth 1 pointscale 0.5", "in", 1.0 / 96,
     0.2, 0, 0, 0},
};
enum { FORMATS = sizeof formats / sizeof formats[0], FORMATS_OF_A_PAGE = 2 };

static void draw_figure(ib_canvas *canvas, const ib_report_figure *figure) {
    switch (figure->kind) {
    case IB_FIGURE_CURVES:
        ib_draw_curves(canvas, figure);
        break;
    case IB_FIGURE_SCATTER:
    case IB_FIGURE_COST:
        ib_draw_scatter(canvas, figure);
        break;
    case IB_FIGURE_USAGE:
        ib_draw_usage(canvas, figure);
        break;
    case IB_FIGURE_BARS:
        ib_draw_bars(canvas, figure);
        break;
    case IB_FIGURE_HEATMAP:
    case IB_FIGURE_CONFUSION:
        ib_draw_matrix(canvas, figure);
        break;
    default:
        ib_draw_images(canvas, figure);
    }
}

static ib_canvas canvas_of(const ib_report_figure *figure, const struct format *format) {
    ib_canvas canvas = {.room = format->narrow ? IB_NARROW : IB_WIDE};
    draw_figure(&canvas, figure); /* its size */
    return canvas;
}

static double scale_of(const ib_canvas *canvas, const struct format *format) {
    double pixels = canvas->width * canvas->height;
    return format->is_png ? fmin(format->scale, fmax(1, sqrt(PNG_PIXELS / pixels))) : format->scale;
}

static void write_figure(FILE *out, const ib_report_figure *figure, const char *folder,
                         size_t number, const struct format *format) {
    ib_canvas canvas = canvas_of(figure, format);
    double scale = scale_of(&canvas, format);
    canvas.out = out;
    fprintf(out, "reset\nset terminal %s noenhanced size %.6g%s,%.6g%s %s", format->terminal,
            format->is_png ? round(canvas.width * scale) : canvas.width * scale, format->unit,
            format->is_png ? round(canvas.height * scale) : canvas.height * scale, format->unit,
            format->options);
    if (format->is_png)
        fprintf(out, " fontscale %.6g linewidth %.6g pointscale %.6g", 0.75 * scale, scale, scale);
    fputs("\nset output ", out);
    char name[64];
    snprintf(name, sizeof name, "/%zu.%s", number, format->suffix);
    char *path = ib_format("%s%s", folder, name);
    ib_canvas_quote(out, path != NULL ? path : name);
    free(path);
    fputs("\nset encoding utf8\nset datafile missing NaN\nunset key\nunset colorbox\n"
          "set palette gray negative\nset cbrange [0:255]\nset multiplot\n",
          out);
    draw_figure(&canvas, figure);
    fputs("unset multiplot\nunset output\n", out);
}

/* ---- which process draws what -------------------------------------------------------------------
 */

typedef struct drawing {
    size_t figure, format, process;
    double effort; /* megapixels of a PNG would take as long */
} drawing;

static int by_effort(const void *a, const void *b) {
    const drawing *x = a, *y = b;
    if (x->effort != y->effort)
        return x->effort > y->effort ? -1 : 1;
    if (x->figure != y->figure)
        return x->figure < y->figure ? -1 : 1;
    return (x->format > y->format) - (x->format < y->format);
}

/* The longest first, each to the process that has the least to do. */
static void share_out(drawing *drawings, size_t count, size_t processes) {
    double effort[MAX_PROCESSES] = {0};
    if (count > 0)
        qsort(drawings, count, sizeof *drawings, by_effort);
    for (size_t i = 0; i < count; ++i) {
        size_t least = 0;
        for (size_t p = 1; p < processes; ++p)
            least = effort[p] < effort[least] ? p : least;
        drawings[i].process = least;
        effort[least] += drawings[i].effort;
    }
}

/* Fresh memory; NULL: out of memory. */
static drawing *list_drawings(const ib_report *report, int files, size_t *count) {
    const double start = 0.3; /* whatever the size */
    drawing *drawings = calloc(report->figure_count * FORMATS + 1, sizeof *drawings);
    *count = 0;
    for (size_t i = 0; drawings != NULL && i < report->figure_count; ++i)
        for (size_t f = 0; f < (files ? FORMATS : FORMATS_OF_A_PAGE); ++f) {
            if (!ib_report_is_drawn(&report->figures[i]))
                continue;
            ib_canvas canvas = canvas_of(&report->figures[i], &formats[f]);
            double scale = formats[f].is_png ? scale_of(&canvas, &formats[f]) : 2;
            drawings[(*count)++] =
                (drawing){.figure = i,
                          .format = f,
                          .effort = start + 1e-6 * canvas.width * canvas.height * scale * scale *
                                                formats[f].effort};
        }
    return drawings;
}

static ib_status write_script(const ib_report *report, const char *folder, const drawing *drawings,
                              size_t count, size_t process, ib_error *err) {
    ib_atomic_file file;
    char *path = ib_gnuplot_script(folder, process);
    ib_status status = path == NULL ? ib_fail_memory(err) : ib_atomic_open(&file, path, err);
    free(path);
    IB_TRY(status);
    for (size_t i = 0; i < count; ++i)
        if (drawings[i].process == process)
            write_figure(file.stream, &report->figures[drawings[i].figure], folder,
                         drawings[i].figure, &formats[drawings[i].format]);
    return ib_atomic_commit(&file, err);
}

static ib_status draw_all(const ib_report *report, const char *folder, int files, ib_error *err) {
    size_t count, cpus = ib_usable_cpus();
    drawing *drawings = list_drawings(report, files, &count);
    if (drawings == NULL)
        return ib_fail_memory(err);
    size_t processes = cpus < MAX_PROCESSES ? cpus : MAX_PROCESSES;
    processes = processes < count ? processes : count;
    share_out(drawings, count, processes);
    ib_status status = IB_OK;
    for (size_t p = 0; status == IB_OK && p < processes; ++p)
        status = write_script(report, folder, drawings, count, p, err);
    free(drawings);
    return status == IB_OK ? ib_gnuplot_run(folder, processes, err) : status;
}

/* ---- what they drew -----------------------------------------------------------------------------
 */

static ib_status keep_files(const ib_report_figure *figure, size_t number, const char *folder,
                            const char *directory, ib_error *err) {
    for (size_t f = 0; f < FORMATS; ++f) {
        if (formats[f].inline_only)
            continue;
        char *from = ib_format("%s/%zu.%s", folder, number, formats[f].suffix);
        char *to = ib_format("%s/%s.%s", directory, figure->name, formats[f].suffix);
        char *data = NULL;
        size_t size = 0;
        ib_status status = from == NULL || to == NULL ? ib_fail_memory(err) : IB_OK;
        if (status == IB_OK)
            status = ib_read_file(from, MAX_DRAWING, &data, &size, err);
        if (status == IB_OK)
            status = ib_write_file_atomic(to, data, size, err);
        free(data);
        free(to);
        free(from);
        IB_TRY(status);
    }
    return IB_OK;
}

static ib_status read_drawing(const ib_report_figure *figure, size_t number, const char *folder,
                              int narrow, char **svg, ib_error *err) {
    char *path = ib_format("%s/%zu.%s", folder, number, formats[narrow].suffix), *text = NULL;
    size_t size = 0;
    if (path == NULL)
        return ib_fail_memory(err);
    ib_status status = ib_read_file(path, MAX_DRAWING, &text, &size, err);
    free(path);
    IB_TRY(status);
    *svg = ib_svg_inline(text, figure, number, narrow);
    free(text);
    return *svg != NULL ? IB_OK : ib_fail_memory(err);
}

/* The wide drawing, then the narrow one; the style sheet shows one of them. */
static ib_status read_drawings(const ib_report_figure *figure, size_t number, const char *folder,
                               char **svg, ib_error *err) {
    char *wide = NULL, *narrow = NULL;
    ib_status status = read_drawing(figure, number, folder, 0, &wide, err);
    if (status == IB_OK)
        status = read_drawing(figure, number, folder, 1, &narrow, err);
    if (status == IB_OK && (*svg = ib_format("%s%s", wide, narrow)) == NULL)
        status = ib_fail_memory(err);
    free(narrow);
    free(wide);
    return status;
}

static ib_status draw_in(const ib_report *report, const char *folder, const char *directory,
                         char **svgs, ib_error *err) {
    ib_status status = draw_all(report, folder, directory != NULL, err);
    for (size_t i = 0; status == IB_OK && i < report->figure_count; ++i) {
        if (!ib_report_is_drawn(&report->figures[i]))
            continue;
        if (directory != NULL)
            status = keep_files(&report->figures[i], i, folder, directory, err);
        if (status == IB_OK)
            status = read_drawings(&report->figures[i], i, folder, &svgs[i], err);
    }
    return status;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *walk) {
    (void)info, (void)kind, (void)walk;
    return remove(path);
}

/* Names become file names. */
static ib_status check_names(const ib_report *report, int *any, ib_error *err) {
    *any = 0;
    for (size_t i = 0; i < report->figure_count; ++i) {
        const char *name = report->figures[i].name;
        if (*name == '\0' || *name == '.' || strchr(name, '/') != NULL)
            return ib_fail(err, IB_ERROR_USAGE, "figure %zu: \"%s\" cannot name a file", i + 1,
                           name);
        *any |= ib_report_is_drawn(&report->figures[i]);
    }
    return IB_OK;
}

/* Colours and shapes run out: two series would look the same. */
static int has_too_many_series(const ib_report_figure *figure) {
    for (size_t p = 0; p < figure->panel_count; ++p) {
        size_t ours = 0;
        for (size_t s = 0; s < figure->panels[p].series_count; ++s)
            ours += !figure->panels[p].series[s].published;
        if (ours > IB_LOOKS)
            return 1;
    }
    return 0;
}

ib_status ib_report_measure(ib_report *report, ib_error *err) {
    for (size_t i = 0; i < report->figure_count; ++i) {
        ib_report_figure *figure = &report->figures[i];
        if (figure->panel_count == 0)
            continue;
        int series = has_too_many_series(figure);
        figure->too_large = series || canvas_of(figure, &formats[0]).height > MAX_HEIGHT;
        if (!figure->too_large)
            continue;
        char *text = ib_format(
            "%s%sIt is not drawn: it has more %s; report.json holds its values.",
            figure->missing != NULL ? figure->missing : "", figure->missing != NULL ? " " : "",
            series ? "series than can be told apart" : "values than a page holds");
        if (text == NULL)
            return ib_fail_memory(err);
        free(figure->missing);
        figure->missing = text;
    }
    return IB_OK;
}

ib_status ib_report_draw(const ib_report *report, const char *directory, char ***svgs,
                         ib_error *err) {
    int any;
    IB_TRY(check_names(report, &any, err));
    *svgs = calloc(report->figure_count + 1, sizeof **svgs);
    if (*svgs == NULL)
        return ib_fail_memory(err);
    if (!any)
        return IB_OK;
    const char *parent = getenv("TMPDIR");
    char *folder =
        ib_path_join(parent != NULL && *parent != '\0' ? parent : "/tmp", "isobit-figures-XXXXXX");
    ib_status status = IB_OK;
    if (folder == NULL)
        status = ib_fail_memory(err);
    else if (mkdtemp(folder) == NULL)
        status =
            ib_fail_errno(err, IB_ERROR_UNAVAILABLE, errno, "cannot make the folder %s", folder);
    else {
        if (directory != NULL)
            status = ib_make_directories(directory, err);
        if (status == IB_OK)
            status = draw_in(report, folder, directory, *svgs, err);
        nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    }
    free(folder);
    if (status != IB_OK) {
        ib_report_free_drawings(*svgs, report->figure_count);
        *svgs = NULL;
    }
    return status;
}

void ib_report_free_drawings(char **svgs, size_t count) {
    if (svgs == NULL)
        return;
    for (size_t i = 0; i < count; ++i)
        free(svgs[i]);
    free(svgs);
}
