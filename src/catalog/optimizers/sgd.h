/* The scalars of sgd: lr, momentum. */
#ifndef IB_CATALOG_OPTIMIZERS_SGD_H
#define IB_CATALOG_OPTIMIZERS_SGD_H

enum {
    IB_SGD_LR,
    IB_SGD_MOMENTUM,
};

#endif
