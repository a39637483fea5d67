#include "catalog/optimizers/rows.h"

const ib_optimizer ib_optimizer_sgd = {
    .name = "sgd",
    .options = {{"lr", "0.01"}, {"momentum", "0"}},
    .states = {"momentum_buffer"},
    .states_need_momentum = 1,
};
