/* A figure as one SVG text: as a file of its own, which brings its colours for light and dark, and
 * as a part of an HTML page, whose style sheet has them. A reader who cannot see it gets a title
 * and a sentence. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text_stream.h"
#include "report/canvas.h"
#include "report/markup.h"

/* Of report.css; a file's converters know neither variables nor, some of them, media queries. */
static const char style[] =
    "svg{color:#16202a}.paper{color:#fff}.muted{color:#56616c}.rule{color:#d9dee3}"
    ".s1{color:#0072b2}.s2{color:#d55e00}.s3{color:#009e73}.s4{color:#b85c90}.s5{color:#c98500}"
    ".s6{color:#3d9bd6}.s7{color:#7a5c3e}image{image-rendering:pixelated}\n"
    "@media (prefers-color-scheme:dark){"
    "svg{color:#e6eaee}.paper{color:#12171c}.muted{color:#a3adb7}.rule{color:#343d46}"
    ".s1{color:#4aa8e0}.s2{color:#f08a3c}.s3{color:#2fc79b}.s4{color:#e3a0c6}.s5{color:#f2bd45}"
    ".s6{color:#9ad4f7}.s7{color:#c7a784}}\n";

void ib_draw_figure(ib_canvas *canvas, const ib_report_figure *figure) {
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

static void write_texts(FILE *out, const ib_report_figure *figure, const char *id) {
    fprintf(out, "<title id=\"%s-title\">", id);
    ib_write_markup(out, figure->title);
    fprintf(out, "</title><desc id=\"%s-desc\">", id);
    ib_write_markup(out, figure->description != NULL ? figure->description : figure->title);
    fputs("</desc>\n", out);
}

/* From the size on: <svg has been written. */
static void write_drawing(FILE *out, ib_canvas *canvas, const ib_report_figure *figure,
                          const char *id) {
    canvas->out = out;
    fputs(" viewBox=\"0 0 ", out);
    ib_canvas_length(canvas, canvas->width);
    fputc(' ', out);
    ib_canvas_length(canvas, canvas->height);
    fprintf(out,
            "\" role=\"img\" aria-labelledby=\"%s-title %s-desc\" font-size=\"%d\" "
            "fill=\"currentColor\">",
            id, id, IB_FONT);
    write_texts(out, figure, id);
}

char *ib_svg_file(const ib_report_figure *figure, size_t *size) {
    ib_text_stream text;
    ib_canvas canvas = {.room = IB_WIDE};
    if (ib_text_open(&text, NULL) != IB_OK)
        return NULL;
    FILE *out = text.stream;
    ib_draw_figure(&canvas, figure); /* its size */
    canvas.out = out;
    canvas.failed = &text.failed;
    fputs("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
          "<svg xmlns=\"http://www.w3.org/2000/svg\" font-family=\"system-ui, -apple-system, "
          "'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', sans-serif\"",
          out);
    ib_canvas_attribute(&canvas, "width", canvas.width);
    ib_canvas_attribute(&canvas, "height", canvas.height);
    write_drawing(out, &canvas, figure, "f");
    fprintf(out, "<style>%s</style>\n", style);
    ib_rect paper = {0, 0, canvas.width, canvas.height};
    ib_canvas_box(&canvas, paper, "paper", NULL);
    ib_draw_figure(&canvas, figure);
    fputs("</svg>\n", out);
    if (ib_text_close(&text, NULL) != IB_OK)
        return NULL;
    *size = text.size;
    return text.data;
}

char *ib_svg_inline(const ib_report_figure *figure, size_t number) {
    ib_text_stream text;
    if (ib_text_open(&text, NULL) != IB_OK)
        return NULL;
    FILE *out = text.stream;
    for (int narrow = 0; narrow < 2; ++narrow) {
        ib_canvas canvas = {.room = narrow ? IB_NARROW : IB_WIDE, .failed = &text.failed};
        ib_draw_figure(&canvas, figure);
        char id[32];
        snprintf(id, sizeof id, "f%zu", 2 * number + (size_t)narrow);
        fprintf(out, "<svg class=\"%s\"", narrow ? "narrow" : "wide");
        write_drawing(out, &canvas, figure, id);
        ib_draw_figure(&canvas, figure);
        fputs("</svg>", out);
    }
    return ib_text_close(&text, NULL) == IB_OK ? text.data : NULL;
}
