/* Which backend answers to which name. */
#include <string.h>

#include "backend/backends.h"
#include "backend/cpu/cpu.h"
#include "catalog/backends.h"

typedef ib_status open_function(const ib_backend_options *options, ib_backend **backend,
                                ib_error *err);

static const struct {
    const char *name;
    open_function *open;
} BACKENDS[] = {
#define IB_BACKEND(name) {#name, ib_##name##_backend_open},
#include "catalog/backends.inc"
#undef IB_BACKEND
};
enum { BACKEND_COUNT = sizeof BACKENDS / sizeof BACKENDS[0] };

/* The first that this machine has. */
static ib_status open_any(const ib_backend_options *options, ib_backend **backend, ib_error *err) {
    ib_status status = IB_ERROR_UNAVAILABLE;
    for (size_t i = 0; i < BACKEND_COUNT && status == IB_ERROR_UNAVAILABLE; ++i)
        status = BACKENDS[i].open(options, backend, err);
    return status;
}

ib_status ib_backend_open(const ib_backend_options *options, ib_backend **backend, ib_error *err) {
    const ib_backend_name *known;
    *backend = NULL;
    if (strcmp(options->backend, "auto") == 0)
        return open_any(options, backend, err);
    for (size_t i = 0; i < BACKEND_COUNT; ++i)
        if (strcmp(options->backend, BACKENDS[i].name) == 0)
            return BACKENDS[i].open(options, backend, err);
    for (size_t i = 0; (known = ib_backend_name_at(i)) != NULL; ++i)
        if (strcmp(options->backend, known->name) == 0)
            return ib_fail(err, IB_ERROR_UNAVAILABLE,
                           "backend %s is not part of this build; use --backend cpu",
                           options->backend);
    return ib_fail(err, IB_ERROR_USAGE, "unknown backend %s", options->backend);
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
