/* The report as one page that needs nothing else: no network, no scripts. */
#include "report/write_html.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "report/markup.h"
#include "report_css.h"

static void write_element(FILE *out, const char *open, const char *text, const char *close) {
    if (text == NULL || *text == '\0')
        return;
    fputs(open, out);
    ib_write_markup(out, text);
    fputs(close, out);
}

static void write_head(const ib_report *report, FILE *out) {
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
          "<meta name=\"color-scheme\" content=\"light dark\"/>\n",
          out);
    write_element(out, "<title>", report->title, "</title>\n");
    fputs("<style>\n", out);
    for (size_t i = 0; i < sizeof report_css / sizeof report_css[0]; ++i)
        fputs(report_css[i], out);
    fputs("</style>\n</head>\n<body>\n<main>\n<header>\n", out);
    write_element(out, "<h1>", report->title, "</h1>\n");
    write_element(out, "<p class=\"lead\">", report->description, "</p>\n");
    fprintf(out, "<dl class=\"facts\">\n<dt>Runs</dt><dd>%zu of %zu finished</dd>\n",
            report->finished, report->asked);
    for (size_t i = 0; i < report->machine_count; ++i)
        write_element(out, i == 0 ? "<dt>Machine</dt><dd>" : "<dt></dt><dd>", report->machines[i],
                      "</dd>\n");
    write_element(out, "<dt>Program</dt><dd>", report->program, "</dd>\n");
    write_element(out, "<dt>Source</dt><dd>", report->source, "</dd>\n");
    write_element(out, "<dt>Make it again</dt><dd><code>", report->command, "</code></dd>\n");
    fputs("</dl>\n</header>\n", out);
}

static void write_contents(const ib_report *report, FILE *out) {
    fputs("<nav aria-label=\"Contents\">\n<ol>\n", out);
    if (report->finding_count > 0)
        fputs("<li><span></span><a href=\"#findings\">Findings</a></li>\n", out);
    for (size_t i = 0; i < report->figure_count; ++i) {
        fprintf(out, "<li><span>Figure %zu</span><a href=\"#figure-%zu\">", i + 1, i + 1);
        ib_write_markup(out, report->figures[i].title);
        fputs("</a></li>\n", out);
    }
    for (size_t i = 0; i < report->table_count; ++i) {
        fprintf(out, "<li><span>Table %zu</span><a href=\"#table-%zu\">", i + 1, i + 1);
        ib_write_markup(out, report->tables[i].title);
        fputs("</a></li>\n", out);
    }
    if (report->run_count > 0)
        fputs("<li><span></span><a href=\"#runs\">Runs and their hashes</a></li>\n", out);
    fputs("</ol>\n</nav>\n", out);
}

static void write_findings(const ib_report *report, FILE *out) {
    if (report->finding_count == 0)
        return;
    fputs("<section aria-labelledby=\"findings\">\n<h2 id=\"findings\">Findings</h2>\n"
          "<ul class=\"findings\">\n",
          out);
    for (size_t i = 0; i < report->finding_count; ++i) {
        write_element(out, "<li>", report->findings[i].text, "");
        write_element(out, "<small>", report->findings[i].basis, "</small>");
        fputs("</li>\n", out);
    }
    fputs("</ul>\n</section>\n", out);
}

static void write_figures(const ib_report *report, char *const *svgs, FILE *out) {
    if (report->figure_count == 0)
        return;
    fputs("<section aria-labelledby=\"figures\">\n<h2 id=\"figures\">Figures</h2>\n", out);
    for (size_t i = 0; i < report->figure_count; ++i) {
        const ib_report_figure *figure = &report->figures[i];
        fprintf(out, "<figure id=\"figure-%zu\">\n<figcaption><b>Figure %zu.</b>", i + 1, i + 1);
        ib_write_markup(out, figure->title);
        fputs("</figcaption>\n", out);
        if (svgs != NULL && svgs[i] != NULL) {
            fprintf(out,
                    "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"Figure %zu, "
                    "scrolls sideways\">",
                    i + 1);
            fputs(svgs[i], out);
            fputs("</div>\n", out);
        }
        write_element(out, "<p class=\"note\">", figure->note, "</p>\n");
        write_element(out, "<p class=\"missing\">", figure->missing, "</p>\n");
        fputs("</figure>\n", out);
    }
    fputs("</section>\n", out);
}

static const char *role_class(ib_column_role role) {
    switch (role) {
    case IB_COLUMN_HEADING:
        return "heading";
    case IB_COLUMN_PUBLISHED:
        return "published";
    case IB_COLUMN_DIFFERENCE:
        return "difference";
    case IB_COLUMN_REMARK:
        return "remark";
    case IB_COLUMN_SPREAD:
        return "spread";
    default:
        return "ours";
    }
}

/* What is the same in each row is said once, below. */
static void write_constants(const ib_report_table *table, FILE *out) {
    const char *opening = "<p class=\"note\">", *closing = "";
    for (size_t c = 0; (c = ib_report_next_remark(table, c)) < table->column_count; ++c) {
        fputs(opening, out);
        ib_write_markup(out, table->columns[c].name);
        write_element(out, ": ", ib_report_constant_remark(table, c), "");
        opening = "; ";
        closing = "</p>\n";
    }
    fputs(closing, out);
}

