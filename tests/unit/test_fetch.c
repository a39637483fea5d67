/* Fetching and preparing from mirrors: directories, file:// URLs, and HTTP from a server thread
 * that misbehaves on request. ISOBIT_MIRROR adds the real MNIST and Fashion-MNIST files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <pthread.h>
#include <sys/socket.h>
#include <zlib.h>

#include "data/fetch.h"
#include "data/idx.h"
#include "data/prepare.h"
#include "temp_dir.h"

static void assert_contains(const char *text, const char *part) {
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", part, text);
}

static void assert_failed(ib_status got, ib_status wanted, ib_error *err, const char *part) {
    assert_int_equal(got, wanted);
    assert_contains(ib_error_text(err), part);
    ib_error_clear(err);
}

/* ---- a tiny data set: 3 training and 2 test images ---- */

typedef struct tiny {
    ib_dataset_info info;
    uint8_t *content[IB_FILE_ROLES]; /* one byte more than what is pinned */
    size_t size[IB_FILE_ROLES];
    char hex[IB_FILE_ROLES][IB_SHA256_HEX_SIZE];
} tiny;

static void tiny_open(tiny *t) {
    static const char *const no_mirrors[] = {NULL};
    *t = (tiny){.info = {.name = "tiny",
                         .image = {.channels = 1, .height = 28, .width = 28},
                         .classes = 10,
                         .train_count = 3,
                         .test_count = 2,
                         .mirrors = no_mirrors}};
    for (int role = 0; role < IB_FILE_ROLES; ++role) {
        int images = role == IB_TRAIN_IMAGES || role == IB_TEST_IMAGES;
        uint32_t count = role < IB_TEST_IMAGES ? 3 : 2;
        size_t size = (size_t)ib_dataset_file_bytes(&t->info, (ib_file_role)role);
        t->content[role] = malloc(size + 1);
        t->size[role] = size;
        memset(t->content[role], role, size + 1);
        ib_idx_write_header(t->content[role], t->info.image, images ? IB_IDX_IMAGES : IB_IDX_LABELS,
                            count);
        ib_sha256_bytes(t->content[role], size, t->hex[role]);
        t->info.sha256[role] = t->hex[role];
    }
}

static void tiny_close(tiny *t) {
    for (int role = 0; role < IB_FILE_ROLES; ++role)
        free(t->content[role]);
}

/* Writes directory/<folder>/<file>[.gz]. */
static void put(const tiny *t, const char *directory, const char *folder, int role, int packed) {
    char *name = ib_format("%s/%s%s", folder, ib_dataset_file_name(&t->info, (ib_file_role)role),
                           packed ? ".gz" : "");
    temp_dir_write(directory, name, "", 0);
    char *path = ib_path_join(directory, name);
    gzFile file = gzopen(path, packed ? "wb9" : "wbT"); /* T: no compression, no wrapper */
    assert_true(gzwrite(file, t->content[role], (unsigned)t->size[role]) > 0);
    gzclose(file);
    free(path);
    free(name);
}

static void assert_stored(const tiny *t, const char *data, int role, int stored) {
    char *path = ib_format("%s/tiny/%s", data, ib_dataset_file_name(&t->info, (ib_file_role)role));
    char hex[IB_SHA256_HEX_SIZE];
    ib_status status = ib_sha256_file(path, hex, NULL);
    assert_int_equal(status == IB_OK, stored);
    if (stored)
        assert_string_equal(hex, t->hex[role]);
    free(path);
}

/* ---- mirrors on disk ---- */

