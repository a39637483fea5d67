#include "catalog/backends.h"

#include <string.h>

static const ib_backend_name BUILT[] = {
#define IB_BACKEND(name) {#name, 1},
#include "catalog/backends.inc"
#undef IB_BACKEND
};
enum { BUILT_COUNT = sizeof BUILT / sizeof BUILT[0] };

static const ib_backend_name KNOWN[] = {{"opencl", 0}, {"cuda", 0}};

static int is_built(const char *name) {
    for (size_t i = 0; i < BUILT_COUNT; ++i)
        if (strcmp(BUILT[i].name, name) == 0)
            return 1;
    return 0;
}

const ib_backend_name *ib_backend_name_at(size_t index) {
    if (index < BUILT_COUNT)
        return &BUILT[index];
    index -= BUILT_COUNT;
    for (size_t i = 0; i < sizeof KNOWN / sizeof KNOWN[0]; ++i)
        if (!is_built(KNOWN[i].name) && index-- == 0)
            return &KNOWN[i];
    return NULL;
}
