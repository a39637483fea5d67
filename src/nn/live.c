/* Which weights a step can change. A tap that only ever meets padding has a gradient of +0 and
 * optimiser states of +0, and every optimiser leaves it as it is: of ResNet-18 that is 62 % at 28 x
 * 28. (Weight decay changes it: then the update is the whole arena.) */
#include <stdlib.h>

#include "nn/layer.h"

enum { WORTH_SKIPPING = 4096 }; /* floats; less costs more to leave out than to update */

/* Floats from..to of the arenas; joined to the range before when what lies between is not worth
 * leaving out. */
static ib_status add_range(ib_network *net, int64_t from, int64_t to, ib_error *err) {
    ib_live_range *last = net->live_count > 0 ? &net->live[net->live_count - 1] : NULL;
    if (last != NULL && from - (last->first + last->count) < WORTH_SKIPPING) {
        last->count = to - last->first;
        return IB_OK;
    }
    ib_live_range *grown = realloc(net->live, (net->live_count + 1) * sizeof *grown);
    if (grown == NULL)
        return ib_fail_memory(err);
    net->live = grown;
    net->live[net->live_count++] = (ib_live_range){.first = from, .count = to - from};
    return IB_OK;
}

static ib_status add_parameter(ib_network *net, const ib_parameter *p, ib_error *err) {
    int64_t begin = (int64_t)(p->offset / sizeof(float));
    if (p->live == NULL || p->block_floats < WORTH_SKIPPING)
        return add_range(net, begin, begin + p->floats, err);
    for (int64_t block = 0; block * p->block_floats < p->floats; ++block)
        if (p->live[block])
            IB_TRY(add_range(net, begin + block * p->block_floats,
                             begin + (block + 1) * p->block_floats, err));
    return IB_OK;
}

ib_status ib_find_live_weights(ib_network *net, ib_error *err) {
    for (size_t i = 0; i < net->parameter_count; ++i)
        if (net->parameters[i].trained)
            IB_TRY(add_parameter(net, &net->parameters[i], err));
    return IB_OK;
}