static void test_directory_mirror(void **state) {
    (void)state;
    tiny t;
    tiny_open(&t);
    char *root = temp_dir_make(), *data = ib_path_join(root, "data");
    char *mirror = ib_path_join(root, "mirror"), *url = ib_format("file://%s", mirror);
    for (int role = 0; role < IB_FILE_ROLES; ++role)
        put(&t, mirror, "tiny", role, role % 2 == 0); /* .gz and plain side by side */

    assert_int_equal(ib_prepare_files(&t.info, data, mirror, NULL, NULL), IB_OK);
    for (int role = 0; role < IB_FILE_ROLES; ++role)
        assert_stored(&t, data, role, 1);
    temp_dir_write(data, "tiny/t10k-labels-idx1-ubyte", "damage", 6);
    char *log_text = NULL;
    size_t size = 0;
    FILE *log = open_memstream(&log_text, &size);
    assert_int_equal(ib_prepare_files(&t.info, data, url, log, NULL), IB_OK);
    fclose(log);
    assert_contains(log_text, "tiny/t10k-images-idx3-ubyte: ok, kept\n");
    assert_contains(log_text, "tiny/t10k-labels-idx1-ubyte: from file://");
    free(log_text);
    assert_stored(&t, data, IB_TEST_LABELS, 1);
    free(url);
    free(mirror);
    free(data);
    temp_dir_remove(root);
    tiny_close(&t);
}

static void test_bad_mirrors(void **state) {
    (void)state;
    tiny t;
    tiny_open(&t);
    char *root = temp_dir_make(), *data = ib_path_join(root, "data");
    char *mirror = ib_path_join(root, "mirror"), *url = ib_format("file://%s/", mirror);
    ib_error err = {0};
    const char *const sources[] = {mirror, url};
    for (int i = 0; i < 2; ++i) {
        assert_failed(ib_prepare_files(&t.info, data, sources[i], NULL, &err), IB_ERROR_RUNTIME,
                      &err, "MIRROR/tiny/train-images-idx3-ubyte[.gz]; --dataset digits");
    }
    put(&t, mirror, "tiny", IB_TRAIN_IMAGES, 1);
    t.content[IB_TRAIN_LABELS][9] ^= 1; /* another valid label: only the hash can tell */
    put(&t, mirror, "tiny", IB_TRAIN_LABELS, 1);
    for (int i = 0; i < 2; ++i) {
        ib_status status = ib_prepare_files(&t.info, data, sources[i], NULL, &err);
        assert_contains(ib_error_text(&err), "train-labels-idx1-ubyte.gz");
        assert_contains(ib_error_text(&err), t.hex[IB_TRAIN_LABELS]);
        assert_failed(status, IB_ERROR_VERIFY, &err, ", found ");
        assert_stored(&t, data, IB_TRAIN_IMAGES, 1); /* what was good stays */
        assert_stored(&t, data, IB_TRAIN_LABELS, 0);
    }
    /* more content than pinned, in a small gzip file; then a truncated one */
    temp_dir_write(mirror, "tiny/train-labels-idx1-ubyte.gz", "\x1F\x8B\x08", 3);
    assert_failed(ib_prepare_files(&t.info, data, mirror, NULL, &err), IB_ERROR_VERIFY, &err,
                  "train-labels-idx1-ubyte.gz: offset 3: the gzip data ends early");
    ++t.size[IB_TRAIN_LABELS];
    put(&t, mirror, "tiny", IB_TRAIN_LABELS, 0);
    put(&t, mirror, "tiny", IB_TRAIN_LABELS, 1);
    assert_failed(ib_prepare_files(&t.info, data, mirror, NULL, &err), IB_ERROR_VERIFY, &err,
                  "more than the 11 bytes wanted");
    assert_stored(&t, data, IB_TRAIN_LABELS, 0);
    free(url);
    free(mirror);
    free(data);
    temp_dir_remove(root);
    tiny_close(&t);
}

