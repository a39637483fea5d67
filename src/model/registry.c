/* The models as tables of layers. */
#include "model/registry.h"

#include <stdlib.h>

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

/* He et al. 2015 as torchvision builds them: 11,175,370 and 23,522,250 parameters with one channel
 * in and ten classes. */
static const ib_resnet RESNET18 = {{2, 2, 2, 2}, 0};
static const ib_resnet RESNET50 = {{3, 4, 6, 3}, 1};

static const ib_model_entry MODELS[] = {
    [IB_MODEL_CNN] = {CNN, NULL},
    [IB_MODEL_MLP] = {MLP, NULL},
    [IB_MODEL_RESNET18] = {NULL, &RESNET18},
    [IB_MODEL_RESNET50] = {NULL, &RESNET50},
    [IB_MODEL_SVM] = {NULL, NULL}, /* svm/ */
};

const ib_model_entry *ib_model_entry_of(ib_model_kind kind) {
    return &MODELS[kind];
}

ib_status ib_model_rows(ib_model_kind kind, ib_rows *rows, ib_error *err) {
    const ib_model_entry *entry = ib_model_entry_of(kind);
    *rows = (ib_rows){.rows = entry->layers};
    if (entry->resnet == NULL)
        return IB_OK;
    ib_status status = ib_resnet_rows(entry->resnet, &rows->owned, err);
    rows->rows = rows->owned;
    return status;
}

void ib_model_rows_free(ib_rows *rows) {
    for (size_t i = 0; rows->owned != NULL && rows->owned[i].name != NULL; ++i)
        free((void *)rows->owned[i].name);
    free(rows->owned);
    *rows = (ib_rows){0};
}
