/* A folder of run records, whatever they are of, as a study of its own. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "command/report_input.h"
#include "options/canonical.h"
#include "record/recorded.h"
#include "record/run_files.h"

enum { MAX_WORDS = 2 * IB_MAX_OPTIONS };

/* ---- finding records ----------------------------------------------------------------------------
 */

typedef struct found {
    char **directories; /* each with a run.json */
    size_t count;
} found;

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static ib_status add_directory(void *context, const char *directory, ib_error *err) {
    found *f = context;
    char **list = realloc(f->directories, (f->count + 1) * sizeof *list);
    if (list == NULL)
        return ib_fail_memory(err);
    f->directories = list;
    list[f->count] = strdup(directory);
    return list[f->count] == NULL ? ib_fail_memory(err) : (++f->count, IB_OK);
}

/* ---- from a record to a cell --------------------------------------------------------------------
 */

/* The configuration's options as texts of the cell. */
static ib_status take_texts(ib_report_material *m, const json_t *configuration, ib_study_cell *cell,
                            ib_error *err) {
    const ib_option *option;
    for (size_t i = 0; (option = ib_option_at(i)) != NULL; ++i) {
        if (!ib_option_is_arithmetic(option) || option->kind == IB_OPTION_FLAG)
            continue;
        const json_t *value = ib_recorded_option(configuration, option->name);
        if (value == NULL || json_is_null(value))
            continue;
        if (!json_is_string(value) && !json_is_number(value))
            return ib_fail(err, IB_ERROR_VERIFY, "%s is not a value", option->name);
        cell->texts[i] = ib_material_keep(m, ib_recorded_text(value));
        cell->origins[i] = IB_FROM_CELL;
        if (cell->texts[i] == NULL)
            return ib_fail_memory(err);
    }
    return IB_OK;
}

static ib_status resolve(ib_study_cell *cell, ib_error *err) {
    const char *words[MAX_WORDS];
    char *names[IB_MAX_OPTIONS] = {0};
    const ib_option *option;
    int count = 0;
    ib_status status = IB_OK;
    for (size_t i = 0; status == IB_OK && (option = ib_option_at(i)) != NULL; ++i) {
        if (cell->texts[i] == NULL)
            continue;
        words[count++] = names[i] = ib_format("--%s", option->name);
        words[count++] = cell->texts[i];
        status = names[i] == NULL ? ib_fail_memory(err) : IB_OK;
    }
    if (status == IB_OK)
        status =
            ib_arguments_parse(ib_command_find("train"), count, words, NULL, &cell->arguments, err);
    for (size_t i = 0; i < IB_MAX_OPTIONS; ++i)
        free(names[i]);
    return status;
}

/* The run that the cell's experiment has already, SIZE_MAX where it is the first of it. */
static size_t known_run(const ib_report_material *m, const char *experiment) {
    for (size_t r = 0; r < m->input.run_count; ++r)
        if (strcmp(m->runs[r].experiment_sha256, experiment) == 0)
            return r;
    return SIZE_MAX;
}

static ib_status add_record(ib_report_material *m, const found *f, const ib_run *record,
                            ib_error *err) {
    ib_study *study = &m->study;
    ib_study_cell *cell = &study->cells[study->cell_count];
    const char *state = ib_run_status_name(record->status);
    if (record->experiment_sha256 == NULL || state == NULL || record->configuration == NULL)
        return ib_fail(err, IB_ERROR_VERIFY, "not a run record");
    char *kept = ib_material_keep(m, strdup(record->directory));
    char *experiment = ib_material_keep(m, strdup(record->experiment_sha256));
    if (kept == NULL || experiment == NULL)
        return ib_fail_memory(err);
    size_t known = known_run(m, experiment);
    if (known != SIZE_MAX) { /* later records come last: the newest finished one counts */
        ib_report_input_run *run = &m->runs[known];
        if (strcmp(state, "finished") != 0)
            return IB_OK;
        if (strcmp(run->state, "finished") == 0) {
            if (run->others == NULL)
                run->others = ib_material_keep(m, calloc(f->count, sizeof *run->others));
            if (run->others == NULL)
                return ib_fail_memory(err);
            run->others[run->other_count++] = run->directory;
        }
        run->directory = kept;
        run->state = state;
        run->reason = NULL;
        return IB_OK;
    }
    IB_TRY(take_texts(m, record->configuration, cell, err));
    IB_TRY(resolve(cell, err));
    const char *message = record->message;
    m->runs[m->input.run_count] = (ib_report_input_run){
        .state = state,
        .reason = message != NULL ? ib_material_keep(m, strdup(message)) : NULL,
        .directory = kept,
        .experiment_sha256 = experiment};
    m->run_of_cell[study->cell_count++] = m->input.run_count++;
    return IB_OK;
}