static void write_table(const ib_report_table *table, size_t number, FILE *out) {
    enum { MANY_COLUMNS = 9 };
    size_t shown = 0;
    for (size_t c = 0; c < table->column_count; ++c)
        shown += ib_report_constant_remark(table, c) == NULL;
    fprintf(out,
            "<div class=\"block\" id=\"table-%zu\">\n<p class=\"caption\" id=\"caption-%zu\">"
            "<b>Table %zu.</b>",
            number, number, number);
    ib_write_markup(out, table->title);
    fprintf(out,
            "</p>\n<div class=\"scroll%s\" tabindex=\"0\" role=\"group\" "
            "aria-labelledby=\"caption-%zu\">\n<table%s aria-labelledby=\"caption-%zu\">\n"
            "<thead><tr>",
            shown > MANY_COLUMNS ? " dense" : "", number,
            shown > MANY_COLUMNS ? " class=\"dense\"" : "", number);
    for (size_t c = 0; c < table->column_count; ++c) {
        if (ib_report_constant_remark(table, c) != NULL)
            continue;
        fprintf(out, "<th scope=\"col\" class=\"%s\">", role_class(table->columns[c].role));
        ib_write_markup(out, table->columns[c].name);
        fputs("</th>", out);
    }
    fputs("</tr></thead>\n<tbody>\n", out);
    for (size_t r = 0; r < table->row_count; ++r) {
        fputs("<tr>", out);
        for (size_t c = 0; c < table->column_count; ++c) {
            ib_column_role role = table->columns[c].role;
            if (ib_report_constant_remark(table, c) != NULL)
                continue;
            int heads = role == IB_COLUMN_HEADING;
            fprintf(out, heads ? "<th scope=\"row\" class=\"%s\">" : "<td class=\"%s\">",
                    role_class(role));
            ib_write_markup(out, table->values[r * table->column_count + c].text);
            fputs(heads ? "</th>" : "</td>", out);
        }
        fputs("</tr>\n", out);
    }
    fputs("</tbody>\n</table>\n</div>\n", out);
    write_constants(table, out);
    write_element(out, "<p class=\"note\">", table->note, "</p>\n");
    write_element(out, "<p class=\"missing\">", table->missing, "</p>\n");
    fputs("</div>\n", out);
}

static void write_tables(const ib_report *report, FILE *out) {
    if (report->table_count == 0)
        return;
    fputs("<section aria-labelledby=\"tables\">\n<h2 id=\"tables\">Tables</h2>\n", out);
    for (size_t i = 0; i < report->table_count; ++i)
        write_table(&report->tables[i], i + 1, out);
    fputs("</section>\n", out);
}

/* The first digits; the whole hash as a tooltip. */
static void write_hash(FILE *out, const char *hash) {
    if (*hash == '\0') {
        fputs("<td>–</td>", out);
        return;
    }
    fputs("<td><code title=\"", out);
    ib_write_markup(out, hash);
    fputs("\">", out);
    char start[13];
    snprintf(start, sizeof start, "%.12s", hash);
    ib_write_markup(out, start);
    fputs("</code></td>", out);
}

static void write_runs(const ib_report *report, FILE *out) {
    if (report->run_count == 0)
        return;
    fputs(
        "<section aria-labelledby=\"runs\">\n<h2 id=\"runs\">Runs and their hashes</h2>\n"
        "<p class=\"note\">Equal experiment and model hashes mean the same bits. Hashes are "
        "shortened here: point at one to see all of it; the report's JSON file holds them in "
        "full.</p>\n<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-labelledby=\"runs\">\n"
        "<table class=\"runs\" aria-labelledby=\"runs\">\n<thead><tr><th scope=\"col\" "
        "class=\"heading\">Run</th><th scope=\"col\" class=\"heading\">State</th><th scope=\"col\" "
        "class=\"heading\">Machine</th><th scope=\"col\" class=\"heading\">Record</th>"
        "<th scope=\"col\" class=\"heading\">Experiment</th><th scope=\"col\" "
        "class=\"heading\">Model</th></tr></thead>\n<tbody>\n",
        out);
    for (size_t i = 0; i < report->run_count; ++i) {
        const ib_report_run *run = &report->runs[i];
        fputs("<tr><th scope=\"row\">", out);
        ib_write_markup(out, run->cell);
        fprintf(out, "</th><td%s>",
                strcmp(run->state, "finished") == 0 ? "" : " class=\"state-other\"");
        ib_write_markup(out, run->state);
        fputs("</td><td class=\"remark\">", out);
        ib_write_markup(out, run->machine);
        fputs("</td>", out);
        write_element(out, "<td><code>", run->run_id[0] != '\0' ? run->run_id : "–",
                      "</code></td>");
        write_hash(out, run->experiment_sha256);
        write_hash(out, run->model_sha256);
        fputs("</tr>\n", out);
    }
    fputs("</tbody>\n</table>\n</div>\n</section>\n", out);
}

ib_status ib_report_write_html(const ib_report *report, char *const *svgs, const char *path,
                               ib_error *err) {
    ib_atomic_file file;
    IB_TRY(ib_atomic_open(&file, path, err));
    write_head(report, file.stream);
    write_contents(report, file.stream);
    write_findings(report, file.stream);
    write_figures(report, svgs, file.stream);
    write_tables(report, file.stream);
    write_runs(report, file.stream);
    fputs("</main>\n</body>\n</html>\n", file.stream);
    return ib_atomic_commit(&file, err);
}
