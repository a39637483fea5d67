#include "command/metrics_text.h"

static void print_mean(const char *name, const ib_mean_metrics *mean, FILE *out) {
    fprintf(out, "%-8s          %9.2f  %8.2f  %6.2f\n", name, 100 * mean->precision,
            100 * mean->recall, 100 * mean->f1);
}

void ib_metrics_print(const ib_metrics *metrics, const ib_evaluation *evaluation, FILE *out) {
    size_t classes = evaluation->classes;
    fputs("class     images  precision  accuracy      F1   given as:", out);
    for (size_t label = 0; label < classes; ++label)
        fprintf(out, " %5zu", label);
    fputc('\n', out);
    for (size_t label = 0; label < classes; ++label) {
        const ib_class_metrics *c = &metrics->classes[label];
        fprintf(out, "%-8zu  %6llu  %9.2f  %8.2f  %6.2f            ", label,
                (unsigned long long)c->images, 100 * c->precision, 100 * c->recall, 100 * c->f1);
        for (size_t given = 0; given < classes; ++given)
            fprintf(out, " %5u", evaluation->confusion[label * classes + given]);
        fputc('\n', out);
    }
    print_mean("macro", &metrics->macro, out);
    print_mean("weighted", &metrics->weighted, out);
}
