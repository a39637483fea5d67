/* A network as a list of rows, each reading the output of earlier rows: planned once into nodes
 * (one operation forward, one backward, of one row or several), then memory, passes, update. Knows
 * the backend interface only. */
#ifndef IB_NN_NETWORK_H
#define IB_NN_NETWORK_H

#include "backend/backend.h"
#include "catalog/experiment.h"
#include "isobit/row.h"

typedef struct ib_layer_kind ib_layer_kind; /* nn/layer.h */

/* What lies between rows, of one sample: an image, or (h = 0) features. */
typedef struct ib_extent {
    int64_t channels, h, w, features;
} ib_extent;

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
    int64_t stored_inputs;    /* of rank 4: 1, or channels rounded up to 16 */
    int64_t floats;           /* as stored, padding included */
    size_t offset;            /* in its arena, in bytes */
    ib_buffer part[IB_PARTS]; /* of the network's arenas; a handle of NULL: not needed */
    ib_buffer average;        /* likewise, of the network's average */
    int64_t counter;          /* the value of an I64 */
    /* Where not every weight can ever change: whether each block of block_floats can; NULL: all. */
    uint8_t *live;
    int64_t block_floats;
} ib_parameter;

enum { IB_NO_NODE = -1, IB_NO_SLOT = -1, IB_MAX_SLOTS = 16 };

/* Memory that several tensors use one after the other. */
typedef struct ib_slots {
    ib_buffer buffer[IB_MAX_SLOTS];
    size_t bytes[IB_MAX_SLOTS]; /* the greatest need */
    int used[IB_MAX_SLOTS];
    int count;
} ib_slots;

/* A row as it was understood. */
typedef struct ib_row_plan {
    const ib_row *row;
    const ib_layer_kind *kind;
    const char *label; /* its name, or that of the nearest named row before it */
    int from[2];       /* rows; -1: the images; from[1] of kinds with two inputs only */
    int readers;
    int node;          /* that computes it; IB_NO_NODE: it is the images as they come */
    int dropout_index; /* -1: no dropout */
    ib_extent out;
} ib_row_plan;

/* What becomes of a gradient that a node hands back to one it reads. */
typedef enum ib_hand_back {
    IB_HAND_NOTHING, /* it reads the images */
    IB_HAND_OVER,    /* it is the first, or the second that the other adds itself */
    IB_HAND_ADDED,   /* added to the first at once */
    IB_HAND_MERGED,  /* a third: the first two are added, it is the second now */
} ib_hand_back;

/* One operation each way: a row, or a row and what is fused into it (fuse.c). */
typedef struct ib_node {
    const ib_layer_kind *kind; /* of its first row */
    size_t first_row, rows;
    const char *label;
    int inputs[2]; /* nodes; IB_NO_NODE: the images */
    int input_count;
    ib_extent in, out;
    int relu, pool;           /* fused: a ReLU; a 2x2 max-pool, the output being features */
    int dropout_index;        /* of a dropout row, fused or its own; -1: none */
    ib_dropout dropout;       /* threshold and scale */
    int mask_input;           /* what it reads came from a ReLU that nobody else masks */
    float input_scale;        /* of the dropout that what it reads went through */
    int mask_self;            /* its own fused ReLU: masked before its backward pass begins */
    void *shape;              /* the kind's: ib_conv, ... with n = the capacity */
    ib_parameter *parameters; /* the first of them, in the network's list */
    size_t parameter_count;
    size_t extra_bytes; /* of one sample, that a kind keeps from forward to backward: argmax */
    size_t kept_bytes;  /* likewise for the whole batch: a normalisation's statistics */
    ib_buffer y, extra, kept;
    size_t y_bytes;      /* of one sample */
    int readers, y_slot; /* slot: in evaluation only */
    int dy, second;      /* gradient slots: what its readers handed back */
    int g;               /* a normalisation's gradient before its ReLU */
    int dx[2];           /* of what it reads */
    ib_hand_back back[2];
    int merged[2]; /* IB_HAND_MERGED: the second gradient until then */
} ib_node;

/* Floats of the arenas of trained parameters that a step can change. */
typedef struct ib_live_range {
    int64_t first, count;
} ib_live_range;

typedef struct ib_network {
    ib_backend *backend;
    const char *path;    /* of the rows' file, for messages; NULL: none */
    const size_t *lines; /* of each row in it; NULL: not known */
    ib_row_plan *rows;
    size_t row_count;
    ib_node *nodes;
    size_t node_count;
    ib_parameter *parameters; /* in PyTorch's order */
    size_t parameter_count;
    ib_extent input;
    int flat_input; /* the first row flattens one channel: the images are loaded as features */
    int64_t classes, capacity;
    int training, unfused;
    ib_optimizer_kind optimizer;
    int momentum;
    int by_pixel;
    ib_smoothing smoothing;             /* of the training loss */
    ib_augment augment;                 /* of training images */
    ib_buffer x, labels, table;         /* of the batch; the table of ib_network_table */
    ib_buffer losses, step_losses, bad; /* [capacity], [IB_MOST_STEPS], one word */
    ib_buffer order;                    /* of images */
    size_t order_count;
    ib_buffer arena[IB_PARTS]; /* of all trained parameters, so that an update is one pass */
    ib_buffer average; /* of their values, in training with averages; else a handle of NULL */
    float average_share;
    ib_live_range *live;       /* in training: live.c */
    size_t live_count;
    ib_buffer kept; /* of all normalisations: running statistics, and what nodes keep */
    ib_slots slots; /* gradients in training, activations in evaluation */
} ib_network;

