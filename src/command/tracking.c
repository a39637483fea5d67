#include "command/tracking.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "record/run.h"

const char *ib_tracking_uri(const ib_config *config, const ib_command_context *context) {
    const char *uri = config->tracking.uri;
    if (uri == NULL && context->environment != NULL)
        uri = context->environment("MLFLOW_TRACKING_URI");
    return uri == NULL || uri[0] == '\0' ? NULL : uri;
}

ib_status ib_tracking_check(const ib_config *config, const ib_command_context *context,
                            ib_error *err) {
    ib_mlflow_prices prices;
    if (config->tracking.uri != NULL)
        IB_TRY(ib_mlflow_check_uri(config->tracking.uri, "--mlflow", err));
    if (config->tracking.registered_model != NULL)
        IB_TRY(ib_mlflow_check_model_name(config->tracking.registered_model, "--mlflow-register",
                                          err));
    if (ib_tracking_uri(config, context) == NULL)
        return IB_OK;
    ib_status status = ib_mlflow_prices_open(&config->pricing, &prices, err);
    ib_mlflow_prices_close(&prices);
    return status;
}

struct ib_tracker {
    ib_mlflow_live *live;
    ib_mlflow_prices prices; /* the thread's, while it runs */
};

static ib_status open_tracker(const ib_config *config, const ib_command_context *context,
                              const ib_record *record, const cpu_set_t *cpus, ib_tracker *tracker,
                              ib_error *err) {
    IB_TRY(ib_mlflow_prices_open(&config->pricing, &tracker->prices, err));
    ib_mlflow_live_options options = {.uri = ib_tracking_uri(config, context),
                                      .directory = ib_record_directory(record),
                                      .names = {.experiment = config->tracking.experiment,
                                                .study = config->tracking.study,
                                                .registered = config->tracking.registered_model,
                                                .prices = &tracker->prices,
                                                .fill_given = 1},
                                      .environment = context->environment,
                                      .cpus = cpus,
                                      .log = context->log};
    ib_mlflow_live_start(&options, &tracker->live);
    return IB_OK;
}

void ib_tracking_start(const ib_config *config, const ib_command_context *context,
                       const ib_record *record, const cpu_set_t *cpus, ib_tracker **tracker) {
    *tracker = NULL;
    if (ib_tracking_uri(config, context) == NULL || record == NULL)
        return;
    ib_error err = {0};
    *tracker = calloc(1, sizeof **tracker);
    ib_status status = *tracker == NULL
                           ? ib_fail_memory(&err)
                           : open_tracker(config, context, record, cpus, *tracker, &err);
    if (status != IB_OK)
        fprintf(context->log, "isobit: MLflow: %s; the run goes on without\n", ib_error_text(&err));
    ib_error_clear(&err);
}

void ib_tracking_end(const ib_config *config, ib_tracker *tracker) {
    if (tracker == NULL)
        return;
    ib_mlflow_live_end(tracker->live, config->tracking.wait_seconds);
    ib_mlflow_prices_close(&tracker->prices);
    free(tracker);
}

/* ---- what is there already ----------------------------------------------------------------------
 */

