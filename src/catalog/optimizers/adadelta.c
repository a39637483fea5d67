#include "catalog/optimizers/rows.h"

const ib_optimizer ib_optimizer_adadelta = {
    .name = "adadelta",
    .options = {{"lr", "1.0"}, {"rho", "0.9"}, {"eps", "1e-6"}},
    .states = {"square_avg", "acc_delta"},
};
