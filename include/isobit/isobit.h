/* The public C API: predictions by a trained model.
 *
 *     ib_predictor *predictor = NULL;
 *     char why[256];
 *     if (ib_predictor_open("model.safetensors", NULL, &predictor, why, sizeof why) != IB_OK)
 *         ... why says it ...
 *     ib_predictor_predict(predictor, pixels, count, classes, NULL);
 *     ib_predictor_close(predictor);
 *
 * The library never ends the process and prints nothing. Different predictors may be used by
 * different threads at once; one predictor by one thread at a time. A predictor belongs to the
 * thread that opened it where it matters: opening pins that thread to a CPU. */
#ifndef ISOBIT_ISOBIT_H
#define ISOBIT_ISOBIT_H

#include <stddef.h>
#include <stdint.h>

#include "isobit/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* "0.1.0" */
const char *ib_version(void);

typedef struct ib_predictor ib_predictor;

/* Zero-initialise; zero and NULL mean the default. */
typedef struct ib_predictor_options {
    const char *dataset;   /* the one trained on: "mnist" */
    const char *normalize; /* as in training: "dataset" */
    const char *isa;       /* "auto" */
    unsigned threads;      /* every usable CPU */
} ib_predictor_options;

/* Opens a model file. On failure *predictor is NULL, and message (may be NULL) holds the reason,
 * cut to message_size. The caller closes *predictor. */
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

#ifdef __cplusplus
}
#endif

#endif
