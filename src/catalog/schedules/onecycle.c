#include "base/cosine.h"
#include "catalog/experiment.h"
#include "catalog/schedules/rows.h"

static double anneal(double from, double to, double x) {
    return to + (from - to) / 2.0 * (ib_cos_pi(x < 1.0 ? x : 1.0) + 1.0);
}

/* torch.optim.lr_scheduler.OneCycleLR with anneal_strategy "cos", two phases and no cycle of the
 * momentum: up to lr, then down far below where it began. */
static double rate(const ib_experiment *e, uint64_t at, uint64_t count) {
    double first = e->lr / e->div_factor, last = first / e->final_div_factor;
    double peak = e->pct_start * (double)count - 1.0, step = (double)at;
    if (peak > 0 && step <= peak)
        return anneal(first, e->lr, step / peak);
    return anneal(e->lr, last, (step - peak) / ((double)count - 1.0 - peak));
}

const ib_schedule ib_schedule_onecycle = {
    .name = "onecycle",
    .by_step = 1,
    .rate = rate,
    .options = {"pct-start", "div-factor", "final-div-factor"},
};
