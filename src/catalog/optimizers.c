#include "catalog/optimizers.h"

#include <string.h>

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
