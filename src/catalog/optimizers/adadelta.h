/* The scalars of adadelta: eps, lr, rho, 1 - rho. */
#ifndef IB_CATALOG_OPTIMIZERS_ADADELTA_H
#define IB_CATALOG_OPTIMIZERS_ADADELTA_H

#include "catalog/optimizers.h"

enum {
    IB_ADADELTA_EPS = IB_UPDATE_EPS,
    IB_ADADELTA_LR,
    IB_ADADELTA_RHO,
    IB_ADADELTA_ONE_MINUS_RHO,
};

#endif
