/* The inside of the public handles, shared by the files of this folder. */
#ifndef IB_API_PARTS_H
#define IB_API_PARTS_H

#include <fenv.h>

#include "backend/backend.h"
#include "data/dataset.h"
#include "isobit/isobit.h"

struct ib_device {
    ib_backend *backend;
    int busy; /* a training goes on: its callback must not use the device */
};

struct ib_data {
    ib_dataset dataset;
    ib_dataset_info info; /* of images in memory */
};

/* The caller's floating-point environment while ours is in force: rounding of ours is to nearest
 * whatever the program's is, also where text is read and on x87. */
typedef struct ib_guard {
    fenv_t callers;
} ib_guard;
void ib_guard_enter(ib_guard *guard);
void ib_guard_leave(const ib_guard *guard);

/* Ends an opening function: the reason goes to message (may be NULL), "" with IB_OK. */
ib_status ib_tell(ib_status status, ib_error *err, char *message, size_t message_size);

#endif
