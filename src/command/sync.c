/* isobit sync: run records to an MLflow server. */
#include <stdlib.h>
#include <sys/stat.h>

#include "base/json_text.h"
#include "command/tracking.h"

static void print_totals(const ib_config *config, const ib_command_context *context,
                         const ib_mlflow_client *client, const ib_sync_totals *t) {
    if (!config->output.json) {
        fprintf(context->out,
                "%s: %llu run%s, %llu of them going on, %llu failed; sent now: %llu metric values, "
                "%llu artifacts (%.1f MB)\n",
                ib_mlflow_server(client), (unsigned long long)t->runs, t->runs == 1 ? "" : "s",
                (unsigned long long)t->live, (unsigned long long)t->failed,
                (unsigned long long)t->metrics, (unsigned long long)t->artifacts,
                1e-6 * (double)t->bytes);
        return;
    }
    ib_json json = {.out = context->out};
    ib_json_open(&json, NULL, '{');
    ib_json_string(&json, "server", ib_mlflow_server(client));
    ib_json_uint(&json, "runs", t->runs);
    ib_json_uint(&json, "live", t->live);
    ib_json_uint(&json, "failed", t->failed);
    ib_json_uint(&json, "metrics", t->metrics);
    ib_json_uint(&json, "artifacts", t->artifacts);
    ib_json_uint(&json, "artifact_bytes", t->bytes);
    ib_json_string(&json, "error", t->first_failure);
    ib_json_close(&json, '}');
    fputc('\n', context->out);
}

static ib_status sync_all(const ib_arguments *arguments, const ib_command_context *context,
                          ib_mlflow_client *client, const ib_mlflow_names *common,
                          ib_sync_totals *totals, ib_error *err) {
    static const char *const EVERYTHING[] = {"runs"};
    const char *const *paths = arguments->word_count > 0 ? arguments->words : EVERYTHING;
    size_t path_count = arguments->word_count > 0 ? arguments->word_count : 1;
    for (size_t i = 0; i < path_count; ++i) {
        struct stat about;
        if (stat(paths[i], &about) != 0 || !S_ISDIR(about.st_mode))
            return ib_fail(err, IB_ERROR_VERIFY,
                           "%s is no folder: name a run's directory, or one of runs", paths[i]);
    }
    for (size_t i = 0; i < path_count; ++i)
        IB_TRY(ib_sync_path(client, paths[i], common, context->log, totals, err));
    print_totals(&arguments->config, context, client, totals);
    if (totals->failed > 0)
        return ib_fail(err, IB_ERROR_RUNTIME,
                       "%llu of %llu runs could not be sent completely; isobit sync sends the rest",
                       (unsigned long long)totals->failed, (unsigned long long)totals->runs);
    return IB_OK;
}

ib_status ib_command_sync(ib_arguments *arguments, const ib_command_context *context,
                          ib_error *err) {
    const ib_config *config = &arguments->config;
    const char *uri = config->tracking.to;
    ib_mlflow_client *client = NULL;
    ib_sync_totals totals = {0};
    if (uri == NULL)
        return ib_fail(err, IB_ERROR_USAGE,
                       "isobit sync needs --to URI, or MLFLOW_TRACKING_URI in the environment");
    if (ib_arguments_source(arguments, "to") == IB_FROM_FLAG)
        IB_TRY(ib_mlflow_check_uri(uri, "--to", err));
    if (config->tracking.registered_model != NULL)
        IB_TRY(ib_mlflow_check_model_name(config->tracking.registered_model, "--mlflow-register",
                                          err));
    ib_mlflow_prices prices;
    ib_mlflow_names common = {.experiment = config->tracking.experiment,
                              .registered = config->tracking.registered_model,
                              .prices = &prices};
    ib_status status = ib_mlflow_prices_open(&config->pricing, &prices, err);
    if (status == IB_OK)
        status = ib_mlflow_open(uri, context->environment, &client, err);
    if (status == IB_OK) {
        ib_mlflow_tell_retries(client, context->log);
        status = sync_all(arguments, context, client, &common, &totals, err);
    }
    ib_mlflow_prices_close(&prices);
    free(totals.first_failure);
    ib_mlflow_close(client);
    return status;
}
