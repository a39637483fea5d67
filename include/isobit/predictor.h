/* Predictions by a trained model, from its file alone. A predictor is used by one thread at a time;
 * different ones by different threads at once. */
#ifndef ISOBIT_PREDICTOR_H
#define ISOBIT_PREDICTOR_H

#include <stddef.h>
#include <stdint.h>

#include "isobit/status.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct ib_predictor ib_predictor;

/* Zero-initialise; zero and NULL mean the default. A run's record beside the model (run.json) says
 * what it was trained on, as for `isobit test`; without one it is "mnist" and "dataset". Networks
 * are those that have a name: one of rows, or of images in memory, is opened by ib_net_open. */
typedef struct ib_predictor_options {
    const char *dataset;   /* the one trained on; of an imported set its folder, "data/flowers" */
    const char *normalize; /* as in training */
    const char *isa;       /* "auto" */
    unsigned threads;      /* every usable CPU */
} ib_predictor_options;

/* Opens a model file, or model.safetensors in a run's directory. A record beside it that is of
 * another file is IB_ERROR_VERIFY. On failure *predictor is NULL, and message (may be NULL) holds
 * the reason, cut to message_size. The caller closes *predictor. */
ib_status ib_predictor_open(const char *model_path, const ib_predictor_options *options,
                            ib_predictor **predictor, char *message, size_t message_size);

/* Bytes of one image, row by row as in the data set's files (MNIST: 784, 0 is ground), and how many
 * classes it may be of. */
size_t ib_predictor_image_bytes(const ib_predictor *predictor);
size_t ib_predictor_class_count(const ib_predictor *predictor);

/* images: count * image bytes. classes (may be NULL): count values below the class count. logits
 * (may be NULL): count * class count values. The caller owns all three. The bits do not depend on
 * the machine, the threads, or which images are asked for together. */
ib_status ib_predictor_predict(ib_predictor *predictor, const uint8_t *images, size_t count,
                               uint16_t *classes, float *logits);

/* Why the last call of predict failed; owned by the predictor, never NULL. */
const char *ib_predictor_error(const ib_predictor *predictor);

/* NULL is allowed. */
void ib_predictor_close(ib_predictor *predictor);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
