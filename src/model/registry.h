/* The models isobit knows, as tables of layers. */
#ifndef IB_MODEL_REGISTRY_H
#define IB_MODEL_REGISTRY_H

#include "experiment/config.h"
#include "nn/network.h"

/* A ResNet: blocks of each of its four stages; bottleneck: 1x1, 3x3, 1x1 in place of two 3x3. */
typedef struct ib_resnet {
    int blocks[4];
    int bottleneck;
} ib_resnet;

typedef struct ib_model_entry {
    const char *name;
    const ib_layer_spec *layers; /* a table ended by a name of NULL (out 0: the classes), or */
    const ib_resnet *resnet;     /* what its rows follow from; neither: no network */
} ib_model_entry;

const ib_model_entry *ib_model_entry_of(ib_model_kind kind);

/* The rows of a model, ended by a name of NULL. The names belong to the list. */
typedef struct ib_rows {
    ib_layer_spec *rows;
} ib_rows;

/* The caller calls ib_model_rows_free, also after a failure. */
ib_status ib_model_rows(ib_model_kind kind, int64_t classes, ib_rows *rows, ib_error *err);
void ib_model_rows_free(ib_rows *rows);

/* The rows of a ResNet, into fresh memory (resnet.c). */
ib_status ib_resnet_rows(const ib_resnet *resnet, int64_t classes, ib_layer_spec **rows,
                         ib_error *err);

#endif
