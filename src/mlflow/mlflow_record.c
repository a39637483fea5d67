/* One record on a server: what it is, how far it is, how it ended. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "mlflow/mlflow_send.h"
#include "record/recorded.h"
#include "record/run_files.h"

/* A configuration's value, environment's value or the like as a text; fresh memory. */
static json_t *tags_of(const ib_mlflow_sender *s, const char *run_name) {
    const ib_run *run = &s->run;
    json_t *tags = json_object();
    const struct {
        const char *key, *value;
    } texts[] = {
        {"mlflow.runName", run_name},
        {"mlflow.user", s->client->settings.user},
        {"mlflow.source.name", "isobit train"},
        {"mlflow.source.type", "LOCAL"},
        {"mlflow.source.git.commit", run->environment.git_commit},
        {"mlflow.parentRunId", s->parent},
        {"isobit.run_id", run->run_id},
        {"isobit.experiment", run->experiment},
        {"isobit.experiment_sha256", run->experiment_sha256},
        {"isobit.status", ib_run_status_name(run->status)},
        {"isobit.message", run->message},
        {"isobit.model_sha256", run->model_sha256},
        {"isobit.optimizer_sha256", run->optimizer_sha256},
    };
    int good = tags != NULL;
    for (size_t i = 0; good && i < sizeof texts / sizeof texts[0]; ++i)
        good = ib_mlflow_add_text(tags, texts[i].key, texts[i].value);
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)run->environment.members, name, value) {
        good = good && ib_mlflow_add_value(tags, "isobit.", name, value);
    }
    const char *math = json_string_value(ib_recorded_option(run->configuration, "math"));
    good =
        good && ib_mlflow_add_text(tags, "isobit.exact",
                                   math == NULL || strcmp(math, "exact") == 0 ? "true" : "false");
    if (good)
        return tags;
    json_decref(tags);
    return NULL;
}

/* What the description depends on: it is sent again when this has changed. */
static char *version_of(const ib_mlflow_sender *s, const char *status) {
    return ib_format("%s after %lld resumes%s%s", status, (long long)s->run.resumes,
                     s->parent == NULL ? "" : ", nested in ", s->parent == NULL ? "" : s->parent);
}

static ib_status read_record(ib_mlflow_sender *s, ib_error *err) {
    ib_run_close(&s->run);
    IB_TRY(ib_run_read(s->directory, &s->run, err));
    if (s->run.run_id == NULL || s->run.experiment == NULL || s->run.status == IB_RECORDED_NOTHING)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s holds no run record: run.json is missing or not one", s->directory);
    return IB_OK;
}

/* MLflow's name of the state. A record that says running, but whose lock is free, was killed. */
static const char *mlflow_status(ib_run_status status, int live) {
    if (live)
        return "RUNNING";
    if (status == IB_RECORDED_FINISHED)
        return "FINISHED";
    return status == IB_RECORDED_INTERRUPTED || status == IB_RECORDED_RUNNING ? "KILLED" : "FAILED";
}

/* Params and data sets change only with a resume; tags say how far the run is, too. */
static ib_status describe(ib_mlflow_sender *s, const char *run_name, ib_error *err) {
    uint64_t parts = 1 + (uint64_t)s->run.resumes;
    json_t *tags = tags_of(s, run_name);
    if (ib_mlflow_state_number(&s->cursor, "described_parts") != parts) {
        IB_TRY(ib_mlflow_describe(s, ib_mlflow_params_of(&s->run), tags, err));
        IB_TRY(ib_mlflow_send_inputs(s, err));
        return ib_mlflow_state_set(&s->cursor, "described_parts", json_integer((json_int_t)parts),
                                   err);
    }
    ib_status status = tags == NULL ? ib_fail_memory(err) : ib_mlflow_send_tags(s, tags, err);
    json_decref(tags);
    return status;
}

static ib_status send_description(ib_mlflow_sender *s, const char *status, const char *run_name,
                                  ib_error *err) {
    char *version = version_of(s, status);
    const char *known = ib_mlflow_state_text(&s->cursor, "described");
    if (version == NULL)
        return ib_fail_memory(err);
    ib_status sent = IB_OK;
    if (known == NULL || strcmp(known, version) != 0) {
        sent = describe(s, run_name, err);
        if (sent == IB_OK && known != NULL && strcmp(status, "RUNNING") == 0)
            sent = ib_mlflow_update_run(s, status, 0, err); /* it goes on */
        if (sent == IB_OK)
            sent = ib_mlflow_state_set(&s->cursor, "described", json_string(version), err);
        if (sent == IB_OK)
            sent = ib_mlflow_cursor_save_soon(&s->cursor, err);
    }
    free(version);
    return sent;
}

