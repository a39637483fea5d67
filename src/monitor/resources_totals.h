/* The totals of a file of samples. */
#ifndef IB_MONITOR_RESOURCES_TOTALS_H
#define IB_MONITOR_RESOURCES_TOTALS_H

#include <stdio.h>

#include "monitor/resources.h"

/* Adds up the lines of stream and cuts a last one that has no end; the stream is then at its end.
 * Lines that are not samples are passed over. 0: cutting failed, or memory
 * ran out (errno). */
int ib_resources_replay(FILE *stream, ib_resource_totals *totals);

#endif
