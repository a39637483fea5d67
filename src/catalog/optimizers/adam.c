#include "catalog/optimizers/adam.h"

#include <math.h>

#include "catalog/experiment.h"
#include "catalog/optimizers/rows.h"

static void scalars_of(const ib_experiment *e, double learning_rate, uint64_t step,
                       double values[IB_UPDATE_SCALARS], ib_update_scalars *scalars) {
    (void)scalars;
    values[IB_ADAM_STEP_SIZE] = learning_rate / (1.0 - ib_power(e->beta1, step + 1));
    values[IB_ADAM_BETA1_COMPLEMENT] = 1.0 - e->beta1;
    values[IB_ADAM_BETA2] = e->beta2;
    values[IB_ADAM_BETA2_COMPLEMENT] = 1.0 - e->beta2;
    values[IB_ADAM_ROOT_CORRECTION] = 1.0 / sqrt(1.0 - ib_power(e->beta2, step + 1));
    values[IB_ADAM_EPS] = e->eps;
}

const ib_optimizer ib_optimizer_adam = {
    .name = "adam",
    .options = {{"lr", "0.001", AT(lr), 0, 0, 0},
                {"beta1", "0.9", AT(beta1), 0, 0x1p-40, 0},
                {"beta2", "0.999", AT(beta2), 0x1p-20, 0x1p-40, 0},
                {"eps", "1e-8", AT(eps), 1e-30, 0, 1}},
    .states = {"exp_avg", "exp_avg_sq"},
    .averages = 2,
    .scalars = scalars_of,
};
