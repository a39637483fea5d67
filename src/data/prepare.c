#include "data/prepare.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "data/digits.h"
#include "data/fetch.h"
#include "data/gunzip.h"

/* A gzip file can be a little larger than its content. */
enum { GZIP_ALLOWANCE = 65536 };

typedef struct content {
    uint8_t *data;
    size_t size;
} content;

/* One line about one file, and at once, because the next step may take minutes. */
static void note(FILE *log, const ib_dataset_info *info, ib_file_role role, const char *what,
                 const char *detail) {
    if (log == NULL)
        return;
    char *line =
        ib_format("%s/%s: %s%s\n", info->name, ib_dataset_file_name(info, role), what, detail);
    char *safe = line == NULL ? NULL : ib_text_safe(line);
    if (safe != NULL)
        fputs(safe, log);
    free(safe);
    free(line);
    fflush(log);
}

/* Turns the fetched bytes into the file's content, checked. Frees the fetched bytes. */
static ib_status unpack(const ib_dataset_info *info, ib_file_role role, const char *source,
                        content fetched, content *out, ib_error *err) {
    char found[IB_SHA256_HEX_SIZE];
    *out = fetched;
    if (ib_is_gzip(fetched.data, fetched.size)) {
        ib_status status =
            ib_gunzip(source, fetched.data, fetched.size, (size_t)ib_dataset_file_bytes(info, role),
                      &out->data, &out->size, err);
        free(fetched.data);
        IB_TRY(status);
    }
    ib_status status = ib_dataset_check(info, role, source, out->data, out->size, found, err);
    if (status != IB_OK) {
        free(out->data);
        *out = (content){0};
    }
    return status;
}

static ib_status obtain_from(const ib_dataset_info *info, ib_file_role role, const char *source,
                             FILE *log, content *out, int *absent, ib_error *err) {
    content fetched = {0};
    note(log, info, role, "from ", source);
    IB_TRY(ib_fetch(source, (size_t)ib_dataset_file_bytes(info, role) + GZIP_ALLOWANCE,
                    &fetched.data, &fetched.size, absent, err));
    return unpack(info, role, source, fetched, out, err);
}

/* <mirror>/<dataset>/<file>.gz, or without .gz where that is not there. */
static ib_status obtain_from_named(const ib_dataset_info *info, ib_file_role role,
                                   const char *mirror, FILE *log, content *out, ib_error *err) {
    int slash = mirror[0] != '\0' && mirror[strlen(mirror) - 1] == '/';
    char *plain = ib_format("%s%s%s/%s", mirror, slash ? "" : "/", info->name,
                            ib_dataset_file_name(info, role));
    char *packed = plain != NULL ? ib_format("%s.gz", plain) : NULL;
    ib_status status = packed != NULL ? IB_OK : ib_fail_memory(err);
    if (status == IB_OK) {
        int absent = 0;
        status = obtain_from(info, role, packed, log, out, &absent, err);
        if (status != IB_OK && absent) {
            ib_error_clear(err);
            status = obtain_from(info, role, plain, log, out, &absent, err);
            if (status != IB_OK && absent)
                ib_fail_context(err, "neither %s nor the same without .gz is there", packed);
        }
    }
    if (status == IB_ERROR_RUNTIME)
        ib_fail_context(err,
                        "cannot get %s (a mirror named explicitly is the only source and is "
                        "laid out as MIRROR/%s/%s[.gz]; --dataset digits needs no network)",
                        ib_dataset_file_name(info, role), info->name,
                        ib_dataset_file_name(info, role));
    free(packed);
    free(plain);
    return status;
}

/* Adds err's message to the list of failures, and clears err. */
static void collect(char **failures, ib_error *err) {
    char *longer = ib_format("%s\n  %s", *failures != NULL ? *failures : "", ib_error_text(err));
    free(*failures);
    *failures = longer;
    ib_error_clear(err);
}

