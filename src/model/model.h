/* A model: layers, parameters under PyTorch's names, optimiser state, and the training step. */
#ifndef IB_MODEL_MODEL_H
#define IB_MODEL_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "backend/backend.h"
#include "base/sha256.h"
#include "experiment/config.h"
#include "nn/network.h"
#include "tensor/tensor.h"

typedef struct ib_model ib_model;

typedef struct ib_tensor_info {
    const char *name; /* PyTorch's: "conv1.weight" */
    ib_shape shape;   /* PyTorch's: OIHW, [out, in], [out] */
    ib_dtype dtype;   /* F32; I64 for num_batches_tracked */
    int trained;      /* 0: kept by a normalisation; has a value, but no gradient or state */
} ib_tensor_info;

/* The name used on the command line and in file names: "cnn", "resnet18". */
const char *ib_model_kind_name(ib_model_kind kind);

/* Whether ib_model_open knows it; a support vector machine is of svm/. */
int ib_model_is_network(ib_model_kind kind);
/* What --normalize makes of the data set's mean and deviation. */
void ib_chosen_normalization(const ib_config *config, double dataset_mean, double dataset_deviation,
                             double *mean, double *deviation);

/* Plans all memory for batches of up to max_batch images. training 0 leaves out gradients and
 * optimiser state. config gives model kind, optimiser, normalisation; mean and deviation are the
 * data set's. The backend outlives the model. The caller closes *model. */
ib_status ib_model_open(ib_backend *backend, const ib_config *config, double mean,
                        double standard_deviation, size_t max_batch, int training, ib_model **model,
                        ib_error *err);
void ib_model_close(ib_model *model);

/* Initial weights as torch.nn's defaults draw them in distribution; a pure function of the seed. */
ib_status ib_model_initialize(ib_model *model, uint64_t seed, ib_error *err);

/* The model's tensors, those that are not trained included, in PyTorch's order. */
size_t ib_model_tensor_count(const ib_model *model);
const ib_tensor_info *ib_model_tensor(const ib_model *model, size_t index);
/* Trained values. */
size_t ib_model_parameter_count(const ib_model *model);

/* Which copy of a parameter-shaped tensor. State names: adadelta square_avg, acc_delta; adam
 * exp_avg, exp_avg_sq; sgd momentum_buffer (with momentum only). */
typedef enum ib_tensor_part {
    IB_PART_VALUE,
    IB_PART_GRADIENT,
    IB_PART_STATE0,
    IB_PART_STATE1
} ib_tensor_part;

/* Copies between the backend and elements of the tensor's type in PyTorch's layout. */
ib_status ib_model_read(const ib_model *model, size_t index, ib_tensor_part part, void *values,
                        ib_error *err);
ib_status ib_model_write(ib_model *model, size_t index, ib_tensor_part part, const void *values,
                         ib_error *err);

/* One batch: images[i] are 784 bytes each, labels 0..9; position in the batch is the sample's
 * logical index. Forward, backward; *loss is the mean over the batch. step (from 0) numbers the
 * dropout masks. Gradients are left for ib_model_update. */
ib_status ib_model_gradients(ib_model *model, const uint8_t *const *images, const uint8_t *labels,
                             size_t count, uint64_t seed, uint64_t step, float *loss,
                             ib_error *err);
/* The optimiser step. step counts from 0. A non-finite weight: IB_ERROR_DIVERGED, naming step and
 * tensor. */
ib_status ib_model_update(ib_model *model, double learning_rate, uint64_t step, ib_error *err);
/* Both, fused where the backend can. */
ib_status ib_model_train_step(ib_model *model, const uint8_t *const *images, const uint8_t *labels,
                              size_t count, uint64_t seed, uint64_t step, double learning_rate,
                              float *loss, ib_error *err);

/* Forward only: no dropout, and running statistics where there are such. logits: count * 10 floats,
 * or NULL. losses: one each (needs labels), or NULL. predictions: the first class with the greatest
 * logit, or NULL. */
ib_status ib_model_predict(ib_model *model, const uint8_t *const *images, const uint8_t *labels,
                           size_t count, float *logits, float *losses, uint8_t *predictions,
                           ib_error *err);

/* Leaves dropout out of training steps (for comparisons with other implementations). */
void ib_model_set_dropout(ib_model *model, int enabled);

/* model.safetensors: parameters, no metadata. path NULL: only the hash of what would be written.
 * hex may be NULL with a path. */
ib_status ib_model_save(const ib_model *model, const char *path, char hex[IB_SHA256_HEX_SIZE],
                        ib_error *err);
/* Reads parameters by name; a missing, surplus or misshapen tensor, or a value that is not finite, is
 * IB_ERROR_VERIFY. Values below 2^-40 become +0: a file may come from elsewhere. */
ib_status ib_model_load(ib_model *model, const char *path, ib_error *err);
/* optimizer.safetensors: "<parameter>.<state>" tensors and the I64 scalar "step". */
ib_status ib_model_save_optimizer(const ib_model *model, const char *path, uint64_t steps,
                                  char hex[IB_SHA256_HEX_SIZE], ib_error *err);
/* Refuses a model or optimizer file of ours that holds a value which exact arithmetic never stores,
 * naming tensor and element (IB_ERROR_VERIFY): such a checkpoint would not continue its run. */
ib_status ib_model_check_settled(const char *path, ib_error *err);
/* The reverse, by the same names and with the same checks as ib_model_load. */
ib_status ib_model_load_optimizer(ib_model *model, const char *path, uint64_t *steps,
                                  ib_error *err);

/* Dense multiply-adds of one image: forward, and forward + backward as a training step needs. */
uint64_t ib_model_macs_forward(const ib_model *model);
uint64_t ib_model_macs_step(const ib_model *model);

/* One row of the model's table. */
typedef struct ib_row_info {
    const char *name, *operation; /* "layer1.0.conv1", "conv" */
    ib_shape output;              /* of one image: channels, height, width; or features */
    size_t parameters;
    uint64_t macs;       /* multiply-adds of one image, forward */
    uint64_t counted;    /* the same as tools count it that add normalisations and means */
    size_t output_bytes; /* of one image, as stored */
} ib_row_info;

size_t ib_model_row_count(const ib_model *model);
ib_row_info ib_model_row(const ib_model *model, size_t index);
ib_network_memory ib_model_memory(const ib_model *model);
/* What an optimiser step reads and writes at least once. */
uint64_t ib_model_update_bytes(const ib_model *model);

#endif
