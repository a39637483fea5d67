/* The models isobit knows, as tables of layers. */
#ifndef IB_MODEL_REGISTRY_H
#define IB_MODEL_REGISTRY_H

#include "experiment/config.h"
#include "nn/network.h"

typedef struct ib_model_entry {
    const char *name;
    const ib_layer_spec *layers; /* ended by a name of NULL; NULL: no network */
} ib_model_entry;

const ib_model_entry *ib_model_entry_of(ib_model_kind kind);

#endif
