#include "catalog/networks.h"

/* The network of the PyTorch MNIST example: 1,199,882 parameters for 28 x 28 grey images and ten
 * classes. */
static const ib_row ROWS[] = {
    {.kind = "conv", .name = "conv1", .out = 32, .kernel = 3},
    {.kind = "relu"},
    {.kind = "conv", .name = "conv2", .out = 64, .kernel = 3},
    {.kind = "relu"},
    {.kind = "max-pool", .kernel = 2},
    {.kind = "dropout", .p = 0.25},
    {.kind = "flatten"},
    {.kind = "linear", .name = "fc1", .out = 128},
    {.kind = "relu"},
    {.kind = "dropout", .p = 0.5},
    {.kind = "linear", .name = "fc2", .out = IB_CLASSES_OUT},
    {.kind = NULL},
};

const ib_network_row ib_network_cnn = {"cnn", ROWS, NULL};
