/* The names of backends. */
#ifndef IB_CATALOG_BACKENDS_H
#define IB_CATALOG_BACKENDS_H

#include <stddef.h>

typedef struct ib_backend_name {
    const char *name;
    int is_built; /* 0: a name of the design that this build has no backend for */
} ib_backend_name;

/* The index-th name, those of this build first; NULL past the end. */
const ib_backend_name *ib_backend_name_at(size_t index);

#endif
