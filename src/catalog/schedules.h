/* How the learning rate changes from epoch to epoch: one constant row a schedule. */
#ifndef IB_CATALOG_SCHEDULES_H
#define IB_CATALOG_SCHEDULES_H

#include <stddef.h>

#include "catalog/names.h"

struct ib_experiment;

typedef enum ib_schedule_kind { IB_SCHEDULE_STEP, IB_SCHEDULE_CONSTANT } ib_schedule_kind;

typedef struct ib_schedule {
    const char *name;
    /* The learning rate of the epoch after epoch (from 1), whose own was lr; binary64, part of the
     * definition. */
    double (*next)(const struct ib_experiment *experiment, size_t epoch, double lr);
    const char *options[IB_ROW_NAMES]; /* that mean something with it; ended by NULL */
} ib_schedule;

/* The index-th schedule, which is that of the kind with this number; NULL past the end. */
const ib_schedule *ib_schedule_at(size_t index);

#endif
