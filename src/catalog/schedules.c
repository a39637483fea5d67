#include "catalog/schedules.h"

#include "catalog/experiment.h"

/* One product an epoch. */
static double step(const ib_experiment *experiment, size_t epoch, double lr) {
    (void)epoch;
    return lr * experiment->gamma;
}

static double constant(const ib_experiment *experiment, size_t epoch, double lr) {
    (void)experiment;
    (void)epoch;
    return lr;
}

static const ib_schedule SCHEDULES[] = {
    [IB_SCHEDULE_STEP] = {"step", step, {"gamma"}},
    [IB_SCHEDULE_CONSTANT] = {"constant", constant, {NULL}},
};

const ib_schedule *ib_schedule_at(size_t index) {
    return index < sizeof SCHEDULES / sizeof SCHEDULES[0] ? &SCHEDULES[index] : NULL;
}