static ib_status read_all(ib_report_material *m, const found *f, ib_error *err) {
    for (size_t i = 0; i < f->count; ++i) {
        ib_run record;
        ib_error why = {0};
        ib_status status = ib_run_read(f->directories[i], &record, &why);
        ib_study_cell *cell = &m->study.cells[m->study.cell_count];
        size_t before = m->study.cell_count;
        if (status == IB_OK)
            status = add_record(m, f, &record, &why);
        if (status != IB_OK && m->study.cell_count == before) {
            ib_arguments_free(&cell->arguments);
            *cell = (ib_study_cell){0};
        }
        ib_run_close(&record);
        int is_memory = ib_error_is_memory(&why);
        ib_error_clear(&why);
        if (is_memory)
            return ib_fail_memory(err);
        if (status != IB_OK)
            IB_TRY(ib_material_unreadable(m, strdup(f->directories[i]), err));
    }
    return IB_OK;
}

/* ---- what the report shows ----------------------------------------------------------------------
 */

/* Options with one value in all cells are no cell's own; returns the names of the others. */
static ib_text_list find_varied(ib_study *study) {
    const ib_option *option;
    ib_text_list list = {.items = calloc(IB_MAX_OPTIONS + 2, sizeof *list.items)};
    for (size_t i = 0; list.items != NULL && (option = ib_option_at(i)) != NULL; ++i) {
        const char *first = NULL;
        int differs = 0;
        for (size_t c = 0; c < study->cell_count && !differs; ++c) {
            const char *text = study->cells[c].texts[i];
            differs = first != NULL && text != NULL && strcmp(first, text) != 0;
            first = first != NULL ? first : text;
        }
        for (size_t c = 0; c < study->cell_count && !differs; ++c)
            study->cells[c].origins[i] = IB_FROM_BASE;
        if (differs && strcmp(option->name, "seed") != 0 && ib_option_in_grid(option))
            list.items[list.count++] = option->name;
    }
    if (list.items != NULL && list.count == 0) {
        list.items[list.count++] = "dataset";
        list.items[list.count++] = "model";
    }
    return list;
}

/* *failed is set when memory ran out. */
static ib_text_list copy_list(const char *const *names, size_t count, int *failed) {
    ib_text_list list = {.items = calloc(count + 1, sizeof *list.items)};
    *failed |= list.items == NULL;
    for (size_t i = 0; list.items != NULL && i < count; ++i)
        list.items[list.count++] = names[i];
    return list;
}

static ib_report_item *add_item(ib_study *study, ib_report_kind kind, const char *name,
                                const char *title) {
    ib_report_item *item = &study->items[study->item_count];
    size_t *groups = calloc(1, sizeof *groups);
    if (groups == NULL)
        return NULL;
    *item = (ib_report_item){.kind = kind,
                             .is_figure = kind >= IB_FIGURE_CURVES,
                             .name = name,
                             .title = title,
                             .scale = kind == IB_FIGURE_CONFUSION ? "log" : "linear",
                             .groups = groups,
                             .group_count = 1};
    ++study->item_count;
    return item;
}

