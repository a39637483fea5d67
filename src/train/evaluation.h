/* How good a learner's answers are: counted image by image, for networks and support vector
 * machines alike. */
#ifndef IB_TRAIN_EVALUATION_H
#define IB_TRAIN_EVALUATION_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "train/mistakes.h"

typedef struct ib_evaluation {
    double loss;     /* mean over samples of the negative log-likelihood */
    double accuracy; /* 0 to 1 */
    size_t correct, count;
    double seconds;
    size_t classes;
    uint32_t *confusion; /* [label][prediction], classes x classes; the evaluation's own */
    ib_mistakes mistakes;
} ib_evaluation;

/* Starts anew with nothing counted. The evaluation is zero or was begun before; whoever begins it
 * calls ib_evaluation_free, also after a failure. */
ib_status ib_evaluation_begin(ib_evaluation *evaluation, size_t classes, ib_error *err);
/* One image: both classes are below evaluation->classes. */
void ib_evaluation_count(ib_evaluation *evaluation, ib_mistake image);
void ib_evaluation_free(ib_evaluation *evaluation);

#endif
