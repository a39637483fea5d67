/* ResNets as stage tables: a stem, four stages of blocks, the mean over pixels, one linear layer;
 * under torchvision's names and in the order of its state dict. */
#ifndef IB_CATALOG_NETWORKS_RESNET_H
#define IB_CATALOG_NETWORKS_RESNET_H

#include "catalog/networks.h"

/* Blocks of each of the four stages; bottleneck: 1x1, 3x3, 1x1 in place of two 3x3. */
typedef struct ib_resnet {
    int blocks[4];
    int bottleneck;
} ib_resnet;

/* The rows, into fresh memory, ended by a kind of NULL; with their names to be freed by
 * ib_rows_close, also after a failure. */
ib_status ib_resnet_rows(const ib_resnet *resnet, ib_row **rows, ib_error *err);

#endif
