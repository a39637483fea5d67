/* Training: a device that computes, data, and a network that is trained on them.
 *
 *     const char *const options[] = {"epochs=2", "seed=1", NULL};
 *     const ib_net_options cnn = {.network = "cnn", .options = options};
 *     ib_device_open(NULL, &device, why, sizeof why);
 *     ib_data_open("data", "mnist", &data, why, sizeof why);
 *     ib_net_open(device, data, &cnn, &net, why, sizeof why);
 *     ib_net_train(net, progress, &state);
 *     ib_net_save(net, "model.safetensors", sha256);
 *
 * and later, in another process:
 *
 *     const ib_net_options saved = {.model = "model.safetensors"};
 *     ib_net_open(device, data, &saved, &net, why, sizeof why);
 *     ib_net_evaluate(net, IB_TEST_SET, &result, NULL);
 *
 * A device and its networks are used by one thread at a time, data by any number at once. Close in
 * the reverse order: networks, then data and device. */
#ifndef ISOBIT_TRAIN_H
#define ISOBIT_TRAIN_H

#include <stddef.h>
#include <stdint.h>

#include "isobit/row.h"
#include "isobit/status.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* ---- what computes --------------------------------------------------------------------------- */

typedef struct ib_device ib_device;

/* Zero-initialise; zero and NULL mean the default. None of it changes a bit of a result. */
typedef struct ib_device_options {
    const char *backend; /* "auto" */
    const char *isa;  /* instruction set: "auto" (the best), "scalar", "avx2", "avx512", "neon" */
    unsigned threads; /* the caller's included; 0: every CPU that it may use */
    int pin; /* 1: a CPU for each thread where there are enough, the caller's too until the device
                is closed, by the thread that opened it. Faster where nothing else runs */
} ib_device_options;

/* options may be NULL. What this machine lacks is IB_ERROR_UNAVAILABLE. On failure *device is NULL
 * and message (may be NULL) holds the reason, cut to message_size; so with all that opens. */
ib_status ib_device_open(const ib_device_options *options, ib_device **device, char *message,
                         size_t message_size);
void ib_device_close(ib_device *device);
/* "cpu", "avx512", 8; the texts live as long as the device. */
const char *ib_device_backend(const ib_device *device);
const char *ib_device_isa(const ib_device *device);
unsigned ib_device_threads(const ib_device *device);

/* ---- data ------------------------------------------------------------------------------------ */

typedef struct ib_data ib_data;

/* A known data set ("mnist", "fashion-mnist", "digits") from the files in DIRECTORY/NAME/, which
 * `isobit data prepare` gets, or one that `isobit data import` has put there, all in memory. Each file's SHA-256 is checked: else IB_ERROR_VERIFY.
 */
ib_status ib_data_open(const char *directory, const char *name, ib_data **data, char *message,
                       size_t message_size);

/* Images of one's own. Pixels and labels are not copied: they stay as they are until the data are
 * closed. */
typedef struct ib_memory_images {
    uint32_t channels, height, width; /* 1 to 16 channels */
    uint32_t classes;                 /* 2 to 256 */
    double mean, deviation;           /* of v / 255 over the training pixels; deviation above 0 */
    size_t train_count, test_count;   /* images */
    /* [count][height][width][channels] bytes, and [count] labels below classes; NULL with count 0.
     */
    const uint8_t *train_pixels, *train_labels, *test_pixels, *test_labels;
} ib_memory_images;
ib_status ib_data_from_memory(const ib_memory_images *images, ib_data **data, char *message,
                              size_t message_size);
void ib_data_close(ib_data *data);

/* Training images come first, then test images, in one numbering. */
size_t ib_data_train_count(const ib_data *data);
size_t ib_data_test_count(const ib_data *data);
size_t ib_data_class_count(const ib_data *data);
size_t ib_data_image_bytes(const ib_data *data);
/* index below train count + test count. Pixels stay the data's. */
const uint8_t *ib_data_pixels(const ib_data *data, size_t index);
unsigned ib_data_label(const ib_data *data, size_t index);

/* ---- networks -------------------------------------------------------------------------------- */

typedef struct ib_net ib_net;

/* Zero-initialise; NULL means the default. */
typedef struct ib_net_options {
    const char *network; /* by name: "cnn" */
    const ib_row *rows; /* or by its rows (copied), ended by a kind of NULL; then network is NULL */
    /* Weights of a model's file, or of model.safetensors in a run's directory. Where neither name
     * nor rows are given its tensors say which network it is of; a network of rows needs its rows.
     * As for `isobit test`, normalisation, split, seed and test size are those of run.json beside
     * the file, where there is one, unless options say otherwise. Training begins anew from these
     * weights, or goes on after ib_net_load_optimizer. */
    const char *model;
    /* "name=value", ended by NULL: the experiment's options of `isobit train --help`, without "--",
     * with the same checks and defaults: "epochs=2", "batch-size=64", "optimizer=adam", "lr=0.001",
     * "seed=1", "split=70-10-20", "init-model=FILE", "dry-run=1" ... What decides no bits (threads,
     * run records), the model and the data set are given otherwise, and refused here. */
    const char *const *options;
} ib_net_options;

