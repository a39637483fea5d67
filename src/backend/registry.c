/* Which backend answers to which name. */
#include <string.h>

#include "backend/backend.h"
#include "backend/cpu/backend_cpu.h"
#include "backend/cpu/cpu.h"

ib_status ib_backend_open(const ib_backend_options *options, ib_backend **backend, ib_error *err) {
    const char *name = options->backend;
    *backend = NULL;
    if (strcmp(name, "auto") == 0 || strcmp(name, "cpu") == 0)
        return ib_cpu_open(options->isa, options->threads, backend, err);
    if (strcmp(name, "cuda") == 0 || strcmp(name, "opencl") == 0)
        return ib_fail(err, IB_ERROR_UNAVAILABLE,
                       "backend %s is not part of this build; use --backend cpu", name);
    return ib_fail(err, IB_ERROR_USAGE, "unknown backend %s (known: auto, cpu, opencl, cuda)",
                   name);
}

void ib_backend_close(ib_backend *backend) {
    if (backend != NULL)
        backend->ops->close(backend);
}

const char *ib_backend_isa_at(size_t index, int *supported) {
    const ib_cpu_kernels *const *tables = ib_cpu_kernel_tables();
    for (size_t i = 0; tables[i] != NULL; ++i) {
        int repeated = i > 0 && strcmp(tables[i]->isa, tables[i - 1]->isa) == 0;
        if (!repeated && index-- == 0) {
            *supported = ib_cpu_supports(tables[i]);
            return tables[i]->isa;
        }
    }
    return NULL;
}