/* What there is to say once the run has ended, and the end itself last. */
static ib_status send_end(ib_mlflow_sender *s, const char *status, ib_error *err) {
    int64_t started = ib_mlflow_time(s->run.started);
    int64_t end = ib_mlflow_time(s->run.ended);
    if (end == 0) /* killed: its last sign of life */
        end = (int64_t)ib_mlflow_state_number(&s->cursor, "metrics_time");
    if (end < started) /* none, or a clock that was set back in a record of an earlier version */
        end = started;
    IB_TRY(ib_mlflow_ensure_onnx(s, err));
    IB_TRY(ib_mlflow_send_files(s, err));
    const char *ended = ib_mlflow_state_text(&s->cursor, "ended");
    const char *described = ib_mlflow_state_text(&s->cursor, "described");
    int known = ended != NULL && described != NULL && strcmp(ended, described) == 0;
    if (!known) {
        IB_TRY(ib_mlflow_send_model(s, err));
        IB_TRY(ib_mlflow_send_results(s, end, err));
    }
    IB_TRY(ib_mlflow_send_cost(s, end, err));
    IB_TRY(ib_mlflow_register(s, err));
    if (known)
        return IB_OK;
    IB_TRY(ib_mlflow_update_run(s, status, end, err));
    IB_TRY(ib_mlflow_state_set(&s->cursor, "ended", json_string(described), err));
    return ib_mlflow_cursor_save_soon(&s->cursor, err);
}

ib_status ib_mlflow_sender_open(ib_mlflow_client *client, const char *directory,
                                const ib_mlflow_names *names, int wait, ib_mlflow_sent *sent,
                                ib_mlflow_sender *s, ib_error *err) {
    *sent = (ib_mlflow_sent){0};
    *s = (ib_mlflow_sender){.client = client, .directory = directory, .sent = sent};
    if (names != NULL)
        s->names = *names;
    return ib_mlflow_cursor_open(directory, client->settings.uri, wait, &s->cursor, &sent->busy,
                                 err);
}

/* Nothing is sent of a record that is not what it says. Of one whose end the server has
 * acknowledged, files are looked at again only where they are sent again (mlflow_files.c). */
static ib_status check_files(ib_mlflow_sender *s, int live, ib_error *err) {
    const char *ended = ib_mlflow_state_text(&s->cursor, "ended");
    const char *described = ib_mlflow_state_text(&s->cursor, "described");
    s->client->transient = 0;
    if (live)
        return IB_OK; /* lines are checked where they are sent */
    if (ended != NULL && described != NULL && strcmp(ended, described) == 0)
        return IB_OK;
    return ib_run_check_files(&s->run, err);
}

static ib_status send_pass(ib_mlflow_sender *s, ib_error *err) {
    /* Before the record is read: a run that ends in between is sent once more, not too early. */
    int live = ib_run_is_live(s->directory);
    IB_TRY(read_record(s, err));
    const ib_run *run = &s->run;
    live = live && run->status == IB_RECORDED_RUNNING;
    IB_TRY(check_files(s, live, err));
    s->sent->live = live;
    IB_TRY(ib_mlflow_find_parent(s, err));
    const char *run_name = s->names.run != NULL                   ? s->names.run
                           : s->cell != NULL                      ? s->cell
                           : s->client->settings.run_name != NULL ? s->client->settings.run_name
                                                                  : run->run_id;
    IB_TRY(ib_mlflow_state_set(&s->cursor, "isobit_id", json_string(run->run_id), err));
    IB_TRY(ib_mlflow_ensure_run(s, run->experiment, run->run_id, run_name,
                                ib_mlflow_time(s->run.started), err));
    const char *status = mlflow_status(run->status, live);
    IB_TRY(send_description(s, status, run_name, err));
    IB_TRY(ib_mlflow_send_metrics(s, err));
    IB_TRY(ib_mlflow_send_system(s, err));
    return live ? IB_OK : send_end(s, status, err);
}

ib_status ib_mlflow_sender_pass(ib_mlflow_sender *s, ib_error *err) {
    ib_status status = send_pass(s, err);
    ib_status settled = ib_mlflow_cursor_settle(&s->cursor, status == IB_OK ? err : NULL);
    return status != IB_OK ? status : settled;
}

void ib_mlflow_sender_close(ib_mlflow_sender *s) {
    ib_mlflow_cursor_close(&s->cursor);
    ib_run_close(&s->run);
    json_decref(s->study);
    free(s->parent);
    free(s->cell);
    s->study = NULL;
    s->parent = s->cell = NULL;
}

ib_status ib_mlflow_send_record(ib_mlflow_client *client, const char *directory,
                                const ib_mlflow_names *names, ib_mlflow_sent *sent, ib_error *err) {
    ib_mlflow_sender s;
    client->transient = 0;
    ib_status status = ib_mlflow_sender_open(client, directory, names, 1, sent, &s, err);
    if (status == IB_OK && !sent->busy)
        status = ib_mlflow_sender_pass(&s, err);
    ib_mlflow_sender_close(&s);
    return status;
}
