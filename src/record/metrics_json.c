#include "record/metrics_json.h"

#include <stddef.h>

/* One number a class; null for a class that is absent. */
static void write_list(const ib_metrics *metrics, const char *key, size_t offset, ib_json *json) {
    int indent = json->indent;
    ib_json_open(json, key, '[');
    json->indent = 0;
    for (size_t label = 0; label < metrics->class_count; ++label) {
        const ib_class_metrics *c = &metrics->classes[label];
        if (c->present)
            ib_json_double(json, NULL, *(const double *)((const char *)c + offset));
        else
            ib_json_string(json, NULL, NULL);
    }
    ib_json_close(json, ']');
    json->indent = indent;
}

void ib_metrics_write(const ib_metrics *metrics, const char *key, ib_json *json) {
    ib_json_open(json, key, '{');
    ib_json_double(json, "macro_f1", metrics->macro.f1);
    ib_json_double(json, "macro_precision", metrics->macro.precision);
    ib_json_double(json, "macro_recall", metrics->macro.recall);
    ib_json_double(json, "weighted_f1", metrics->weighted.f1);
    ib_json_double(json, "weighted_precision", metrics->weighted.precision);
    ib_json_double(json, "weighted_recall", metrics->weighted.recall);
    write_list(metrics, "class_f1", offsetof(ib_class_metrics, f1), json);
    write_list(metrics, "class_precision", offsetof(ib_class_metrics, precision), json);
    write_list(metrics, "class_accuracy", offsetof(ib_class_metrics, recall), json);
    ib_json_close(json, '}');
}

void ib_confusion_write(const ib_evaluation *evaluation, const char *key, ib_json *json) {
    size_t classes = evaluation == NULL ? 0 : evaluation->classes;
    ib_json_open(json, key, '[');
    for (size_t label = 0; label < classes; ++label) {
        int indent = json->indent;
        ib_json_open(json, NULL, '[');
        json->indent = 0; /* one row a line */
        for (size_t predicted = 0; predicted < classes; ++predicted)
            ib_json_uint(json, NULL, evaluation->confusion[label * classes + predicted]);
        ib_json_close(json, ']');
        json->indent = indent;
    }
    ib_json_close(json, ']');
}
