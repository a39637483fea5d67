/* Requests to an MLflow server: one libcurl handle, retries with back-off, errors in words. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json_value.h"
#include "mlflow/mlflow_client.h"

enum {
    MAX_REPLY_BYTES = 64 << 20,
    CONNECT_SECONDS = 20,
    LONGEST_QUOTE = 300,
    UPLOAD_BYTES = 1 << 20
};
static const double LONGEST_WAIT = 60, LONGEST_RETRY_AFTER = 600, NAP = 0.02;

typedef struct reply {
    char *data;
    size_t size, capacity;
    int too_large;
} reply;

static size_t take_bytes(char *bytes, size_t one, size_t count, void *context) {
    reply *to = context;
    size_t size = one * count; /* one is 1 */
    if (size > MAX_REPLY_BYTES - to->size) {
        to->too_large = 1;
        return 0;
    }
    if (to->size + size + 1 > to->capacity) {
        size_t capacity = 2 * (to->size + size) + 1;
        char *larger = realloc(to->data, capacity);
        if (larger == NULL)
            return 0;
        to->data = larger;
        to->capacity = capacity;
    }
    memcpy(to->data + to->size, bytes, size);
    to->size += size;
    to->data[to->size] = '\0';
    return size;
}

int ib_mlflow_too_late(const ib_mlflow_client *client) {
    long long limit = atomic_load(&client->give_up_ms);
    return limit != 0 && (long long)(ib_seconds() * 1000) >= limit;
}

static int on_progress(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
    (void)a, (void)b, (void)c, (void)d;
    return ib_mlflow_too_late(context);
}

int ib_mlflow_wait(ib_mlflow_client *client, int attempt, double retry_after) {
    const ib_mlflow_settings *s = &client->settings;
    if (attempt >= (atomic_load(&client->impatient) && s->max_retries > 1 ? 1 : s->max_retries))
        return 0;
    double wait = s->backoff;
    for (int i = 0; i < attempt && wait < LONGEST_WAIT; ++i)
        wait *= 2;
    if (wait > LONGEST_WAIT)
        wait = LONGEST_WAIT;
    wait *= 0.5 + 0.5 * rand_r(&client->random) / RAND_MAX; /* not all clients at once */
    if (retry_after > wait)
        wait = retry_after < LONGEST_RETRY_AFTER ? retry_after : LONGEST_RETRY_AFTER;
    int was_impatient = atomic_load(&client->impatient);
    double until = ib_seconds() + wait * s->scale;
    for (;;) {
        double now = ib_seconds();
        if (now >= until)
            break;
        if (ib_mlflow_too_late(client))
            return 0;
        if (!was_impatient && atomic_load(&client->impatient))
            return 1; /* the run has just ended: this is the time to try once more */
        double left = until - now < NAP ? until - now : NAP;
        struct timespec nap = {0, (long)(left * 1e9)};
        nanosleep(&nap, NULL);
    }
    return !ib_mlflow_too_late(client);
}

/* Replaces a secret that a server or proxy sent back. */
static void hide(char *text, const char *secret) {
    size_t length = secret == NULL ? 0 : strlen(secret);
    for (char *at = text; length > 0 && (at = strstr(at, secret)) != NULL; at += length)
        memset(at, '*', length);
}

/* A few words of what the server said; fresh memory. */
static char *quote(const ib_mlflow_client *client, const char *text) {
    char *words = strndup(text, LONGEST_QUOTE);
    if (words == NULL)
        return NULL;
    hide(words, client->settings.password);
    hide(words, client->settings.token);
    for (char *c = words; *c != '\0'; ++c)
        if ((unsigned char)*c < ' ')
            *c = ' ';
    return words;
}

static ib_status fail_connection(ib_mlflow_client *client, CURLcode result, const char *what,
                                 ib_error *err) {
    const char *why = client->reason[0] != '\0' ? client->reason : curl_easy_strerror(result);
    const char *uri = client->settings.uri;
    client->transient = 1;
    switch (result) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        client->transient = 0;
        return ib_fail(err, IB_ERROR_RUNTIME,
                       "%s: the server's certificate is not trusted: %s; name the authority that "
                       "signed it in MLFLOW_TRACKING_SERVER_CERT_PATH",
                       uri, why);
    case CURLE_SSL_CERTPROBLEM:
        client->transient = 0;
        return ib_fail(err, IB_ERROR_RUNTIME, "%s: MLFLOW_TRACKING_CLIENT_CERT_PATH: %s", uri, why);
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        client->transient = 0;
        return ib_fail(err, IB_ERROR_RUNTIME, "%s is no address of a server: %s", uri, why);
    case CURLE_ABORTED_BY_CALLBACK:
        return ib_fail(err, IB_ERROR_RUNTIME, "%s%s: no answer in the time given", uri, what);
    default:
        return ib_fail(err, IB_ERROR_RUNTIME, "%s%s: %s (curl error %d)", uri, what, why,
                       (int)result);
    }
}

