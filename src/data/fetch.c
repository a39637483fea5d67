#include "data/fetch.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/file.h"

enum { CONNECT_SECONDS = 20, STALL_SECONDS = 30, STALL_BYTES_A_SECOND = 1024, MAX_REDIRECTS = 10 };

static const char FILE_URL[] = "file://";

typedef struct sink {
    uint8_t *data;
    size_t size, capacity, max_bytes;
    int too_large, out_of_memory;
} sink;

int ib_is_url(const char *source) {
    return strstr(source, "://") != NULL;
}

/* libcurl's write callback: fewer bytes taken than given ends the transfer. */
static size_t take_bytes(char *bytes, size_t one, size_t count, void *context) {
    sink *to = context;
    size_t size = one * count; /* one is 1 */
    if (size > to->max_bytes - to->size) {
        to->too_large = 1;
        return 0;
    }
    if (size > to->capacity - to->size) {
        size_t capacity = to->capacity * 2 > to->size + size ? to->capacity * 2 : to->size + size;
        uint8_t *larger = realloc(to->data, capacity);
        if (larger == NULL) {
            to->out_of_memory = 1;
            return 0;
        }
        to->data = larger;
        to->capacity = capacity;
    }
    if (size > 0)
        memcpy(to->data + to->size, bytes, size);
    to->size += size;
    return size;
}

static int set_options(CURL *curl, const char *url, sink *to, char *reason) {
    int failed = 0;
#define SET(option, value) (failed |= curl_easy_setopt(curl, option, value) != CURLE_OK)
    SET(CURLOPT_URL, url);
    SET(CURLOPT_ERRORBUFFER, reason);
    SET(CURLOPT_WRITEFUNCTION, take_bytes);
    SET(CURLOPT_WRITEDATA, to);
    SET(CURLOPT_FOLLOWLOCATION, 1L);
    SET(CURLOPT_MAXREDIRS, (long)MAX_REDIRECTS);
    SET(CURLOPT_FAILONERROR, 1L);
    SET(CURLOPT_NOSIGNAL, 1L); /* a library installs no signal handlers */
    SET(CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    SET(CURLOPT_LOW_SPEED_LIMIT, (long)STALL_BYTES_A_SECOND);
    SET(CURLOPT_LOW_SPEED_TIME, (long)STALL_SECONDS);
    SET(CURLOPT_USERAGENT, "isobit");
#if LIBCURL_VERSION_NUM >= 0x075500
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
    SET(CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
    SET(CURLOPT_REDIR_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
#undef SET
    return failed;
}

static ib_status fail_transfer(CURL *curl, CURLcode result, const char *url, const sink *to,
                               const char *reason, int *absent, ib_error *err) {
    if (to->out_of_memory)
        return ib_fail_memory(err);
    if (to->too_large)
        return ib_fail(err, IB_ERROR_RUNTIME, "%s: offset %zu: larger than the %zu bytes allowed",
                       url, to->size, to->max_bytes);
    long http = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &http);
    /* S3 answers 403 for a key that does not exist when it may not list the bucket */
    *absent = result == CURLE_HTTP_RETURNED_ERROR && (http == 404 || http == 403 || http == 410);
    if (result == CURLE_HTTP_RETURNED_ERROR)
        return ib_fail(err, IB_ERROR_RUNTIME, "%s: HTTP status %ld", url, http);
    return ib_fail(err, IB_ERROR_RUNTIME, "%s: %s (curl error %d, HTTP status %ld)", url,
                   reason[0] != '\0' ? reason : curl_easy_strerror(result), (int)result, http);
}

static ib_status fetch_url(const char *url, sink *to, int *absent, ib_error *err) {
    CURL *curl = curl_easy_init(); /* initialises libcurl itself on first use */
    if (curl == NULL)
        return ib_fail(err, IB_ERROR_RUNTIME, "%s: libcurl does not start", url);
    char reason[CURL_ERROR_SIZE] = "";
    ib_status status = IB_OK;
    if (set_options(curl, url, to, reason)) {
        status = ib_fail(err, IB_ERROR_RUNTIME, "%s: libcurl refuses the options needed", url);
    } else {
        CURLcode result = curl_easy_perform(curl);
        if (result != CURLE_OK)
            status = fail_transfer(curl, result, url, to, reason, absent, err);
    }
    curl_easy_cleanup(curl);
    return status;
}

static ib_status fetch_file(const char *path, size_t max_bytes, uint8_t **data, size_t *size,
                            int *absent, ib_error *err) {
    char *bytes = NULL;
    *absent = access(path, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR);
    ib_status status = ib_read_file(path, max_bytes, &bytes, size, err);
    *data = (uint8_t *)bytes;
    return status;
}

static int is_file_url(const char *url) {
    return strncasecmp(url, FILE_URL, sizeof FILE_URL - 1) == 0;
}

/* By ourselves: libcurl would wait for a pipe, and read a device without end. */
static ib_status fetch_file_url(const char *url, size_t max_bytes, uint8_t **data, size_t *size,
                                int *absent, ib_error *err) {
    const char *rest = url + sizeof FILE_URL - 1, *slash = strchr(rest, '/');
    int length = 0;
    if (slash == NULL || (slash != rest && strncasecmp(rest, "localhost/", 10) != 0))
        return ib_fail(err, IB_ERROR_USAGE,
                       "%s: a file of this machine is named file:///PATH, with three slashes", url);
    char *path = curl_easy_unescape(NULL, slash, 0, &length);
    if (path == NULL)
        return ib_fail_memory(err);
    ib_status status = strlen(path) == (size_t)length
                           ? fetch_file(path, max_bytes, data, size, absent, err)
                           : ib_fail(err, IB_ERROR_USAGE, "%s: no path has a NUL in it", url);
    curl_free(path);
    return status;
}

ib_status ib_fetch(const char *source, size_t max_bytes, uint8_t **data, size_t *size, int *absent,
                   ib_error *err) {
    *data = NULL;
    *size = 0;
    *absent = 0;
    if (!ib_is_url(source))
        return fetch_file(source, max_bytes, data, size, absent, err);
    if (is_file_url(source))
        return fetch_file_url(source, max_bytes, data, size, absent, err);
    sink to = {.max_bytes = max_bytes};
    ib_status status = fetch_url(source, &to, absent, err);
    if (status != IB_OK) {
        free(to.data);
        return status;
    }
    *data = to.data; /* NULL for an empty file */
    *size = to.size;
    return IB_OK;
}
