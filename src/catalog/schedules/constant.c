#include "catalog/experiment.h"
#include "catalog/schedules/rows.h"

static double rate(const ib_experiment *experiment, uint64_t at, uint64_t count) {
    (void)at, (void)count;
    return experiment->lr;
}

const ib_schedule ib_schedule_constant = {
    .name = "constant",
    .rate = rate,
    .options = {"warmup"},
};
