/* The images that were taken for another class with the greatest confidence. */
#ifndef IB_TRAIN_MISTAKES_H
#define IB_TRAIN_MISTAKES_H

#include <stddef.h>
#include <stdint.h>

enum { IB_MISTAKES_KEPT = 60 };

typedef struct ib_mistake {
    uint32_t index; /* into the data set, as splits hold them */
    uint16_t actual, predicted;
    /* log of the probability of predicted, as margin (its logit less that of actual) less loss
     * (-log of the probability of actual): no rounding of exp decides the order. */
    double log_probability;
} ib_mistake;

/* Zero-initialise. */
typedef struct ib_mistakes {
    size_t total; /* all that were added */
    size_t count; /* kept, by falling log_probability; equal ones in the order they were added */
    ib_mistake kept[IB_MISTAKES_KEPT];
} ib_mistakes;

void ib_mistakes_add(ib_mistakes *mistakes, ib_mistake mistake);

#endif
