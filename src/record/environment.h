/* The machine and the build as measured, for the run record. */
#ifndef IB_RECORD_ENVIRONMENT_H
#define IB_RECORD_ENVIRONMENT_H

#include "backend/backend.h"
#include "base/json_text.h"

/* Writes one object: what ran, on what. Nothing that names the machine or its user. usable_cpus is
 * ib_usable_cpus() before the backend was opened, which pins the calling thread. */
ib_status ib_environment_write(const ib_backend_info *backend, unsigned usable_cpus,
                               const char *key, ib_json *json, ib_error *err);

#endif
