/* The CPU backend for tests: with a given table of kernels. Others open it by name
 * (ib_backend_open). */
#ifndef IB_CPU_BACKEND_CPU_H
#define IB_CPU_BACKEND_CPU_H

#include "backend/backend.h"

typedef struct ib_cpu_kernels ib_cpu_kernels; /* cpu.h */

/* The machine must support the table; two may have one name. */
ib_status ib_cpu_open_kernels(const ib_cpu_kernels *kernels, unsigned threads, ib_backend **backend,
                              ib_error *err);

#endif
