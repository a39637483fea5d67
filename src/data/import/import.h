/* Images as users have them, made into a data set: idx files and the lock file that describes them
 * (data/lock.h). One file here reads one format; readers.h lists them. */
#ifndef IB_DATA_IMPORT_IMPORT_H
#define IB_DATA_IMPORT_IMPORT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"

typedef struct ib_import_options {
    const char *name;            /* what the set is to be called */
    int transpose;               /* rows of the source are columns */
    uint32_t resize[2], size[2]; /* height, width; 0: not given. size: of images in CSV files */
    double test_share;           /* 0: the source has test images */
} ib_import_options;

/* Reads paths (files and folders) and writes <data_dir>/<name>/. What cannot be read, or is not as
 * its format has it, is IB_ERROR_VERIFY naming file and place; nothing is written then. A name that
 * is taken, or a test share that is missing or not needed, is IB_ERROR_USAGE. Lines about what was
 * done go to log (NULL: silent). */
ib_status ib_dataset_import(const char *data_dir, const char *const *paths, size_t count,
                            const ib_import_options *options, FILE *log, ib_error *err);

/* "28x28" as height and width, both from 1 to 256. given_as: the option, for messages. */
ib_status ib_import_parse_size(const char *given_as, const char *text, uint32_t size[2],
                               ib_error *err);

#endif
