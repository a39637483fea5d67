#include "catalog/optimizers.h"

#include <string.h>

#include "base/settle.h"
#include "catalog/experiment.h"
#include "catalog/optimizers/rows.h"

static const ib_optimizer *const OPTIMIZERS[] = {
#define IB_OPTIMIZER(id, name) [IB_##id] = &ib_optimizer_##name,
#include "catalog/optimizers.inc"
#undef IB_OPTIMIZER
};

const ib_optimizer *ib_optimizer_at(size_t index) {
    return index < sizeof OPTIMIZERS / sizeof OPTIMIZERS[0] ? OPTIMIZERS[index] : NULL;
}

const char *ib_optimizer_default(ib_optimizer_kind kind, const char *option) {
    for (const ib_optimizer_option *own = OPTIMIZERS[kind]->options; own->name != NULL; ++own)
        if (strcmp(own->name, option) == 0)
            return own->default_text;
    return NULL;
}

int ib_optimizer_states(ib_optimizer_kind kind, int has_momentum) {
    const ib_optimizer *row = OPTIMIZERS[kind];
    int count = 0;
    if (!row->states_need_momentum || has_momentum)
        while (row->states[count] != NULL)
            ++count;
    return count;
}

double ib_power(double base, uint64_t exponent) {
    double result = 1.0;
    for (; exponent != 0; exponent >>= 1) {
        if (exponent & 1)
            result = result * base;
        base = base * base;
    }
    return result;
}

ib_update_scalars ib_update_scalars_of(const ib_experiment *experiment, double learning_rate,
                                       uint64_t step) {
    double values[IB_UPDATE_SCALARS] = {0};
    ib_update_scalars scalars = {.decay = ib_settle((float)experiment->weight_decay),
                                 .has_momentum = experiment->momentum != 0};
    scalars.decays_all = scalars.decay != 0;
    OPTIMIZERS[experiment->optimizer]->scalars(experiment, learning_rate, step, values, &scalars);
    for (int i = 0; i < IB_UPDATE_SCALARS; ++i)
        scalars.of[i] = ib_settle((float)values[i]);
    return scalars;
}