static void test_public_mirrors(void **state) {
    (void)state;
    tiny t;
    tiny_open(&t);
    char *root = temp_dir_make(), *data = ib_path_join(root, "data");
    char *urls[4] = {ib_format("file://%s/none/", root), ib_format("file://%s/wrong/", root),
                     ib_format("file://%s/good/", root), NULL};
    for (int role = 0; role < IB_FILE_ROLES; ++role) {
        t.content[role][8] ^= 1;
        put(&t, root, "wrong", role, 1);
        t.content[role][8] ^= 1;
        put(&t, root, "good", role, 1);
    }
    char *good = urls[2];
    ib_error err = {0};
    t.info.mirrors = (const char *const *)urls;
    urls[2] = NULL;
    ib_status status = ib_prepare_files(&t.info, data, NULL, NULL, &err);
    assert_contains(ib_error_text(&err), "/none/train-images-idx3-ubyte.gz: ");
    assert_contains(ib_error_text(&err), "/wrong/train-images-idx3-ubyte.gz: not the content");
    assert_failed(status, IB_ERROR_VERIFY, &err, "use --mirror");
    urls[2] = urls[1];
    urls[1] = NULL;
    assert_failed(ib_prepare_files(&t.info, data, NULL, NULL, &err), IB_ERROR_RUNTIME, &err,
                  "--dataset digits");
    urls[1] = urls[2];
    urls[2] = good;
    char *log_text = NULL;
    size_t size = 0;
    FILE *log = open_memstream(&log_text, &size);
    assert_int_equal(ib_prepare_files(&t.info, data, "", log, NULL), IB_OK);
    fclose(log);
    assert_contains(log_text, "t10k-labels-idx1-ubyte: failed: ");
    free(log_text);
    for (int role = 0; role < IB_FILE_ROLES; ++role)
        assert_stored(&t, data, role, 1);
    for (int i = 0; i < 3; ++i)
        free(urls[i]);
    free(data);
    temp_dir_remove(root);
    tiny_close(&t);
}

/* ---- HTTP ---- */

typedef struct server {
    int listener;
    pthread_t thread;
} server;

/* The whole answer to each path. The client must not count on the connection for a redirect. */
#define CLOSE "Connection: close\r\n"
static const struct {
    const char *path, *answer;
} ANSWERS[] = {
    {"GET /good ", "HTTP/1.1 200 OK\r\n" CLOSE "Content-Length: 5\r\n\r\nhello"},
    {"GET /moved ", "HTTP/1.1 302 Found\r\n" CLOSE "Location: /good\r\nContent-Length: 0\r\n\r\n"},
    {"GET /loop ", "HTTP/1.1 302 Found\r\n" CLOSE "Location: /loop\r\nContent-Length: 0\r\n\r\n"},
    {"GET /escape ",
     "HTTP/1.1 302 Found\r\n" CLOSE "Location: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n"},
    {"GET /short ", "HTTP/1.1 200 OK\r\n" CLOSE "Content-Length: 50\r\n\r\nhello"},
    {"GET /broken ", "HTTP/1.1 503 Busy\r\n" CLOSE "Content-Length: 4\r\n\r\nbusy"},
    {"GET /empty ", "HTTP/1.1 200 OK\r\n" CLOSE "Content-Length: 0\r\n\r\n"},
    {"GET ", "HTTP/1.1 404 Not Found\r\n" CLOSE "Content-Length: 4\r\n\r\nnone"},
};

static void *serve(void *context) {
    server *s = context;
    int client;
    while ((client = accept(s->listener, NULL, NULL)) >= 0) {
        char request[4096] = "";
        size_t length = 0;
        while (length + 1 < sizeof request && strstr(request, "\r\n\r\n") == NULL) {
            ssize_t got = recv(client, request + length, sizeof request - 1 - length, 0);
            if (got <= 0)
                break;
            length += (size_t)got;
            request[length] = '\0';
        }
        for (size_t i = 0; i < sizeof ANSWERS / sizeof ANSWERS[0]; ++i)
            if (strncmp(request, ANSWERS[i].path, strlen(ANSWERS[i].path)) == 0) {
                send(client, ANSWERS[i].answer, strlen(ANSWERS[i].answer), MSG_NOSIGNAL);
                break;
            }
        shutdown(client, SHUT_WR);
        close(client);
    }
    return NULL;
}

