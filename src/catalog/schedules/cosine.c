#include "base/cosine.h"
#include "catalog/experiment.h"
#include "catalog/schedules/rows.h"

/* torch.optim.lr_scheduler.CosineAnnealingLR in its closed form, T_max being the epochs. */
static double rate(const ib_experiment *e, uint64_t at, uint64_t count) {
    double x = at < count ? (double)at / (double)count : 1.0;
    return e->lr_min + (e->lr - e->lr_min) * (1.0 + ib_cos_pi(x)) / 2.0;
}

const ib_schedule ib_schedule_cosine = {
    .name = "cosine",
    .rate = rate,
    .options = {"lr-min", "warmup"},
};
