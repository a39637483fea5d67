/* One row of a network: a layer, or a step between layers. A network is a table of rows, ended by a
 * row whose kind is NULL; each reads the row before it, or those that it names:
 *
 *     const ib_row rows[] = {{.kind = "conv", .name = "conv1", .out = 8, .kernel = 3},
 *                            {.kind = "relu"},
 *                            {.kind = "max-pool", .kernel = 2},
 *                            {.kind = "flatten"},
 *                            {.kind = "linear", .name = "fc", .out = IB_CLASSES_OUT},
 *                            {.kind = NULL}};
 */
#ifndef ISOBIT_ROW_H
#define ISOBIT_ROW_H

#include <stdint.h>

/* What a kind does not read stays 0 or NULL. */
typedef struct ib_row {
    const char *kind; /* "conv", "linear", "batch-norm", "relu", "max-pool", "mean", "dropout",
                         "flatten", "add" */
    const char *name; /* PyTorch's module name, which its tensors begin with; NULL: none */
    const char *from; /* the row it reads; NULL: the row before */
    const char *with; /* add: the other row */
    int64_t out;      /* conv: channels; linear: features; IB_CLASSES_OUT: one a class */
    int64_t kernel, stride, pad; /* pixels; stride 0: 1 of a conv, the kernel of a pool */
    double p;                    /* dropout; what is one number of other kinds, such as a slope */
    int no_bias;                 /* conv, linear */
} ib_row;

enum { IB_CLASSES_OUT = 0 };

#endif
