/* A model: layers, parameters under PyTorch's names, optimiser state, and the training step. */
#ifndef IB_MODEL_MODEL_H
#define IB_MODEL_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "backend/backend.h"
#include "base/folder.h"
#include "base/sha256.h"
#include "catalog/datasets.h"
#include "catalog/experiment.h"
#include "data/pixel_table.h"
#include "nn/network.h"
#include "nn/network_file.h"
#include "tensor/safetensors.h"
#include "tensor/tensor.h"

typedef struct ib_model ib_model;

typedef struct ib_tensor_info {
    const char *name; /* PyTorch's: "conv1.weight" */
    ib_shape shape;   /* PyTorch's: OIHW, [out, in], [out] */
    ib_dtype dtype;   /* F32; I64 for num_batches_tracked */
    int trained;      /* 0: kept by a normalisation; has a value, but no gradient or state */
} ib_tensor_info;

/* Plans all memory for batches of up to max_batch images. training 0 leaves out gradients and
 * optimiser state. experiment gives model kind, optimiser, normalisation; data the images' shape,
 * mean and deviation, and the classes. The backend outlives the model. The caller closes *model. */
ib_status ib_model_open(ib_backend *backend, const ib_experiment *experiment,
                        const ib_dataset_info *data, size_t max_batch, int training,
                        ib_model **model, ib_error *err);
/* The same with another network than the experiment's, which outlives the model. */
ib_status ib_model_open_network(ib_backend *backend, const ib_experiment *experiment,
                                const ib_network_file *network, const ib_dataset_info *data,
                                size_t max_batch, int training, ib_model **model, ib_error *err);
void ib_model_close(ib_model *model);

/* What --normalize standard makes of pixels: needed before images are attached, where the
 * experiment says so. The table may go afterwards. */
ib_status ib_model_standardize(ib_model *model, const ib_pixel_table *table, ib_error *err);
int ib_model_needs_table(const ib_model *model);

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
    IB_PART_STATE1,
    IB_PART_AVERAGE /* of the value, with --ema: what is evaluated and saved in its place */
} ib_tensor_part;

/* The part that is the model's, as it is evaluated and saved: an average, or the value. */
ib_tensor_part ib_model_part(const ib_model *model, size_t index);

/* Copies between the backend and elements of the tensor's type in PyTorch's layout. An average
 * begins anew with a value that is written. */
ib_status ib_model_read(const ib_model *model, size_t index, ib_tensor_part part, void *values,
                        ib_error *err);
ib_status ib_model_write(ib_model *model, size_t index, ib_tensor_part part, const void *values,
                         ib_error *err);

/* Classes it tells apart, and bytes of an image. */
size_t ib_model_class_count(const ib_model *model);
size_t ib_model_image_bytes(const ib_model *model);

/* The images and labels that batches come from, as the data set has them; host memory that outlives
 * the model or the next call. A label that is no class is IB_ERROR_VERIFY. */
ib_status ib_model_attach(ib_model *model, const ib_data_view *data, ib_error *err);
/* count images side by side, taken in their order; labels may be NULL. */
ib_status ib_model_attach_images(ib_model *model, const uint8_t *pixels, const uint16_t *labels,
                                 size_t count, ib_error *err);
/* Which images batches and evaluation take, by their number in the attached data (copied). */
ib_status ib_model_order(ib_model *model, const uint32_t *order, size_t count, ib_error *err);

/* Consecutive training steps on images order[at..end), batch of them each (the last step may have
 * fewer); step is that of the first. */
typedef struct ib_model_steps {
    size_t at, end, batch;
    size_t count; /* at most IB_MOST_STEPS */
    uint64_t seed, step;
    const double *learning_rates; /* [count] */
    int (*stop)(void *context);   /* NULL, or asked between steps */
    void *stop_context;
} ib_model_steps;
/* losses[i]: the mean of step i over its batch, before its update; *done steps have them: all, or
 * until stop asked for an end. A loss or weight that stops being finite: IB_ERROR_DIVERGED, naming
 * step and tensor; *done are the good steps before. */
ib_status ib_model_train(ib_model *model, const ib_model_steps *steps, float *losses, size_t *done,
                         ib_error *err);
/* The two halves of one step on images order[at..at + count), for comparisons with other
 * implementations: step (from 0) numbers the dropout masks; gradients are left for the update. */
ib_status ib_model_gradients(ib_model *model, size_t at, size_t count, uint64_t seed, uint64_t step,
                             float *loss, ib_error *err);
ib_status ib_model_update(ib_model *model, double learning_rate, uint64_t step, ib_error *err);

/* Forward only, images order[0..count): no dropout, averages of weights and running statistics
 * where there are such.
 * stop NULL, or asked between batches: IB_INTERRUPTED. */
ib_status ib_model_evaluate(ib_model *model, size_t count, int (*stop)(void *context),
                            void *stop_context, const ib_scores *scores, ib_error *err);

/* Leaves dropout out of training steps (for comparisons with other implementations). */
void ib_model_set_dropout(ib_model *model, int enabled);

/* model.safetensors: parameters or their averages, no metadata. path: a name in the folder
 * (folder.h), or, folder NULL, a path; NULL: only the hash of what would be written. hex may be
 * NULL with a path. */
ib_status ib_model_save(const ib_model *model, const ib_folder *folder, const char *path,
                        char hex[IB_SHA256_HEX_SIZE], ib_error *err);
/* Reads parameters by name; a missing, surplus or misshapen tensor, or a value that is not finite,
 * is IB_ERROR_VERIFY. Values below 2^-40 become +0: a file may come from elsewhere. */
ib_status ib_model_load(ib_model *model, const char *path, ib_error *err);
/* optimizer.safetensors: "<parameter>.<state>" tensors, with averages the values themselves as
 * "<parameter>.raw", and the I64 scalar "step"; folder and path as above. */
ib_status ib_model_save_optimizer(const ib_model *model, const ib_folder *folder, const char *path,
                                  uint64_t steps, char hex[IB_SHA256_HEX_SIZE], ib_error *err);
/* Refuses a model or optimizer file of ours that holds a value which exact arithmetic never stores,
 * naming tensor and element (IB_ERROR_VERIFY): such a checkpoint would not continue its run. */
ib_status ib_model_check_settled(const char *path, ib_error *err);
/* The reverse, by the same names and with the same checks as ib_model_load. */
ib_status ib_model_load_optimizer(ib_model *model, const char *path, uint64_t *steps,
                                  ib_error *err);
/* The three of a file that was read already: what was hashed is what is used. */
ib_status ib_model_load_read(ib_model *model, const ib_safetensors *file, ib_error *err);
ib_status ib_model_check_settled_read(const ib_safetensors *file, ib_error *err);
ib_status ib_model_load_optimizer_read(ib_model *model, const ib_safetensors *file, uint64_t *steps,
                                       ib_error *err);

/* Dense multiply-adds of one image: forward, and forward + backward as a training step needs. */
uint64_t ib_model_macs_forward(const ib_model *model);
uint64_t ib_model_macs_step(const ib_model *model);

/* One node of the network: a row, or several that one operation computes. */
typedef struct ib_row_info {
    const char *name;   /* "layer1.0.conv1" */
    char operation[64]; /* "conv, relu" */
    ib_shape output;    /* of one image: channels, height, width; or features */
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
