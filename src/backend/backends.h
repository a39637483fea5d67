/* How each backend of this build is opened: defined in its folder, called by registry.c. */
#ifndef IB_BACKEND_BACKENDS_H
#define IB_BACKEND_BACKENDS_H

#include "backend/backend.h"

/* IB_ERROR_UNAVAILABLE says what this machine lacks. The caller closes it. */
#define IB_BACKEND(name)                                                                           \
    ib_status ib_##name##_backend_open(const ib_backend_options *options, ib_backend **backend,    \
                                       ib_error *err);
#include "catalog/backends.inc"
#undef IB_BACKEND

#endif
