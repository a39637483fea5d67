/* One MLflow server: settings, requests, retries. Of track/mlflow_*.c only. */
#ifndef IB_MLFLOW_MLFLOW_CLIENT_H
#define IB_MLFLOW_MLFLOW_CLIENT_H

#include <curl/curl.h>
#include <jansson.h>
#include <stdatomic.h>
#include <stddef.h>

#include "mlflow/mlflow.h"

typedef struct ib_mlflow_settings {
    char *uri; /* without credentials and without a slash at the end */
    char *username, *password, *token;
    char *experiment_name, *experiment_id, *run_name, *run_id, *user;
    char *ca_path, *client_cert;
    int insecure_tls;
    long timeout_seconds;
    int max_retries;
    double backoff; /* seconds before the first retry; doubled for each further one */
    double scale;   /* of every wait: tests do not wait for hours */
} ib_mlflow_settings;

ib_status ib_mlflow_settings_read(const char *uri, ib_environment_reader *environment,
                                  ib_mlflow_settings *settings, ib_error *err);
void ib_mlflow_settings_free(ib_mlflow_settings *settings);

struct ib_mlflow_client {
    ib_mlflow_settings settings;
    CURL *curl;
    struct curl_slist *json_headers, *file_headers;
    char reason[CURL_ERROR_SIZE];
    unsigned random;
    FILE *retry_log;         /* NULL: nobody to be told of retries, or told already */
    int transient;           /* whether the last failure may pass by itself */
    char error_code[64];     /* MLflow's, of the last failure; "" for none */
    atomic_int impatient;    /* the run has ended: a server that does not answer is left alone */
    atomic_llong give_up_ms; /* on the monotonic clock; 0: never */
};

/* path "/mlflow/runs/create" below /api/2.0. body NULL: GET. *reply may be NULL for a reply that is
 * not needed; the caller calls json_decref. Retries what is safe to be repeated; once 1: a request
 * that is not, so that the caller must look before it tries again. */
ib_status ib_mlflow_call(ib_mlflow_client *client, const char *method, const char *path,
                         json_t *body, int once, json_t **reply, ib_error *err);
/* GET with one parameter, which is encoded. */
ib_status ib_mlflow_get(ib_mlflow_client *client, const char *path, const char *name,
                        const char *value, json_t **reply, ib_error *err);
/* Puts the bytes of stream (from its beginning) at <artifact_uri>/<name> through the server. */
ib_status ib_mlflow_put(ib_mlflow_client *client, const char *artifact_uri, const char *name,
                        FILE *stream, uint64_t size, ib_error *err);
/* Whether the time of ib_mlflow_limit is over. */
int ib_mlflow_too_late(const ib_mlflow_client *client);
/* Waits before another attempt (attempt 0 is the first); 0 when there is to be none. */
int ib_mlflow_wait(ib_mlflow_client *client, int attempt, double retry_after);

#endif
