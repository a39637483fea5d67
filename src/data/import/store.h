/* Writing an imported set. */
#ifndef IB_DATA_IMPORT_STORE_H
#define IB_DATA_IMPORT_STORE_H

#include "data/import/set.h"

/* What the images were made from, for the lock file. */
typedef struct ib_import_origin {
    const char *format; /* in words */
    const char *const *paths;
    size_t count;
} ib_import_origin;

/* Whether a set may be written to <data_dir>/<name>, which is not there, or empty; IB_ERROR_USAGE
 * saying why not. */
ib_status ib_import_check_place(const char *data_dir, const char *name, ib_error *err);
/* Writes a finished set there: idx files, then the lock file, without which there is no set. A
 * failure leaves none of them. */
ib_status ib_import_store(const char *data_dir, const ib_import_set *set,
                          const ib_import_origin *origin, ib_error *err);

#endif
