/* Data sets that users have imported. Beside its idx files each has a lock file, dataset.json, that
 * says what a row of the catalogue says of those that isobit knows. The folder's name is the set's.
 */
#ifndef IB_DATA_LOCK_H
#define IB_DATA_LOCK_H

#include <stddef.h>

#include "base/status.h"
#include "catalog/datasets.h"

#define IB_LOCK_NAME "dataset.json"
enum {
    IB_LOCK_FORMAT = 1,
    IB_LOCK_MOST_SIDE = 256,
    IB_LOCK_MOST_CHANNELS = 4,
    IB_LOCK_MOST_NAME = 64,        /* bytes of the name of a set */
    IB_LOCK_MOST_CLASS_NAME = 255, /* and of that of a class */
    IB_LOCK_MOST_BYTES = 4 << 20,
    IB_LOCK_MOST_IMAGES = 1 << 30
};

typedef struct ib_dataset_lock ib_dataset_lock;

/* A data set by its name: info is a row of the catalogue, or of the lock. */
typedef struct ib_dataset_description {
    const ib_dataset_info *info;
    ib_dataset_lock *lock; /* owned; NULL: of the catalogue */
} ib_dataset_description;

/* Looks name up in the catalogue, then in <data_dir>/<name>/dataset.json. IB_ERROR_USAGE with the
 * names there are where it is in neither. The caller calls ib_dataset_description_close. */
ib_status ib_dataset_describe(const char *data_dir, const char *name,
                              ib_dataset_description *description, ib_error *err);
void ib_dataset_description_close(ib_dataset_description *description);

/* Reads a lock file's text; file names it in messages, name is the set's. What is not as it is
 * written is IB_ERROR_VERIFY. The caller calls ib_dataset_lock_free. */
ib_status ib_dataset_lock_parse(const char *file, const char *text, size_t size, const char *name,
                                ib_dataset_lock **lock, ib_error *err);
const ib_dataset_info *ib_dataset_lock_info(const ib_dataset_lock *lock);
void ib_dataset_lock_free(ib_dataset_lock *lock); /* NULL: nothing */

/* What a file of an imported set is called: "train-images-idx3-ubyte", idx4 with several channels,
 * "train-labels-idx1-short" for more than 256 classes. */
const char *ib_dataset_lock_file_name(ib_image_shape image, unsigned label_bytes,
                                      ib_file_role role);
/* Whether an imported set may be called so: 1 to 64 of a-z, A-Z, 0-9, '.', '_' and '-', the first a
 * letter or digit. */
int ib_is_dataset_name(const char *name);

/* IB_ERROR_USAGE with the names there are. */
ib_status ib_dataset_fail_unknown(const char *data_dir, const char *name, ib_error *err);

#endif
