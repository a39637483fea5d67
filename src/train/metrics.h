/* What a confusion matrix says, by the definitions of sklearn.metrics (zero_division = 0). */
#ifndef IB_TRAIN_METRICS_H
#define IB_TRAIN_METRICS_H

#include <stdint.h>

#include "data/dataset.h"

typedef struct ib_class_metrics {
    uint64_t images, predicted, correct; /* of this label, given this label, both */
    double precision, recall, f1;        /* recall is the accuracy within the class */
    int present;                         /* among labels or predictions: counts in the means */
} ib_class_metrics;

typedef struct ib_mean_metrics {
    double precision, recall, f1;
} ib_mean_metrics;

typedef struct ib_metrics {
    ib_class_metrics classes[IB_CLASSES];
    ib_mean_metrics macro;    /* every class present weighs the same */
    ib_mean_metrics weighted; /* by images of the class */
} ib_metrics;

/* confusion: IB_CLASSES x IB_CLASSES, [label][prediction]. */
void ib_metrics_compute(const uint32_t *confusion, ib_metrics *metrics);

#endif
