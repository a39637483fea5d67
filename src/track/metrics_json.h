/* Metrics of an evaluation as members of JSON objects. */
#ifndef IB_TRACK_METRICS_JSON_H
#define IB_TRACK_METRICS_JSON_H

#include "experiment/json_text.h"
#include "train/metrics.h"

/* macro_f1 ... weighted_recall, and for each class [precision, recall, f1]. */
void ib_metrics_write(const ib_metrics *metrics, const char *key, ib_json *json);

#endif
