/* Optimiser steps on the device: one work-item a weight. */
#include "optimisers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "norm.h"

enum { WEIGHTS = 4112, STEPS = 3 };

struct optimiser {
    ib_update update;
    struct array *w, *dw, *state0, *state1;
};

static void update_on_device(struct test *t, const struct optimiser *o) {
    const ib_update *u = &o->update;
    switch (u->kind) {
    case IB_ADADELTA:
        DEVICE_RUN(&t->device, "adadelta", NULL, WEIGHTS, 1, 1, ARGUMENT(u->lr),
                   ARGUMENT(u->weight_decay), ARGUMENT(u->rho), ARGUMENT(u->one_minus_rho),
                   ARGUMENT(u->eps), ARGUMENT(o->w->gpu), ARGUMENT(o->dw->gpu),
                   ARGUMENT(o->state0->gpu), ARGUMENT(o->state1->gpu));
        break;
    case IB_SGD:
        DEVICE_RUN(&t->device, "sgd", NULL, WEIGHTS, 1, 1, ARGUMENT(u->lr),
                   ARGUMENT(u->weight_decay), ARGUMENT_INT(u->has_momentum), ARGUMENT(u->momentum),
                   ARGUMENT(o->w->gpu), ARGUMENT(o->dw->gpu), ARGUMENT(o->state0->gpu));
        break;
    case IB_ADAM:
        DEVICE_RUN(&t->device, "adam", NULL, WEIGHTS, 1, 1, ARGUMENT(u->step_size),
                   ARGUMENT(u->weight_decay), ARGUMENT(u->beta1_complement), ARGUMENT(u->beta2),
                   ARGUMENT(u->beta2_complement), ARGUMENT(u->root_correction), ARGUMENT(u->eps),
                   ARGUMENT(o->w->gpu), ARGUMENT(o->dw->gpu), ARGUMENT(o->state0->gpu),
                   ARGUMENT(o->state1->gpu));
        break;
    }
}

static void optimiser(struct test *t, ib_optimizer_kind kind, int has_momentum, float decay,
                      enum fill fill) {
    int finite = 1;
    ib_error err = {0};
    enum fill value = fill == STATE ? TINY : fill; /* of what is no average of squares */
    struct optimiser o = {.update = {.kind = kind,
                                     .has_momentum = has_momentum,
                                     .lr = 0.7f,
                                     .weight_decay = decay,
                                     .momentum = 0.9f,
                                     .rho = 0.9f,
                                     .one_minus_rho = 0.1f,
                                     .beta1_complement = 0.1f,
                                     .beta2 = 0.999f,
                                     .beta2_complement = 0.001f,
                                     .step_size = 0.001f,
                                     .root_correction = 1.25f,
                                     .eps = kind == IB_ADAM ? 1e-8f : 1e-6f},
                          .w = drawn(t, "w", 1, WEIGHTS, WEIGHTS, value),
                          .dw = drawn(t, "dw", 1, WEIGHTS, WEIGHTS, value),
                          .state0 = kind == IB_ADADELTA
                                        ? drawn_positive(t, "state 0", WEIGHTS, fill)
                                        : drawn(t, "state 0", 1, WEIGHTS, WEIGHTS, value),
                          .state1 = drawn_positive(t, "state 1", WEIGHTS, fill)};
    for (int step = 0; step < STEPS; ++step) {
        must(ib_update_weights(t->backend, &o.update, WEIGHTS, &o.w->cpu, &o.dw->cpu,
                               &o.state0->cpu, &o.state1->cpu, &finite, &err),
             &err);
        update_on_device(t, &o);
    }
    assert_int_equal(finite, 1);
    compare(t, o.w);
    compare(t, o.state0);
    compare(t, o.state1);
    arrays_drop(t);
}

void optimisers(void **state) {
    struct test *t = able(state);
    for (int fill = PLAIN; fill <= STATE; ++fill)
        for (int decay = 0; decay < 2; ++decay) {
            optimiser(t, IB_ADADELTA, 0, decay ? 1e-2f : 0, (enum fill)fill);
            optimiser(t, IB_SGD, 0, decay ? 1e-2f : 0, (enum fill)fill);
            optimiser(t, IB_SGD, 1, decay ? 1e-2f : 0, (enum fill)fill);
            optimiser(t, IB_ADAM, 0, decay ? 1e-2f : 0, (enum fill)fill);
        }
}
