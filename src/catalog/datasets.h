/* The data sets isobit knows: one constant row each, and nothing about them is written elsewhere.
 *
 * What a new row needs. The SHA-256 of the uncompressed content of all four files: it is what every
 * run verifies before its first batch and what experiment_sha256 is made of, also where the files
 * are not there (a study is planned from this table). Publishers often give only the MD5 or SHA-256
 * of their .gz files (KMNIST's loaders, TensorFlow Datasets). Such a sum cannot stand in a row:
 * after unpacking it says nothing about the file that is read. It is for whoever writes the row:
 * download, check the published sum with md5sum or sha256sum, then `gunzip -c FILE | sha256sum` is
 * the row's. Data without a pinned hash is never opened. */
#ifndef IB_CATALOG_DATASETS_H
#define IB_CATALOG_DATASETS_H

#include <stddef.h>
#include <stdint.h>

typedef enum ib_file_role {
    IB_TRAIN_IMAGES,
    IB_TRAIN_LABELS,
    IB_TEST_IMAGES,
    IB_TEST_LABELS,
    IB_FILE_ROLES
} ib_file_role;

enum { IB_MOST_CLASSES = 1000 };

/* An image is height rows of width pixels of channels bytes, less than 2^31 in all. */
typedef struct ib_image_shape {
    uint32_t channels, height, width;
} ib_image_shape;

typedef struct ib_dataset_info {
    const char *name; /* "mnist": also its directory below --data-dir, and a mirror's */
    ib_image_shape image;
    uint32_t classes;               /* 2 to IB_MOST_CLASSES */
    const char *const *class_names; /* [classes]; NULL: "0" to "<classes - 1>" */
    uint32_t first_label;           /* the least byte of the label files: EMNIST's letters have 1 */
    uint32_t train_count, test_count;  /* images */
    const char *files[IB_FILE_ROLES];  /* names without ".gz"; NULL: "train-images-idx3-ubyte"... */
    const char *sha256[IB_FILE_ROLES]; /* of the uncompressed idx content */
    const char *const *mirrors;        /* NULL-terminated URLs ending in '/'; NULL: generated */
    double mean, standard_deviation;   /* of v / 255 over the training images, as published */
    int imported; /* by a user: no row of the catalogue, but a lock file (data/lock.h) says this */
} ib_dataset_info;

/* NULL for an unknown name. */
const ib_dataset_info *ib_dataset_find(const char *name);
/* The index-th data set, NULL past the end. */
const ib_dataset_info *ib_dataset_at(size_t index);

/* "train-images-idx3-ubyte" and so on, without ".gz". */
const char *ib_dataset_file_name(const ib_dataset_info *info, ib_file_role role);
/* The size of an idx file with that many images of that shape, or their labels. */
uint64_t ib_dataset_file_bytes(const ib_dataset_info *info, ib_file_role role);
int ib_is_image_role(ib_file_role role);
/* How many bytes a label has in its file: 1, or 2 where one byte does not hold all of them. */
unsigned ib_dataset_label_bytes(const ib_dataset_info *info);
/* Bytes of one image. */
size_t ib_image_bytes(ib_image_shape image);

#endif
