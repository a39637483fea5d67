/* The totals of a file of samples. */
#ifndef IB_MONITOR_RESOURCES_TOTALS_H
#define IB_MONITOR_RESOURCES_TOTALS_H

#include "base/lines.h"
#include "monitor/resources.h"

/* Adds up the lines, which the caller has checked. Lines that are not samples are passed over. */
ib_status ib_resources_replay(ib_lines *lines, ib_resource_past *past, ib_error *err);

#endif
