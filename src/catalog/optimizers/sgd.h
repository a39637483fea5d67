/* The scalars of sgd: lr, momentum; the same again where Nesterov looks ahead, else 0. */
#ifndef IB_CATALOG_OPTIMIZERS_SGD_H
#define IB_CATALOG_OPTIMIZERS_SGD_H

#include "catalog/optimizers.h"

enum {
    IB_SGD_LR = IB_UPDATE_EPS + 1,
    IB_SGD_MOMENTUM,
    IB_SGD_NESTEROV,
};

#endif
