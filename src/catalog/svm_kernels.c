#include "catalog/svm_kernels.h"

static const ib_svm_kernel_info KERNELS[] = {
    [IB_SVM_LINEAR] = {"linear", {NULL}},
    [IB_SVM_POLY] = {"poly", {"svm-gamma", "degree", "coef0"}},
    [IB_SVM_RBF] = {"rbf", {"svm-gamma"}},
    [IB_SVM_SIGMOID] = {"sigmoid", {"svm-gamma", "coef0"}},
};

const ib_svm_kernel_info *ib_svm_kernel_at(size_t index) {
    return index < sizeof KERNELS / sizeof KERNELS[0] ? &KERNELS[index] : NULL;
}
