#include "catalog/names.h"

#include <stddef.h>
#include <string.h>

int ib_is_listed(const char *const *names, const char *name) {
    for (; *names != NULL; ++names)
        if (strcmp(*names, name) == 0)
            return 1;
    return 0;
}
