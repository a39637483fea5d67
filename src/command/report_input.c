#include "command/report_input.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "backend/backend.h"
#include "base/file.h"
#include "base/number.h"
#include "data/lock.h"
#include "model/model.h"
#include "record/record_file.h"

/* ---- what a network costs -----------------------------------------------------------------------
 */

static int asks_for_costs(const ib_study *study) {
    for (size_t i = 0; i < study->item_count; ++i)
        for (size_t v = 0; v < study->items[i].values.count; ++v)
            if (strcmp(study->items[i].values.items[v], "parameters") == 0 ||
                strcmp(study->items[i].values.items[v], "flops") == 0)
                return 1;
    return 0;
}

static int has_same_network(const ib_config *a, const ib_config *b) {
    return a->experiment.model == b->experiment.model &&
           strcmp(a->experiment.dataset, b->experiment.dataset) == 0;
}

/* Leaves them as they are where there is no network. */
static ib_status count_network(ib_backend *backend, const char *data_dir, const ib_config *config,
                               double *parameters, double *flops, ib_error *err) {
    ib_dataset_description data;
    ib_model *model = NULL;
    if (!ib_model_is_network((ib_model_kind)config->experiment.model))
        return IB_OK;
    IB_TRY(ib_dataset_describe(data_dir, config->experiment.dataset, &data, err));
    ib_status status = ib_model_open(backend, &config->experiment, data.info, 1, 0, &model, err);
    ib_dataset_description_close(&data);
    if (status != IB_OK)
        return status;
    *parameters = (double)ib_model_parameter_count(model);
    *flops = 0;
    for (size_t i = 0; i < ib_model_row_count(model); ++i)
        *flops += (double)ib_model_row(model, i).counted;
    ib_model_close(model);
    return IB_OK;
}

static ib_status find_costs(ib_report_material *material, const char *data_dir, ib_error *err) {
    const ib_study *study = &material->study;
    ib_backend *backend = NULL;
    ib_status status = IB_OK;
    material->parameters = calloc(study->cell_count, sizeof *material->parameters);
    material->flops = calloc(study->cell_count, sizeof *material->flops);
    if (material->parameters == NULL || material->flops == NULL)
        return ib_fail_memory(err);
    ib_backend_options options = {.backend = "cpu", .isa = "auto", .threads = 1};
    IB_TRY(ib_backend_open(&options, &backend, err));
    for (size_t c = 0; status == IB_OK && c < study->cell_count; ++c) {
        const ib_config *config = &study->cells[c].arguments.config;
        size_t like = 0; /* the first cell with this network */
        while (!has_same_network(config, &study->cells[like].arguments.config))
            ++like;
        material->parameters[c] = like < c ? material->parameters[like] : NAN;
        material->flops[c] = like < c ? material->flops[like] : NAN;
        if (like == c)
            status = count_network(backend, data_dir, config, &material->parameters[c],
                                   &material->flops[c], err);
    }
    ib_backend_close(backend);
    return status;
}

/* ---- an experiment file -------------------------------------------------------------------------
 */

/* What a failed run that left no record said, as study.json has it. */
static void take_failure(const ib_report_material *material, ib_report_input_run *run) {
    const json_t *cells = json_object_get(material->study_json, "cells");
    for (size_t i = 0; i < json_array_size(cells); ++i) {
        const json_t *cell = json_array_get(cells, i);
        const char *sha256 = ib_json_text_at(cell, "experiment_sha256");
        const char *state = ib_json_text_at(cell, "state");
        if (sha256 == NULL || state == NULL || strcmp(sha256, run->experiment_sha256) != 0 ||
            strcmp(state, "failed") != 0)
            continue;
        run->state = state;
        run->reason = ib_json_text_at(cell, "reason");
        return;
    }
}

static ib_status list_others(ib_report_material *material, const ib_study_run *from,
                             ib_report_input_run *run, ib_error *err) {
    const ib_record_index *folder = &material->plan.folders[from->folder];
    for (size_t i = 0; i < folder->count; ++i) {
        const ib_found_run *other = &folder->runs[i];
        if (other->state != IB_RUN_FINISHED ||
            strcmp(other->experiment_sha256, from->experiment_sha256) != 0 ||
            strcmp(other->run_id, from->run_id) == 0)
            continue;
        if (run->others == NULL)
            run->others = ib_material_keep(material, calloc(folder->count, sizeof *run->others));
        const char *path =
            ib_material_keep(material, ib_path_join(folder->directory, other->run_id));
        if (run->others == NULL || path == NULL)
            return ib_fail_memory(err);
        run->others[run->other_count++] = path;
    }
    return IB_OK;
}

