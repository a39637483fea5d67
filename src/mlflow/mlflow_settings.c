/* What MLflow's environment variables and its credentials file say. */
#include <ctype.h>
#include <curl/curl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/file.h"
#include "base/number.h"
#include "mlflow/mlflow_client.h"

enum { MAX_CREDENTIALS_BYTES = 1 << 16 };

static int is_http(const char *uri) {
    return strncasecmp(uri, "http://", 7) == 0 || strncasecmp(uri, "https://", 8) == 0;
}

/* The length of "user:password@" after "scheme://"; 0: none. */
static size_t userinfo_length(const char *uri) {
    const char *host = strstr(uri, "://");
    if (host == NULL)
        return 0;
    host += 3;
    size_t authority = strcspn(host, "/?#");
    for (size_t i = authority; i > 0; --i)
        if (host[i - 1] == '@')
            return i;
    return 0;
}

static ib_status refuse_scheme(const char *uri, const char *from, ib_error *err) {
    const char *colon = strchr(uri, ':');
    if (colon != NULL && strstr(uri, "://") == NULL && strncmp(uri, "file:", 5) != 0)
        colon = NULL;
    int length = colon != NULL && colon - uri < 32 ? (int)(colon - uri) : 0;
    return ib_fail(err, IB_ERROR_USAGE,
                   "%s must be the http or https address of an MLflow server, not a %.*s%s: run "
                   "one over that store (mlflow server --backend-store-uri ...) and give its "
                   "address",
                   from, length, uri, length > 0 ? ": store" : "file store");
}

ib_status ib_mlflow_check_uri(const char *uri, const char *option, ib_error *err) {
    if (!is_http(uri))
        return refuse_scheme(uri, option, err);
    if (userinfo_length(uri) > 0)
        return ib_fail(err, IB_ERROR_USAGE,
                       "%s must not hold a user name or password, which everybody on this machine "
                       "could see: use MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
                       "~/.mlflow/credentials",
                       option);
    return IB_OK;
}

static int take_copy(char **to, const char *text, size_t size) {
    free(*to);
    *to = strndup(text, size);
    return *to != NULL;
}

/* Percent-decoded; fresh memory. */
static char *decoded(const char *text, size_t size) {
    int length = 0;
    char *by_curl = curl_easy_unescape(NULL, text, (int)size, &length);
    char *copy = by_curl == NULL ? NULL : strndup(by_curl, (size_t)length);
    curl_free(by_curl);
    return copy;
}

static ib_status split_uri(const char *uri, ib_mlflow_settings *s, ib_error *err) {
    size_t info = userinfo_length(uri);
    const char *host = strstr(uri, "://") + 3;
    size_t end = strcspn(host + info, "?#");
    while (end > 0 && host[info + end - 1] == '/')
        --end;
    s->uri = ib_format("%.*s%.*s", (int)(host - uri), uri, (int)end, host + info);
    if (s->uri == NULL)
        return ib_fail_memory(err);
    if (end == 0)
        return ib_fail(err, IB_ERROR_USAGE, "the MLflow address %s names no host", s->uri);
    if (info == 0)
        return IB_OK;
    size_t name = 0;
    while (name < info - 1 && host[name] != ':')
        ++name;
    s->username = decoded(host, name);
    s->password = name < info - 1 ? decoded(host + name + 1, info - 2 - name) : strdup("");
    return s->username == NULL || s->password == NULL ? ib_fail_memory(err) : IB_OK;
}

static const char *value_of(ib_environment_reader *environment, const char *name) {
    const char *value = environment == NULL ? NULL : environment(name);
    return value == NULL || value[0] == '\0' ? NULL : value;
}

static ib_status read_texts(ib_environment_reader *environment, ib_mlflow_settings *s,
                            ib_error *err) {
    const struct {
        const char *name;
        char **to;
    } texts[] = {
        {"MLFLOW_TRACKING_USERNAME", &s->username},
        {"MLFLOW_TRACKING_PASSWORD", &s->password},
        {"MLFLOW_TRACKING_TOKEN", &s->token},
        {"MLFLOW_EXPERIMENT_NAME", &s->experiment_name},
        {"MLFLOW_EXPERIMENT_ID", &s->experiment_id},
        {"MLFLOW_RUN_NAME", &s->run_name},
        {"MLFLOW_RUN_ID", &s->run_id},
        {"MLFLOW_TRACKING_SERVER_CERT_PATH", &s->ca_path},
        {"MLFLOW_TRACKING_CLIENT_CERT_PATH", &s->client_cert},
        {"USER", &s->user},
        {"LOGNAME", &s->user},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; ++i) {
        const char *value = value_of(environment, texts[i].name);
        if (value != NULL && !take_copy(texts[i].to, value, strlen(value)))
            return ib_fail_memory(err);
    }
    return IB_OK;
}

static ib_status read_number(ib_environment_reader *environment, const char *name, double least,
                             double most, double *value, ib_error *err) {
    const char *text = value_of(environment, name);
    if (text == NULL)
        return IB_OK;
    char *end;
    double read = strtod(text, &end);
    if (end == text || *end != '\0' || !(read >= least && read <= most))
        return ib_fail(err, IB_ERROR_USAGE, "%s must be a number from %g to %g, not '%s'", name,
                       least, most, text);
    *value = read;
    return IB_OK;
}

