/* The last step of a plan: all memory. Parameters lie in one arena a part; gradients of activations
 * share a few slots by lifetime, and so do the activations of evaluation. */
#include "nn/layer.h"

static ib_status create(ib_network *net, ib_buffer *buffer, size_t bytes, ib_error *err) {
    return bytes == 0 ? IB_OK : net->backend->ops->buffer_create(net->backend, bytes, buffer, err);
}

/* Takes the largest slot that is free, so that few grow; a new one when none is. */
static int take_slot(ib_slots *slots, size_t bytes) {
    int best = IB_NO_SLOT;
    for (int i = 0; i < slots->count; ++i)
        if (!slots->used[i] && (best == IB_NO_SLOT || slots->bytes[i] > slots->bytes[best]))
            best = i;
    if (best == IB_NO_SLOT && slots->count < IB_MAX_SLOTS)
        best = slots->count++;
    if (best == IB_NO_SLOT)
        return best;
    slots->used[best] = 1;
    if (bytes > slots->bytes[best])
        slots->bytes[best] = bytes;
    return best;
}

static void release_slot(ib_slots *slots, int slot) {
    if (slot != IB_NO_SLOT)
        slots->used[slot] = 0;
}

static size_t bytes_of(const ib_network *net, const ib_node *node) {
    return node->y_bytes * (size_t)net->capacity;
}

/* ---- gradients --------------------------------------------------------------------------------
 */

/* A node's gradient for one of the nodes it reads: the first is kept, a second too where the other
 * adds it itself, what is more is added at once. So three readers' gradients are (last + the one
 * before) + the first (NUMERICS.md, section 6). */
static void hand_back(ib_network *net, ib_node *node, int which) {
    int slot = node->dx[which];
    ib_node *to = &net->nodes[node->inputs[which]];
    node->back[which] = IB_HAND_OVER;
    if (to->dy == IB_NO_SLOT) {
        to->dy = slot;
    } else if (!to->kind->takes_second) {
        node->back[which] = IB_HAND_ADDED;
        release_slot(&net->slots, slot);
    } else {
        node->merged[which] = to->second;
        if (to->second != IB_NO_SLOT) {
            node->back[which] = IB_HAND_MERGED;
            release_slot(&net->slots, to->second);
        }
        to->second = slot;
    }
}

/* In a normalisation the gradient before the ReLU takes the place of one that came in, and dx that
 * of the other. */
static void place_masked_gradient(ib_node *node, int *spare) {
    if (node->second == IB_NO_SLOT && node->input_count < 2)
        return;
    node->g = node->second != IB_NO_SLOT ? node->second : node->dy;
    *spare = node->second != IB_NO_SLOT ? node->dy : IB_NO_SLOT;
}

/* The slots of one node's backward pass. */
static ib_status place_gradients(ib_network *net, ib_node *node, ib_error *err) {
    ib_slots *slots = &net->slots;
    int spare = node->kind->in_place ? node->dy : IB_NO_SLOT; /* may hold dx[0] */
    if (node->kind->takes_second && node->kind->in_place)
        place_masked_gradient(node, &spare);
    for (int i = 0; i < node->input_count; ++i) {
        if (node->inputs[i] == IB_NO_NODE)
            continue;
        if (i == 1 && node->g != IB_NO_SLOT) {
            node->dx[1] = node->g; /* the gradient of what was added */
        } else if (i == 0 && spare != IB_NO_SLOT) {
            node->dx[0] = spare;
        } else {
            node->dx[i] = take_slot(slots, bytes_of(net, &net->nodes[node->inputs[i]]));
            if (node->dx[i] == IB_NO_SLOT)
                return ib_fail(err, IB_ERROR_RUNTIME, "%s: too many gradients are alive at once",
                               node->label);
        }
    }
    const int mine[] = {node->dy, node->second};
    for (int i = 0; i < 2; ++i)
        if (mine[i] != node->dx[0] && mine[i] != node->dx[1])
            release_slot(slots, mine[i]);
    for (int i = 0; i < node->input_count; ++i)
        if (node->inputs[i] != IB_NO_NODE)
            hand_back(net, node, i);
    return IB_OK;
}

/* Walks backward as the backward pass will. */
static ib_status plan_gradients(ib_network *net, ib_error *err) {
    ib_node *last = &net->nodes[net->node_count - 1];
    for (size_t i = 0; i < net->node_count; ++i) {
        ib_node *node = &net->nodes[i];
        node->dy = node->second = node->g = IB_NO_SLOT;
        node->dx[0] = node->dx[1] = node->merged[0] = node->merged[1] = IB_NO_SLOT;
    }
    last->dy = take_slot(&net->slots, bytes_of(net, last));
    for (size_t i = net->node_count; i-- > 0;)
        IB_TRY(place_gradients(net, &net->nodes[i], err));
    return IB_OK;
}

/* ---- activations ------------------------------------------------------------------------------
 */