static ib_status fail_status(ib_mlflow_client *client, long http, const char *what,
                             const json_t *body, const char *text, ib_error *err) {
    const char *code = json_string_value(json_object_get(body, "error_code"));
    const char *message = json_string_value(json_object_get(body, "message"));
    snprintf(client->error_code, sizeof client->error_code, "%s", code == NULL ? "" : code);
    client->transient = http == 408 || http == 429 || http >= 500;
    char *said = quote(client, message != NULL ? message : text != NULL ? text : "");
    const char *words = said == NULL ? "" : said;
    const char *uri = client->settings.uri;
    if (http == 401)
        ib_fail(err, IB_ERROR_RUNTIME,
                "%s refuses our credentials (HTTP status 401): check MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
                uri);
    else if (http == 403)
        ib_fail(err, IB_ERROR_RUNTIME, "%s%s: permission denied (HTTP status 403): %s", uri, what,
                words);
    else if (http >= 300 && http < 400)
        ib_fail(err, IB_ERROR_RUNTIME,
                "%s%s: redirected (HTTP status %ld): give the address that the server redirects to",
                uri, what, http);
    else if (http == 404 && code == NULL)
        ib_fail(err, IB_ERROR_RUNTIME,
                "%s%s: not found (HTTP status 404): this is not the address of an MLflow server",
                uri, what);
    else
        ib_fail(err, IB_ERROR_RUNTIME, "%s%s: HTTP status %ld%s%s: %s", uri, what, http,
                code == NULL ? "" : ", ", code == NULL ? "" : code, words);
    free(said);
    return IB_ERROR_RUNTIME;
}

typedef struct request {
    const char *method; /* NULL: GET */
    char *url;
    const char *what; /* for messages: the path */
    char *text;       /* the body, or NULL */
    FILE *stream;     /* or that of a file */
    uint64_t size;
    int once; /* must not reach the server twice */
} request;

static int set_options(ib_mlflow_client *client, const request *r, reply *to) {
    const ib_mlflow_settings *s = &client->settings;
    CURL *curl = client->curl;
    int failed = 0;
    curl_easy_reset(curl); /* keeps the connection */
#define SET(option, value) (failed |= curl_easy_setopt(curl, option, value) != CURLE_OK)
    SET(CURLOPT_URL, r->url);
    SET(CURLOPT_ERRORBUFFER, client->reason);
    SET(CURLOPT_WRITEFUNCTION, take_bytes);
    SET(CURLOPT_WRITEDATA, to);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    SET(CURLOPT_USERAGENT, "isobit");
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(CURLOPT_XFERINFODATA, client);
#if LIBCURL_VERSION_NUM >= 0x075500
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
#else
    SET(CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    if (r->once) /* libcurl repeats by itself what breaks on a connection that was used before */
        SET(CURLOPT_FRESH_CONNECT, 1L);
    if (r->stream != NULL) { /* of any size: a limit on stalls, not on the whole */
        SET(CURLOPT_UPLOAD, 1L);
        SET(CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BYTES);
        SET(CURLOPT_READDATA, r->stream);
        SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)r->size);
        SET(CURLOPT_HTTPHEADER, client->file_headers);
        SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
        SET(CURLOPT_LOW_SPEED_TIME, s->timeout_seconds);
    } else {
        SET(CURLOPT_TIMEOUT, s->timeout_seconds);
    }
    if (r->text != NULL) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->size);
        SET(CURLOPT_POSTFIELDS, r->text);
        SET(CURLOPT_CUSTOMREQUEST, r->method);
        SET(CURLOPT_HTTPHEADER, client->json_headers);
    }
    if (s->username != NULL && s->password != NULL) {
        SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        SET(CURLOPT_USERNAME, s->username);
        SET(CURLOPT_PASSWORD, s->password);
    } else if (s->token != NULL) {
        SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        SET(CURLOPT_XOAUTH2_BEARER, s->token);
    }
    SET(CURLOPT_SSL_VERIFYPEER, s->insecure_tls ? 0L : 1L);
    SET(CURLOPT_SSL_VERIFYHOST, s->insecure_tls ? 0L : 2L);
    if (s->ca_path != NULL)
        SET(CURLOPT_CAINFO, s->ca_path);
    if (s->client_cert != NULL)
        SET(CURLOPT_SSLCERT, s->client_cert);
