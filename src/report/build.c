/* The report as a whole: head, runs, and what tables, figures and findings are made from. */
#include "report/build.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "report/build_parts.h"

/* ---- preparation --------------------------------------------------------------------------------
 */

static ib_status read_records(ib_builder *b, ib_error *err) {
    b->records = calloc(b->input->run_count + 1, sizeof *b->records);
    if (b->records == NULL)
        return ib_fail_memory(err);
    for (size_t r = 0; r < b->input->run_count; ++r) {
        const char *directory = b->input->runs[r].directory;
        ib_error why = {0};
        if (directory == NULL)
            continue;
        /* A record that went or broke since it was listed is one without values. */
        if (ib_report_record_read(directory, b->input->pricing, &b->records[r], &why) != IB_OK)
            ib_report_record_free(&b->records[r]);
        if (why.status != IB_OK)
            b->records[r].obstacle = strdup(ib_error_text(&why));
        ib_status status = why.status;
        if (status == IB_ERROR_RUNTIME)
            ib_fail(err, status, "cannot read %s", directory);
        if (status == IB_ERROR_USAGE) /* which price it has cannot be told */
            ib_error_pass(&why, err);
        ib_error_clear(&why);
        if (status == IB_ERROR_RUNTIME || status == IB_ERROR_USAGE)
            return status;
    }
    return IB_OK;
}

/* Means over sums in several currencies would mean nothing. */
static ib_status find_currency(ib_builder *b, ib_error *err) {
    const ib_report_record *first = NULL;
    for (size_t r = 0; r < b->input->run_count; ++r) {
        const ib_report_record *record = &b->records[r];
        if (record->price == NULL)
            continue;
        first = first != NULL ? first : record;
        if (strcmp(first->price->currency, record->price->currency) != 0)
            return ib_fail(
                err, IB_ERROR_USAGE,
                "%s has a price in %s (%s), %s one in %s (%s): choose one with --machine",
                first->run.directory, first->price->currency, first->price->name,
                record->run.directory, record->price->currency, record->price->name);
    }
    b->currency = first != NULL ? first->price->currency : "";
    return IB_OK;
}

/* Cells that differ in nothing but the seed get one number. */
static void number_configs(ib_builder *b) {
    json_t *known = json_object();
    b->config_of_cell = calloc(b->study->cell_count + 1, sizeof *b->config_of_cell);
    b->failed |= known == NULL || b->config_of_cell == NULL;
    for (size_t c = 0; c < b->study->cell_count && !b->failed; ++c) {
        const ib_study_cell *cell = &b->study->cells[c];
        const ib_option *option;
        char *key =
            ib_keep(b, ib_format("%zu\x1f%s", cell->group, cell->label != NULL ? cell->label : ""));
        for (size_t i = 0; (option = ib_option_at(i)) != NULL; ++i)
            if (ib_option_in_grid(option) &&
                ib_option_applies(option, &cell->arguments.config.experiment)) {
                char *text = ib_keep(b, ib_option_text(option, &cell->arguments.config));
                ib_extend(b, &key, "\x1f", text != NULL ? text : "");
                free(text);
            }
        const json_t *before = b->failed ? NULL : json_object_get(known, key);
        if (before == NULL && !b->failed)
            b->failed |= json_object_set_new_nocheck(
                             known, key, json_integer((json_int_t)b->config_count)) != 0;
        b->config_of_cell[c] =
            before != NULL ? (size_t)json_integer_value(before) : b->config_count++;
        free(key);
    }
    json_decref(known);
}

/* Which options cells were given different values of. */
static void find_varied(ib_builder *b) {
    const ib_option *option;
    for (size_t i = 0; (option = ib_option_at(i)) != NULL; ++i) {
        const ib_study_cell *first = NULL;
        if (!ib_option_in_grid(option) && strcmp(option->name, "seed") != 0)
            continue;
        for (size_t c = 0; c < b->study->cell_count && !b->varied[i]; ++c) {
            const ib_study_cell *cell = &b->study->cells[c];
            if (!ib_study_cell_uses(cell, i))
                continue;
            first = first != NULL ? first : cell;
            b->varied[i] =
                !ib_option_same(option, &first->arguments.config, &cell->arguments.config);
        }
    }
}

