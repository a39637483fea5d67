/* Max-pools on the device: a test of test_opencl.c. */
#ifndef TESTS_OPENCL_POOL_H
#define TESTS_OPENCL_POOL_H

void max_pools(void **state);

#endif
