/* A chain of convolution and linear layers ending in softmax: memory, forward, backward, update.
 * Knows the backend interface only. */
#ifndef IB_NN_NETWORK_H
#define IB_NN_NETWORK_H

#include "backend/backend.h"

typedef enum ib_layer_kind { IB_LAYER_CONV, IB_LAYER_LINEAR } ib_layer_kind;

/* One row of a model's table. A name of NULL ends the table. */
typedef struct ib_layer_spec {
    ib_layer_kind kind;
    const char *name; /* PyTorch's module name: "conv1" */
    int64_t out;      /* channels or features */
    int64_t kernel, stride, pad;
    int relu, pool;
    double dropout; /* after ReLU (and pooling) */
} ib_layer_spec;

enum { IB_MAX_LAYERS = 8, IB_PARTS = 4 }; /* parts: value, gradient, two optimiser states */

typedef struct ib_parameter {
    char *name;               /* "conv1.weight" */
    ib_shape shape;           /* PyTorch's: OIHW, [out, in], [out] */
    int64_t fan_in;           /* for the initial distribution */
    int64_t floats;           /* as stored, padding included */
    ib_buffer part[IB_PARTS]; /* a handle of NULL: not needed */
} ib_parameter;

typedef struct ib_layer {
    const ib_layer_spec *spec;
    ib_conv conv; /* by spec->kind; n is the capacity */
    ib_linear linear;
    ib_parameter weight, bias;
    ib_buffer y, dy, argmax;
    int64_t in_features; /* linear: logical inputs */
    int dropout_index;   /* -1: none */
    ib_dropout dropout;  /* threshold and scale; rng is set for each step */
} ib_layer;

typedef struct ib_network {
    ib_backend *backend;
    ib_layer layers[IB_MAX_LAYERS];
    size_t layer_count;
    int64_t side, classes, capacity;
    int training;
    ib_optimizer_kind optimizer;
    int momentum;
    ib_buffer x;      /* [capacity][pad16(side * side)] */
    float table[256]; /* normalised value of each pixel byte */
    int dropped;      /* did the last forward pass drop out? */
} ib_network;

/* Plans everything for batches of up to capacity images of side x side bytes. The specs outlive the
 * network; the caller closes it, also after a failure. */
ib_status ib_network_open(ib_network *network, ib_backend *backend, const ib_layer_spec *specs,
                          int64_t side, int64_t classes, int64_t capacity, int training,
                          ib_optimizer_kind optimizer, int momentum, ib_error *err);
void ib_network_close(ib_network *network);

/* Forward pass; rng NULL: no dropout. The last layer's y then holds the logits. */
ib_status ib_network_forward(ib_network *network, const uint8_t *const *images, int64_t count,
                             const uint64_t *seed_and_step, ib_error *err);
/* After a forward pass with the same count: mean loss, and gradients of every parameter. */
ib_status ib_network_backward(ib_network *network, const uint8_t *labels, int64_t count,
                              float *losses, float *mean_loss, ib_error *err);
/* One optimiser step; *bad names a parameter that is not finite now, else NULL: the one whose own
 * gradient is still finite if there is one, because there it started. */
ib_status ib_network_update(ib_network *network, const ib_update *update, const char **bad,
                            ib_error *err);

/* The first parameter with a weight that is not finite, or NULL. */
ib_status ib_network_find_bad(ib_network *network, const char **bad, ib_error *err);

/* Parameters in PyTorch's order: layer by layer, weight then bias. NULL past the end. */
ib_parameter *ib_network_parameter(const ib_network *network, size_t index);

/* Copies a stored parameter to or from PyTorch's layout. */
void ib_parameter_to_torch(const ib_parameter *parameter, const float *stored, float *torch);
void ib_parameter_from_torch(const ib_parameter *parameter, const float *torch, float *stored);

/* torch.nn's default initial distribution, U(-b, b) with b = 1 / sqrt(fan_in), in PyTorch's layout:
 * element e is t * 2^-23 * b, t = (word >> 8) - 2^23 (NUMERICS.md, "Initial weights"). */
void ib_initialize_uniform(uint64_t seed, uint32_t tensor, int64_t fan_in, int64_t elements,
                           float *values);

/* 256 values (v / 255 - mean) / deviation in binary64, rounded once. */
void ib_normalization_table(double mean, double deviation, float table[256]);

/* The scalars of step t = step + 1 (NUMERICS.md, "Optimisers"), from the configuration. */
ib_update ib_update_scalars(const ib_config *config, double learning_rate, uint64_t step);

/* Dense multiply-adds of one image, forward and for a whole training step. */
uint64_t ib_network_macs(const ib_network *network, int whole_step);

#endif
