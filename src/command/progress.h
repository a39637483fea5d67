/* A progress line on a terminal. */
#ifndef IB_COMMAND_PROGRESS_H
#define IB_COMMAND_PROGRESS_H

#include <stdio.h>

#include "train/trainer.h"

/* Zero-initialise, set out and use_escapes. With out NULL every call does nothing. */
typedef struct ib_progress {
    FILE *out;
    int use_escapes;
    ib_train_plan plan;
    double begun, drawn; /* ib_seconds() */
    int width;           /* characters on the line now, 0: none */
} ib_progress;

void ib_progress_begin(ib_progress *progress, const ib_train_plan *plan);
/* Redraws at most ten times a second. */
void ib_progress_step(ib_progress *progress, const ib_step_event *event);
/* Takes the line away, so that something else can be printed. */
void ib_progress_clear(ib_progress *progress);

#endif
