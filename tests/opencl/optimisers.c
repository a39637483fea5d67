/* Optimiser steps on the device: one work-item a weight. */
#include "optimisers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "catalog/optimizers/adadelta.h"
#include "catalog/optimizers/adam.h"
#include "catalog/optimizers/adamw.h"
#include "catalog/optimizers/sgd.h"
#include "norm.h"

enum { WEIGHTS = 4112, STEPS = 3 };

struct optimiser {
    ib_update update;
    struct array *w, *dw, *state0, *state1;
};

static void update_on_device(struct test *t, const struct optimiser *o) {
    const ib_update_scalars *u = &o->update.scalars;
    const float *of = u->of;
    switch (o->update.kind) {
    case IB_ADADELTA:
        DEVICE_RUN(&t->device, "adadelta", NULL, WEIGHTS, 1, 1, ARGUMENT(of[IB_ADADELTA_LR]),
                   ARGUMENT(u->decay), ARGUMENT(of[IB_ADADELTA_RHO]),
                   ARGUMENT(of[IB_ADADELTA_ONE_MINUS_RHO]), ARGUMENT(of[IB_ADADELTA_EPS]),
                   ARGUMENT(o->w->gpu), ARGUMENT(o->dw->gpu), ARGUMENT(o->state0->gpu),
                   ARGUMENT(o->state1->gpu));
        break;
    case IB_SGD:
        DEVICE_RUN(&t->device, "sgd", NULL, WEIGHTS, 1, 1, ARGUMENT(of[IB_SGD_LR]),
                   ARGUMENT(u->decay), ARGUMENT_INT(u->has_momentum), ARGUMENT(of[IB_SGD_MOMENTUM]),
                   ARGUMENT(o->w->gpu), ARGUMENT(o->dw->gpu), ARGUMENT(o->state0->gpu));
        break;
    case IB_ADAM:
        DEVICE_RUN(&t->device, "adam", NULL, WEIGHTS, 1, 1, ARGUMENT(of[IB_ADAM_STEP_SIZE]),
                   ARGUMENT(u->decay), ARGUMENT(of[IB_ADAM_BETA1_COMPLEMENT]),
                   ARGUMENT(of[IB_ADAM_BETA2]), ARGUMENT(of[IB_ADAM_BETA2_COMPLEMENT]),
                   ARGUMENT(of[IB_ADAM_ROOT_CORRECTION]), ARGUMENT(of[IB_ADAM_EPS]),
                   ARGUMENT(o->w->gpu), ARGUMENT(o->dw->gpu), ARGUMENT(o->state0->gpu),
                   ARGUMENT(o->state1->gpu));
        break;
    case IB_ADAMW:
        DEVICE_RUN(&t->device, "adamw", NULL, WEIGHTS, 1, 1, ARGUMENT(of[IB_ADAMW_STEP_SIZE]),
                   ARGUMENT(of[IB_ADAMW_DECAY]), ARGUMENT(of[IB_ADAMW_BETA1_COMPLEMENT]),
                   ARGUMENT(of[IB_ADAMW_BETA2]), ARGUMENT(of[IB_ADAMW_BETA2_COMPLEMENT]),
                   ARGUMENT(of[IB_ADAMW_ROOT_CORRECTION]), ARGUMENT(of[IB_ADAMW_EPS]),
                   ARGUMENT(o->w->gpu), ARGUMENT(o->dw->gpu), ARGUMENT(o->state0->gpu),
                   ARGUMENT(o->state1->gpu));
        break;
    }
}

static ib_update_scalars scalars_of(ib_optimizer_kind kind, int has_momentum, float decay) {
    ib_update_scalars s = {.decay = decay, .decays_all = decay != 0, .has_momentum = has_momentum};
    switch (kind) {
    case IB_ADADELTA:
        s.of[IB_ADADELTA_LR] = 0.7f;
        s.of[IB_ADADELTA_RHO] = 0.9f;
        s.of[IB_ADADELTA_ONE_MINUS_RHO] = 0.1f;
        s.of[IB_ADADELTA_EPS] = 1e-6f;
        break;
    case IB_SGD:
        s.of[IB_SGD_LR] = 0.7f;
        s.of[IB_SGD_MOMENTUM] = 0.9f;
        break;
    case IB_ADAM:
        s.of[IB_ADAM_STEP_SIZE] = 0.001f;
        s.of[IB_ADAM_BETA1_COMPLEMENT] = 0.1f;
        s.of[IB_ADAM_BETA2] = 0.999f;
        s.of[IB_ADAM_BETA2_COMPLEMENT] = 0.001f;
        s.of[IB_ADAM_ROOT_CORRECTION] = 1.25f;
        s.of[IB_ADAM_EPS] = 1e-8f;
        break;
    case IB_ADAMW:
        s.of[IB_ADAMW_STEP_SIZE] = 0.001f;
        s.of[IB_ADAMW_BETA1_COMPLEMENT] = 0.1f;
        s.of[IB_ADAMW_BETA2] = 0.999f;
        s.of[IB_ADAMW_BETA2_COMPLEMENT] = 0.001f;
        s.of[IB_ADAMW_ROOT_CORRECTION] = 1.25f;
        s.of[IB_ADAMW_EPS] = 1e-8f;
        s.of[IB_ADAMW_DECAY] = decay;
        s.decay = 0;
        s.decays_all = 0;
        break;
    }
    return s;
}

static void optimiser(struct test *t, ib_optimizer_kind kind, int has_momentum, float decay,
                      enum fill fill) {
    const cl_uint never = IB_NEVER_BAD;
    ib_error err = {0};
    enum fill value = fill == STATE ? TINY : fill; /* of what is no average of squares */
    struct optimiser o = {.update = {.kind = kind,
                                     .scalars = scalars_of(kind, has_momentum, decay),
                                     .count = WEIGHTS},
                          .w = drawn(t, "w", 1, WEIGHTS, WEIGHTS, value),
                          .dw = drawn(t, "dw", 1, WEIGHTS, WEIGHTS, value),
                          .state0 = kind == IB_ADADELTA
                                        ? drawn_positive(t, "state 0", WEIGHTS, fill)
                                        : drawn(t, "state 0", 1, WEIGHTS, WEIGHTS, value),
                          .state1 = drawn_positive(t, "state 1", WEIGHTS, fill)};
    struct array *bad = array_of(t, "bad", &never, sizeof never); /* the device leaves it alone */
    ib_update_operands p = {.w = o.w->cpu,
                            .dw = o.dw->cpu,
                            .state0 = o.state0->cpu,
                            .state1 = o.state1->cpu,
                            .bad = bad->cpu};
    for (int step = 0; step < STEPS; ++step) {
        must(ib_update_weights(t->backend, &o.update, &p, &err), &err);
        update_on_device(t, &o);
    }
    compare(t, bad);
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
            optimiser(t, IB_ADAMW, 0, decay ? 1e-2f : 0, (enum fill)fill);
        }
}
