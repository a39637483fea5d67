/* The second step of a plan: rows become nodes. A node is one operation of the backend each way;
 * where several rows in sequence are what one operation computes, they become one node. The fused
 * operation gives the bits of its rows one by one (NUMERICS.md), so this is about speed alone. */
#include <stdlib.h>
#include <string.h>

#include "nn/layer.h"

enum { MOST_FUSED = 5 };

typedef struct ib_pattern {
    const char *kinds[MOST_FUSED + 1]; /* of consecutive rows, each reading the one before */
    /* Beyond that; NULL: nothing. rows: the first of them. */
    int (*fits)(const ib_network *net, const ib_row_plan *rows, size_t count);
} ib_pattern;

/* The only row that reads this one, or NULL. */
static const ib_row_plan *only_reader(const ib_network *net, const ib_row_plan *row) {
    int index = (int)(row - net->rows);
    if (row->readers != 1)
        return NULL;
    for (size_t i = (size_t)index + 1; i < net->row_count; ++i)
        if (net->rows[i].from[0] == index || net->rows[i].from[1] == index)
            return &net->rows[i];
    return NULL;
}

/* A reader that hands back gradients before the ReLU and dropout of what it reads. */
static int reader_masks(const ib_network *net, const ib_row_plan *last) {
    const ib_row_plan *reader = only_reader(net, last);
    return reader != NULL && reader->kind->masks_input;
}

static int pools_by_two(const ib_network *net, const ib_row_plan *rows, size_t count) {
    const ib_row *pool = rows[2].row;
    (void)net, (void)count;
    return pool->kernel == 2 && (pool->stride == 2 || pool->stride == 0) && pool->pad == 0 &&
           !rows[0].row->no_bias;
}

/* A dropout's mask is found in the values only by a reader that looks for it there. */
static int drops_for_reader(const ib_network *net, const ib_row_plan *rows, size_t count) {
    return reader_masks(net, &rows[count - 1]);
}

static int pools_and_drops(const ib_network *net, const ib_row_plan *rows, size_t count) {
    return pools_by_two(net, rows, count) && drops_for_reader(net, rows, count);
}

/* Best first: the longest that fits is taken. */
static const ib_pattern PATTERNS[] = {
    {{"conv", "relu", "max-pool", "dropout", "flatten"}, pools_and_drops},
    {{"conv", "relu", "max-pool", "flatten"}, pools_by_two},
    {{"conv", "relu"}, NULL},
    {{"linear", "relu", "dropout"}, drops_for_reader},
    {{"linear", "relu"}, NULL},
    {{"batch-norm", "add", "relu"}, NULL},
    {{"batch-norm", "add"}, NULL},
    {{"batch-norm", "relu"}, NULL},
};

/* Whether rows from `at` on are of these kinds, each but the last read by the next alone. */
static size_t matches(const ib_network *net, size_t at, const ib_pattern *pattern) {
    size_t count = 0;
    for (; pattern->kinds[count] != NULL; ++count) {
        const ib_row_plan *row = &net->rows[at + count];
        if (at + count >= net->row_count || strcmp(row->kind->name, pattern->kinds[count]) != 0)
            return 0;
        int before = (int)(at + count) - 1;
        if (count > 0 &&
            (net->rows[before].readers != 1 || (row->from[0] != before && row->from[1] != before)))
            return 0;
    }
    return pattern->fits == NULL || pattern->fits(net, &net->rows[at], count) ? count : 0;
}

static size_t rows_of_node(const ib_network *net, size_t at) {
    for (size_t i = 0; !net->unfused && i < sizeof PATTERNS / sizeof PATTERNS[0]; ++i) {
        size_t count = matches(net, at, &PATTERNS[i]);
        if (count > 0)
            return count;
    }
    return 1;
}

/* The node that computes a row, or IB_NO_NODE for the images. */
static int node_of(const ib_network *net, int row) {
    return row < 0 ? IB_NO_NODE : net->rows[row].node;
}

