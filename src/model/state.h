/* The inside of a model, shared by the files of this folder. */
#ifndef IB_MODEL_STATE_H
#define IB_MODEL_STATE_H

#include "model/model.h"
#include "nn/layer.h"
#include "nn/network_file.h"

struct ib_model {
    const ib_experiment *experiment;
    const char *name; /* "cnn", for messages */
    ib_network_file rows;
    ib_network network;
    ib_tensor_info *tensors;
    size_t tensor_count;
    int no_dropout;
    int needs_table; /* and has none yet */
};

/* ib_model_write that leaves the average of a value as it is. */
ib_status ib_model_write_alone(ib_model *model, size_t index, ib_tensor_part part,
                               const void *values, ib_error *err);

#endif
