#include "catalog/experiment.h"
#include "catalog/schedules/rows.h"

/* One product an epoch, as StepLR has it, and never a power. */
static double rate(const ib_experiment *experiment, uint64_t at, uint64_t count) {
    double lr = experiment->lr;
    (void)count;
    for (uint64_t epoch = 0; epoch < at && lr != 0; ++epoch)
        lr = lr * experiment->gamma;
    return lr;
}

const ib_schedule ib_schedule_step = {
    .name = "step",
    .rate = rate,
    .options = {"gamma", "warmup"},
};
