/* The kernel functions of support vector machines: which there are, and which options each has. */
#ifndef IB_CATALOG_SVM_KERNELS_H
#define IB_CATALOG_SVM_KERNELS_H

#include <stddef.h>

#include "catalog/names.h"

typedef enum ib_svm_kernel_kind {
    IB_SVM_LINEAR,
    IB_SVM_POLY,
    IB_SVM_RBF,
    IB_SVM_SIGMOID
} ib_svm_kernel_kind;

typedef struct ib_svm_kernel_info {
    const char *name;
    const char *options[IB_ROW_NAMES]; /* that mean something with it; ended by NULL */
} ib_svm_kernel_info;

/* The index-th kernel, which is that of the kind with this number; NULL past the end. */
const ib_svm_kernel_info *ib_svm_kernel_at(size_t index);

#endif
