/* The metrics of an evaluation as a table for people. */
#ifndef IB_COMMAND_METRICS_TEXT_H
#define IB_COMMAND_METRICS_TEXT_H

#include <stdio.h>

#include "train/evaluation.h"
#include "train/metrics.h"

/* Per class and mean precision, recall (the accuracy within the class) and F1, then the confusion
 * matrix. */
void ib_metrics_print(const ib_metrics *metrics, const ib_evaluation *evaluation, FILE *out);

#endif
