/* What run records say, by metric. */
#ifndef IB_REPORT_RECORDS_H
#define IB_REPORT_RECORDS_H

#include <stddef.h>

#include "base/status.h"
#include "record/cost.h"
#include "record/run.h"
#include "report/report.h"
#include "study/study.h"

/* What runs cost by: the caller's. */
typedef struct ib_report_pricing {
    const ib_prices *prices; /* NULL: there is no table */
    const ib_price *price;   /* of all runs; NULL: the table's match texts decide */
    double watts;            /* to estimate energy that was not measured; 0: not */
    const char *table;       /* its path */
} ib_report_pricing;

typedef struct ib_report_record {
    ib_run run;
    char *obstacle;                 /* why it could not be read; NULL: it was */
    char *machine;                  /* with backend, instruction set and threads */
    double epochs_asked;            /* of the configuration; 0: not said */
    double finals[IB_METRICS_MOST]; /* by metric, NaN: no value */
    int lost;                       /* memory ran out while they were: values are missing */
    double *by_epoch;               /* [epoch - 1][metric] */
    size_t epoch_count;
    char *hardware;        /* CPU and GPUs, as prices match them; NULL: no results */
    int energy_estimated;  /* by pricing->watts */
    const ib_price *price; /* NULL: none */
} ib_report_record;

/* Reads run.json and checks metrics.jsonl. pricing NULL: without costs. Not there or damaged:
 * IB_ERROR_VERIFY; two prices that match: IB_ERROR_USAGE. The caller calls ib_report_record_free,
 * also after a failure. */
ib_status ib_report_record_read(const char *directory, const ib_report_pricing *pricing,
                                ib_report_record *record, ib_error *err);
void ib_report_record_free(ib_report_record *record);

/* The value at the end of training (epoch 0) or after an epoch; NaN: there is none. */
double ib_report_record_value(ib_report_record *record, const ib_metric_info *metric, size_t epoch);

/* The images that the run took for another class, the most confident first, at most limit. total:
 * how many there were. *missing is a text (fresh) when the record does not have them. */
ib_status ib_report_misclassified(const ib_report_record *record, size_t limit,
                                  ib_figure_image **images, size_t *count, size_t *total,
                                  char **missing, ib_error *err);

#endif
