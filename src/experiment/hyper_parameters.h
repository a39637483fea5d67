/* How small the optimisers' numbers may be (NUMERICS.md, section 10). */
#ifndef IB_EXPERIMENT_HYPER_PARAMETERS_H
#define IB_EXPERIMENT_HYPER_PARAMETERS_H

#include "base/status.h"
#include "experiment/config.h"

/* As configured, in binary64; those that the optimiser does not have are ignored. */
typedef struct ib_hyper_parameters {
    double lr, weight_decay, momentum;
    double rho;          /* adadelta; its complement is bounded too */
    double beta1, beta2; /* adam */
    double eps;
    int is_adadelta, is_adam;
} ib_hyper_parameters;

/* Numbers so small that an exact step would meet denormals are IB_ERROR_USAGE, naming the bound. */
ib_status ib_check_hyper_parameters(const ib_hyper_parameters *h, ib_error *err);
/* Those of a configuration; a support vector machine has none. */
ib_status ib_check_optimizer(const ib_config *config, ib_error *err);

#endif
