#include "catalog/optimizers/adadelta.h"

#include "catalog/experiment.h"
#include "catalog/optimizers/rows.h"

static void scalars_of(const ib_experiment *e, double learning_rate, uint64_t step,
                       double values[IB_UPDATE_SCALARS], ib_update_scalars *scalars) {
    (void)step, (void)scalars;
    values[IB_ADADELTA_LR] = learning_rate;
    values[IB_ADADELTA_RHO] = e->rho;
    values[IB_ADADELTA_ONE_MINUS_RHO] = 1.0 - e->rho;
    values[IB_ADADELTA_EPS] = e->eps;
}

const ib_optimizer ib_optimizer_adadelta = {
    .name = "adadelta",
    .options = {{"lr", "1.0", AT(lr), 0, 0, 0},
                {"rho", "0.9", AT(rho), 0x1p-20, 0x1p-40, 0},
                {"eps", "1e-6", AT(eps), 1e-20, 0, 1}},
    .states = {"square_avg", "acc_delta"},
    .averages = 3,
    .scalars = scalars_of,
};
