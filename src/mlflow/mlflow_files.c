/* The files of a record as artifacts, through the server. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/sha256.h"
#include "base/text_stream.h"
#include "mlflow/mlflow_send.h"
#include "record/run_files.h"

enum { DEEPEST = 4 };

/* state[acknowledged]: an object, made where there is none; NULL: out of memory. */
static json_t *acknowledged_files(ib_mlflow_sender *s, const char *acknowledged) {
    if (json_object_get(s->cursor.state, acknowledged) == NULL)
        json_object_set_new(s->cursor.state, acknowledged, json_object());
    return json_object_get(s->cursor.state, acknowledged);
}

/* Not in nanoseconds: numbers of 19 digits are read as texts (record_file.h). */
static json_int_t changed_us(const struct stat *info) {
    return (json_int_t)info->st_mtim.tv_sec * 1000000 + info->st_mtim.tv_nsec / 1000;
}

static ib_status note_file(ib_mlflow_sender *s, json_t *files, const char *name, const char *sha256,
                           const struct stat *info, ib_error *err) {
    json_t *entry = json_pack("{s:s,s:I,s:I}", "sha256", sha256, "bytes", (json_int_t)info->st_size,
                              "changed_us", changed_us(info));
    if (json_object_set_new(files, name, entry) != 0)
        return ib_fail_memory(err);
    return ib_mlflow_cursor_save_soon(&s->cursor, err);
}

/* Size and time as they were when the file was acknowledged. */
static int is_untouched(const json_t *entry, const struct stat *info) {
    return entry != NULL &&
           json_integer_value(json_object_get(entry, "bytes")) == (json_int_t)info->st_size &&
           json_integer_value(json_object_get(entry, "changed_us")) == changed_us(info);
}

/* What the server has is not sent again. */
static ib_status send_bytes(ib_mlflow_sender *s, const void *data, size_t size,
                            const char *artifact_uri, const char *name, const char *acknowledged,
                            const struct stat *info, ib_error *err) {
    char hex[IB_SHA256_HEX_SIZE];
    json_t *files = acknowledged_files(s, acknowledged);
    if (files == NULL)
        return ib_fail_memory(err);
    ib_sha256_bytes(data, size, hex);
    const char *known = json_string_value(json_object_get(json_object_get(files, name), "sha256"));
    if (known == NULL || strcmp(known, hex) != 0) {
        FILE *stream = fmemopen((void *)(uintptr_t)data, size, "r");
        if (stream == NULL)
            return ib_fail_memory(err);
        ib_status status = ib_mlflow_put(s->client, artifact_uri, name, stream, size, err);
        fclose(stream);
        IB_TRY(status);
        ++s->sent->artifacts;
        s->sent->bytes += size;
    }
    return note_file(s, files, name, hex, info, err);
}

ib_status ib_mlflow_send_file(ib_mlflow_sender *s, const char *path, const char *sha256,
                              const char *artifact_uri, const char *name, const char *acknowledged,
                              ib_error *err) {
    struct stat info;
    ib_contents contents;
    char hex[IB_SHA256_HEX_SIZE];
    const json_t *files = acknowledged_files(s, acknowledged);
    if (files == NULL)
        return ib_fail_memory(err);
    if (stat(path, &info) != 0)
        return ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot read %s", path);
    if (is_untouched(json_object_get(files, name), &info))
        return IB_OK;
    s->client->transient = 0;
    ib_status status = ib_run_contents_open(&s->run, path, name, &contents, err);
    if (status == IB_OK && sha256 != NULL)
        ib_sha256_bytes(contents.data, contents.size, hex);
    if (status == IB_OK && (sha256 == NULL || strcmp(hex, sha256) == 0))
        status = send_bytes(s, contents.data, contents.size, artifact_uri, name, acknowledged,
                            &info, err);
    ib_contents_close(&contents);
    return status;
}

ib_status ib_mlflow_send_text(ib_mlflow_sender *s, const char *text, const char *artifact_uri,
                              const char *name, const char *acknowledged, ib_error *err) {
    struct stat info = {.st_size = (off_t)strlen(text)};
    return send_bytes(s, text, strlen(text), artifact_uri, name, acknowledged, &info, err);
}

/* Ours, half-written, hidden, or checkpoints, which nobody needs who has the model. */
static int is_passed_over(const char *name) {
    return name[0] == '.' || strcmp(name, "mlflow.json") == 0 || strcmp(name, "checkpoints") == 0 ||
           strstr(name, ".tmp-") != NULL;
}

/* Links are not followed: what lies outside the record is nobody's to publish. */
static ib_status send_directory(ib_mlflow_sender *s, const char *path, const char *prefix,
                                int depth, ib_error *err) {
    const char *artifact_uri = ib_mlflow_state_text(&s->cursor, "artifact_uri");
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, NULL, alphasort);
    if (count < 0)
        return ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot read %s", path);
    ib_status status = IB_OK;
    for (int i = 0; i < count; ++i) {
        struct stat info = {0};
        char *inner = NULL, *name = NULL;
        if (status == IB_OK && !is_passed_over(entries[i]->d_name)) {
            inner = ib_path_join(path, entries[i]->d_name);
            name = ib_format("%s%s", prefix, entries[i]->d_name);
            if (inner == NULL || name == NULL)
                status = ib_fail_memory(err);
            else if (lstat(inner, &info) == 0 && S_ISREG(info.st_mode))
                status = ib_mlflow_send_file(s, inner, NULL, artifact_uri, name, "artifacts", err);
            else if (S_ISDIR(info.st_mode) && depth < DEEPEST) {
                char *below = ib_format("%s/", name);
                status = below == NULL ? ib_fail_memory(err)
                                       : send_directory(s, inner, below, depth + 1, err);
                free(below);
            }
        }
        free(inner);
        free(name);
        free(entries[i]);
    }
    free(entries);
    return status;
}

/* The confusion matrix as a table that MLflow shows. */
static ib_status send_confusion(ib_mlflow_sender *s, ib_error *err) {
    size_t classes = s->run.data.shape.classes;
    if (s->run.confusion == NULL)
        return IB_OK;
    ib_text_stream text;
    IB_TRY(ib_text_open(&text, err));
    FILE *out = text.stream;
    fputs("label", out);
    for (size_t c = 0; c < classes; ++c)
        fprintf(out, ",predicted_%zu", c);
    for (size_t r = 0; r < classes; ++r) {
        fprintf(out, "\n%zu", r);
        for (size_t c = 0; c < classes; ++c)
            fprintf(out, ",%.0f", s->run.confusion[r * classes + c]);
    }
    fputc('\n', out);
    IB_TRY(ib_text_close(&text, err));
    ib_status status =
        ib_mlflow_send_text(s, text.data, ib_mlflow_state_text(&s->cursor, "artifact_uri"),
                            "confusion_matrix.csv", "artifacts", err);
    free(text.data);
    return status;
}

ib_status ib_mlflow_send_files(ib_mlflow_sender *s, ib_error *err) {
    IB_TRY(send_confusion(s, err));
    return send_directory(s, s->directory, "", 0, err);
}