static ib_status take_run(ib_report_material *material, size_t r, ib_error *err) {
    const ib_study_run *from = &material->plan.runs[r];
    ib_report_input_run *run = &material->runs[r];
    *run = (ib_report_input_run){.state = ib_run_state_name(from->state),
                                 .reason = from->state == IB_RUN_NOT_HERE   ? from->obstacle
                                           : from->state == IB_RUN_FINISHED ? NULL
                                                                            : from->message,
                                 .experiment_sha256 = from->experiment_sha256};
    run->text = ib_material_keep(material, ib_study_cell_text(&material->study, from->first_cell));
    if (run->text == NULL)
        return ib_fail_memory(err);
    if (from->state == IB_RUN_MISSING)
        take_failure(material, run);
    if (from->run_id == NULL || from->state == IB_RUN_NOT_HERE)
        return IB_OK;
    run->directory = ib_material_keep(
        material, ib_path_join(material->plan.folders[from->folder].directory, from->run_id));
    if (run->directory == NULL)
        return ib_fail_memory(err);
    return from->state == IB_RUN_FINISHED ? list_others(material, from, run, err) : IB_OK;
}

static ib_status list_unreadable(ib_report_material *material, ib_error *err) {
    for (size_t f = 0; f < material->plan.folder_count; ++f) {
        const ib_record_index *folder = &material->plan.folders[f];
        for (size_t i = 0; i < folder->count; ++i) {
            if (folder->runs[i].state != IB_RUN_MISSING)
                continue;
            char *directory = ib_path_join(folder->directory, folder->runs[i].run_id);
            char *path = directory == NULL ? NULL : ib_path_join(directory, "run.json");
            int damaged = path != NULL && ib_path_exists(path);
            free(path);
            if (damaged)
                IB_TRY(ib_material_unreadable(material, directory, err));
            else
                free(directory);
        }
    }
    return IB_OK;
}

static ib_status gather_study(const char *path, const char *runs_dir, const char *data_dir,
                              ib_report_material *material, ib_error *err) {
    ib_study_plan *plan = &material->plan;
    IB_TRY(ib_study_plan_make(&material->study, runs_dir, data_dir, plan, err));
    IB_TRY(ib_study_plan_refresh(plan, err));
    material->directory = ib_path_join(runs_dir, material->study.name);
    char *before =
        material->directory == NULL ? NULL : ib_path_join(material->directory, "study.json");
    if (before == NULL)
        return ib_fail_memory(err);
    /* A damaged study.json costs no more than the reasons in it. */
    if (material->study_json == NULL)
        (void)ib_json_file_read(before, &material->study_json, NULL);
    free(before);
    material->runs = calloc(plan->run_count + 1, sizeof *material->runs);
    material->run_of_cell = calloc(material->study.cell_count + 1, sizeof *material->run_of_cell);
    material->source = strdup(path);
    if (material->runs == NULL || material->run_of_cell == NULL || material->source == NULL)
        return ib_fail_memory(err);
    for (size_t r = 0; r < plan->run_count; ++r)
        IB_TRY(take_run(material, r, err));
    memcpy(material->run_of_cell, plan->run_of_cell,
           material->study.cell_count * sizeof *material->run_of_cell);
    material->input.run_count = plan->run_count;
    IB_TRY(list_unreadable(material, err));
    return asks_for_costs(&material->study) ? find_costs(material, data_dir, err) : IB_OK;
}

/* ---- what the operand is ------------------------------------------------------------------------
 */

static int is_directory(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static char *parent_of(const char *path) {
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        --length;
    while (length > 0 && path[length - 1] != '/')
        --length;
    while (length > 1 && path[length - 1] == '/')
        --length;
    return length == 0 ? strdup(".") : strndup(path, length);
}

/* The key=value words of the sweep that wrote study.json, then those given now. */
static ib_status join_overrides(const ib_arguments *arguments, ib_report_material *material,
                                size_t *count, ib_error *err) {
    const json_t *recorded = json_object_get(material->study_json, "overrides");
    material->overrides =
        calloc(json_array_size(recorded) + arguments->word_count + 1, sizeof *material->overrides);
    if (material->overrides == NULL)
        return ib_fail_memory(err);
    *count = 0;
    for (size_t i = 0; i < json_array_size(recorded); ++i)
        if (json_is_string(json_array_get(recorded, i)))
            material->overrides[(*count)++] = json_string_value(json_array_get(recorded, i));
    for (size_t i = 1; i < arguments->word_count; ++i)
        material->overrides[(*count)++] = arguments->words[i];
    return IB_OK;
}

static ib_status gather_study_folder(const ib_arguments *arguments,
                                     const ib_command_context *context,
                                     ib_report_material *material, ib_error *err) {
    const char *folder = arguments->words[0];
    const json_t *file = json_array_get(json_object_get(material->study_json, "files"), 0);
    const char *path = ib_json_text_at(file, "path");
    const char *sha256 = ib_json_text_at(file, "sha256");
    size_t count = 0;
    if (path == NULL || !ib_path_exists(path))
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s/study.json was made from %s, which is not there: name the experiment "
                       "file instead of the folder",
                       folder, path != NULL ? path : "a file that it does not name");
    IB_TRY(join_overrides(arguments, material, &count, err));
    IB_TRY(ib_study_read(path, material->overrides, count, context->environment, &material->study,
                         err));
    if (sha256 != NULL && strcmp(sha256, material->study.sources[0].sha256) != 0)
        fprintf(context->log, "note: %s has changed since %s/study.json was written\n", path,
                folder);
    if (ib_arguments_source(arguments, "runs-dir") == IB_FROM_DEFAULT &&
        (material->runs_dir = parent_of(folder)) == NULL)
        return ib_fail_memory(err);
    return gather_study(
        path, material->runs_dir != NULL ? material->runs_dir : arguments->config.record.runs_dir,
        arguments->config.data.dir, material, err);
}

