/* The models as tables of layers. */
#include "model/registry.h"

/* The network of the PyTorch MNIST example: 1,199,882 parameters. */
static const ib_layer_spec CNN[] = {
    {.kind = IB_LAYER_CONV, .name = "conv1", .out = 32, .kernel = 3, .stride = 1, .relu = 1},
    {.kind = IB_LAYER_CONV,
     .name = "conv2",
     .out = 64,
     .kernel = 3,
     .stride = 1,
     .relu = 1,
     .pool = 1,
     .dropout = 0.25},
    {.kind = IB_LAYER_LINEAR, .name = "fc1", .out = 128, .relu = 1, .dropout = 0.5},
    {.kind = IB_LAYER_LINEAR, .name = "fc2", .out = 10},
    {.name = 0},
};

/* Two hidden layers of 512 with dropout 0.2, Keras's classic MNIST MLP: 669,706 parameters. */
static const ib_layer_spec MLP[] = {
    {.kind = IB_LAYER_LINEAR, .name = "fc1", .out = 512, .relu = 1, .dropout = 0.2},
    {.kind = IB_LAYER_LINEAR, .name = "fc2", .out = 512, .relu = 1, .dropout = 0.2},
    {.kind = IB_LAYER_LINEAR, .name = "fc3", .out = 10},
    {.name = 0},
};

static const ib_model_entry MODELS[] = {
    [IB_MODEL_CNN] = {"cnn", CNN},
    [IB_MODEL_MLP] = {"mlp", MLP},
    [IB_MODEL_SVM] = {"svm", NULL}, /* svm/ */
};

const ib_model_entry *ib_model_entry_of(ib_model_kind kind) {
    return &MODELS[kind];
}
