/* What is measured of a run: one constant row a metric, from which experiment files, tables,
 * figures and findings take its name, unit and title. */
#ifndef IB_CATALOG_METRICS_H
#define IB_CATALOG_METRICS_H

#include <stddef.h>

/* What a metric is measured in, and how it may be written in an experiment file. */
typedef enum ib_metric_unit {
    IB_UNIT_FRACTION, /* 0.9901 or 99.01% */
    IB_UNIT_PLAIN,
    IB_UNIT_SECONDS,    /* 341.6, 341.6s or 5.7min */
    IB_UNIT_RATIO,      /* 1.5 or 1.5x */
    IB_UNIT_COUNT,      /* 11180000 or 11.18M */
    IB_UNIT_BYTES,      /* 1700000 or 1.7MB */
    IB_UNIT_PERCENT,    /* 187 or 187%: above 100 on several CPUs */
    IB_UNIT_WATT_HOURS, /* 1.5 or 1.5Wh */
    IB_UNIT_MONEY,      /* 0.007: the price table names the currency */
} ib_metric_unit;

typedef struct ib_metric_info {
    const char *name;  /* as in run records where it is there */
    const char *title; /* as tables and figures call it */
    ib_metric_unit unit;
    int by_epoch;       /* has a value after each epoch */
    int less_is_better; /* where a configuration is chosen by it */
    const char *help;
} ib_metric_info;

const ib_metric_info *ib_metric_at(size_t index); /* NULL past the end */
const ib_metric_info *ib_metric_find(const char *name);
size_t ib_metric_index(const ib_metric_info *metric);
enum { IB_METRICS_MOST = 32 }; /* above every index */

#endif
