#include "run/tracking.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "track/record_file.h"

const char *ib_tracking_uri(const ib_config *config, const ib_run_context *context) {
    const char *uri = config->mlflow;
    if (uri == NULL && context->environment != NULL)
        uri = context->environment("MLFLOW_TRACKING_URI");
    return uri == NULL || uri[0] == '\0' ? NULL : uri;
}

void ib_tracking_start(const ib_config *config, const ib_run_context *context,
                       const ib_record *record, const cpu_set_t *cpus, ib_mlflow_live **live) {
    *live = NULL;
    const char *uri = ib_tracking_uri(config, context);
    if (uri == NULL || record == NULL)
        return;
    ib_mlflow_live_options options = {.uri = uri,
                                      .directory = ib_record_directory(record),
                                      .experiment = config->mlflow_experiment,
                                      .environment = context->environment,
                                      .cpus = cpus,
                                      .log = context->log};
    ib_mlflow_live_start(&options, live);
}

/* ---- what is there already ----------------------------------------------------------------------
 */

typedef struct sync_work {
    ib_mlflow_client *client;
    const char *experiment;
    FILE *log;
    ib_sync_totals *totals;
    json_t *nested; /* records that a study has sent: path -> true */
} sync_work;

static int has_file(const char *directory, const char *name) {
    char *path = ib_path_join(directory, name);
    int there = path != NULL && ib_path_exists(path);
    free(path);
    return there;
}

static void count(sync_work *w, const char *directory, ib_status status, const ib_mlflow_sent *sent,
                  ib_error *why) {
    ib_sync_totals *t = w->totals;
    ++t->runs;
    t->metrics += sent->metrics;
    t->artifacts += sent->artifacts;
    t->bytes += sent->bytes;
    t->live += status == IB_OK && (sent->live || sent->busy);
    if (status == IB_OK && sent->busy)
        fprintf(w->log, "isobit: %s: its own process is sending it\n", directory);
    if (status == IB_OK)
        return;
    ++t->failed;
    fprintf(w->log, "isobit: %s: %s\n", directory, ib_error_text(why));
    if (t->first_failure == NULL)
        t->first_failure = strdup(ib_error_text(why));
}

static void sync_record(sync_work *w, const char *directory, const ib_mlflow_names *names) {
    ib_error why = {0};
    ib_mlflow_sent sent = {0};
    ib_status status = ib_mlflow_send_record(w->client, directory, names, &sent, &why);
    count(w, directory, status, &sent, &why);
    ib_error_clear(&why);
}

/* "seed=1 lr=0.1": the options that not all cells have alike, or the cell's label. */
static char *cell_name(const json_t *cells, const json_t *cell) {
    const char *label = ib_json_text_at(cell, "label", NULL);
    char *text = strdup(label != NULL ? label : "");
    const char *name;
    json_t *value;
    size_t i;
    const json_t *other;
    json_object_foreach(json_object_get(cell, "options"), name, value) {
        int varies = 0;
        json_array_foreach((json_t *)(uintptr_t)cells, i, other) {
            varies = varies ||
                     !json_equal(json_object_get(json_object_get(other, "options"), name), value);
        }
        if (!varies || text == NULL)
            continue;
        char *longer = ib_format("%s%s%s=%s", text, text[0] == '\0' ? "" : " ", name,
                                 json_string_value(value));
        free(text);
        text = longer;
    }
    return text;
}

static ib_status sync_cells(sync_work *w, const char *directory, const json_t *study,
                            const char *experiment, const char *parent, ib_error *err) {
    const json_t *cells = json_object_get(study, "cells");
    size_t i;
    json_t *cell;
    json_array_foreach((json_t *)(uintptr_t)cells, i, cell) {
        const char *run = ib_json_text_at(cell, "run", NULL);
        if (run == NULL || json_object_get(w->nested, run) != NULL)
            continue;
        char *path =
            ib_format("%.*s%s", (int)(strrchr(directory, '/') + 1 - directory), directory, run);
        char *name = cell_name(cells, cell);
        if (path == NULL || name == NULL) {
            free(path);
            free(name);
            return ib_fail_memory(err);
        }
        ib_mlflow_names names = {
            .experiment = experiment, .run = name[0] == '\0' ? NULL : name, .parent = parent};
        sync_record(w, path, &names);
        json_object_set_new(w->nested, run, json_true());
        free(path);
        free(name);
    }
    return IB_OK;
}

static ib_status sync_study(sync_work *w, const char *directory, ib_error *err) {
    char *path = ib_path_join(directory, "study.json");
    json_t *study = NULL;
    if (path == NULL)
        return ib_fail_memory(err);
    ib_error why = {0};
    ib_mlflow_sent sent = {0};
    ib_status status = ib_json_file_read(path, &study, &why);
    free(path);
    const char *named =
        w->experiment != NULL ? w->experiment : ib_json_text_at(study, "study", NULL);
    const char *experiment =
        ib_mlflow_names_experiment(w->client) && w->experiment == NULL ? NULL : named;
    if (status == IB_OK)
        status = ib_mlflow_send_study(w->client, directory, named, &sent, &why);
    count(w, directory, status, &sent, &why);
    ib_error_clear(&why);
    if (status == IB_OK)
        status = sync_cells(w, directory, study, experiment, sent.run_id, err);
    else
        status = IB_OK; /* counted; its runs are sent on their own */
    json_decref(study);
    return status;
}

