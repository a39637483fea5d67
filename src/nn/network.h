/* A network as a list of rows, each reading the output of an earlier row: memory, forward,
 * backward, update. Knows the backend interface only. */
#ifndef IB_NN_NETWORK_H
#define IB_NN_NETWORK_H

#include "backend/backend.h"
#include "catalog/datasets.h"

typedef enum ib_layer_kind {
    IB_LAYER_CONV,
    IB_LAYER_LINEAR,
    IB_LAYER_NORM, /* batch normalisation, then the addition of another row, then ReLU */
    IB_LAYER_POOL, /* 3x3 max of stride 2 and padding 1 */
    IB_LAYER_MEAN, /* over pixels: an image becomes features */
} ib_layer_kind;

/* One row of a model's table. A name of NULL ends the table. */
typedef struct ib_layer_spec {
    ib_layer_kind kind;
    const char *name; /* PyTorch's module name: "conv1" */
    int64_t out;      /* conv, linear: channels or features */
    int64_t kernel, stride, pad;
    int relu, pool; /* pool: conv's own 2x2 */
    double dropout; /* after ReLU (and pooling) */
    int no_bias;    /* conv: because a normalisation follows */
    size_t back;    /* rows back to the one it reads, beyond the row before: 0 reads that */
    size_t add;     /* norm: rows back to the one that is added; 0: none */
} ib_layer_spec;

enum { IB_PARTS = 4 }; /* value, gradient, two optimiser states */

/* How values begin (NUMERICS.md, "Initial weights"). */
typedef enum ib_initial {
    IB_INIT_UNIFORM, /* torch.nn's default: U(-b, b), b = 1 / sqrt(fan) of inputs */
    IB_INIT_NORMAL,  /* Kaiming: N(0, 2 / fan) of outputs */
    IB_INIT_ZERO,
    IB_INIT_ONE,
} ib_initial;

/* A tensor of the model's file: trained, or kept by a normalisation (running statistics as F32, the
 * number of batches as I64). */
typedef struct ib_parameter {
    char *name;     /* "conv1.weight" */
    ib_shape shape; /* PyTorch's: OIHW, [out, in], [out] */
    ib_dtype dtype;
    ib_initial initial;
    int64_t fan; /* of the initial distribution */
    int trained;
    int64_t floats;           /* as stored, padding included */
    size_t offset;            /* in its arena, in bytes */
    ib_buffer part[IB_PARTS]; /* slices of the network's arenas; a handle of NULL: not needed */
    int64_t counter;          /* the value of an I64 */
} ib_parameter;

enum { IB_NO_ROW = -1, IB_NO_SLOT = -1, IB_MAX_SLOTS = 16 };

/* Memory that several tensors use one after the other. */
typedef struct ib_slots {
    ib_buffer buffer[IB_MAX_SLOTS];
    size_t bytes[IB_MAX_SLOTS]; /* the greatest need */
    int used[IB_MAX_SLOTS];
    int count;
} ib_slots;

typedef struct ib_layer {
    const ib_layer_spec *spec;
    int input, added; /* rows; IB_NO_ROW: the images, nothing */
    ib_conv conv;     /* by spec->kind; n is the capacity */
    ib_linear linear; /* conv, linear: weight and bias */
    ib_norm norm;     /* weight and bias: gamma and beta */
    ib_pool3 pool;
    ib_parameter *weight, *bias; /* bias NULL: none */
    ib_parameter *batches;       /* norm: num_batches_tracked */
    ib_buffer running, saved;    /* norm */
    ib_buffer y, argmax;
    int64_t h, w, channels; /* of the output: an image, or h = w = 0 and */
    int64_t features;       /* so many features */
    size_t y_bytes;         /* of one sample */
    int readers, y_slot;    /* slot: in evaluation only */
    int dy, second, g, dx;  /* gradient slots: from its readers, before the ReLU, of its input */
    int dropout_index;      /* -1: none */
    ib_dropout dropout;     /* threshold and scale; rng is set for each step */
} ib_layer;