/* Plans all memory and draws the seed's initial weights, or reads the model's. device and data
 * outlive the network. What does not fit (an option, a row) is IB_ERROR_USAGE, naming it; a model's
 * file that is damaged, of another network, or not the one of run.json beside it IB_ERROR_VERIFY.
 */
ib_status ib_net_open(ib_device *device, const ib_data *data, const ib_net_options *options,
                      ib_net **net, char *message, size_t message_size);
void ib_net_close(ib_net *net);

/* Why the last call failed; the network's until its next call, never NULL. */
const char *ib_net_error(const ib_net *net);

typedef struct ib_result {
    size_t count, correct; /* images */
    double accuracy;       /* correct / count */
    double loss;           /* mean negative log-likelihood */
} ib_result;

typedef enum ib_event_kind { IB_EVENT_STEP, IB_EVENT_EPOCH } ib_event_kind;

/* After each step, and after the evaluation at the end of each epoch. */
typedef struct ib_event {
    ib_event_kind kind;
    size_t epoch, epochs;                  /* from 1; of how many */
    size_t step_in_epoch, steps_per_epoch; /* from 1; of how many */
    uint64_t step;                         /* steps done in all */
    double loss; /* mean of the step's images before its update; of the epoch's images, NAN where
                    some of its steps were done before ib_net_load_optimizer */
    double learning_rate;               /* of the step; of the epoch's last */
    double seconds;                     /* of training so far, evaluations excluded */
    const ib_result *test, *validation; /* of an epoch; validation NULL without such images */
} ib_event;

/* Called on the training thread, with the caller's floating-point environment. Not 0 ends training
 * after this step. It must not call functions of networks of this device but ib_net_stop: they
 * fail with IB_ERROR_USAGE. */
typedef int ib_on_event(void *context, const ib_event *event);

/* Trains to the last epoch. on_event may be NULL. Stopped: IB_INTERRUPTED, and a later call goes on
 * and ends with the bits of an undisturbed training. A loss or weight that stops being finite:
 * IB_ERROR_DIVERGED, naming step and tensor. A network that was trained to its end, or failed, is
 * not trained further: ib_net_load, or another network, say one with more epochs into which weights
 * and optimiser's state are loaded. */
ib_status ib_net_train(ib_net *net, ib_on_event *on_event, void *context);
/* Asks for an end of the training that goes on or else the next one, from any thread or signal
 * handler; heard between steps and between batches of an evaluation. */
void ib_net_stop(ib_net *net);

typedef enum ib_subset { IB_TEST_SET, IB_VALIDATION_SET, IB_TRAINING_SET } ib_subset;

/* On images as the options split them. result may be NULL. confusion (may be NULL): classes x
 * classes counts, [label][prediction]. */
ib_status ib_net_evaluate(ib_net *net, ib_subset which, ib_result *result, uint32_t *confusion);

/* images: count * image bytes, as in the data. classes (may be NULL): count values below the class
 * count. logits (may be NULL): count * class count values. The bits do not depend on which images
 * are asked for together. */
ib_status ib_net_predict(ib_net *net, const uint8_t *images, size_t count, uint16_t *classes,
                         float *logits);

enum { IB_SHA256_TEXT = 65 };

/* The weights as a safetensors file under PyTorch's names, written whole or not at all; the same
 * weights are the same bytes. path NULL: only the hash. sha256 (may be NULL with a path): the
 * file's, in hexadecimal. */
ib_status ib_net_save(ib_net *net, const char *path, char sha256[IB_SHA256_TEXT]);
/* The reverse, for a network of the same tensors; training then begins anew from these weights. A
 * file that is damaged or of another network is IB_ERROR_VERIFY, and the network stays as it was.
 */
ib_status ib_net_load(ib_net *net, const char *path);

/* The optimiser's state and how many steps are done, as optimizer.safetensors of a run; arguments
 * as for ib_net_save. With the weights of the same moment it is all that going on takes. */
ib_status ib_net_save_optimizer(ib_net *net, const char *path, char sha256[IB_SHA256_TEXT]);
/* The reverse, after the weights were loaded: training goes on after those steps, to the bits of an
 * undisturbed one with the same options (epochs may be more). An epoch all of whose steps were done
 * is not evaluated again. A file that is damaged, of another network or optimiser, or of more steps
 * than there are is IB_ERROR_VERIFY, and the network stays as it was. Nothing in the two files says
 * that they are of one moment, or of these options: that is the caller's to know. */
ib_status ib_net_load_optimizer(ib_net *net, const char *path);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
