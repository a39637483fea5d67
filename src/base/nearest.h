/* What somebody may have meant. */
#ifndef IB_BASE_NEAREST_H
#define IB_BASE_NEAREST_H

#include <stddef.h>

/* The candidate nearest to name by edit distance, NULL when none is near. next(context, i) gives
 * the i-th candidate, NULL at the end. */
const char *ib_nearest_name(const char *name, const char *(*next)(const void *context, size_t i),
                            const void *context);

#endif
