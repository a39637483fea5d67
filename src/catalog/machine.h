/* What computes, and how: no bit of a result depends on it. */
#ifndef IB_CATALOG_MACHINE_H
#define IB_CATALOG_MACHINE_H

#include <stdint.h>

typedef struct ib_machine {
    char *backend;       /* "auto", "cpu", "opencl", "cuda" */
    char *isa;           /* "auto", "scalar", "avx2", "avx512", "neon" */
    int64_t threads;     /* 0: every usable CPU */
    int64_t cache_mb;    /* svm: 2048, MiB of kernel values */
    int64_t data_memory; /* MiB for images; 0: by the memory that there is */
    int no_accel;
    int exact;               /* --math exact: 1 */
    int64_t test_batch_size; /* 1000 */
} ib_machine;

#endif
