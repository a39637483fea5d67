/* Which image is for training, validation or test. */
#ifndef IB_DATA_SPLIT_H
#define IB_DATA_SPLIT_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef enum ib_split_kind {
    IB_SPLIT_OFFICIAL, /* the data set's own training and test images; validation images are held
                          back from training where they are asked for */
    IB_SPLIT_70_10_20, /* all images merged, permuted by the seed, cut 70 % / 10 % / 20 % */
} ib_split_kind;

/* Indices into the joint numbering of ib_dataset. One allocation; the caller calls ib_split_close.
 */
typedef struct ib_split {
    ib_split_kind kind;
    uint32_t *train, *validation, *test;
    size_t train_count, validation_count, test_count;
    size_t train_part, train_limit; /* before any limit; 0: none */
    uint32_t *storage;
} ib_split;

/* train_limit and test_limit keep the first so many of each part (0: all); more than there are is
 * IB_ERROR_USAGE. The permutation is NUMERICS.md's "Shuffle" with stream IB_STREAM_SPLIT. */
ib_status ib_split_make(ib_split_kind kind, size_t train_images, size_t test_images, uint64_t seed,
                        size_t train_limit, size_t test_limit, ib_split *split, ib_error *err);
void ib_split_close(ib_split *split);
/* Keeps the first so many validation images of a split or its counts (0: all); of an official
 * split, takes the last so many images of the training part for validation (0: none). More than
 * there are, or than are left beside a limit of the training part, is IB_ERROR_USAGE. */
ib_status ib_split_limit_validation(ib_split *split, size_t validation_limit, ib_error *err);
/* How many images each part of that split has, without making it; storage stays NULL. */
ib_status ib_split_count(ib_split_kind kind, size_t train_images, size_t test_images,
                         size_t train_limit, size_t test_limit, ib_split *counts, ib_error *err);

/* Permutes entries in place by Fisher and Yates (from i = count-1
 * down to 1: swap i with a bounded integer j <= i drawn as element i) for this stream and step. */
void ib_shuffle(uint32_t *entries, size_t count, uint64_t seed, unsigned stream, uint64_t step);

#endif
