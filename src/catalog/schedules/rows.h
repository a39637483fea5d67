/* The rows, for schedules.c alone. */
#ifndef IB_CATALOG_SCHEDULES_ROWS_H
#define IB_CATALOG_SCHEDULES_ROWS_H

#include "catalog/schedules.h"

#define IB_SCHEDULE(id, name) extern const ib_schedule ib_schedule_##name;
#include "catalog/schedules.inc"
#undef IB_SCHEDULE

#endif