/* Floats of the arenas of trained parameters that a step can change. */
typedef struct ib_live_range {
    int64_t first, count;
    ib_buffer part[IB_PARTS]; /* slices */
} ib_live_range;

typedef struct ib_network {
    ib_backend *backend;
    ib_layer *layers;
    size_t layer_count;
    ib_parameter *parameters; /* in PyTorch's order */
    size_t parameter_count;
    ib_image_shape image;
    int64_t classes, capacity;
    int training;
    ib_optimizer_kind optimizer;
    int momentum;
    ib_buffer x;               /* [capacity][pad16(height * width)] */
    ib_buffer arena[IB_PARTS]; /* of all trained parameters, so that an update is one pass */
    ib_live_range *live;       /* in training: all ranges; live.h */
    size_t live_count;
    ib_buffer kept;   /* of all normalisations: running statistics, and saved ones */
    ib_slots slots;   /* gradients in training, activations in evaluation */
    float table[256]; /* normalised value of each pixel byte */
    int dropped;      /* did the last forward pass drop out? */
} ib_network;

/* What the network holds, in bytes, for `isobit describe`. */
typedef struct ib_network_memory {
    size_t parameters, gradients, optimizer, activations, activation_gradients;
} ib_network_memory;

/* Plans everything for batches of up to capacity images. The specs outlive the network; the caller
 * closes it, also after a failure. */
ib_status ib_network_open(ib_network *network, ib_backend *backend, const ib_layer_spec *specs,
                          ib_image_shape image, int64_t classes, int64_t capacity, int training,
                          ib_optimizer_kind optimizer, int momentum, ib_error *err);
void ib_network_close(ib_network *network);

/* Forward pass; the last row's y then holds the logits. training: normalise by the batch and move
 * the running statistics; else normalise by these. seed_and_step NULL: no dropout. */
ib_status ib_network_forward(ib_network *network, const uint8_t *const *images, int64_t count,
                             int training, const uint64_t *seed_and_step, ib_error *err);
/* After a forward pass in training with the same count: mean loss, and gradients of every
 * parameter. */
ib_status ib_network_backward(ib_network *network, const uint8_t *labels, int64_t count,
                              float *losses, float *mean_loss, ib_error *err);
/* One optimiser step; *bad names a parameter that is not finite now, else NULL: the one whose own
 * gradient is still finite if there is one, because there it started. */
ib_status ib_network_update(ib_network *network, const ib_update *update, const char **bad,
                            ib_error *err);

/* The first parameter with a weight that is not finite, or NULL. */
ib_status ib_network_find_bad(ib_network *network, const char **bad, ib_error *err);

/* Parameters in PyTorch's order: row by row, weight then bias, then what is kept. NULL past the
 * end.
 */
ib_parameter *ib_network_parameter(const ib_network *network, size_t index);

/* Copies a stored parameter to or from PyTorch's layout. */
void ib_parameter_to_torch(const ib_parameter *parameter, const float *stored, float *torch);
void ib_parameter_from_torch(const ib_parameter *parameter, const float *torch, float *stored);

/* Initial values in PyTorch's layout, by the parameter's distribution (NUMERICS.md, "Initial
 * weights"). tensor: its number among the trained parameters, below 256. */
void ib_initialize(uint64_t seed, uint32_t tensor, const ib_parameter *parameter, float *values);
/* The value below which a standard normal variable stays with this probability. */
double ib_normal_quantile(double probability);

/* 256 values (v / 255 - mean) / deviation in binary64, rounded once. */
void ib_normalization_table(double mean, double deviation, float table[256]);

/* The scalars of step t = step + 1 (NUMERICS.md, "Optimisers"), from the configuration. */
ib_update ib_update_scalars(const ib_config *config, double learning_rate, uint64_t step);

/* Dense multiply-adds of one image, forward and for a whole training step. */
uint64_t ib_network_macs(const ib_network *network, int whole_step);
/* Of one row. */
uint64_t ib_layer_macs(const ib_layer *layer);
ib_network_memory ib_network_memory_of(const ib_network *network);

#endif
