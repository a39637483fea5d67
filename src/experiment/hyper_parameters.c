#include "experiment/hyper_parameters.h"

#include <stddef.h>

/* A settled value is at least 2^-40: times a factor of 2^-40 it still has a normal square's size.
 * The decays of averages, which settle at 2^-100 themselves, may be 2^-20. */
static const double FACTOR = 0x1p-40, DECAY = 0x1p-20;

/* One number and what it has to be: 0 (where that is allowed) or at least this. */
struct bound {
    const char *name;
    double value, least;
    const char *text;
    int zero_allowed;
};

static ib_status check(const struct bound *b, ib_error *err) {
    if ((b->zero_allowed && b->value == 0) || b->value >= b->least)
        return IB_OK;
    return ib_fail(err, IB_ERROR_USAGE,
                   "--%s is %g, too small for exact arithmetic: it must be %sat least %s", b->name,
                   b->value, b->zero_allowed ? "0 or " : "", b->text);
}

ib_status ib_check_hyper_parameters(const ib_hyper_parameters *h, ib_error *err) {
    const struct bound bounds[] = {
        {"lr", h->lr, FACTOR, "2^-40, about 9.1e-13", 1},
        {"weight-decay", h->weight_decay, FACTOR, "2^-40, about 9.1e-13", 1},
        {"momentum", h->momentum, FACTOR, "2^-40, about 9.1e-13", 1},
    };
    const struct bound adadelta[] = {
        {"rho", h->rho, DECAY, "2^-20, about 9.5e-7", 1},
        {"rho: 1 - rho", 1.0 - h->rho, FACTOR, "2^-40, about 9.1e-13", 1},
        {"eps", h->eps, 1e-20, "1e-20 (of adadelta)", 0},
    };
    const struct bound adam[] = {
        {"beta2", h->beta2, DECAY, "2^-20, about 9.5e-7", 1},
        {"beta1: 1 - beta1", 1.0 - h->beta1, FACTOR, "2^-40, about 9.1e-13", 1},
        {"beta2: 1 - beta2", 1.0 - h->beta2, FACTOR, "2^-40, about 9.1e-13", 1},
        {"eps", h->eps, 1e-30, "1e-30", 0},
    };
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; ++i)
        IB_TRY(check(&bounds[i], err));
    for (size_t i = 0; h->is_adadelta && i < sizeof adadelta / sizeof *adadelta; ++i)
        IB_TRY(check(&adadelta[i], err));
    for (size_t i = 0; h->is_adam && i < sizeof adam / sizeof *adam; ++i)
        IB_TRY(check(&adam[i], err));
    return IB_OK;
}

ib_status ib_check_optimizer(const ib_config *config, ib_error *err) {
    if (config->model == IB_MODEL_SVM)
        return IB_OK;
    ib_hyper_parameters h = {.lr = config->lr,
                             .weight_decay = config->weight_decay,
                             .momentum = config->optimizer == IB_SGD ? config->momentum : 0,
                             .rho = config->rho,
                             .beta1 = config->beta1,
                             .beta2 = config->beta2,
                             .eps = config->eps,
                             .is_adadelta = config->optimizer == IB_ADADELTA,
                             .is_adam = config->optimizer == IB_ADAM};
    return ib_check_hyper_parameters(&h, err);
}
