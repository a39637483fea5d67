/* Data sets: images and labels in memory of their own, where they were verified. */
#ifndef IB_DATA_DATASET_H
#define IB_DATA_DATASET_H

#include <stddef.h>
#include <stdint.h>

#include "base/input.h"
#include "base/sha256.h"
#include "base/status.h"
#include "catalog/datasets.h"
#include "data/blocks.h"
#include "data/lock.h"

/* An open data set: training images first, then test images, in one numbering 0..count-1. */
typedef struct ib_dataset {
    const ib_dataset_info *info;
    ib_dataset_lock *lock; /* owned: what info is of; NULL: of the catalogue */
    size_t train_count, test_count;
    ib_contents files[IB_FILE_ROLES];
    ib_blocks *blocks[IB_FILE_ROLES];     /* of what is not in memory whole, instead */
    const uint8_t *values[IB_FILE_ROLES]; /* behind the header; NULL when released */
    size_t image_bytes;
    char sha256[IB_FILE_ROLES][IB_SHA256_HEX_SIZE]; /* of the bytes read */
} ib_dataset;

/* Reads <data_dir>/<name>/ into memory and checks every file's SHA-256 against the one that the
 * catalogue or, of an imported set, the lock file has. A missing or damaged file is IB_ERROR_VERIFY
 * with the command that mends it. What happens to the files afterwards changes nothing. The caller
 * closes it. */
ib_status ib_dataset_open(const char *data_dir, const char *name, ib_dataset *dataset,
                          ib_error *err);
/* The same within so much memory: where it is too little, images stay in their files, and
 * ib_dataset_hold brings those that are wanted. */
ib_status ib_dataset_open_within(const char *data_dir, const char *name, size_t memory_bytes,
                                 ib_dataset *dataset, ib_error *err);
/* The first for a described data set, which outlives *dataset. */
ib_status ib_dataset_open_described(const char *data_dir, const ib_dataset_info *info,
                                    ib_dataset *dataset, ib_error *err);
void ib_dataset_close(ib_dataset *dataset);
/* Gives the pixels' memory back early; info and hashes stay. Then only ib_dataset_close is left. */
void ib_dataset_release_pixels(ib_dataset *dataset);

/* Makes the pixels of these images readable until the next call, which is needed where images stay
 * in files and costs nothing elsewhere. A file that was changed is IB_ERROR_VERIFY. */
ib_status ib_dataset_hold(const ib_dataset *dataset, const uint32_t *indices, size_t count,
                          ib_error *err);
/* How many images ib_dataset_hold can take at once within the memory, at least 1. */
size_t ib_dataset_hold_most(const ib_dataset *dataset);

/* The image_bytes bytes (row by row, a pixel's channels together) and the label (0 to classes - 1)
 * of one image of the joint numbering. */
const uint8_t *ib_dataset_pixels(const ib_dataset *dataset, size_t index);
unsigned ib_dataset_label(const ib_dataset *dataset, size_t index);
/* The labels of all images, into fresh memory that the caller frees. */
ib_status ib_dataset_labels(const ib_dataset *dataset, uint16_t **labels, ib_error *err);

/* Gets the data set into <data_dir>/<name>/ from mirror (a directory, file:// or http(s) URL;
 * NULL or "": the public mirrors in order), or generates it. Files that verify already are kept.
 * Each file is written atomically. Lines about progress go to log (NULL: silent). */
ib_status ib_dataset_prepare(const char *data_dir, const char *name, const char *mirror, FILE *log,
                             ib_error *err);

/* Checks every file of the data set, prints one line a file to report, and fails closed: nothing
 * found, a missing, damaged or unlisted file is IB_ERROR_VERIFY. */
ib_status ib_dataset_verify(const char *data_dir, const char *name, FILE *report, ib_error *err);

#endif
