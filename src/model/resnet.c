/* ResNets as stage tables: a stem, four stages of blocks, the mean over pixels, one linear layer;
 * under torchvision's names and in the order of its state dict. Images of 28 x 28 become 14 x 14 in
 * the stem, 7 x 7 behind its pool, and 7, 4, 2, 1 in the stages. */
#include <stdlib.h>

#include "base/file.h"
#include "model/registry.h"

enum { STAGES = 4, STEM_CHANNELS = 64, MOST_ROWS_OF_A_BLOCK = 8, OTHER_ROWS = 6 };

/* Rows as they are added. A failed allocation is noticed once, at the end. */
struct builder {
    ib_layer_spec *rows;
    size_t count;
    int out_of_memory;
};

/* Adds a row and returns its number. Takes over name. */
static size_t add_row(struct builder *b, char *name, ib_layer_spec row) {
    if (name == NULL) {
        b->out_of_memory = 1;
        return b->count;
    }
    row.name = name;
    b->rows[b->count] = row;
    return b->count++;
}

/* A convolution that reads row `from`. */
static void add_conv(struct builder *b, char *name, size_t from, int64_t out, int64_t kernel,
                     int64_t stride) {
    ib_layer_spec row = {.kind = IB_LAYER_CONV,
                         .out = out,
                         .kernel = kernel,
                         .stride = stride,
                         .pad = kernel / 2,
                         .no_bias = 1,
                         .back = b->count - 1 - from};
    add_row(b, name, row);
}

/* The normalisation of the row before; adds row `added` where there is one. */
static size_t add_norm(struct builder *b, char *name, const size_t *added, int relu) {
    ib_layer_spec row = {.kind = IB_LAYER_NORM, .relu = relu};
    if (added != NULL)
        row.add = b->count - *added;
    return add_row(b, name, row);
}

/* Block `index` of stage `stage`, reading row `from`: convolutions with normalisations, and what
 * came in, added before the last ReLU: as it is, or through a 1x1 convolution where its shape
 * changes. That shortcut comes last in the state dict, so that its normalisation does the adding.
 */
static size_t add_block(struct builder *b, const ib_resnet *resnet, int stage, int index,
                        size_t from) {
    int64_t width = (int64_t)STEM_CHANNELS << stage, out = resnet->bottleneck ? 4 * width : width;
    int64_t stride = stage > 0 && index == 0 ? 2 : 1;
    int last = resnet->bottleneck ? 3 : 2;
    int shortcut = index == 0 && (stage > 0 || out != STEM_CHANNELS);
    size_t at = from;
    for (int n = 1; n <= last; ++n) {
        int three = resnet->bottleneck ? n == 2 : 1; /* the 3x3, or the first of them, strides */
        int strides = resnet->bottleneck ? n == 2 : n == 1;
        add_conv(b, ib_format("layer%d.%d.conv%d", stage + 1, index, n), at,
                 n == last ? out : width, three ? 3 : 1, strides ? stride : 1);
        int adds = n == last && !shortcut;
        at = add_norm(b, ib_format("layer%d.%d.bn%d", stage + 1, index, n), adds ? &from : NULL,
                      n < last || adds);
    }
    if (!shortcut)
        return at;
    add_conv(b, ib_format("layer%d.%d.downsample.0", stage + 1, index), from, out, 1, stride);
    return add_norm(b, ib_format("layer%d.%d.downsample.1", stage + 1, index), &at, 1);
}

ib_status ib_resnet_rows(const ib_resnet *resnet, int64_t classes, ib_layer_spec **rows,
                         ib_error *err) {
    size_t most = OTHER_ROWS;
    for (int stage = 0; stage < STAGES; ++stage)
        most += (size_t)resnet->blocks[stage] * MOST_ROWS_OF_A_BLOCK;
    struct builder b = {.rows = calloc(most, sizeof *b.rows)};
    *rows = b.rows;
    if (b.rows == NULL)
        return ib_fail_memory(err);
    ib_layer_spec stem = {.kind = IB_LAYER_CONV,
                          .out = STEM_CHANNELS,
                          .kernel = 7,
                          .stride = 2,
                          .pad = 3,
                          .no_bias = 1};
    add_row(&b, ib_format("conv1"), stem);
    add_norm(&b, ib_format("bn1"), NULL, 1);
    size_t at = add_row(&b, ib_format("maxpool"), (ib_layer_spec){.kind = IB_LAYER_POOL});
    for (int stage = 0; stage < STAGES; ++stage)
        for (int index = 0; index < resnet->blocks[stage]; ++index)
            at = add_block(&b, resnet, stage, index, at);
    add_row(&b, ib_format("avgpool"), (ib_layer_spec){.kind = IB_LAYER_MEAN});
    add_row(&b, ib_format("fc"), (ib_layer_spec){.kind = IB_LAYER_LINEAR, .out = classes});
    return b.out_of_memory ? ib_fail_memory(err) : IB_OK;
}
