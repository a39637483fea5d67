#include "catalog/optimizers.h"

#include <math.h>
#include <stdio.h>
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

int ib_optimizer_has(ib_optimizer_kind kind, const char *option) {
    return ib_optimizer_default(kind, option) != NULL ||
           ib_is_listed(OPTIMIZERS[kind]->flags, option);
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
        scalars.of[i] = i == IB_UPDATE_EPS ? (float)values[i] : ib_settle((float)values[i]);
    return scalars;
}

/* The smallest factor of settled values that loses nothing. */
static const double FACTOR = 0x1p-40;

/* What is checked: an option, or (what being "1 - ") one less it. */
struct bound {
    const char *name, *what;
    double value, least;
    int refuses_zero;
};

static ib_status check(struct bound b, ib_error *err) {
    int exponent;
    char least[64];
    if ((b.value == 0 && !b.refuses_zero) || b.value >= b.least)
        return IB_OK;
    if (frexp(b.least, &exponent) == 0.5) /* a rounded decimal might lie below it */
        snprintf(least, sizeof least, "2^%d, about %.2g", exponent - 1, b.least);
    else
        snprintf(least, sizeof least, "%g", b.least);
    return ib_fail(err, IB_ERROR_USAGE,
                   "--%s: %s%s is %g, too small for exact arithmetic: it must be %sat least %s",
                   b.name, b.what, b.name, b.value, b.refuses_zero ? "" : "0 or ", least);
}

ib_status ib_optimizer_check(const ib_experiment *e, ib_error *err) {
    if (!ib_model_is_network((ib_model_kind)e->model))
        return IB_OK;
    IB_TRY(check((struct bound){"lr", "", e->lr, FACTOR, 0}, err));
    IB_TRY(check((struct bound){"weight-decay", "", e->weight_decay, FACTOR, 0}, err));
    IB_TRY(check((struct bound){"ema", "1 - ", 1.0 - e->ema, FACTOR, 0}, err));
    if (e->nesterov && e->momentum == 0)
        return ib_fail(err, IB_ERROR_USAGE, "--nesterov needs a --momentum above 0");
    for (const ib_optimizer_option *o = OPTIMIZERS[e->optimizer]->options; o->name != NULL; ++o) {
        double value = *(const double *)(const void *)((const char *)e + o->offset);
        double rest = o->rest_least > 0 ? 1.0 - value : 0;
        IB_TRY(check((struct bound){o->name, "", value, o->least, o->refuses_zero}, err));
        IB_TRY(check((struct bound){o->name, "1 - ", rest, o->rest_least, 0}, err));
    }
    return IB_OK;
}