/* Evaluation keeps an output only until its last reader is done. */
static ib_status plan_outputs(ib_network *net, ib_error *err) {
    for (size_t i = 0; i < net->node_count; ++i) {
        ib_node *node = &net->nodes[i];
        node->y_slot = take_slot(&net->slots, bytes_of(net, node));
        if (node->y_slot == IB_NO_SLOT)
            return ib_fail(err, IB_ERROR_RUNTIME, "%s: too many outputs are alive at once",
                           node->label);
        for (int j = 0; j < node->input_count; ++j)
            if (node->inputs[j] != IB_NO_NODE && --net->nodes[node->inputs[j]].readers == 0)
                release_slot(&net->slots, net->nodes[node->inputs[j]].y_slot);
    }
    return IB_OK;
}

static ib_status create_activations(ib_network *net, ib_error *err) {
    IB_TRY(net->training ? plan_gradients(net, err) : plan_outputs(net, err));
    for (int i = 0; i < net->slots.count; ++i)
        IB_TRY(create(net, &net->slots.buffer[i], net->slots.bytes[i], err));
    for (size_t i = 0; i < net->node_count; ++i) {
        ib_node *node = &net->nodes[i];
        if (net->training)
            IB_TRY(create(net, &node->y, bytes_of(net, node), err));
        else
            node->y = net->slots.buffer[node->y_slot];
        IB_TRY(create(net, &node->extra, node->extra_bytes * (size_t)net->capacity, err));
    }
    return IB_OK;
}

/* ---- parameters -------------------------------------------------------------------------------
 */

static int part_count(const ib_network *net) {
    if (!net->training)
        return 1;
    return 2 + ib_optimizer_states(net->optimizer, net->momentum);
}

/* One arena for each part of the trained parameters, one for what normalisations keep. */
static ib_status create_parameters(ib_network *net, ib_error *err) {
    size_t trained = 0, kept = 0;
    for (size_t i = 0; i < net->parameter_count; ++i) {
        ib_parameter *p = &net->parameters[i];
        size_t *bytes = p->trained ? &trained : &kept;
        p->offset = *bytes;
        *bytes += (size_t)p->floats * sizeof(float);
    }
    size_t at = kept;
    for (size_t i = 0; i < net->node_count && net->training; ++i)
        kept += net->nodes[i].kept_bytes;
    for (int part = 0; part < part_count(net); ++part)
        IB_TRY(create(net, &net->arena[part], trained, err));
    if (net->training && net->average_share != 0)
        IB_TRY(create(net, &net->average, trained, err));
    IB_TRY(create(net, &net->kept, kept, err));
    for (size_t i = 0; i < net->parameter_count; ++i) {
        ib_parameter *p = &net->parameters[i];
        size_t bytes = (size_t)p->floats * sizeof(float);
        for (int part = 0; p->trained && part < part_count(net); ++part)
            p->part[part] = ib_buffer_part(&net->arena[part], p->offset, bytes);
        if (p->trained && net->average.handle != NULL)
            p->average = ib_buffer_part(&net->average, p->offset, bytes);
        if (!p->trained && p->dtype == IB_F32)
            p->part[0] = ib_buffer_part(&net->kept, p->offset, bytes);
    }
    for (size_t i = 0; i < net->node_count && net->training; ++i) {
        ib_node *node = &net->nodes[i];
        if (node->kept_bytes > 0)
            node->kept = ib_buffer_part(&net->kept, at, node->kept_bytes);
        at += node->kept_bytes;
    }
    return IB_OK;
}

static ib_status create_batch(ib_network *net, ib_error *err) {
    size_t capacity = (size_t)net->capacity;
    int64_t pixels = net->input.h * net->input.w;
    int64_t floats = net->input.channels == 1 ? ib_pad16(pixels) : ib_extent_floats(&net->input);
    size_t table =
        (net->by_pixel ? 2 * (size_t)pixels : 256) * (size_t)net->input.channels * sizeof(float);
    IB_TRY(create(net, &net->x, capacity * (size_t)floats * sizeof(float), err));
    IB_TRY(create(net, &net->labels, capacity * sizeof(uint16_t), err));
    IB_TRY(create(net, &net->table, table, err));
    IB_TRY(create(net, &net->losses, capacity * sizeof(float), err));
    IB_TRY(create(net, &net->step_losses, IB_MOST_STEPS * sizeof(float), err));
    return create(net, &net->bad, sizeof(uint32_t), err);
}

ib_status ib_plan_memory(ib_network *net, ib_error *err) {
    IB_TRY(create_batch(net, err));
    IB_TRY(create_parameters(net, err));
    if (net->training)
        IB_TRY(ib_find_live_weights(net, err));
    return create_activations(net, err);
}

ib_network_memory ib_network_memory_of(const ib_network *net) {
    ib_network_memory m = {.parameters = net->arena[0].bytes + net->kept.bytes,
                           .gradients = net->arena[1].bytes,
                           .optimizer =
                               net->arena[2].bytes + net->arena[3].bytes + net->average.bytes,
                           .activations = net->x.bytes};
    for (size_t i = 0; i < net->node_count; ++i)
        m.activations += net->nodes[i].extra.bytes + (net->training ? net->nodes[i].y.bytes : 0);
    for (int i = 0; i < net->slots.count; ++i)
        *(net->training ? &m.activation_gradients : &m.activations) += net->slots.buffer[i].bytes;
    return m;
}
