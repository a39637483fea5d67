#include "catalog/schedules.h"

#include "catalog/experiment.h"
#include "catalog/schedules/rows.h"

static const ib_schedule *const SCHEDULES[] = {
#define IB_SCHEDULE(id, name) [IB_SCHEDULE_##id] = &ib_schedule_##name,
#include "catalog/schedules.inc"
#undef IB_SCHEDULE
};

const ib_schedule *ib_schedule_at(size_t index) {
    return index < sizeof SCHEDULES / sizeof SCHEDULES[0] ? SCHEDULES[index] : NULL;
}

double ib_learning_rate(const ib_experiment *experiment, uint64_t steps_done,
                        size_t steps_per_epoch) {
    const ib_schedule *schedule = SCHEDULES[experiment->schedule];
    uint64_t warmup = (uint64_t)experiment->warmup * steps_per_epoch;
    uint64_t epochs = (uint64_t)(experiment->epochs - experiment->warmup);
    if (steps_done < warmup)
        return experiment->lr * ((double)(steps_done + 1) / (double)warmup);
    uint64_t at = steps_done - warmup;
    return schedule->by_step ? schedule->rate(experiment, at, epochs * steps_per_epoch)
                             : schedule->rate(experiment, at / steps_per_epoch, epochs);
}

ib_status ib_schedule_check(const ib_experiment *e, ib_error *err) {
    if (!ib_model_is_network((ib_model_kind)e->model) || e->warmup == 0 || e->warmup < e->epochs)
        return IB_OK;
    return ib_fail(err, IB_ERROR_USAGE,
                   "--warmup %lld leaves none of %lld epochs to the schedule: it must be less than "
                   "--epochs",
                   (long long)e->warmup, (long long)e->epochs);
}
