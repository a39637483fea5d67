/* isobit report: tables, figures and findings of a study, as files. */
#include "command/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json_text.h"
#include "base/numerics_version.h"
#include "build_info.h"
#include "command/report_input.h"
#include "report/figure.h"
#include "report/write.h"
#include "report/write_html.h"

/* Where the parts go. */
typedef struct places {
    char *page, *rest; /* files and a folder */
    char *markdown, *json, *tables, *figures;
} places;

static void free_places(places *p) {
    free(p->page);
    free(p->rest);
    free(p->markdown);
    free(p->json);
    free(p->tables);
    free(p->figures);
}

/* <directory>/report.html and the rest beside it; with -o out.html the rest in out_files/. */
static ib_status choose_places(const char *output, const char *directory, places *p,
                               ib_error *err) {
    static const char ENDING[] = ".html";
    if (output != NULL) {
        size_t length = strlen(output), tail = sizeof ENDING - 1;
        size_t stem =
            length > tail && strcmp(output + length - tail, ENDING) == 0 ? length - tail : length;
        p->page = strdup(output);
        p->rest = ib_format("%.*s_files", (int)stem, output);
    } else {
        p->page = ib_path_join(directory, "report.html");
        p->rest = strdup(directory);
    }
    if (p->page == NULL || p->rest == NULL)
        return ib_fail_memory(err);
    p->markdown = ib_path_join(p->rest, "report.md");
    p->json = ib_path_join(p->rest, "report.json");
    p->tables = ib_path_join(p->rest, "tables");
    p->figures = ib_path_join(p->rest, "figures");
    return p->markdown == NULL || p->json == NULL || p->tables == NULL || p->figures == NULL
               ? ib_fail_memory(err)
               : IB_OK;
}

static ib_status write_tables(const ib_report *report, const char *directory, ib_error *err) {
    IB_TRY(ib_make_directories(directory, err));
    for (size_t i = 0; i < report->table_count; ++i) {
        char *path = ib_format("%s/%s.csv", directory, report->tables[i].name);
        ib_status status =
            path == NULL ? ib_fail_memory(err) : ib_report_write_csv(&report->tables[i], path, err);
        free(path);
        IB_TRY(status);
    }
    return IB_OK;
}

static ib_status write_all(const ib_report *report, const places *p, int *converted,
                           ib_error *err) {
    IB_TRY(write_tables(report, p->tables, err));
    IB_TRY(ib_report_write_json(report, p->json, err));
    IB_TRY(ib_report_write_markdown(report, p->markdown, err));
    char **svgs = NULL;
    IB_TRY(ib_report_draw(report, p->figures, &svgs, err));
    ib_status status = ib_report_write_html(report, svgs, p->page, err);
    ib_report_free_drawings(svgs, report->figure_count);
    IB_TRY(status);
    return ib_report_convert(report, p->figures, converted, err);
}

static int has_drawings(const ib_report *report) {
    for (size_t i = 0; i < report->figure_count; ++i)
        if (ib_report_is_drawn(&report->figures[i]))
            return 1;
    return 0;
}

static void print_json(const ib_report *report, const places *p, int converted,
                       const ib_command_context *context) {
    ib_json json = {.out = context->out};
    ib_json_open(&json, NULL, '{');
    ib_json_string(&json, "study", report->name);
    ib_json_uint(&json, "runs", report->asked);
    ib_json_uint(&json, "finished", report->finished);
    ib_json_uint(&json, "tables", report->table_count);
    ib_json_uint(&json, "figures", report->figure_count);
    ib_json_uint(&json, "findings", report->finding_count);
    ib_json_string(&json, "page", p->page);
    ib_json_string(&json, "markdown", p->markdown);
    ib_json_string(&json, "json", p->json);
    ib_json_string(&json, "tables_dir", p->tables);
    ib_json_string(&json, "figures_dir", p->figures);
    ib_json_open(&json, "figure_formats", '[');
    ib_json_string(&json, NULL, "svg");
    if (converted) {
        ib_json_string(&json, NULL, "png");
        ib_json_string(&json, NULL, "pdf");
    }
    ib_json_close(&json, ']');
    ib_json_double(&json, "total_seconds", ib_seconds() - context->start_seconds);
    ib_json_close(&json, '}');
    fputc('\n', context->out);
}

static void print_text(const ib_report *report, const places *p, int converted,
                       const ib_command_context *context) {
    for (size_t i = 0; i < report->finding_count; ++i)
        fprintf(context->out, "- %s (%s)\n", report->findings[i].text, report->findings[i].basis);
    fprintf(context->out, "%s: %zu of %zu runs finished; %s\n", report->name, report->finished,
            report->asked, p->page);
    if (!converted && has_drawings(report))
        fprintf(context->log, "figures are SVG only: rsvg-convert, which makes PNG and PDF of "
                              "them, is not here (Debian: apt-get install librsvg2-bin)\n");
}

ib_status ib_command_report(ib_arguments *arguments, const ib_command_context *context,
                            ib_error *err) {
    ib_report_material material = {0};
    ib_report report = {0};
    places p = {0};
    int converted = 0;
    ib_status status = ib_report_gather(arguments, context, &material, err);
    material.input.program = "isobit " IB_VERSION ", NUMERICS " IB_NUMERICS_VERSION;
    if (status == IB_OK && arguments->config.output.file == NULL &&
        access(material.directory, W_OK) != 0 && errno != ENOENT)
        status = ib_fail(err, IB_ERROR_RUNTIME,
                         "the report would go into %s, which is not writable: say where else with "
                         "-o FILE.html",
                         material.directory);
    struct stat about;
    if (status == IB_OK && arguments->config.output.file != NULL &&
        stat(arguments->config.output.file, &about) == 0 && S_ISDIR(about.st_mode))
        status = ib_fail(err, IB_ERROR_USAGE,
                         "-o %s is a folder: give the page a name in it, such as %s/report.html",
                         arguments->config.output.file, arguments->config.output.file);
    if (status == IB_OK)
        status = choose_places(arguments->config.output.file, material.directory, &p, err);
    if (status == IB_OK)
        status = ib_report_build(&material.input, &report, err);
    if (status == IB_OK)
        status = ib_report_measure(&report, err);
    if (status == IB_OK)
        status = write_all(&report, &p, &converted, err);
    if (status == IB_OK && arguments->config.output.json)
        print_json(&report, &p, converted, context);
    else if (status == IB_OK)
        print_text(&report, &p, converted, context);
    free_places(&p);
    ib_report_free(&report);
    ib_report_material_close(&material);
    return status;
}