/* libcurl opens it without asking what it is, and would wait for a pipe. */
static ib_status check_certificate(const char *variable, const char *path, ib_error *err) {
    int fd;
    if (path == NULL)
        return IB_OK;
    if (ib_open_input(path, MAX_CREDENTIALS_BYTES, &fd, NULL, err) != IB_OK) {
        ib_fail_context(err, "%s", variable);
        return IB_ERROR_USAGE;
    }
    close(fd);
    return IB_OK;
}

static ib_status read_numbers(ib_environment_reader *environment, ib_mlflow_settings *s,
                              ib_error *err) {
    double timeout = 120, retries = 7;
    s->backoff = 2;
    s->scale = 1;
    IB_TRY(read_number(environment, "MLFLOW_HTTP_REQUEST_TIMEOUT", 1, 86400, &timeout, err));
    IB_TRY(read_number(environment, "MLFLOW_HTTP_REQUEST_MAX_RETRIES", 0, 1000, &retries, err));
    IB_TRY(
        read_number(environment, "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", 0, 3600, &s->backoff, err));
    IB_TRY(read_number(environment, "ISOBIT_MLFLOW_TIME_SCALE", 0, 1, &s->scale, err));
    s->timeout_seconds = (long)timeout;
    s->max_retries = (int)retries;
    const char *insecure = value_of(environment, "MLFLOW_TRACKING_INSECURE_TLS");
    s->insecure_tls = insecure != NULL && (strcasecmp(insecure, "true") == 0 || insecure[0] == '1');
    if (s->insecure_tls && s->ca_path != NULL)
        return ib_fail(err, IB_ERROR_USAGE,
                       "MLFLOW_TRACKING_INSECURE_TLS and MLFLOW_TRACKING_SERVER_CERT_PATH "
                       "contradict each other: set one of them");
    IB_TRY(check_certificate("MLFLOW_TRACKING_SERVER_CERT_PATH", s->ca_path, err));
    return check_certificate("MLFLOW_TRACKING_CLIENT_CERT_PATH", s->client_cert, err);
}

/* One line "name = value" of the section [mlflow]. */
static int take_credential(const char *line, size_t size, ib_mlflow_settings *s) {
    static const char NAME[] = "mlflow_tracking_";
    const char *equals = memchr(line, '=', size);
    if (equals == NULL || (size_t)(equals - line) < sizeof NAME - 1 ||
        strncasecmp(line, NAME, sizeof NAME - 1) != 0)
        return 1;
    const char *what = line + sizeof NAME - 1, *end = line + size, *value = equals + 1;
    while (value < end && isspace((unsigned char)*value))
        ++value;
    while (end > value && isspace((unsigned char)end[-1]))
        --end;
    char **to = strncasecmp(what, "username", 8) == 0   ? &s->username
                : strncasecmp(what, "password", 8) == 0 ? &s->password
                                                        : NULL;
    return to == NULL || *to != NULL || take_copy(to, value, (size_t)(end - value));
}

/* ~/.mlflow/credentials, for what the environment does not say. */
static ib_status read_credentials(ib_environment_reader *environment, ib_mlflow_settings *s,
                                  ib_error *err) {
    const char *home = value_of(environment, "HOME");
    if (home == NULL || s->token != NULL || (s->username != NULL && s->password != NULL))
        return IB_OK;
    char *path = ib_path_join(home, ".mlflow/credentials");
    if (path == NULL)
        return ib_fail_memory(err);
    char *text = NULL;
    size_t size = 0;
    ib_status status = IB_OK;
    if (ib_path_exists(path))
        status = ib_read_file(path, MAX_CREDENTIALS_BYTES, &text, &size, err);
    free(path);
    int ours = 0;
    for (const char *line = text; status == IB_OK && line != NULL && *line != '\0';) {
        size_t length = strcspn(line, "\n");
        size_t blank = strspn(line, " \t");
        if (line[blank] == '[')
            ours = strncmp(line + blank, "[mlflow]", 8) == 0;
        else if (ours && blank < length && !take_credential(line + blank, length - blank, s))
            status = ib_fail_memory(err);
        line += length + (line[length] == '\n');
    }
    free(text);
    return status;
}

static ib_status name_user(ib_mlflow_settings *s, ib_error *err) {
    if (s->user != NULL)
        return IB_OK;
    const struct passwd *entry = getpwuid(geteuid());
    s->user = strdup(entry != NULL ? entry->pw_name : "unknown");
    return s->user == NULL ? ib_fail_memory(err) : IB_OK;
}

ib_status ib_mlflow_settings_read(const char *uri, ib_environment_reader *environment,
                                  ib_mlflow_settings *settings, ib_error *err) {
    if (!is_http(uri))
        return refuse_scheme(uri, "the tracking URI", err);
    IB_TRY(split_uri(uri, settings, err));
    IB_TRY(read_texts(environment, settings, err));
    IB_TRY(read_numbers(environment, settings, err));
    IB_TRY(read_credentials(environment, settings, err));
    return name_user(settings, err);
}

void ib_mlflow_settings_free(ib_mlflow_settings *s) {
    char *texts[] = {s->uri,           s->username, s->password, s->token, s->experiment_name,
                     s->experiment_id, s->run_name, s->run_id,   s->user,  s->ca_path,
                     s->client_cert};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; ++i)
        free(texts[i]);
}
