#include "report/figure.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "report/canvas.h"

extern char **environ;

enum { MAX_DRAWING = 64 << 20 };

#define SVG_OPTIONS "dynamic font 'sans-serif,14' butt"
static const struct format {
    const char *suffix, *terminal, *options, *unit;
    double scale; /* units to a pixel */
    int inline_only, narrow;
} formats[] = {
    {"svg", "svg", SVG_OPTIONS, "", 1, 0, 0},
    {"narrow.svg", "svg", SVG_OPTIONS, "", 1, 1, 1},
    {"png", "pngcairo", "font 'sans,14' fontscale 1.5 linewidth 2 pointscale 2", "", 2, 0, 0},
    {"pdf", "pdfcairo", "font 'sans,14' fontscale 0.75 linewidth 1 pointscale 0.5", "in", 1.0 / 96,
     0, 0},
};

static void draw_figure(ib_canvas *canvas, const ib_report_figure *figure) {
    switch (figure->kind) {
    case IB_FIGURE_CURVES:
        ib_draw_curves(canvas, figure);
        break;
    case IB_FIGURE_SCATTER:
        ib_draw_scatter(canvas, figure);
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

static void write_figure(FILE *out, const ib_report_figure *figure, const char *folder,
                         size_t number, const struct format *format) {
    ib_canvas canvas = {.room = format->narrow ? IB_NARROW : IB_WIDE};
    draw_figure(&canvas, figure); /* its size */
    canvas.out = out;
    fprintf(out, "reset\nset terminal %s noenhanced size %.6g%s,%.6g%s %s\nset output ",
            format->terminal, canvas.width * format->scale, format->unit,
            canvas.height * format->scale, format->unit, format->options);
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

static ib_status write_script(const ib_report *report, const char *folder, int files,
                              const char *path, ib_error *err) {
    ib_atomic_file file;
    IB_TRY(ib_atomic_open(&file, path, err));
    for (size_t i = 0; i < report->figure_count; ++i)
        for (size_t f = 0; f < (files ? sizeof formats / sizeof formats[0] : 2); ++f)
            if (report->figures[i].panel_count > 0)
                write_figure(file.stream, &report->figures[i], folder, i, &formats[f]);
    return ib_atomic_commit(&file, err);
}

/* gnuplot without its user's settings; what it says goes to log. */
static ib_status run_gnuplot(const char *script, const char *log, ib_error *err) {
    posix_spawn_file_actions_t actions;
    int problem = posix_spawn_file_actions_init(&actions);
    if (problem != 0)
        return ib_fail_memory(err);
    char *const arguments[] = {(char *)(uintptr_t) "gnuplot", (char *)(uintptr_t) "-d",
                               (char *)(uintptr_t)script, NULL};
    pid_t child = 0;
    problem = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (problem == 0)
        problem = posix_spawn_file_actions_addopen(&actions, 2, log, O_WRONLY | O_CREAT, 0600);
    if (problem == 0)
        problem = posix_spawn_file_actions_adddup2(&actions, 2, 1);
    if (problem == 0)
        problem = posix_spawnp(&child, "gnuplot", &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (problem != 0)
        return ib_fail_errno(err, IB_ERROR_UNAVAILABLE, problem,
                             "cannot start gnuplot, which draws the figures; install it (Debian: "
                             "apt-get install gnuplot-nox)");
    int state = 0;
    while (waitpid(child, &state, 0) < 0)
        if (errno != EINTR)
            return ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot wait for gnuplot");
    if (WIFEXITED(state) && WEXITSTATUS(state) == 0)
        return IB_OK;
    if (WIFEXITED(state) && WEXITSTATUS(state) == 127)
        return ib_fail(err, IB_ERROR_UNAVAILABLE,
                       "cannot start gnuplot, which draws the figures; install it (Debian: apt-get "
                       "install gnuplot-nox)");
    char *text = NULL;
    size_t size = 0;
    if (ib_read_file(log, MAX_DRAWING, &text, &size, NULL) != IB_OK)
        size = 0;
    ib_fail(err, IB_ERROR_RUNTIME, "gnuplot failed: %.*s", (int)(size < 500 ? size : 500),
            size > 0 ? text : "it said nothing");
    free(text);
    return IB_ERROR_RUNTIME;
}

static ib_status keep_files(const ib_report_figure *figure, size_t number, const char *folder,
                            const char *directory, ib_error *err) {
    for (size_t f = 0; f < sizeof formats / sizeof formats[0]; ++f) {
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
    char *script = ib_path_join(folder, "script"), *log = ib_path_join(folder, "log");
    ib_status status = script == NULL || log == NULL ? ib_fail_memory(err) : IB_OK;
    if (status == IB_OK)
        status = write_script(report, folder, directory != NULL, script, err);
    if (status == IB_OK)
        status = run_gnuplot(script, log, err);
    free(log);
    free(script);
    for (size_t i = 0; status == IB_OK && i < report->figure_count; ++i) {
        if (report->figures[i].panel_count == 0)
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
        *any |= report->figures[i].panel_count > 0;
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