static void set_dropout(ib_node *node, const ib_row_plan *row) {
    node->dropout_index = row->dropout_index;
    node->dropout.threshold = (uint32_t)(row->row->p * 4294967296.0 + 0.5);
    node->dropout.scale = (float)(1.0 / (1.0 - row->row->p));
}

/* What the rows behind the first add to a node. */
static void fuse_row(ib_network *net, ib_node *node, const ib_row_plan *row) {
    const char *kind = row->kind->name;
    node->relu |= strcmp(kind, "relu") == 0;
    node->pool |= strcmp(kind, "max-pool") == 0;
    if (strcmp(kind, "dropout") == 0)
        set_dropout(node, row);
    if (strcmp(kind, "add") == 0) {
        int before = (int)(row - net->rows) - 1;
        node->inputs[1] = node_of(net, row->from[0] == before ? row->from[1] : row->from[0]);
        node->input_count = 2;
    }
}

/* A ReLU's mask is applied by the reader that can, else by the node itself. */
static void place_mask(ib_network *net, ib_node *node, int input) {
    if (input == IB_NO_NODE)
        return;
    ib_node *from = &net->nodes[input];
    if (!from->relu || from->kind->masks_itself)
        return;
    const ib_row_plan *last = &net->rows[from->first_row + from->rows - 1];
    if (reader_masks(net, last)) {
        node->mask_input = 1;
        if (from->dropout_index >= 0)
            node->input_scale = from->dropout.scale;
    } else {
        from->mask_self = 1;
    }
}

static void make_node(ib_network *net, size_t at, size_t rows) {
    ib_node *node = &net->nodes[net->node_count];
    const ib_row_plan *head = &net->rows[at];
    *node = (ib_node){.kind = head->kind,
                      .first_row = at,
                      .rows = rows,
                      .label = head->label,
                      .inputs = {node_of(net, head->from[0]), IB_NO_NODE},
                      .input_count = head->kind->inputs,
                      .in = head->from[0] < 0 ? net->input : net->rows[head->from[0]].out,
                      .out = net->rows[at + rows - 1].out,
                      .dropout_index = -1,
                      .input_scale = 1.0f};
    if (head->kind->inputs > 1)
        node->inputs[1] = node_of(net, head->from[1]);
    if (head->dropout_index >= 0)
        set_dropout(node, head);
    for (size_t i = 1; i < rows; ++i)
        fuse_row(net, node, &net->rows[at + i]);
    for (size_t i = 0; i < rows; ++i)
        net->rows[at + i].node = (int)net->node_count;
    node->y_bytes = (size_t)ib_extent_floats(&node->out) * sizeof(float);
    for (int i = 0; i < node->input_count; ++i)
        if (node->inputs[i] != IB_NO_NODE)
            ++net->nodes[node->inputs[i]].readers;
    ++net->node_count;
    place_mask(net, node, node->inputs[0]);
    place_mask(net, node, node->inputs[1]);
}

ib_status ib_plan_nodes(ib_network *net, ib_error *err) {
    net->nodes = calloc(net->row_count + 1, sizeof *net->nodes);
    if (net->nodes == NULL)
        return ib_fail_memory(err);
    /* One channel is flat as it comes: nothing is computed for it. */
    net->flat_input = net->input.channels == 1 && strcmp(net->rows[0].kind->name, "flatten") == 0;
    for (size_t i = 1; net->flat_input && i < net->row_count; ++i)
        net->flat_input = net->rows[i].from[0] >= 0;
    size_t at = net->flat_input;
    while (at < net->row_count) {
        size_t rows = rows_of_node(net, at);
        make_node(net, at, rows);
        at += rows;
    }
    if (net->node_count == 0)
        return ib_fail(err, IB_ERROR_USAGE, "a network needs more rows than 'flatten'");
    ib_node *last = &net->nodes[net->node_count - 1];
    last->mask_self = last->relu && !last->kind->masks_itself;
    return IB_OK;
}
