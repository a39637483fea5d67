/* A test of test_opencl.c. */
#ifndef TESTS_OPENCL_OPTIMISERS_H
#define TESTS_OPENCL_OPTIMISERS_H

void optimisers(void **state);

#endif
