/* The values that options choose from. For options.c alone. */
#ifndef IB_EXPERIMENT_OPTION_CHOICES_H
#define IB_EXPERIMENT_OPTION_CHOICES_H

#include "experiment/options.h"

static const char LATER[] = "is not in this version";

static const ib_choice MODELS[] = {
    {.name = "cnn", .value = IB_MODEL_CNN},
    {.name = "mlp", .value = IB_MODEL_MLP},
    {.name = "resnet18", .value = IB_MODEL_RESNET18},
    {.name = "resnet50", .value = IB_MODEL_RESNET50},
    {.name = "svm", .value = IB_MODEL_SVM},
    {.name = NULL},
};
/* The data catalogue is of a higher rank; a test keeps the two lists equal. */
static const ib_choice DATASETS[] = {
    {.name = "mnist"}, {.name = "fashion-mnist"}, {.name = "digits"}, {.name = NULL}};
static const ib_choice SPLITS[] = {
    {.name = "official", .value = IB_CHOOSE_OFFICIAL},
    {.name = "70-10-20", .value = IB_CHOOSE_70_10_20},
    {.name = NULL},
};
static const ib_choice OPTIMIZER_CHOICES[] = {
    {.name = "adadelta", .value = IB_ADADELTA},
    {.name = "sgd", .value = IB_SGD},
    {.name = "adam", .value = IB_ADAM},
    {.name = NULL},
};
static const ib_choice SCHEDULES[] = {
    {.name = "step", .value = IB_SCHEDULE_STEP},
    {.name = "constant", .value = IB_SCHEDULE_CONSTANT},
    {.name = NULL},
};
static const ib_choice KERNELS[] = {
    {.name = "linear", .value = IB_SVM_LINEAR},
    {.name = "poly", .value = IB_SVM_POLY},
    {.name = "rbf", .value = IB_SVM_RBF},
    {.name = "sigmoid", .value = IB_SVM_SIGMOID},
    {.name = NULL},
};
static const ib_choice GAMMAS[] = {{.name = "scale"}, {.name = "auto"}, {.name = NULL}};
static const ib_choice NORMALIZATIONS[] = {
    {.name = "dataset", .value = IB_NORMALIZE_DATASET},
    {.name = "unit", .value = IB_NORMALIZE_UNIT},
    {.name = "half", .value = IB_NORMALIZE_HALF},
    {.name = NULL},
};
static const ib_choice BACKENDS[] = {
    {.name = "auto"},
    {.name = "cpu"},
    {.name = "opencl", .unlisted = 1},
    {.name = "cuda", .unlisted = 1},
    {.name = NULL},
};
static const ib_choice ISAS[] = {
    {.name = "auto"},   {.name = "scalar"}, {.name = "avx2"},
    {.name = "avx512"}, {.name = "neon"},   {.name = NULL},
};
static const ib_choice MATHS[] = {
    {.name = "exact", .value = 1},
    {.name = "fast", .refusal = LATER, .refusal_status = IB_ERROR_UNAVAILABLE},
    {.name = NULL},
};

/* Groups of --help, and commands that share options. */
static const char DATA[] = "Data";
static const char EXPERIMENT[] = "Experiment (may change bits)";
static const char OPTIMIZER[] = "Optimiser (may change bits)";
static const char SVM[] = "Support vector machine (--model svm; may change bits)";
static const char MACHINE[] = "Machine (never changes bits)";
static const char SHARING[] = "Sharing the work";
static const char TRACKING[] = "Tracking (never changes bits)";
static const char OUTPUT[] = "Output";

enum {
    MODEL_USERS = IB_FOR_TRAIN | IB_FOR_TEST | IB_FOR_BENCH,
    DATA_USERS = IB_FOR_DATA | IB_FOR_TRAIN | IB_FOR_TEST | IB_FOR_HASH,
    STUDY_USERS = IB_FOR_EXPERIMENT | IB_FOR_SWEEP | IB_FOR_REPORT,
    AGAIN = IB_FOR_COMPARE | IB_FOR_REPRODUCE,
    EVALUATION = IB_FOR_TRAIN | IB_FOR_TEST,
    STEP_USERS = IB_FOR_TRAIN | IB_FOR_BENCH,
    TRACKED = IB_FOR_TRAIN | IB_FOR_SWEEP | IB_FOR_SYNC,
};

#endif
