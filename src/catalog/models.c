#include "catalog/models.h"

static const ib_model_info MODELS[] = {
#define IB_NETWORK(id, name) [IB_MODEL_##id] = {name, 1},
#include "networks.inc"
#undef IB_NETWORK
    [IB_MODEL_SVM] = {"svm", 0},
    [IB_MODEL_FILE] = {"file", 1},
};

const ib_model_info *ib_model_at(size_t index) {
    return index < IB_MODEL_FILE ? &MODELS[index] : NULL;
}

const char *ib_model_kind_name(ib_model_kind kind) {
    return MODELS[kind].name;
}

int ib_model_is_network(ib_model_kind kind) {
    return MODELS[kind].is_network;
}
