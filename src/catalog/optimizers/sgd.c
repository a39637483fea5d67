#include "catalog/optimizers/sgd.h"

#include "catalog/experiment.h"
#include "catalog/optimizers/rows.h"

static void scalars_of(const ib_experiment *e, double learning_rate, uint64_t step,
                       double values[IB_UPDATE_SCALARS], ib_update_scalars *scalars) {
    (void)step, (void)scalars;
    values[IB_SGD_LR] = learning_rate;
    values[IB_SGD_MOMENTUM] = e->momentum;
    values[IB_SGD_NESTEROV] = e->nesterov ? e->momentum : 0;
}

const ib_optimizer ib_optimizer_sgd = {
    .name = "sgd",
    .options = {{"lr", "0.01", AT(lr), 0, 0, 0}, {"momentum", "0", AT(momentum), 0x1p-40, 0, 0}},
    .flags = {"nesterov"},
    .states = {"momentum_buffer"},
    .states_need_momentum = 1,
    .scalars = scalars_of,
};
