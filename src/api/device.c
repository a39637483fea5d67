/* The public library's devices, and what all public functions share. */
#include <stdio.h>
#include <stdlib.h>

#include "api/parts.h"
#include "build_info.h"

const char *ib_version(void) {
    return IB_VERSION;
}

void ib_guard_enter(ib_guard *guard) {
    fegetenv(&guard->callers);
    fesetenv(FE_DFL_ENV);
}

void ib_guard_leave(const ib_guard *guard) {
    fesetenv(&guard->callers);
}

ib_status ib_tell(ib_status status, ib_error *err, char *message, size_t message_size) {
    if (message != NULL && message_size > 0)
        snprintf(message, message_size, "%s", status == IB_OK ? "" : ib_error_text(err));
    ib_error_clear(err);
    return status;
}

ib_status ib_device_open(const ib_device_options *options, ib_device **device, char *message,
                         size_t message_size) {
    const ib_device_options defaults = {0};
    const ib_device_options *given = options != NULL ? options : &defaults;
    ib_backend_options wanted = {.backend = given->backend != NULL ? given->backend : "auto",
                                 .isa = given->isa != NULL ? given->isa : "auto",
                                 .threads = given->threads,
                                 .unpinned = !given->pin};
    ib_error err = {0};
    ib_guard guard;
    ib_guard_enter(&guard);
    ib_device *fresh = calloc(1, sizeof *fresh);
    ib_status status =
        fresh == NULL ? ib_fail_memory(&err) : ib_backend_open(&wanted, &fresh->backend, &err);
    if (status != IB_OK) {
        free(fresh);
        fresh = NULL;
    }
    ib_guard_leave(&guard);
    *device = fresh;
    return ib_tell(status, &err, message, message_size);
}

void ib_device_close(ib_device *device) {
    if (device == NULL)
        return;
    ib_backend_close(device->backend);
    free(device);
}

const char *ib_device_backend(const ib_device *device) {
    return device->backend->info.name;
}

const char *ib_device_isa(const ib_device *device) {
    return device->backend->info.isa;
}

unsigned ib_device_threads(const ib_device *device) {
    return device->backend->info.threads;
}
