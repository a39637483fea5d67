/* The scalars of adadelta: lr, rho, 1 - rho, eps. */
#ifndef IB_CATALOG_OPTIMIZERS_ADADELTA_H
#define IB_CATALOG_OPTIMIZERS_ADADELTA_H

enum {
    IB_ADADELTA_LR,
    IB_ADADELTA_RHO,
    IB_ADADELTA_ONE_MINUS_RHO,
    IB_ADADELTA_EPS,
};

#endif
