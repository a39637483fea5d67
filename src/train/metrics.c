#include "train/metrics.h"

#include <stdlib.h>

static double share(uint64_t part, uint64_t whole) {
    return whole == 0 ? 0.0 : (double)part / (double)whole;
}

static void add(ib_mean_metrics *sum, const ib_class_metrics *c, double weight) {
    sum->precision += weight * c->precision;
    sum->recall += weight * c->recall;
    sum->f1 += weight * c->f1;
}

static void divide(ib_mean_metrics *sum, double by) {
    if (by == 0)
        return;
    sum->precision /= by;
    sum->recall /= by;
    sum->f1 /= by;
}

ib_status ib_metrics_compute(const uint32_t *confusion, size_t classes, ib_metrics *metrics,
                             ib_error *err) {
    *metrics =
        (ib_metrics){.class_count = classes, .classes = calloc(classes, sizeof *metrics->classes)};
    if (metrics->classes == NULL)
        return ib_fail_memory(err);
    uint64_t images = 0, present = 0;
    for (size_t label = 0; label < classes; ++label) {
        ib_class_metrics *c = &metrics->classes[label];
        c->correct = confusion[label * classes + label];
        for (size_t other = 0; other < classes; ++other) {
            c->images += confusion[label * classes + other];
            c->predicted += confusion[other * classes + label];
        }
        c->present = c->images + c->predicted > 0;
        c->precision = share(c->correct, c->predicted);
        c->recall = share(c->correct, c->images);
        c->f1 = share(2 * c->correct, c->images + c->predicted);
        if (c->present)
            add(&metrics->macro, c, 1.0);
        add(&metrics->weighted, c, (double)c->images);
        images += c->images;
        present += (uint64_t)c->present;
    }
    divide(&metrics->macro, (double)present);
    divide(&metrics->weighted, (double)images);
    return IB_OK;
}

void ib_metrics_free(ib_metrics *metrics) {
    free(metrics->classes);
    *metrics = (ib_metrics){0};
}
