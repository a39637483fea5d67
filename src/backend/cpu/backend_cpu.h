/* Opens the CPU backend. */
#ifndef IB_CPU_BACKEND_CPU_H
#define IB_CPU_BACKEND_CPU_H

#include "backend/backend.h"

typedef struct ib_cpu_kernels ib_cpu_kernels; /* cpu.h */

/* isa "auto" takes the best this machine runs. IB_ERROR_UNAVAILABLE names what is missing. */
ib_status ib_cpu_open(const char *isa, unsigned threads, ib_backend **backend, ib_error *err);
/* With this very table, which the machine must support: for tests, since two may have one name. */
ib_status ib_cpu_open_kernels(const ib_cpu_kernels *kernels, unsigned threads, ib_backend **backend,
                              ib_error *err);

#endif