/* A changed cell is not the configuration that was published. */
static void sort_published(ib_builder *b) {
    size_t cells = b->study->cell_count;
    b->published_of_cell = calloc(cells + 1, sizeof *b->published_of_cell);
    b->published_counts = calloc(cells + 1, sizeof *b->published_counts);
    b->failed |= b->published_of_cell == NULL || b->published_counts == NULL;
    for (size_t p = 0; p < b->study->published_count && !b->failed; ++p) {
        const ib_published *published = &b->study->published[p];
        for (size_t i = 0; i < published->cell_count; ++i) {
            size_t cell = published->cells[i];
            if (b->study->cells[cell].changed)
                continue;
            size_t *slot =
                ib_append(b, &b->published_of_cell[cell], &b->published_counts[cell], sizeof *slot);
            if (slot != NULL)
                *slot = p;
        }
    }
}

/* ---- head and runs ------------------------------------------------------------------------------
 */

static void add_machine(ib_builder *b, const char *machine) {
    ib_report *report = b->report;
    for (size_t i = 0; i < report->machine_count; ++i)
        if (report->machines[i] != NULL && strcmp(report->machines[i], machine) == 0)
            return;
    char **slot = ib_append(b, &report->machines, &report->machine_count, sizeof *slot);
    if (slot != NULL)
        *slot = ib_keep_copy(b, machine);
}

static char *copy_or_empty(ib_builder *b, const char *text) {
    return ib_keep_copy(b, text != NULL ? text : "");
}

static void add_run(ib_builder *b, size_t r) {
    const ib_report_input_run *in = &b->input->runs[r];
    const ib_report_record *record = &b->records[r];
    ib_report_run *run = ib_append(b, &b->report->runs, &b->report->run_count, sizeof *run);
    if (run == NULL)
        return;
    const char *separator = in->reason != NULL ? ": " : "";
    run->cell = ib_keep_copy(b, in->text);
    run->state =
        ib_keep(b, ib_format("%s%s%s", in->state, separator, in->reason != NULL ? in->reason : ""));
    run->machine = copy_or_empty(b, record->machine);
    run->run_id = copy_or_empty(b, record->run.run_id);
    run->experiment_sha256 = ib_keep_copy(b, in->experiment_sha256);
    run->model_sha256 = copy_or_empty(b, record->run.model_sha256);
    if (ib_run_is_finished(b, r)) {
        ++b->report->finished;
        add_machine(b, record->machine);
    }
}

static void fill_head(ib_builder *b) {
    ib_report *report = b->report;
    const ib_study *study = b->study;
    report->name = ib_keep_copy(b, study->name);
    report->title = ib_keep_copy(b, study->title != NULL ? study->title : study->name);
    if (study->description != NULL)
        report->description = ib_keep_copy(b, study->description);
    report->source = ib_keep_copy(b, b->input->source);
    report->command = ib_keep_copy(b, b->input->command);
    report->program = ib_keep_copy(b, b->input->program);
    report->asked = b->input->run_count;
    for (size_t r = 0; r < b->input->run_count; ++r)
        add_run(b, r);
}

static void close_builder(ib_builder *b) {
    for (size_t r = 0; b->records != NULL && r < b->input->run_count; ++r)
        ib_report_record_free(&b->records[r]);
    for (size_t c = 0; b->published_of_cell != NULL && c < b->study->cell_count; ++c)
        free(b->published_of_cell[c]);
    free(b->records);
    free(b->config_of_cell);
    free(b->published_of_cell);
    free(b->published_counts);
}

ib_status ib_report_build(const ib_report_input *input, ib_report *report, ib_error *err) {
    *report = (ib_report){0};
    ib_builder b = {.input = input, .study = input->study, .report = report};
    ib_status status = read_records(&b, err);
    if (status == IB_OK)
        status = find_currency(&b, err);
    if (status == IB_OK) {
        find_varied(&b);
        number_configs(&b);
        sort_published(&b);
        fill_head(&b);
        for (size_t i = 0; i < b.study->item_count && !b.failed; ++i) {
            const ib_report_item *item = &b.study->items[i];
            if (item->is_figure)
                ib_build_figure(&b, item);
            else
                ib_build_table(&b, item);
        }
        if (!b.failed)
            ib_build_findings(&b);
        if (b.failed)
            status = ib_fail_memory(err);
    }
    close_builder(&b);
    return status;
}
