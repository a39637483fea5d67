/* What a model consists of, row by row, for `isobit describe` and the floor of a training step. */
#include "model/state.h"

size_t ib_model_row_count(const ib_model *model) {
    return model->network.layer_count;
}

static const char *operation_of(const ib_layer *layer) {
    switch (layer->spec->kind) {
    case IB_LAYER_CONV:
        return layer->conv.pool ? "conv, relu, pool" : layer->spec->relu ? "conv, relu" : "conv";
    case IB_LAYER_LINEAR:
        return layer->spec->relu ? "linear, relu" : "linear";
    case IB_LAYER_NORM:
        return layer->added != IB_NO_ROW ? "norm, add, relu"
               : layer->spec->relu       ? "norm, relu"
                                         : "norm";
    case IB_LAYER_POOL:
        return "max-pool";
    case IB_LAYER_MEAN:
        break;
    }
    return "mean";
}

static size_t parameters_of(const ib_parameter *p) {
    return p == NULL ? 0 : (size_t)ib_shape_elements(&p->shape);
}

ib_row_info ib_model_row(const ib_model *model, size_t index) {
    const ib_layer *layer = &model->network.layers[index];
    ib_row_info info = {.name = layer->spec->name,
                        .operation = operation_of(layer),
                        .output = {3, {layer->channels, layer->h, layer->w}},
                        .parameters = parameters_of(layer->weight) + parameters_of(layer->bias),
                        .macs = ib_layer_macs(layer),
                        .output_bytes = layer->y_bytes};
    if (layer->h == 0)
        info.output = (ib_shape){1, {layer->features}};
    if (layer->spec->kind == IB_LAYER_NORM)
        info.counted = 4 * (uint64_t)ib_shape_elements(&info.output);
    if (layer->spec->kind == IB_LAYER_MEAN)
        info.counted = 2 * (uint64_t)layer->features;
    info.counted += info.macs;
    return info;
}

ib_network_memory ib_model_memory(const ib_model *model) {
    return ib_network_memory_of(&model->network);
}

uint64_t ib_model_update_bytes(const ib_model *model) {
    const ib_experiment *experiment = model->experiment;
    int states =
        ib_optimizer_states((ib_optimizer_kind)experiment->optimizer, experiment->momentum != 0);
    return (uint64_t)ib_model_parameter_count(model) * (uint64_t)(3 + 2 * states) * sizeof(float);
}
