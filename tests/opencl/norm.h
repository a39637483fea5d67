/* Batch normalisation on the device: a test of test_opencl.c, and what it takes from there. */
#ifndef TESTS_OPENCL_NORM_H
#define TESTS_OPENCL_NORM_H

#include "arrays.h"

/* The test's state; skips it where no device can run the definitions. */
struct test *able(void **state);
/* sums = the tree over leaves of groups_in_leaf groups; partial: [group][weight], used up. */
void leaf_tree(struct test *t, int64_t weights, int64_t groups, int64_t groups_in_leaf, int settles,
               const struct array *partial, const struct array *sums);

void normalisations(void **state);

#endif