#undef SET
    return failed;
}

/* One attempt. *retry_after is what the server asks for. */
static ib_status attempt(ib_mlflow_client *client, const request *r, json_t **body,
                         double *retry_after, ib_error *err) {
    reply answer = {0};
    long http = 0;
    curl_off_t asked = 0;
    client->reason[0] = '\0';
    client->error_code[0] = '\0';
    client->transient = 0;
    if (r->stream != NULL)
        rewind(r->stream);
    if (set_options(client, r, &answer))
        return ib_fail(err, IB_ERROR_RUNTIME, "libcurl refuses the options needed for %s",
                       client->settings.uri);
    CURLcode result = curl_easy_perform(client->curl);
    curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &http);
    if (curl_easy_getinfo(client->curl, CURLINFO_RETRY_AFTER, &asked) == CURLE_OK)
        *retry_after = (double)asked;
    json_t *parsed = NULL;
    ib_status status =
        answer.size == 0 ? IB_OK : ib_json_parse(answer.data, answer.size, &parsed, NULL, err);
    if (status != IB_OK)
        client->transient = 0;
    else if (result != CURLE_OK)
        status = fail_connection(client, result, r->what, err);
    else if (http < 200 || http > 299)
        status = fail_status(client, http, r->what, parsed, answer.data, err);
    else if (r->stream != NULL && answer.size == 0)
        parsed = json_object(); /* a file was taken without a word */
    else if (!json_is_object(parsed)) {
        client->transient = 1; /* a proxy's page: it may go away */
        status = ib_fail(err, IB_ERROR_RUNTIME,
                         "%s%s: the answer is not MLflow's (HTTP status %ld, but no JSON): a "
                         "proxy's page, or not the address of an MLflow server",
                         client->settings.uri, r->what, http);
    }
    free(answer.data);
    if (status == IB_OK)
        *body = parsed;
    else
        json_decref(parsed);
    return status;
}

static void tell_retry(ib_mlflow_client *client, const ib_error *err) {
    if (client->retry_log == NULL || client->settings.max_retries == 0)
        return;
    fprintf(client->retry_log,
            "isobit: MLflow: %s; trying again (at most %d times a request, by "
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES; an interrupt loses nothing)\n",
            ib_error_text(err), client->settings.max_retries);
    fflush(client->retry_log);
    client->retry_log = NULL;
}

static ib_status perform(ib_mlflow_client *client, request *r, json_t **body, ib_error *err) {
    if (r->url == NULL)
        return ib_fail_memory(err);
    json_t *got = NULL;
    ib_status status;
    for (int n = 0;; ++n) {
        double retry_after = 0;
        ib_error_clear(err);
        status = ib_mlflow_too_late(client)
                     ? fail_connection(client, CURLE_ABORTED_BY_CALLBACK, r->what, err)
                     : attempt(client, r, &got, &retry_after, err);
        if (status == IB_OK || !client->transient || r->once)
            break;
        tell_retry(client, err);
        if (!ib_mlflow_wait(client, n, retry_after))
            break;
    }
    if (status == IB_OK && body != NULL)
        *body = got;
    else
        json_decref(got);
    return status;
}

ib_status ib_mlflow_call(ib_mlflow_client *client, const char *method, const char *path,
                         json_t *body, int once, json_t **answer, ib_error *err) {
    request r = {.method = method,
                 .what = path,
                 .once = once,
                 .url = ib_format("%s/api/2.0%s", client->settings.uri, path),
                 .text = ib_json_dump(body, JSON_COMPACT | JSON_REAL_PRECISION(17))};
    ib_status status;
    if (r.text == NULL) {
        status = ib_fail_memory(err);
    } else {
        r.size = strlen(r.text);
        status = perform(client, &r, answer, err);
    }
    free(r.url);
    free(r.text);
    return status;
}

