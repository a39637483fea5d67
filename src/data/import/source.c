#include "data/import/source.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/file.h"
#include "data/gunzip.h"

/* No file that is imported is greater. */
#define MOST_BYTES ((size_t)16 << 30)

/* ---- names --------------------------------------------------------------------------------------
 */

/* By bytes, not by locale: classes have the same numbers everywhere. */
static int by_bytes(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static ib_status add_name(ib_import_names *names, const char *name, ib_error *err) {
    char **items = realloc(names->items, (names->count + 1) * sizeof *items);
    if (items == NULL)
        return ib_fail_memory(err);
    names->items = items;
    items[names->count] = strdup(name);
    return items[names->count++] == NULL ? ib_fail_memory(err) : IB_OK;
}

ib_status ib_import_names_of(const char *folder, ib_import_names *names, ib_error *err) {
    *names = (ib_import_names){0};
    DIR *list = opendir(folder);
    if (list == NULL)
        return errno == ENOMEM ? ib_fail_memory(err)
                               : ib_fail_errno(err, IB_ERROR_VERIFY, errno,
                                               "cannot list the folder %s", folder);
    ib_status status = IB_OK;
    const struct dirent *entry;
    errno = 0;
    while (status == IB_OK && (entry = readdir(list)) != NULL) {
        if (entry->d_name[0] != '.')
            status = add_name(names, entry->d_name, err);
        errno = 0;
    }
    if (status == IB_OK && errno != 0)
        status = ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot list the folder %s", folder);
    closedir(list);
    if (status == IB_OK && names->count > 0)
        qsort(names->items, names->count, sizeof *names->items, by_bytes);
    return status;
}

void ib_import_names_free(ib_import_names *names) {
    for (size_t i = 0; i < names->count; ++i)
        free(names->items[i]);
    free(names->items);
    *names = (ib_import_names){0};
}

static int ends_with(const char *name, size_t length, const char *suffix) {
    size_t n = strlen(suffix);
    return length >= n && strncasecmp(name + length - n, suffix, n) == 0;
}

int ib_import_has_suffix(const char *name, const char *suffix) {
    size_t length = strlen(name);
    if (ends_with(name, length, suffix))
        return 1;
    return ends_with(name, length, ".gz") && ends_with(name, length - 3, suffix);
}

ib_import_part ib_import_part_of(const char *name) {
    int test = strstr(name, "t10k") != NULL || strstr(name, "test") != NULL;
    return test && strstr(name, "train") == NULL ? IB_PART_TEST : IB_PART_TRAIN;
}

/* ---- what was named -----------------------------------------------------------------------------
 */

/* Takes path. */
static ib_status add_file(ib_import_source *source, char *path, ib_error *err) {
    ib_import_file *files =
        path == NULL ? NULL : realloc(source->files, (source->count + 1) * sizeof *files);
    if (files == NULL) {
        free(path);
        return ib_fail_memory(err);
    }
    source->files = files;
    const char *slash = strrchr(path, '/');
    files[source->count++] = (ib_import_file){path, slash == NULL ? path : slash + 1};
    return IB_OK;
}

static ib_status add_folder(ib_import_source *source, const char *folder, ib_error *err) {
    ib_import_names names;
    ib_status status = ib_import_names_of(folder, &names, err);
    for (size_t i = 0; status == IB_OK && i < names.count; ++i) {
        struct stat info;
        char *path = ib_path_join(folder, names.items[i]);
        if (path != NULL && (stat(path, &info) != 0 || !S_ISREG(info.st_mode)))
            free(path);
        else
            status = add_file(source, path, err);
    }
    ib_import_names_free(&names);
    return status;
}

/* Images that come twice would be in both parts. */
static ib_status check_once(const char *const *paths, size_t index, const struct stat *info,
                            ib_error *err) {
    struct stat other;
    for (size_t i = 0; i < index; ++i)
        if (stat(paths[i], &other) == 0 && other.st_dev == info->st_dev &&
            other.st_ino == info->st_ino)
            return ib_fail(err, IB_ERROR_USAGE, "%s and %s are one file: leave one out", paths[i],
                           paths[index]);
    return IB_OK;
}

ib_status ib_import_source_open(const char *const *paths, size_t count, ib_import_source *source,
                                ib_error *err) {
    *source = (ib_import_source){0};
    for (size_t i = 0; i < count; ++i) {
        struct stat info;
        if (stat(paths[i], &info) != 0)
            return ib_fail_errno(err, IB_ERROR_USAGE, errno, "cannot import %s", paths[i]);
        IB_TRY(check_once(paths, i, &info, err));
        if (S_ISDIR(info.st_mode)) {
            source->folder = count == 1 ? paths[i] : NULL;
            IB_TRY(add_folder(source, paths[i], err));
        } else {
            IB_TRY(add_file(source, strdup(paths[i]), err));
        }
    }
    return IB_OK;
}

void ib_import_source_close(ib_import_source *source) {
    for (size_t i = 0; i < source->count; ++i)
        free(source->files[i].path);
    free(source->files);
    *source = (ib_import_source){0};
}

/* ---- contents -----------------------------------------------------------------------------------
 */

/* A gzip file ends with the size of its content; deflate cannot make less than a 1,032nd of it, so
 * that a size that is a lie is told before there is memory for it. */
static ib_status unpack(ib_import_content *content, ib_error *err) {
    enum { MOST_RATIO = 1032 };
    const ib_contents *file = &content->file;
    const uint8_t *end = file->data + file->size;
    size_t size = file->size < 18 ? 0
                                  : (size_t)end[-4] | (size_t)end[-3] << 8 | (size_t)end[-2] << 16 |
                                        (size_t)end[-1] << 24;
    if (size / MOST_RATIO > file->size)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s: offset %zu: the gzip data says that it is of %zu bytes, which so short "
                       "a file cannot hold: get it again",
                       file->path, file->size - 4, size);
    IB_TRY(ib_gunzip(file->path, file->data, file->size, size, &content->unpacked, &content->size,
                     err));
    content->data = content->unpacked;
    return IB_OK;
}

ib_status ib_import_content_open(const char *path, ib_import_content *content, ib_error *err) {
    *content = (ib_import_content){0};
    ib_error why = {0};
    ib_status status = ib_contents_open(path, MOST_BYTES, &content->file, &why);
    if (status != IB_OK) { /* not the machine's fault, unless memory ran out */
        status = ib_error_is_memory(&why)
                     ? ib_fail_memory(err)
                     : ib_fail(err, IB_ERROR_VERIFY, "%s", ib_error_text(&why));
        ib_error_clear(&why);
        return status;
    }
    content->data = content->file.data;
    content->size = content->file.size;
    return ib_is_gzip(content->data, content->size) ? unpack(content, err) : IB_OK;
}

void ib_import_content_close(ib_import_content *content) {
    ib_contents_close(&content->file);
    free(content->unpacked);
    *content = (ib_import_content){0};
}
