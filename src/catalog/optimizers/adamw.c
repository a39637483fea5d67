#include "catalog/optimizers/adamw.h"

#include <math.h>

#include "catalog/experiment.h"
#include "catalog/optimizers/rows.h"

static void scalars_of(const ib_experiment *e, double learning_rate, uint64_t step,
                       double values[IB_UPDATE_SCALARS], ib_update_scalars *scalars) {
    values[IB_ADAMW_STEP_SIZE] = learning_rate / (1.0 - ib_power(e->beta1, step + 1));
    values[IB_ADAMW_BETA1_COMPLEMENT] = 1.0 - e->beta1;
    values[IB_ADAMW_BETA2] = e->beta2;
    values[IB_ADAMW_BETA2_COMPLEMENT] = 1.0 - e->beta2;
    values[IB_ADAMW_ROOT_CORRECTION] = 1.0 / sqrt(1.0 - ib_power(e->beta2, step + 1));
    values[IB_ADAMW_EPS] = e->eps;
    values[IB_ADAMW_DECAY] = learning_rate * e->weight_decay;
    scalars->decay = 0; /* of the weight itself, not added to its gradient */
}

const ib_optimizer ib_optimizer_adamw = {
    .name = "adamw",
    .options = {{"lr", "0.001", AT(lr), 0, 0, 0},
                {"beta1", "0.9", AT(beta1), 0, 0x1p-40, 0},
                {"beta2", "0.999", AT(beta2), 0x1p-20, 0x1p-40, 0},
                {"eps", "1e-8", AT(eps), 1e-30, 0, 1},
                {"weight-decay", "0.01", AT(weight_decay), 0, 0, 0}},
    .states = {"exp_avg", "exp_avg_sq"},
    .averages = 2,
    .scalars = scalars_of,
};
