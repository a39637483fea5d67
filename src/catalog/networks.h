/* The networks that the program brings: a file in networks/ each, whose text it carries. Reading
 * them is nn/network_file.h's. */
#ifndef IB_CATALOG_NETWORKS_H
#define IB_CATALOG_NETWORKS_H

#include <stddef.h>

typedef struct ib_network_text {
    const char *name; /* "cnn" */
    const char *text; /* YAML */
    size_t size;
} ib_network_text;

/* The index-th network, which is that of the ib_model_kind with this number; NULL past the end. */
const ib_network_text *ib_network_at(size_t index);

#endif
