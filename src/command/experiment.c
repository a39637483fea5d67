/* isobit experiment: checks a file and says what it asks for, or prints the format. */
#include "command/command.h"

#include <stdlib.h>
#include <string.h>

#include "base/json_text.h"
#include "study/study.h"
#include "study/study_plan.h"

static ib_status write_json(const ib_study_plan *plan, FILE *out, ib_error *err) {
    const ib_study *study = plan->study;
    ib_json json = {.out = out};
    ib_json_open(&json, NULL, '{');
    ib_json_string(&json, "study", study->name);
    ib_json_uint(&json, "cell_count", study->cell_count);
    ib_json_uint(&json, "run_count", plan->run_count);
    ib_json_uint(&json, "published_count", study->published_count);
    ib_json_uint(&json, "item_count", study->item_count);
    ib_json_open(&json, "cells", '[');
    for (size_t c = 0; c < study->cell_count; ++c) {
        const ib_study_run *run = &plan->runs[plan->run_of_cell[c]];
        int has_data;
        IB_TRY(ib_study_run_has_data(plan, run, &has_data, err));
        char *text = ib_study_cell_text(study, c);
        if (text == NULL)
            return ib_fail_memory(err);
        ib_json_open(&json, NULL, '{');
        ib_json_string(&json, "group", study->groups[study->cells[c].group].name);
        ib_json_string(&json, "text", text);
        ib_json_string(&json, "dataset", study->cells[c].arguments.config.experiment.dataset);
        ib_json_string(&json, "experiment_sha256", run->experiment_sha256);
        ib_json_string(&json, "state", ib_run_state_name(run->state));
        ib_json_string(&json, "reason", run->state == IB_RUN_NOT_HERE ? run->obstacle : NULL);
        ib_json_bool(&json, "has_data", has_data);
        ib_json_bool(&json, "changed", study->cells[c].changed);
        ib_json_close(&json, '}');
        free(text);
    }
    ib_json_close(&json, ']');
    ib_json_close(&json, '}');
    fputc('\n', out);
    return IB_OK;
}

static ib_status print_cell(const ib_study_plan *plan, size_t c, FILE *out, ib_error *err) {
    const ib_study *study = plan->study;
    const ib_study_run *run = &plan->runs[plan->run_of_cell[c]];
    int has_data;
    IB_TRY(ib_study_run_has_data(plan, run, &has_data, err));
    fprintf(out, "  %.12s  %-8s  ", run->experiment_sha256, ib_run_state_name(run->state));
    ib_study_cell_print(study, c, out);
    if (run->state == IB_RUN_NOT_HERE)
        fprintf(out, ": %s", run->obstacle);
    else if (run->first_cell != c)
        fprintf(out, " (the run of line %zu)", study->cells[run->first_cell].line);
    if (run->state != IB_RUN_NOT_HERE && !has_data)
        fprintf(out, ": no data; isobit data prepare --dataset %s",
                study->cells[c].arguments.config.experiment.dataset);
    fputc('\n', out);
    return IB_OK;
}

static ib_status print_plan(const ib_study_plan *plan, FILE *out, ib_error *err) {
    const ib_study *study = plan->study;
    size_t counts[IB_RUN_NOT_HERE + 1] = {0};
    for (size_t r = 0; r < plan->run_count; ++r)
        ++counts[plan->runs[r].state];
    for (size_t g = 0; g < study->group_count; ++g) {
        const ib_study_group *group = &study->groups[g];
        fprintf(out, "%s%s%s\n", group->name, group->title != NULL ? ": " : "",
                group->title != NULL ? group->title : "");
        for (size_t c = group->first_cell; c < group->first_cell + group->cell_count; ++c)
            IB_TRY(print_cell(plan, c, out, err));
    }
    fprintf(out, "%s: %zu cell%s, %zu run%s (", study->name, study->cell_count,
            study->cell_count == 1 ? "" : "s", plan->run_count, plan->run_count == 1 ? "" : "s");
    const char *separator = "";
    for (size_t s = 0; s <= IB_RUN_NOT_HERE; ++s) {
        if (counts[s] == 0)
            continue;
        fprintf(out, "%s%zu %s", separator, counts[s], ib_run_state_name((ib_run_state)s));
        separator = ", ";
    }
    fprintf(out, "), %zu published values, %zu tables and figures\n", study->published_count,
            study->item_count);
    return IB_OK;
}

static ib_status check(const ib_arguments *arguments, const ib_command_context *context,
                       ib_error *err) {
    const ib_config *config = &arguments->config;
    ib_study study;
    ib_study_plan plan = {0};
    ib_status status = ib_study_read(arguments->words[1], arguments->words + 2,
                                     arguments->word_count - 2, context->environment, &study, err);
    if (status == IB_OK)
        status = ib_study_plan_make(&study, config->record.runs_dir, config->data.dir, &plan, err);
    if (status == IB_OK)
        status = ib_study_plan_refresh(&plan, err);
    if (status == IB_OK && config->output.json)
        status = write_json(&plan, context->out, err);
    else if (status == IB_OK)
        status = print_plan(&plan, context->out, err);
    ib_study_plan_close(&plan);
    ib_study_close(&study);
    return status;
}

ib_status ib_command_experiment(ib_arguments *arguments, const ib_command_context *context,
                                ib_error *err) {
    int is_schema = strcmp(arguments->words[0], "schema") == 0;
    if (is_schema && arguments->word_count > 1)
        return ib_fail(err, IB_ERROR_USAGE, "isobit experiment schema: unexpected argument '%s'",
                       arguments->words[1]);
    if (is_schema)
        return ib_study_schema(context->out, err);
    if (arguments->word_count < 2)
        return ib_fail(err, IB_ERROR_USAGE, "isobit experiment check needs FILE");
    return check(arguments, context, err);
}
