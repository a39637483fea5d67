/* What a model consists of, row by row, for `isobit describe` and the floor of a training step. */
#include "model/state.h"

#include <stdio.h>
#include <string.h>

size_t ib_model_row_count(const ib_model *model) {
    return model->network.node_count;
}

/* The kinds of its rows: "conv, relu, max-pool"; what evaluation leaves out or only moves is not
 * said. */
static void name_operation(const ib_network *net, const ib_node *node, char *text, size_t size) {
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < node->rows; ++i) {
        const char *kind = net->rows[node->first_row + i].kind->name;
        if (node->rows > 1 && (strcmp(kind, "dropout") == 0 || strcmp(kind, "flatten") == 0))
            continue;
        int written = snprintf(text + used, size - used, "%s%s", used > 0 ? ", " : "", kind);
        if (written > 0 && (size_t)written < size - used)
            used += (size_t)written;
    }
}

ib_row_info ib_model_row(const ib_model *model, size_t index) {
    const ib_node *node = &model->network.nodes[index];
    ib_row_info info = {.name = node->label,
                        .output = {3, {node->out.channels, node->out.h, node->out.w}},
                        .macs = ib_node_macs(node),
                        .output_bytes = node->y_bytes};
    name_operation(&model->network, node, info.operation, sizeof info.operation);
    if (node->out.h == 0)
        info.output = (ib_shape){1, {node->out.features}};
    for (size_t i = 0; i < node->parameter_count; ++i)
        if (node->parameters[i].trained)
            info.parameters += (size_t)ib_shape_elements(&node->parameters[i].shape);
    info.counted = node->kind->counted != NULL ? node->kind->counted(node) : info.macs;
    return info;
}

ib_network_memory ib_model_memory(const ib_model *model) {
    return ib_network_memory_of(&model->network);
}

uint64_t ib_model_update_bytes(const ib_model *model) {
    const ib_experiment *experiment = model->experiment;
    int states =
        ib_optimizer_states((ib_optimizer_kind)experiment->optimizer, experiment->momentum != 0);
    int passes = 3 + 2 * states + (experiment->ema != 0 ? 3 : 0);
    return (uint64_t)ib_model_parameter_count(model) * (uint64_t)passes * sizeof(float);
}
