/* The inside of a model, shared by the files of this folder. */
#ifndef IB_MODEL_STATE_H
#define IB_MODEL_STATE_H

#include "model/model.h"
#include "model/registry.h"
#include "nn/network.h"

struct ib_model {
    const ib_config *config;
    ib_rows rows;
    ib_network network;
    ib_tensor_info *tensors;
    size_t tensor_count;
    float *losses; /* [capacity] */
    float *logits; /* [capacity][pad16(classes)] */
    int no_dropout;
};

#endif