/* What the network holds, in bytes, for `isobit describe`. */
typedef struct ib_network_memory {
    size_t parameters, gradients, optimizer, activations, activation_gradients;
} ib_network_memory;

typedef struct ib_network_options {
    ib_extent input; /* an image */
    int64_t classes, capacity;
    int training; /* 0: no gradients, no optimiser state */
    ib_optimizer_kind optimizer;
    int momentum;
    double label_smoothing; /* of the training loss; 0: none */
    double ema;             /* what the weights' average keeps of itself a step; 0: none */
    const int64_t *augment; /* amounts, of training images; NULL: none */
    const char *path;       /* of the rows' file, for messages; NULL: none */
    const size_t *lines;    /* of each row in it; NULL: not known */
    int by_pixel;           /* normalise by a mean and a scale for each byte of an image */
    int unfused;         /* for tests: every row is a node of its own, which gives the same bits */
} ib_network_options;

/* Plans everything for batches of up to capacity images. Rows end with a kind of NULL and outlive
 * the network; a row that does not fit is named. The caller closes it, also after a failure. */
ib_status ib_network_open(ib_network *network, ib_backend *backend, const ib_row *rows,
                          const ib_network_options *options, ib_error *err);
void ib_network_close(ib_network *network);
/* [channels][256] normalised values, or, by_pixel, a mean and a scale for each byte of an image:
 * [2][pixels][channels]. */
ib_status ib_network_table(ib_network *network, const float *table, ib_error *err);
/* The images that steps take batches from, by their number in the attached data. */
ib_status ib_network_order(ib_network *network, const uint32_t *order, size_t count, ib_error *err);

/* What a pass is told: which part of the global batch this is, and the step's randomness. */
typedef struct ib_pass {
    int64_t first, count, global; /* samples [first, first + count) of global ones */
    int training;                 /* normalise by the batch and move the running statistics */
    int dropout;                  /* drop out */
    uint64_t seed, step;
} ib_pass;

/* Forward pass of images order[at..at + pass->count); the last node's y then holds the logits. */
ib_status ib_network_forward(ib_network *network, size_t at, const ib_pass *pass, ib_error *err);
/* After a forward pass in training: the mean loss goes to *loss_at of the step losses, and
 * gradients of every parameter. */
ib_status ib_network_backward(ib_network *network, const ib_pass *pass, size_t loss_at,
                              ib_error *err);
/* One optimiser step, the index-th of this call to ib_network_steps; then the average's. */
ib_status ib_network_update(ib_network *network, const ib_update_scalars *scalars, uint32_t index,
                            ib_error *err);

/* In a network with averages: they and the weights change places, until the next call. */
void ib_network_swap_average(ib_network *network);

enum { IB_MOST_STEPS = 64 }; /* of one call */

/* Some training steps on consecutive batches of the order. */
typedef struct ib_steps {
    size_t end;                   /* of the epoch in the order: the last batch may be shorter */
    size_t batch, count;          /* at most IB_MOST_STEPS */
    const ib_step_scalars *table; /* [count]; where each batch begins too */
    uint64_t seed;
    int dropout;
    int (*stop)(void *context); /* NULL, or asked between steps */
    void *stop_context;
} ib_steps;

typedef struct ib_steps_result {
    size_t done;     /* all, or until stop asked for an end */
    size_t bad_step; /* of those: the first whose loss or weights are not finite; done: none */
    int bad_loss;    /* it was the loss */
    char met[96];    /* and before it what the backend met: "the input of conv2"; "" */
    float losses[IB_MOST_STEPS];
} ib_steps_result;

/* A backend may go on after a bad step; what it computed then is not told. */
ib_status ib_network_steps(ib_network *network, const ib_steps *steps, ib_steps_result *result,
                           ib_error *err);

/* Evaluation of images order[0..count): arrays of count, losses and evidence may be NULL. */
typedef struct ib_scores {
    float *losses;     /* needs labels */
    uint16_t *classes; /* the first with the greatest logit */
    float *evidence;   /* [count][2]: that logit, and the label's */
    float *logits;     /* [count][classes] */
} ib_scores;
ib_status ib_network_evaluate(ib_network *network, size_t count, size_t batch, int (*stop)(void *),
                              void *stop_context, const ib_scores *scores, ib_error *err);

/* The first parameter with a weight that is not finite, or NULL; among those that an update left
 * so, rather one whose own gradient is finite, because there it started. */
ib_status ib_network_find_bad(ib_network *network, const char **bad, ib_error *err);
ib_status ib_network_find_updated_bad(ib_network *network, const char **bad, ib_error *err);

/* Parameters in PyTorch's order: row by row, weight then bias, then what is kept. NULL past the
 * end. */
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

/* Dense multiply-adds of one image, forward and for a whole training step; of one node. */
uint64_t ib_network_macs(const ib_network *network, int whole_step);
uint64_t ib_node_macs(const ib_node *node);
ib_network_memory ib_network_memory_of(const ib_network *network);

/* Parts of opening a network, one file each. */
ib_status ib_plan_rows(ib_network *network, const ib_row *rows, ib_error *err); /* rows.c */
ib_status ib_plan_nodes(ib_network *network, ib_error *err);                    /* fuse.c */
ib_status ib_plan_memory(ib_network *network, ib_error *err);                   /* memory.c */
ib_status ib_find_live_weights(ib_network *network, ib_error *err);             /* live.c */

#endif
