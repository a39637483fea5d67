/* Metrics of an evaluation as members of JSON objects. */
#ifndef IB_RECORD_METRICS_JSON_H
#define IB_RECORD_METRICS_JSON_H

#include "base/json_text.h"
#include "train/evaluation.h"
#include "train/metrics.h"

/* macro_f1 ... weighted_recall, and for each class [precision, recall, f1]. */
void ib_metrics_write(const ib_metrics *metrics, const char *key, ib_json *json);

/* The confusion matrix, one row a line; empty for NULL. */
void ib_confusion_write(const ib_evaluation *evaluation, const char *key, ib_json *json);

#endif