/* The public mirrors in order. What each did wrong is in the message when none will do. */
static ib_status obtain_from_public(const ib_dataset_info *info, ib_file_role role, FILE *log,
                                    content *out, ib_error *err) {
    char *failures = NULL;
    int rejected = 0;
    ib_status status = IB_ERROR_RUNTIME;
    for (size_t i = 0; status != IB_OK && info->mirrors[i] != NULL; ++i) {
        ib_error failure = {0};
        int absent;
        char *url = ib_format("%s%s.gz", info->mirrors[i], ib_dataset_file_name(info, role));
        if (url == NULL) {
            free(failures);
            return ib_fail_memory(err);
        }
        status = obtain_from(info, role, url, log, out, &absent, &failure);
        rejected |= status == IB_ERROR_VERIFY;
        if (status != IB_OK) {
            note(log, info, role, "failed: ", ib_error_text(&failure));
            collect(&failures, &failure);
        }
        free(url);
    }
    if (status != IB_OK)
        status =
            ib_fail(err, rejected ? IB_ERROR_VERIFY : IB_ERROR_RUNTIME,
                    "no public mirror gave %s/%s:%s\n"
                    "use --mirror with a directory or URL that has it, or --dataset digits, "
                    "which needs no network",
                    info->name, ib_dataset_file_name(info, role), failures != NULL ? failures : "");
    free(failures);
    return status;
}

static ib_status obtain(const ib_dataset_info *info, ib_file_role role, const char *mirror,
                        FILE *log, content *out, ib_error *err) {
    if (info->mirrors == NULL) { /* nowhere to download from: --mirror does not apply */
        char found[IB_SHA256_HEX_SIZE];
        note(log, info, role, "generating", "");
        IB_TRY(ib_digits_file(role, &out->data, &out->size, err));
        ib_status status = ib_dataset_check(info, role, ib_dataset_file_name(info, role), out->data,
                                            out->size, found, err);
        if (status == IB_ERROR_VERIFY)
            ib_fail_context(
                err,
                "this machine or compiler draws other digits than it should; please report it");
        if (status != IB_OK)
            free(out->data);
        return status;
    }
    return mirror != NULL ? obtain_from_named(info, role, mirror, log, out, err)
                          : obtain_from_public(info, role, log, out, err);
}

/* Whether the stored file is already what is pinned. */
static int is_stored(const ib_dataset_info *info, ib_file_role role, const char *path) {
    ib_contents file;
    char found[IB_SHA256_HEX_SIZE];
    if (ib_contents_open(path, (size_t)ib_dataset_file_bytes(info, role), &file, NULL) != IB_OK)
        return 0;
    int good = ib_dataset_check(info, role, path, file.data, file.size, found, NULL) == IB_OK;
    ib_contents_close(&file);
    return good;
}

static ib_status prepare_file(const ib_dataset_info *info, ib_file_role role, const char *directory,
                              const char *mirror, FILE *log, ib_error *err) {
    char *path = ib_path_join(directory, ib_dataset_file_name(info, role));
    if (path == NULL)
        return ib_fail_memory(err);
    ib_status status = IB_OK;
    if (is_stored(info, role, path)) {
        note(log, info, role, "ok, kept", "");
    } else {
        content bytes = {0};
        status = obtain(info, role, mirror, log, &bytes, err);
        if (status == IB_OK) {
            status = ib_write_file_atomic(path, bytes.data, bytes.size, err);
            free(bytes.data);
        }
        if (status == IB_OK)
            note(log, info, role, "ok, sha256 ", info->sha256[role]);
    }
    free(path);
    return status;
}

ib_status ib_prepare_files(const ib_dataset_info *info, const char *data_dir, const char *mirror,
                           FILE *log, ib_error *err) {
    if (mirror != NULL && mirror[0] == '\0') /* an environment variable set to nothing */
        mirror = NULL;
    char *directory = ib_path_join(data_dir, info->name);
    if (directory == NULL)
        return ib_fail_memory(err);
    ib_status status = ib_make_directories(directory, err);
    for (int role = 0; status == IB_OK && role < IB_FILE_ROLES; ++role)
        status = prepare_file(info, (ib_file_role)role, directory, mirror, log, err);
    free(directory);
    return status;
}

ib_status ib_dataset_prepare(const char *data_dir, const char *name, const char *mirror, FILE *log,
                             ib_error *err) {
    ib_dataset_description description;
    IB_TRY(ib_dataset_describe(data_dir, name, &description, err));
    ib_status status =
        description.info->imported
            ? ib_fail(err, IB_ERROR_USAGE,
                      "%s was imported: there is nowhere to get it from but what it was made of; "
                      "isobit data verify says whether it is whole",
                      name)
            : ib_prepare_files(description.info, data_dir, mirror, log, err);
    ib_dataset_description_close(&description);
    return status;
}
