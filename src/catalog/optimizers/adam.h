/* The scalars: eps, lr / (1 - beta1^t), 1 - beta1, beta2, 1 - beta2, 1 / sqrt(1 - beta2^t). */
#ifndef IB_CATALOG_OPTIMIZERS_ADAM_H
#define IB_CATALOG_OPTIMIZERS_ADAM_H

#include "catalog/optimizers.h"

enum {
    IB_ADAM_EPS = IB_UPDATE_EPS,
    IB_ADAM_STEP_SIZE,
    IB_ADAM_BETA1_COMPLEMENT,
    IB_ADAM_BETA2,
    IB_ADAM_BETA2_COMPLEMENT,
    IB_ADAM_ROOT_CORRECTION,
};

#endif
