#include "catalog/optimizers/rows.h"

const ib_optimizer ib_optimizer_adam = {
    .name = "adam",
    .options = {{"lr", "0.001"}, {"beta1", "0.9"}, {"beta2", "0.999"}, {"eps", "1e-8"}},
    .states = {"exp_avg", "exp_avg_sq"},
};
