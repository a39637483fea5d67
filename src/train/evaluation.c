#include "train/evaluation.h"

#include <stdlib.h>

ib_status ib_evaluation_begin(ib_evaluation *evaluation, size_t classes, ib_error *err) {
    ib_evaluation_free(evaluation);
    evaluation->classes = classes;
    evaluation->confusion = calloc(classes * classes, sizeof *evaluation->confusion);
    return evaluation->confusion == NULL ? ib_fail_memory(err) : IB_OK;
}

void ib_evaluation_count(ib_evaluation *evaluation, ib_mistake image) {
    ++evaluation->count;
    ++evaluation->confusion[image.actual * evaluation->classes + image.predicted];
    if (image.actual == image.predicted)
        ++evaluation->correct;
    else
        ib_mistakes_add(&evaluation->mistakes, image);
    evaluation->accuracy = (double)evaluation->correct / (double)evaluation->count;
}

void ib_evaluation_free(ib_evaluation *evaluation) {
    free(evaluation->confusion);
    *evaluation = (ib_evaluation){0};
}
