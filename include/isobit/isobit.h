/* isobit: training and prediction that give the same bits on every machine.
 *
 *     ib_predictor *predictor = NULL;
 *     char why[256];
 *     if (ib_predictor_open("model.safetensors", NULL, &predictor, why, sizeof why) != IB_OK)
 *         ... why says it ...
 *     ib_predictor_predict(predictor, pixels, count, classes, NULL);
 *     ib_predictor_close(predictor);
 *
 * examples/mnist-cnn.c trains. What holds for all of it:
 * - Nothing here prints, ends the process, reads the environment or installs a signal handler.
 * - A function that can fail returns a status; the reason is text in the buffer given to an opening
 *   function, and of its handle later (ib_net_error, ib_predictor_error).
 * - Buffers are the caller's. Handles are closed by the caller; NULL may be closed.
 * - The calling thread keeps its affinity and its floating-point environment, and whatever the
 *   latter is, the bits are the same. Worker threads block all signals.
 * - There is no state outside handles: threads that share none do not meet. */
#ifndef ISOBIT_ISOBIT_H
#define ISOBIT_ISOBIT_H

#include "isobit/predictor.h"
#include "isobit/row.h"
#include "isobit/status.h"
#include "isobit/train.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* "0.1.0" */
const char *ib_version(void);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
