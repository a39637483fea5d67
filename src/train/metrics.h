/* What a confusion matrix says, by the definitions of sklearn.metrics (zero_division = 0). */
#ifndef IB_TRAIN_METRICS_H
#define IB_TRAIN_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct ib_class_metrics {
    uint64_t images, predicted, correct; /* of this label, given this label, both */
    double precision, recall, f1;        /* recall is the accuracy within the class */
    int present;                         /* among labels or predictions: counts in the means */
} ib_class_metrics;

typedef struct ib_mean_metrics {
    double precision, recall, f1;
} ib_mean_metrics;

typedef struct ib_metrics {
    size_t class_count;
    ib_class_metrics *classes;
    ib_mean_metrics macro;    /* every class present weighs the same */
    ib_mean_metrics weighted; /* by images of the class */
} ib_metrics;

/* confusion: classes x classes, [label][prediction]. The caller calls ib_metrics_free. */
ib_status ib_metrics_compute(const uint32_t *confusion, size_t classes, ib_metrics *metrics,
                             ib_error *err);
void ib_metrics_free(ib_metrics *metrics);

#endif
