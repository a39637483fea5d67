#include "catalog/networks.h"

/* Two hidden layers of 512 with dropout 0.2, Keras's classic MNIST MLP: 669,706 parameters for 28 x
 * 28 grey images and ten classes. */
static const ib_row ROWS[] = {
    {.kind = "flatten"},
    {.kind = "linear", .name = "fc1", .out = 512},
    {.kind = "relu"},
    {.kind = "dropout", .p = 0.2},
    {.kind = "linear", .name = "fc2", .out = 512},
    {.kind = "relu"},
    {.kind = "dropout", .p = 0.2},
    {.kind = "linear", .name = "fc3", .out = IB_CLASSES_OUT},
    {.kind = NULL},
};

const ib_network_row ib_network_mlp = {"mlp", ROWS, NULL};
