/* The report as GitHub's Markdown. */
#include <string.h>

#include "base/file.h"
#include "report/markup.h"
#include "report/write.h"

/* Text as text: what would be markup is escaped. Quotes mean nothing in Markdown. */
static void write_text(FILE *out, const char *text) {
    for (; *text != '\0'; ++text) {
        if (strchr("\\`*_{}[]|#~!", *text) != NULL)
            fputc('\\', out);
        if (*text == '"')
            fputc('"', out);
        else
            ib_write_markup_character(out, *text);
    }
}

static void write_paragraph(FILE *out, const char *text) {
    if (text == NULL)
        return;
    write_text(out, text);
    fputs("\n\n", out);
}

static void write_head(const ib_report *report, FILE *out) {
    fputs("# ", out);
    write_text(out, report->title);
    fputs("\n\n", out);
    write_paragraph(out, report->description);
    fprintf(out, "%zu of %zu runs are finished. ", report->finished, report->asked);
    fputs("Made from ", out);
    write_text(out, report->source);
    fputs(" by ", out);
    write_text(out, report->program);
    fputs(": ", out);
    write_text(out, report->command);
    fputs("\n\n", out);
    for (size_t i = 0; i < report->machine_count; ++i) {
        fputs("- ", out);
        write_text(out, report->machines[i]);
        fputc('\n', out);
    }
    fputc('\n', out);
}

static void write_findings(const ib_report *report, FILE *out) {
    if (report->finding_count == 0)
        return;
    fputs("## Findings\n\n", out);
    for (size_t i = 0; i < report->finding_count; ++i) {
        fputs("- ", out);
        write_text(out, report->findings[i].text);
        fputs(" (", out);
        write_text(out, report->findings[i].basis);
        fputs(")\n", out);
    }
    fputc('\n', out);
}

static void write_rows(const ib_report_table *table, FILE *out) {
    for (size_t r = 0; r < table->row_count; ++r) {
        for (size_t c = 0; c < table->column_count; ++c) {
            if (ib_report_constant_remark(table, c) != NULL)
                continue;
            fputs("| ", out);
            write_text(out, table->values[r * table->column_count + c].text);
            fputc(' ', out);
        }
        fputs("|\n", out);
    }
    fputc('\n', out);
}

/* What is the same in each row is said once, below. */
static void write_constants(const ib_report_table *table, FILE *out) {
    const char *before = "";
    for (size_t c = 0; (c = ib_report_next_remark(table, c)) < table->column_count; ++c) {
        fputs(before, out);
        write_text(out, table->columns[c].name);
        fputs(": ", out);
        write_text(out, ib_report_constant_remark(table, c));
        before = "; ";
    }
    fputs(*before != '\0' ? "\n\n" : "", out);
}

static void write_table(const ib_report_table *table, FILE *out) {
    fputs("## ", out);
    write_text(out, table->title);
    fputs("\n\n", out);
    for (size_t c = 0; c < table->column_count; ++c) {
        if (ib_report_constant_remark(table, c) != NULL)
            continue;
        fputs("| ", out);
        write_text(out, table->columns[c].name);
        fputc(' ', out);
    }
    fputs("|\n", out);
    for (size_t c = 0; c < table->column_count; ++c)
        if (ib_report_constant_remark(table, c) == NULL)
            fputs(table->columns[c].role == IB_COLUMN_HEADING ||
                          table->columns[c].role == IB_COLUMN_REMARK
                      ? "| --- "
                      : "| ---: ",
                  out);
    fputs("|\n", out);
    write_rows(table, out);
    write_constants(table, out);
    write_paragraph(out, table->note);
    write_paragraph(out, table->missing);
}

static void write_figure(const ib_report_figure *figure, FILE *out) {
    fputs("## ", out);
    write_text(out, figure->title);
    fputs("\n\n", out);
    if (ib_report_is_drawn(figure)) {
        fputs("![", out);
        write_text(out, figure->description);
        fprintf(out, "](figures/%s.svg)\n\n", figure->name);
    }
    write_paragraph(out, figure->note);
    write_paragraph(out, figure->missing);
}

static void write_runs(const ib_report *report, FILE *out) {
    fputs("## Runs\n\n| run | state | machine | record | experiment | model |\n"
          "| --- | --- | --- | --- | --- | --- |\n",
          out);
    for (size_t i = 0; i < report->run_count; ++i) {
        const ib_report_run *run = &report->runs[i];
        const char *texts[] = {
            run->cell,        run->state, run->machine, run->run_id, run->experiment_sha256,
            run->model_sha256};
        for (size_t k = 0; k < sizeof texts / sizeof texts[0]; ++k) {
            fputs("| ", out);
            write_text(out, texts[k]);
            fputc(' ', out);
        }
        fputs("|\n", out);
    }
}

ib_status ib_report_write_markdown(const ib_report *report, const char *path, ib_error *err) {
    ib_atomic_file file;
    IB_TRY(ib_atomic_open(&file, path, err));
    write_head(report, file.stream);
    write_findings(report, file.stream);
    for (size_t i = 0; i < report->table_count; ++i)
        write_table(&report->tables[i], file.stream);
    for (size_t i = 0; i < report->figure_count; ++i)
        write_figure(&report->figures[i], file.stream);
    write_runs(report, file.stream);
    return ib_atomic_commit(&file, err);
}
