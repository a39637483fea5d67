#include "catalog/networks/resnet.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { STAGES = 4, STEM_CHANNELS = 64, MOST_ROWS_OF_A_BLOCK = 12, OTHER_ROWS = 7 };

/* Rows as they are added. A failed allocation is noticed once, at the end. */
struct builder {
    ib_row *rows;
    size_t count;
    int out_of_memory;
};

/* Takes over name and from, either of which may be NULL where it is not wanted. */
static void add_row(struct builder *b, ib_row row) {
    b->rows[b->count++] = row;
}

/* A name that must be there. */
static char *need(struct builder *b, char *name) {
    b->out_of_memory |= name == NULL;
    return name;
}

static char *copy(struct builder *b, const char *name) {
    return need(b, strdup(name != NULL ? name : ""));
}

static void add_conv(struct builder *b, char *name, char *from, int64_t out, int64_t kernel,
                     int64_t stride) {
    add_row(b, (ib_row){.kind = "conv",
                        .name = name,
                        .from = from,
                        .out = out,
                        .kernel = kernel,
                        .stride = stride,
                        .pad = kernel / 2,
                        .no_bias = 1});
}

/* Block `index` of stage `stage`, reading row `input`: convolutions with normalisations, and what
 * came in, added before the last ReLU: as it is, or through a 1x1 convolution where its shape
 * changes, which comes last in the state dict. The last row has the block's name. */
static void add_block(struct builder *b, const ib_resnet *resnet, int stage, int index,
                      const char *input, const char *block) {
    int64_t width = (int64_t)STEM_CHANNELS << stage, out = resnet->bottleneck ? 4 * width : width;
    int64_t stride = stage > 0 && index == 0 ? 2 : 1;
    int last = resnet->bottleneck ? 3 : 2;
    int shortcut = index == 0 && (stage > 0 || out != STEM_CHANNELS);
    for (int n = 1; n <= last; ++n) {
        int three = resnet->bottleneck ? n == 2 : 1; /* the 3x3, or the first of them, strides */
        int strides = resnet->bottleneck ? n == 2 : n == 1;
        add_conv(b, need(b, ib_format("%s.conv%d", block, n)), n == 1 ? copy(b, input) : NULL,
                 n == last ? out : width, three ? 3 : 1, strides ? stride : 1);
        add_row(b, (ib_row){.kind = "batch-norm", .name = need(b, ib_format("%s.bn%d", block, n))});
        if (n < last)
            add_row(b, (ib_row){.kind = "relu"});
    }
    char *with = shortcut ? ib_format("%s.bn%d", block, last) : copy(b, input);
    if (shortcut) {
        add_conv(b, need(b, ib_format("%s.downsample.0", block)), copy(b, input), out, 1, stride);
        add_row(b, (ib_row){.kind = "batch-norm",
                            .name = need(b, ib_format("%s.downsample.1", block))});
    }
    add_row(b, (ib_row){.kind = "add", .with = need(b, with)});
    add_row(b, (ib_row){.kind = "relu", .name = copy(b, block)});
}

static void add_stages(struct builder *b, const ib_resnet *resnet) {
    char *input = copy(b, "maxpool");
    for (int stage = 0; stage < STAGES; ++stage)
        for (int index = 0; index < resnet->blocks[stage]; ++index) {
            char *block = need(b, ib_format("layer%d.%d", stage + 1, index));
            if (!b->out_of_memory)
                add_block(b, resnet, stage, index, input, block);
            free(input);
            input = block;
        }
    free(input);
}

ib_status ib_resnet_rows(const ib_resnet *resnet, ib_row **rows, ib_error *err) {
    size_t most = OTHER_ROWS;
    for (int stage = 0; stage < STAGES; ++stage)
        most += (size_t)resnet->blocks[stage] * MOST_ROWS_OF_A_BLOCK;
    struct builder b = {.rows = calloc(most, sizeof *b.rows)};
    *rows = b.rows;
    if (b.rows == NULL)
        return ib_fail_memory(err);
    add_conv(&b, copy(&b, "conv1"), NULL, STEM_CHANNELS, 7, 2);
    add_row(&b, (ib_row){.kind = "batch-norm", .name = copy(&b, "bn1")});
    add_row(&b, (ib_row){.kind = "relu"});
    add_row(
        &b,
        (ib_row){
            .kind = "max-pool", .name = copy(&b, "maxpool"), .kernel = 3, .stride = 2, .pad = 1});
    add_stages(&b, resnet);
    add_row(&b, (ib_row){.kind = "mean", .name = copy(&b, "avgpool")});
    add_row(&b, (ib_row){.kind = "linear", .name = copy(&b, "fc"), .out = IB_CLASSES_OUT});
    return b.out_of_memory ? ib_fail_memory(err) : IB_OK;
}
