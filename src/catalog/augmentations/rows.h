/* The rows, for augmentations.c alone. */
#ifndef IB_CATALOG_AUGMENTATIONS_ROWS_H
#define IB_CATALOG_AUGMENTATIONS_ROWS_H

#include "catalog/augmentations.h"

#define IB_AUGMENTATION(id, name) extern const ib_augmentation ib_augmentation_##name;
#include "catalog/augmentations.inc"
#undef IB_AUGMENTATION

#endif