/* Listens on a free local port and returns it. */
static unsigned server_open(server *s) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(s->listener, 8), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
    return ntohs(address.sin_port);
}

static void server_close(server *s) {
    shutdown(s->listener, SHUT_RDWR); /* wakes accept */
    pthread_join(s->thread, NULL);
    close(s->listener);
}

static void test_http(void **state) {
    (void)state;
    setenv("no_proxy", "127.0.0.1", 1); /* a proxy of the machine's must not answer */
    server s;
    unsigned port = server_open(&s);
    static const struct {
        const char *path;
        size_t max_bytes;
        int absent;
        const char *failure; /* NULL: works */
    } cases[] = {
        {"good", 5, 0, NULL},
        {"good", 4, 0, "larger than the 4 bytes allowed"},
        {"moved", 5, 0, NULL},
        {"empty", 5, 0, NULL},
        {"loop", 5, 0, "redirects"},
        {"escape", 1 << 20, 0, "curl error 1"},
        {"short", 100, 0, "curl error 18"},
        {"broken", 100, 0, "/broken: HTTP status 503"},
        {"other", 100, 1, "/other: HTTP status 404"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        char *url = ib_format("http://127.0.0.1:%u/%s", port, cases[i].path);
        uint8_t *bytes;
        size_t size;
        int absent;
        ib_error err = {0};
        ib_status status = ib_fetch(url, cases[i].max_bytes, &bytes, &size, &absent, &err);
        assert_int_equal(absent, cases[i].absent);
        if (cases[i].failure == NULL) {
            assert_int_equal(status, IB_OK);
            assert_int_equal(size, strcmp(cases[i].path, "empty") == 0 ? 0 : 5);
            if (size > 0)
                assert_memory_equal(bytes, "hello", 5);
        } else {
            assert_null(bytes);
            assert_contains(ib_error_text(&err), url);
            assert_failed(status, IB_ERROR_RUNTIME, &err, cases[i].failure);
        }
        free(bytes);
        free(url);
    }
    server_close(&s);

    char *closed = ib_format("http://127.0.0.1:%u", port);
    tiny t;
    tiny_open(&t);
    char *root = temp_dir_make();
    ib_error err = {0};
    assert_failed(ib_prepare_files(&t.info, root, closed, NULL, &err), IB_ERROR_RUNTIME, &err,
                  "curl error 7");
    assert_failed(ib_prepare_files(&t.info, root, "ftp://127.0.0.1/", NULL, &err), IB_ERROR_RUNTIME,
                  &err, "curl error 1");
    temp_dir_remove(root);
    tiny_close(&t);
    free(closed);
}

/* ---- the real files ---- */

static void test_real_files(void **state) {
    (void)state;
    const char *mirror = getenv("ISOBIT_MIRROR");
    if (mirror == NULL) {
        print_message("skipped: ISOBIT_MIRROR names no mirror of mnist and fashion-mnist\n");
        skip();
    }
    char *root = temp_dir_make();
    const char *const names[] = {"mnist", "fashion-mnist"};
    const unsigned first[] = {5, 9}; /* the well-known first training labels */
    for (int i = 0; i < 2; ++i) {
        ib_error err = {0};
        if (ib_dataset_prepare(root, names[i], mirror, NULL, &err) != IB_OK)
            fail_msg("%s", ib_error_text(&err));
        ib_dataset dataset;
        assert_int_equal(ib_dataset_open(root, names[i], &dataset, &err), IB_OK);
        assert_int_equal(dataset.train_count, 60000);
        assert_int_equal(dataset.test_count, 10000);
        assert_int_equal(ib_dataset_label(&dataset, 0), first[i]);
        ib_dataset_close(&dataset);
    }
    temp_dir_remove(root);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_directory_mirror), cmocka_unit_test(test_bad_mirrors),
        cmocka_unit_test(test_public_mirrors),   cmocka_unit_test(test_http),
        cmocka_unit_test(test_real_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
