/* The models as tables of layers. */
#include "model/registry.h"

#include <stdlib.h>
#include <string.h>

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
    {.kind = IB_LAYER_LINEAR, .name = "fc2"},
    {.name = 0},
};

/* Two hidden layers of 512 with dropout 0.2, Keras's classic MNIST MLP: 669,706 parameters. */
static const ib_layer_spec MLP[] = {
    {.kind = IB_LAYER_LINEAR, .name = "fc1", .out = 512, .relu = 1, .dropout = 0.2},
    {.kind = IB_LAYER_LINEAR, .name = "fc2", .out = 512, .relu = 1, .dropout = 0.2},
    {.kind = IB_LAYER_LINEAR, .name = "fc3"},
    {.name = 0},
};

/* He et al. 2015 as torchvision builds them: 11,175,370 and 23,522,250 parameters with one channel
 * in and ten classes. */
static const ib_resnet RESNET18 = {{2, 2, 2, 2}, 0};
static const ib_resnet RESNET50 = {{3, 4, 6, 3}, 1};

static const ib_model_entry MODELS[] = {
    [IB_MODEL_CNN] = {"cnn", CNN, NULL},
    [IB_MODEL_MLP] = {"mlp", MLP, NULL},
    [IB_MODEL_RESNET18] = {"resnet18", NULL, &RESNET18},
    [IB_MODEL_RESNET50] = {"resnet50", NULL, &RESNET50},
    [IB_MODEL_SVM] = {"svm", NULL, NULL}, /* svm/ */
};

const ib_model_entry *ib_model_entry_of(ib_model_kind kind) {
    return &MODELS[kind];
}

static ib_status copy_table(const ib_layer_spec *table, int64_t classes, ib_layer_spec **rows,
                            ib_error *err) {
    size_t count = 0;
    while (table[count].name != NULL)
        ++count;
    *rows = calloc(count + 1, sizeof **rows);
    for (size_t i = 0; *rows != NULL && i < count; ++i) {
        ib_layer_spec row = table[i];
        row.name = strdup(row.name);
        if (row.name == NULL)
            return ib_fail_memory(err);
        if (row.kind == IB_LAYER_LINEAR && row.out == 0)
            row.out = classes;
        (*rows)[i] = row;
    }
    return *rows == NULL ? ib_fail_memory(err) : IB_OK;
}

ib_status ib_model_rows(ib_model_kind kind, int64_t classes, ib_rows *rows, ib_error *err) {
    const ib_model_entry *entry = ib_model_entry_of(kind);
    *rows = (ib_rows){0};
    return entry->resnet != NULL ? ib_resnet_rows(entry->resnet, classes, &rows->rows, err)
                                 : copy_table(entry->layers, classes, &rows->rows, err);
}

void ib_model_rows_free(ib_rows *rows) {
    for (size_t i = 0; rows->rows != NULL && rows->rows[i].name != NULL; ++i)
        free((void *)rows->rows[i].name);
    free(rows->rows);
    *rows = (ib_rows){0};
}