ib_status ib_mlflow_get(ib_mlflow_client *client, const char *path, const char *name,
                        const char *value, json_t **answer, ib_error *err) {
    char *encoded = curl_easy_escape(client->curl, value, 0);
    request r = {.what = path,
                 .url = encoded == NULL ? NULL
                                        : ib_format("%s/api/2.0%s?%s=%s", client->settings.uri,
                                                    path, name, encoded)};
    curl_free(encoded);
    ib_status status = perform(client, &r, answer, err);
    free(r.url);
    return status;
}

/* "a/b c" with everything encoded but the slashes; fresh memory. */
static char *encode_path(CURL *curl, const char *path) {
    char *all = strdup("");
    for (const char *at = path; all != NULL && *at != '\0';) {
        size_t length = strcspn(at, "/");
        char *part = length == 0 ? NULL : curl_easy_escape(curl, at, (int)length);
        char *longer =
            ib_format("%s%s%s", all, part == NULL ? "" : part, at[length] == '/' ? "/" : "");
        curl_free(part);
        free(all);
        all = longer;
        at += length + (at[length] == '/');
    }
    return all;
}

ib_status ib_mlflow_put(ib_mlflow_client *client, const char *artifact_uri, const char *name,
                        FILE *stream, uint64_t size, ib_error *err) {
    static const char SCHEME[] = "mlflow-artifacts:";
    if (strncmp(artifact_uri, SCHEME, sizeof SCHEME - 1) != 0) {
        client->transient = 0;
        return ib_fail(err, IB_ERROR_RUNTIME,
                       "%s keeps artifacts at %s, where only it can write: start it with "
                       "--serve-artifacts (and --artifacts-destination) so that they go through it",
                       client->settings.uri, artifact_uri);
    }
    const char *path = artifact_uri + sizeof SCHEME - 1;
    if (strncmp(path, "//", 2) == 0) /* //host:port/path: of this server */
        path = strchr(path + 2, '/') == NULL ? "" : strchr(path + 2, '/');
    path += strspn(path, "/");
    char *whole = ib_format("%s/%s", path, name);
    char *encoded = whole == NULL ? NULL : encode_path(client->curl, whole);
    request r = {.what = "/mlflow-artifacts",
                 .url = encoded == NULL ? NULL
                                        : ib_format("%s/api/2.0/mlflow-artifacts/artifacts/%s",
                                                    client->settings.uri, encoded),
                 .stream = stream,
                 .size = size};
    ib_status status = perform(client, &r, NULL, err);
    free(r.url);
    free(encoded);
    free(whole);
    return status;
}

ib_status ib_mlflow_open(const char *uri, ib_environment_reader *environment,
                         ib_mlflow_client **client, ib_error *err) {
    *client = NULL;
    ib_mlflow_client *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL)
        return ib_fail_memory(err);
    fresh->random = (unsigned)ib_unix_milliseconds() ^ (unsigned)getpid();
    ib_status status = ib_mlflow_settings_read(uri, environment, &fresh->settings, err);
    if (status == IB_OK) {
        fresh->curl = curl_easy_init(); /* initialises libcurl itself on first use */
        fresh->json_headers = curl_slist_append(NULL, "Content-Type: application/json");
        fresh->file_headers = curl_slist_append(NULL, "Content-Type: application/octet-stream");
        if (fresh->curl == NULL || fresh->json_headers == NULL || fresh->file_headers == NULL)
            status = ib_fail(err, IB_ERROR_RUNTIME, "libcurl does not start");
    }
    if (status == IB_OK)
        *client = fresh;
    else
        ib_mlflow_close(fresh);
    return status;
}

void ib_mlflow_close(ib_mlflow_client *client) {
    if (client == NULL)
        return;
    curl_easy_cleanup(client->curl);
    curl_slist_free_all(client->json_headers);
    curl_slist_free_all(client->file_headers);
    ib_mlflow_settings_free(&client->settings);
    free(client);
}

const char *ib_mlflow_server(const ib_mlflow_client *client) {
    return client->settings.uri;
}

int ib_mlflow_names_experiment(const ib_mlflow_client *client) {
    return client->settings.experiment_name != NULL || client->settings.experiment_id != NULL;
}

void ib_mlflow_tell_retries(ib_mlflow_client *client, FILE *log) {
    client->retry_log = log;
}

void ib_mlflow_limit(ib_mlflow_client *client, double seconds) {
    atomic_store(&client->give_up_ms, (long long)((ib_seconds() + seconds) * 1000) + 1);
    atomic_store(&client->impatient, 1);
}