static ib_status add_items(ib_study *study, const ib_text_list *varied, ib_error *err) {
    static const char *const VALUES[] = {"test_accuracy", "test_loss", "train_seconds"};
    static const char *const DATASET[] = {"dataset", "model"};
    enum { MAX_ITEMS = 9, MOST_SERIES = 24, MOST_BARS = 40 };
    int failed = 0;
    study->items = calloc(MAX_ITEMS, sizeof *study->items);
    if (study->items == NULL)
        return ib_fail_memory(err);
    ib_report_item *item = add_item(study, IB_TABLE_GRID, "runs", "All runs");
    if (item == NULL)
        return ib_fail_memory(err);
    item->rows = copy_list(varied->items, varied->count, &failed);
    item->values = copy_list(VALUES, 3, &failed);
    item =
        add_item(study, IB_TABLE_RESOURCES, "resources", "What the runs took, and what that costs");
    if (item == NULL)
        return ib_fail_memory(err);
    item->rows = copy_list(varied->items, varied->count, &failed);
    item = add_item(study, IB_TABLE_CONFIGURATION, "settings", "What all runs have in common");
    if (item != NULL && study->cell_count <= MOST_BARS &&
        (item = add_item(study, IB_FIGURE_BARS, "accuracy", "Test accuracy")) != NULL) {
        item->rows = copy_list(varied->items, varied->count, &failed);
        item->values = copy_list(VALUES, 1, &failed);
    }
    if (item != NULL && study->cell_count <= MOST_SERIES &&
        (item = add_item(study, IB_FIGURE_CURVES, "curves", "Test accuracy by epoch")) != NULL) {
        item->columns = copy_list(varied->items, varied->count, &failed);
        item->values = copy_list(VALUES, 1, &failed);
    }
    if (item != NULL && study->cell_count <= MOST_SERIES &&
        (item = add_item(study, IB_FIGURE_USAGE, "usage", "What the runs took over time")) != NULL)
        item->columns = copy_list(varied->items, varied->count, &failed);
    if (item != NULL &&
        (item = add_item(study, IB_FIGURE_COST, "cost", "Accuracy over cost")) != NULL)
        item->rows = copy_list(varied->items, varied->count, &failed);
    if (item != NULL && (item = add_item(study, IB_FIGURE_CONFUSION, "confusion",
                                         "Which classes are taken for which")) != NULL)
        item->panels = copy_list(DATASET, 2, &failed);
    if (item != NULL && (item = add_item(study, IB_FIGURE_MISCLASSIFIED, "misclassified",
                                         "Images that were taken for another class")) != NULL)
        item->panels = copy_list(DATASET, 2, &failed);
    return item == NULL || failed ? ib_fail_memory(err) : IB_OK;
}

static ib_status fill_study(ib_report_material *m, const found *f, const char *directory,
                            ib_error *err) {
    ib_study *study = &m->study;
    study->cells = calloc(f->count + 1, sizeof *study->cells);
    study->groups = calloc(1, sizeof *study->groups);
    m->runs = calloc(f->count + 1, sizeof *m->runs);
    m->run_of_cell = calloc(f->count + 1, sizeof *m->run_of_cell);
    m->directory = strdup(directory);
    m->source = strdup(directory);
    if (!study->cells || !study->groups || !m->runs || !m->run_of_cell || !m->directory ||
        !m->source)
        return ib_fail_memory(err);
    study->name = "runs";
    study->title = "Recorded runs";
    IB_TRY(read_all(m, f, err));
    study->groups[0] = (ib_study_group){.name = "runs", .cell_count = study->cell_count};
    study->group_count = 1;
    if (study->cell_count == 0)
        return ib_fail(err, IB_ERROR_VERIFY, "%s holds no run record that can be read%s", directory,
                       f->count > 0 ? ": every run.json is damaged" : "");
    ib_text_list varied = find_varied(study);
    ib_status status = varied.items == NULL ? ib_fail_memory(err) : add_items(study, &varied, err);
    free(varied.items);
    for (size_t c = 0; status == IB_OK && c < study->cell_count; ++c) {
        char *text = ib_material_keep(m, ib_study_cell_text(study, c));
        m->runs[m->run_of_cell[c]].text = text;
        if (text == NULL)
            status = ib_fail_memory(err);
    }
    return status;
}

ib_status ib_report_gather_folder(const char *directory, ib_report_material *material,
                                  ib_error *err) {
    found f = {0};
    ib_status status = ib_runs_visit(directory, add_directory, &f, err);
    if (status == IB_OK && f.count > IB_STUDY_MAX_CELLS)
        status = ib_fail(err, IB_ERROR_USAGE,
                         "%s holds %zu records, a report at most %d: give a folder of fewer",
                         directory, f.count, IB_STUDY_MAX_CELLS);
    if (status == IB_OK && f.count > 0)
        qsort(f.directories, f.count, sizeof *f.directories, by_text);
    if (status == IB_OK)
        status = fill_study(material, &f, directory, err);
    for (size_t i = 0; i < f.count; ++i)
        free(f.directories[i]);
    free(f.directories);
    return status;
}
