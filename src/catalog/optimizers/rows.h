/* The rows, for optimizers.c alone. */
#ifndef IB_CATALOG_OPTIMIZERS_ROWS_H
#define IB_CATALOG_OPTIMIZERS_ROWS_H

#include "catalog/experiment.h"

#define AT(member) offsetof(ib_experiment, member)

#define IB_OPTIMIZER(id, name) extern const ib_optimizer ib_optimizer_##name;
#include "catalog/optimizers.inc"
#undef IB_OPTIMIZER

#endif
