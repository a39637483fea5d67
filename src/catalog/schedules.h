/* How the learning rate changes: one constant row a schedule. All of it is a function of the
 * experiment and the number of steps done, so that training goes on anywhere without a memory of
 * it. */
#ifndef IB_CATALOG_SCHEDULES_H
#define IB_CATALOG_SCHEDULES_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "catalog/names.h"

typedef struct ib_experiment ib_experiment; /* catalog/experiment.h */

typedef enum ib_schedule_kind {
#define IB_SCHEDULE(id, name) IB_SCHEDULE_##id,
#include "catalog/schedules.inc"
#undef IB_SCHEDULE
} ib_schedule_kind;

typedef struct ib_schedule {
    const char *name;
    int by_step; /* it moves with each step; else with each epoch */
    /* The learning rate of epoch (or step) number at, from 0, of count that it is for; binary64,
     * part of the definition. */
    double (*rate)(const ib_experiment *experiment, uint64_t at, uint64_t count);
    const char *options[IB_ROW_NAMES]; /* that mean something with it; ended by NULL */
} ib_schedule;

/* The index-th schedule, which is that of the kind with this number; NULL past the end. */
const ib_schedule *ib_schedule_at(size_t index);
/* The learning rate of the step after so many, in binary64 (NUMERICS.md, "Schedules"). */
double ib_learning_rate(const ib_experiment *experiment, uint64_t steps_done,
                        size_t steps_per_epoch);
/* A warm-up that leaves the schedule no epoch is IB_ERROR_USAGE. */
ib_status ib_schedule_check(const ib_experiment *experiment, ib_error *err);

#endif
