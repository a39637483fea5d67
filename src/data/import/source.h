/* What an import was given: files, and the files of folders. */
#ifndef IB_DATA_IMPORT_SOURCE_H
#define IB_DATA_IMPORT_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "base/input.h"
#include "base/status.h"
#include "data/import/set.h"

typedef struct ib_import_file {
    char *path;       /* owned */
    const char *name; /* the end of path */
} ib_import_file;

/* Regular files that were named, and those in folders that were named, by their names. */
typedef struct ib_import_source {
    ib_import_file *files;
    size_t count;
    const char *folder; /* the one folder that was named; the caller's. NULL: not one alone */
} ib_import_source;

/* The caller calls ib_import_source_close, also after a failure. */
ib_status ib_import_source_open(const char *const *paths, size_t count, ib_import_source *source,
                                ib_error *err);
void ib_import_source_close(ib_import_source *source);

/* The names in a folder by their bytes, without those that begin with '.'. The caller calls
 * ib_import_names_free, also after a failure. */
typedef struct ib_import_names {
    char **items;
    size_t count;
} ib_import_names;
ib_status ib_import_names_of(const char *folder, ib_import_names *names, ib_error *err);
void ib_import_names_free(ib_import_names *names);

/* Whether the name ends so, in capitals or not; "data.csv.gz" ends with ".csv" too. */
int ib_import_has_suffix(const char *name, const char *suffix);
/* "t10k" or "test" in a name are of test images, unless "train" is in it too; the rest is for
 * training. */
ib_import_part ib_import_part_of(const char *name);

/* The bytes of a file, decompressed where it is gzip. */
typedef struct ib_import_content {
    ib_contents file;
    uint8_t *unpacked; /* NULL: data is file's */
    const uint8_t *data;
    size_t size;
} ib_import_content;

/* path outlives *content. A file that cannot be read is IB_ERROR_VERIFY. The caller calls
 * ib_import_content_close, also after a failure. */
ib_status ib_import_content_open(const char *path, ib_import_content *content, ib_error *err);
void ib_import_content_close(ib_import_content *content);

/* What a format gives: the files that it knows, read into the set. *found: there were such. Test
 * images may be missing. */
typedef ib_status ib_import_reader(const ib_import_source *source, ib_import_set *set, int *found,
                                   ib_error *err);

#endif
