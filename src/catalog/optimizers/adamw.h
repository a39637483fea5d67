/* The scalars of adamw: those of adam; lr * weight decay. */
#ifndef IB_CATALOG_OPTIMIZERS_ADAMW_H
#define IB_CATALOG_OPTIMIZERS_ADAMW_H

#include "catalog/optimizers.h"

enum {
    IB_ADAMW_EPS = IB_UPDATE_EPS,
    IB_ADAMW_STEP_SIZE,
    IB_ADAMW_BETA1_COMPLEMENT,
    IB_ADAMW_BETA2,
    IB_ADAMW_BETA2_COMPLEMENT,
    IB_ADAMW_ROOT_CORRECTION,
    IB_ADAMW_DECAY,
};

#endif