typedef struct sync_work {
    ib_mlflow_client *client;
    ib_mlflow_names common;
    FILE *log; /* NULL: failures are only counted */
    ib_sync_totals *totals;
    json_t *nested;        /* records that a study has sent: path -> true */
    json_t *by_experiment; /* records by experiment_sha256; NULL: not looked for */
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
    if (status == IB_OK && sent->busy && w->log != NULL)
        fprintf(w->log, "isobit: %s: its own process is sending it\n", directory);
    if (status == IB_OK)
        return;
    ++t->failed;
    if (w->log != NULL)
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

/* A record that a sweep has set aside: nobody needs it, but where it was sent while its process
 * lived (mlflow.json is there before the first request that makes a run), the server should hear
 * how that ended. */
static ib_status visit_set_aside(sync_work *w, const char *directory, const char *name,
                                 ib_error *err) {
    (void)name, (void)err;
    if (has_file(directory, "run.json") && has_file(directory, "mlflow.json"))
        sync_record(w, directory, &w->common);
    return IB_OK;
}

static ib_status sync_set_aside(sync_work *w, const char *folder, ib_error *err) {
    char *path = ib_path_join(folder, ".set-aside");
    ib_status status =
        path == NULL ? ib_fail_memory(err) : visit_folders(w, path, NULL, visit_set_aside, err);
    free(path);
    return status;
}

/* Adds a record to w->by_experiment: experiment_sha256 -> ["<folder>/<run-id>", ...]. */
static ib_status index_record(sync_work *w, const char *directory, const char *name,
                              ib_error *err) {
    ib_run run;
    ib_error why = {0};
    ib_run_read(directory, &run, &why); /* a damaged one is counted where it is sent */
    const char *sha256 = run.experiment_sha256;
    int failed = ib_error_is_memory(&why);
    ib_error_clear(&why);
    if (!failed && sha256 != NULL && json_object_get(w->by_experiment, sha256) == NULL)
        failed = json_object_set_new(w->by_experiment, sha256, json_array()) != 0;
    if (!failed && sha256 != NULL)
        failed = json_array_append_new(json_object_get(w->by_experiment, sha256),
                                       json_string(name)) != 0;
    ib_run_close(&run);
    return failed ? ib_fail_memory(err) : IB_OK;
}

static ib_status index_folder(sync_work *w, const char *directory, const char *name,
                              ib_error *err) {
    return visit_folders(w, directory, name, index_record, err);
}

/* One record of a study, "<folder>/<run-id>" beside the study's folder; *there 0: it is not. */
static ib_status sync_cell_record(sync_work *w, const char *directory, const char *run,
                                  const char *experiment, int *there, ib_error *err) {
    *there = json_object_get(w->nested, run) != NULL;
    if (*there)
        return IB_OK;
    char *path =
        ib_format("%.*s%s", (int)(strrchr(directory, '/') + 1 - directory), directory, run);
    if (path == NULL)
        return ib_fail_memory(err);
    *there = has_file(path, "run.json");
    int failed = 0;
    if (*there) {
        ib_mlflow_names names = w->common;
        names.experiment = experiment;
        names.study = directory;
        sync_record(w, path, &names);
        failed = json_object_set_new(w->nested, run, json_true()) != 0;
    }
    free(path);
    return failed ? ib_fail_memory(err) : IB_OK;
}

/* study.json names each cell's record; a sweep that was killed may not have come to that, or the
 * next one has set the record aside. */
static ib_status sync_cells(sync_work *w, const char *directory, const json_t *study,
                            const char *experiment, ib_error *err) {
    const json_t *cells = json_object_get(study, "cells");
    for (size_t i = 0; i < json_array_size(cells); ++i) {
        const json_t *cell = json_array_get(cells, i);
        const char *run = ib_json_text_at(cell, "run");
        const char *sha256 = ib_json_text_at(cell, "experiment_sha256");
        int there = 0;
        if (run != NULL)
            IB_TRY(sync_cell_record(w, directory, run, experiment, &there, err));
        if (there || sha256 == NULL)
            continue;
        if (w->by_experiment == NULL) {
            char *above = ib_format("%.*s", (int)(strrchr(directory, '/') - directory), directory);
            w->by_experiment = json_object();
            ib_status status = above == NULL || w->by_experiment == NULL
                                   ? ib_fail_memory(err)
                                   : visit_folders(w, above, NULL, index_folder, err);
            free(above);
            IB_TRY(status);
        }
        const json_t *found = json_object_get(w->by_experiment, sha256);
        for (size_t r = 0; r < json_array_size(found); ++r)
            IB_TRY(sync_cell_record(w, directory, json_string_value(json_array_get(found, r)),
                                    experiment, &there, err));
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
        w->common.experiment != NULL ? w->common.experiment : ib_json_text_at(study, "study");
    const char *experiment =
        ib_mlflow_names_experiment(w->client) && w->common.experiment == NULL ? NULL : named;
    if (status == IB_OK)
        status = ib_mlflow_send_study(w->client, directory, w->common.experiment, 1, &sent, &why);
    count(w, directory, status, &sent, &why);
    ib_error_clear(&why);
    if (status == IB_OK)
        status = sync_cells(w, directory, study, experiment, err);
    else
        status = IB_OK; /* counted; its runs are sent on their own */
    json_decref(study);
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
    sync_record(w, directory, &w->common);
    return IB_OK;
}

static ib_status visit_folder(sync_work *w, const char *directory, const char *name,
                              ib_error *err) {
    IB_TRY(visit_folders(w, directory, name, visit_record, err));
    return sync_set_aside(w, directory, err);
}

ib_status ib_sync_path(ib_mlflow_client *client, const char *given, const ib_mlflow_names *common,
                       FILE *log, ib_sync_totals *totals, ib_error *err) {
    size_t length = strlen(given);
    while (length > 1 && given[length - 1] == '/')
        --length;
    char *path = strchr(given, '/') == NULL ? ib_format("./%s", given)
                                            : ib_format("%.*s", (int)length, given);
    sync_work w = {client, *common, log, totals, json_object(), NULL};
    ib_status status = IB_OK;
    if (path == NULL || w.nested == NULL)
        status = ib_fail_memory(err);
    else if (has_file(path, "run.json"))
        sync_record(&w, path, common);
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
    json_decref(w.by_experiment);
    free(path);
    return status;
}

/* ---- studies ------------------------------------------------------------------------------------
 */

static int is_named(const ib_command_context *context, const char *variable) {
    const char *value = context->environment == NULL ? NULL : context->environment(variable);
    return value != NULL && value[0] != '\0';
}

void ib_tracking_prepare(const ib_config *config, const ib_command_context *context,
                         ib_study_plan *plan) {
    plan->mlflow = config->tracking.uri;
    plan->mlflow_register = config->tracking.registered_model;
    plan->mlflow_wait = config->tracking.wait_seconds;
    plan->tracked = ib_tracking_uri(config, context) != NULL;
    unsetenv("MLFLOW_RUN_ID"); /* one run: not that of all the processes started from here */
    if (ib_tracking_uri(config, context) != NULL && !is_named(context, "MLFLOW_EXPERIMENT_NAME") &&
        !is_named(context, "MLFLOW_EXPERIMENT_ID"))
        plan->mlflow_experiment = plan->study->name; /* nested runs lie beside their parent */
}

void ib_tracking_study_start(const ib_config *config, const ib_command_context *context,
                             const ib_study_plan *plan, ib_mlflow_live **live) {
    *live = NULL;
    char *directory = ib_path_join(plan->runs_dir, plan->study->name);
    ib_mlflow_live_options options = {.uri = ib_tracking_uri(config, context),
                                      .directory = directory,
                                      .is_study = 1,
                                      .environment = context->environment,
                                      .log = context->log};
    if (options.uri != NULL && directory != NULL)
        ib_mlflow_live_start(&options, live);
    free(directory);
}

/* What the runs' own processes could not send, and what became of those that were killed. */
static ib_status send_rest(const ib_config *config, const ib_study_plan *plan,
                           const char *directory, ib_mlflow_client *client, ib_sync_totals *totals,
                           ib_error *err) {
    ib_mlflow_prices prices;
    ib_status status = ib_mlflow_prices_open(&config->pricing, &prices, err);
    ib_mlflow_names common = {.registered = config->tracking.registered_model, .prices = &prices};
    if (status == IB_OK)
        status = ib_sync_path(client, directory, &common, NULL, totals, err);
    sync_work w = {.client = client, .totals = totals};
    for (size_t i = 0; status == IB_OK && i < plan->folder_count; ++i)
        status = sync_set_aside(&w, plan->folders[i].directory, err);
    ib_mlflow_prices_close(&prices);
    return status;
}

void ib_tracking_study_end(const ib_config *config, const ib_command_context *context,
                           const ib_study_plan *plan, ib_mlflow_live *live) {
    const char *uri = ib_tracking_uri(config, context);
    double begun = ib_seconds();
    if (!ib_mlflow_live_end(live, config->tracking.wait_seconds))
        return; /* said, or not tracked */
    ib_error err = {0};
    ib_mlflow_client *client = NULL;
    ib_sync_totals totals = {0};
    char *directory = ib_path_join(plan->runs_dir, plan->study->name);
    ib_status status = directory == NULL ? ib_fail_memory(&err) : IB_OK;
    if (status == IB_OK)
        status = ib_mlflow_open(uri, context->environment, &client, &err);
    if (status == IB_OK) {
        ib_mlflow_limit(client, config->tracking.wait_seconds - (ib_seconds() - begun));
        status = send_rest(config, plan, directory, client, &totals, &err);
    }
    const char *why = status != IB_OK ? ib_error_text(&err) : totals.first_failure;
    if (why != NULL)
        fprintf(context->log,
                "isobit: MLflow: not everything was sent (%s); isobit sync %s sends the rest\n",
                why, directory == NULL ? "" : directory);
    free(totals.first_failure);
    free(directory);
    ib_mlflow_close(client);
    ib_error_clear(&err);
}
