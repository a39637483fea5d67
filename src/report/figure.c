#include "report/figure.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "report/canvas.h"

enum { MAX_HEIGHT = 6000 }; /* of a drawing, as a page shows it */

/* Names become file names. */
static ib_status check_names(const ib_report *report, ib_error *err) {
    for (size_t i = 0; i < report->figure_count; ++i) {
        const char *name = report->figures[i].name;
        if (*name == '\0' || *name == '.' || strchr(name, '/') != NULL)
            return ib_fail(err, IB_ERROR_USAGE, "figure %zu: \"%s\" cannot name a file", i + 1,
                           name);
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

static double height_of(const ib_report_figure *figure) {
    ib_canvas canvas = {.room = IB_WIDE};
    ib_draw_figure(&canvas, figure);
    return canvas.height;
}

ib_status ib_report_measure(ib_report *report, ib_error *err) {
    for (size_t i = 0; i < report->figure_count; ++i) {
        ib_report_figure *figure = &report->figures[i];
        if (figure->panel_count == 0)
            continue;
        int series = has_too_many_series(figure);
        figure->too_large = series || height_of(figure) > MAX_HEIGHT;
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

static ib_status write_file(const ib_report_figure *figure, const char *directory, ib_error *err) {
    size_t size = 0;
    char *path = ib_format("%s/%s.svg", directory, figure->name);
    char *text = ib_svg_file(figure, &size);
    ib_status status = path == NULL || text == NULL ? ib_fail_memory(err)
                                                    : ib_write_file_atomic(path, text, size, err);
    free(text);
    free(path);
    return status;
}

ib_status ib_report_draw(const ib_report *report, const char *directory, char ***svgs,
                         ib_error *err) {
    *svgs = NULL;
    IB_TRY(check_names(report, err));
    char **drawn = calloc(report->figure_count + 1, sizeof *drawn);
    ib_status status = drawn == NULL ? ib_fail_memory(err) : IB_OK;
    int any = 0;
    for (size_t i = 0; status == IB_OK && i < report->figure_count; ++i) {
        const ib_report_figure *figure = &report->figures[i];
        if (!ib_report_is_drawn(figure))
            continue;
        if (directory != NULL && !any++)
            status = ib_make_directories(directory, err);
        if (status == IB_OK && directory != NULL)
            status = write_file(figure, directory, err);
        if (status == IB_OK && (drawn[i] = ib_svg_inline(figure, i)) == NULL)
            status = ib_fail_memory(err);
    }
    if (status != IB_OK)
        ib_report_free_drawings(drawn, report->figure_count);
    else
        *svgs = drawn;
    return status;
}

void ib_report_free_drawings(char **svgs, size_t count) {
    if (svgs == NULL)
        return;
    for (size_t i = 0; i < count; ++i)
        free(svgs[i]);
    free(svgs);
}