typedef ib_status visitor(sync_work *w, const char *directory, const char *name, ib_error *err);

static ib_status visit_folders(sync_work *w, const char *path, const char *below, visitor *visit,
                               ib_error *err) {
    struct dirent **entries = NULL;
    int entry_count = scandir(path, &entries, NULL, alphasort);
    ib_status status = IB_OK;
    for (int i = 0; i < entry_count; ++i) {
        char *inner = NULL, *name = NULL;
        if (status == IB_OK && entries[i]->d_name[0] != '.') {
            inner = ib_path_join(path, entries[i]->d_name);
            name = below == NULL ? strdup(entries[i]->d_name)
                                 : ib_format("%s/%s", below, entries[i]->d_name);
            status =
                inner == NULL || name == NULL ? ib_fail_memory(err) : visit(w, inner, name, err);
        }
        free(inner);
        free(name);
        free(entries[i]);
    }
    free(entries);
    return status;
}

static ib_status visit_study(sync_work *w, const char *directory, const char *name, ib_error *err) {
    (void)name;
    return has_file(directory, "study.json") ? sync_study(w, directory, err) : IB_OK;
}

static ib_status visit_record(sync_work *w, const char *directory, const char *name,
                              ib_error *err) {
    (void)err;
    if (!has_file(directory, "run.json") || json_object_get(w->nested, name) != NULL)
        return IB_OK;
    ib_mlflow_names names = {.experiment = w->experiment};
    sync_record(w, directory, &names);
    return IB_OK;
}

static ib_status visit_folder(sync_work *w, const char *directory, const char *name,
                              ib_error *err) {
    return visit_folders(w, directory, name, visit_record, err);
}

ib_status ib_sync_path(ib_mlflow_client *client, const char *given, const char *experiment,
                       FILE *log, ib_sync_totals *totals, ib_error *err) {
    size_t length = strlen(given);
    while (length > 1 && given[length - 1] == '/')
        --length;
    char *path = strchr(given, '/') == NULL ? ib_format("./%s", given)
                                            : ib_format("%.*s", (int)length, given);
    sync_work w = {client, experiment, log, totals, json_object()};
    ib_mlflow_names names = {.experiment = experiment};
    ib_status status = IB_OK;
    if (path == NULL || w.nested == NULL)
        status = ib_fail_memory(err);
    else if (has_file(path, "run.json"))
        sync_record(&w, path, &names);
    else if (has_file(path, "study.json"))
        status = sync_study(&w, path, err);
    else {
        status = visit_folders(&w, path, NULL, visit_study, err);
        if (status == IB_OK)
            status = visit_folders(&w, path, NULL, visit_record, err);
        if (status == IB_OK)
            status = visit_folders(&w, path, NULL, visit_folder, err);
    }
    json_decref(w.nested);
    free(path);
    return status;
}

/* ---- studies ------------------------------------------------------------------------------------
 */

static int is_named(const ib_run_context *context, const char *variable) {
    const char *value = context->environment == NULL ? NULL : context->environment(variable);
    return value != NULL && value[0] != '\0';
}

void ib_tracking_prepare(const ib_config *config, const ib_run_context *context,
                         ib_study_plan *plan) {
    plan->mlflow = config->mlflow;
    unsetenv("MLFLOW_RUN_ID"); /* one run: not that of all the processes started from here */
    if (ib_tracking_uri(config, context) != NULL && !is_named(context, "MLFLOW_EXPERIMENT_NAME") &&
        !is_named(context, "MLFLOW_EXPERIMENT_ID"))
        plan->mlflow_experiment = plan->study->name; /* nested runs lie beside their parent */
}

void ib_tracking_study(const ib_config *config, const ib_run_context *context,
                       const ib_study_plan *plan) {
    const char *uri = ib_tracking_uri(config, context);
    if (uri == NULL)
        return;
    ib_error err = {0};
    ib_mlflow_client *client = NULL;
    ib_sync_totals totals = {0};
    char *directory = ib_path_join(plan->runs_dir, plan->study->name);
    ib_status status = directory == NULL ? ib_fail_memory(&err) : IB_OK;
    if (status == IB_OK)
        status = ib_mlflow_open(uri, context->environment, &client, &err);
    if (status == IB_OK) {
        ib_mlflow_limit(client, config->mlflow_wait);
        status = ib_sync_path(client, directory, NULL, context->log, &totals, &err);
    }
    if (status != IB_OK)
        fprintf(context->log, "isobit: MLflow: %s\n", ib_error_text(&err));
    if (totals.failed > 0)
        fprintf(context->log, "isobit: MLflow: isobit sync %s --to %s sends the rest\n", directory,
                ib_mlflow_server(client));
    free(totals.first_failure);
    free(directory);
    ib_mlflow_close(client);
    ib_error_clear(&err);
}