static ib_status gather(const ib_arguments *arguments, const ib_command_context *context,
                        ib_report_material *material, ib_error *err) {
    const char *operand = arguments->words[0];
    if (!ib_path_exists(operand))
        return ib_fail(err, IB_ERROR_USAGE,
                       "there is no %s: give an experiment file, the folder of a study or a "
                       "folder of run records",
                       operand);
    if (!is_directory(operand)) {
        IB_TRY(ib_study_read(operand, arguments->words + 1, arguments->word_count - 1,
                             context->environment, &material->study, err));
        return gather_study(operand, arguments->config.record.runs_dir, arguments->config.data.dir,
                            material, err);
    }
    char *path = ib_path_join(operand, "study.json");
    if (path == NULL)
        return ib_fail_memory(err);
    ib_status status = ib_json_file_read(path, &material->study_json, err);
    free(path);
    IB_TRY(status);
    if (material->study_json != NULL)
        return gather_study_folder(arguments, context, material, err);
    if (arguments->word_count > 1)
        return ib_fail(err, IB_ERROR_USAGE,
                       "%s changes an experiment file; %s is a folder of records: leave it out",
                       arguments->words[1], operand);
    return ib_report_gather_folder(operand, material, err);
}

static void add_word(char **text, const char *before, const char *word) {
    char *longer = *text == NULL ? NULL : ib_format("%s%s%s", *text, before, word);
    free(*text);
    *text = longer;
}

static char *command_text(const ib_arguments *arguments) {
    const ib_config *config = &arguments->config;
    const struct {
        const char *name, *value;
    } flags[] = {{"runs-dir", config->record.runs_dir},
                 {"prices", config->pricing.table},
                 {"machine", config->pricing.machine}};
    char *text = strdup("isobit report"), watts[IB_DOUBLE_TEXT];
    for (size_t i = 0; i < arguments->word_count; ++i)
        add_word(&text, " ", arguments->words[i]);
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; ++i)
        if (ib_arguments_source(arguments, flags[i].name) == IB_FROM_FLAG) {
            add_word(&text, " --", flags[i].name);
            add_word(&text, " ", flags[i].value);
        }
    if (config->pricing.watts > 0) {
        ib_print_double(config->pricing.watts, watts);
        add_word(&text, " --watts ", watts);
    }
    return text;
}

/* As for isobit cost, but that without a table the report says so and goes on. */
static ib_status find_prices(const ib_arguments *arguments, const ib_command_context *context,
                             ib_report_material *material, ib_error *err) {
    const ib_config *config = &arguments->config;
    int named = ib_arguments_source(arguments, "prices") != IB_FROM_DEFAULT;
    if (!ib_study_shows_costs(&material->study)) {
        if (named || config->pricing.machine != NULL || config->pricing.watts > 0)
            fprintf(context->log, "note: no table or figure of this report shows costs\n");
        return IB_OK;
    }
    material->pricing =
        (ib_report_pricing){.watts = config->pricing.watts, .table = config->pricing.table};
    material->input.pricing = &material->pricing;
    if (!named && config->pricing.machine == NULL && !ib_path_exists(config->pricing.table))
        return IB_OK;
    IB_TRY(ib_prices_read(config->pricing.table, &material->prices, err));
    material->pricing.prices = &material->prices;
    if (config->pricing.machine == NULL)
        return IB_OK;
    material->pricing.price = ib_price_named(&material->prices, config->pricing.machine);
    return material->pricing.price != NULL
               ? IB_OK
               : ib_fail(err, IB_ERROR_USAGE, "--machine: %s has no row named '%s'",
                         config->pricing.table, config->pricing.machine);
}

ib_status ib_report_gather(const ib_arguments *arguments, const ib_command_context *context,
                           ib_report_material *material, ib_error *err) {
    IB_TRY(gather(arguments, context, material, err));
    IB_TRY(find_prices(arguments, context, material, err));
    material->command = command_text(arguments);
    if (material->command == NULL)
        return ib_fail_memory(err);
    material->input.study = &material->study;
    material->input.runs = material->runs;
    material->input.run_of_cell = material->run_of_cell;
    material->input.parameters = material->parameters;
    material->input.flops = material->flops;
    material->input.command = material->command;
    material->input.source = material->source;
    return IB_OK;
}
