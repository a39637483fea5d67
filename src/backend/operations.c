/* The checked calls: every operation goes through one of these, which refuses arguments that no
 * backend may see, and tells the profile what it cost. Made from the list. */
#include "backend/backend.h"
#include "base/clock.h"

static ib_status refuse(ib_error *err, const char *operation, const char *what) {
    return ib_fail(err, IB_ERROR_RUNTIME, "%s: %s", operation, what);
}

/* 0 where the operand cannot hold what the operation touches. Adds what that is to *bytes. */
static int fits(const ib_buffer *buffer, int64_t elements, size_t element_bytes, double *bytes) {
    size_t needed;
    int optional = elements < 0;
    if (elements == 0 || (optional && buffer->handle == NULL))
        return 1;
    if (__builtin_mul_overflow((size_t)(optional ? -elements : elements), element_bytes, &needed) ||
        buffer->handle == NULL || buffer->bytes < needed)
        return 0;
    *bytes += (double)needed;
    return 1;
}

static ib_status profiled(const ib_backend *backend, const char *operation, double start,
                          double macs, double bytes, ib_status status) {
    ib_profile_event event = {operation, backend->label, start, ib_seconds() - start,
                              2 * macs,  bytes};
    backend->profile->record(backend->profile->context, &event);
    return status;
}

#define FITS(type, name) all &= fits(&operands->name, sizes.name, sizeof(type), &bytes);
#define IB_OPERATION(operation, kind, direction)                                                   \
    ib_status ib_plan_##operation(ib_backend *backend, const ib_##kind *shape, ib_error *err) {    \
        const char *fault = ib_##kind##_fault(shape, direction);                                   \
        if (fault != NULL)                                                                         \
            return refuse(err, #operation, fault);                                                 \
        return backend->ops->plan_##operation(backend, shape, err);                                \
    }                                                                                              \
    ib_status ib_##operation(ib_backend *backend, const ib_##kind *shape,                          \
                             const ib_##kind##_operands *operands, ib_error *err) {                \
        const char *fault = ib_##kind##_fault(shape, direction);                                   \
        if (fault != NULL)                                                                         \
            return refuse(err, #operation, fault);                                                 \
        ib_##kind##_sizes sizes;                                                                   \
        double bytes = 0;                                                                          \
        int all = 1;                                                                               \
        ib_##kind##_need(shape, direction, &sizes);                                                \
        IB_OPERANDS_##kind(FITS, FITS) if (!all) return refuse(err, #operation,                    \
                                                               "buffer too small");                \
        if (backend->profile == NULL)                                                              \
            return backend->ops->operation(backend, shape, operands, err);                         \
        double start = ib_seconds();                                                               \
        ib_status status = backend->ops->operation(backend, shape, operands, err);                 \
        return profiled(backend, #operation, start, ib_##kind##_macs(shape, direction), bytes,     \
                        status);                                                                   \
    }
#include "backend/operations.inc"
#undef IB_OPERATION
