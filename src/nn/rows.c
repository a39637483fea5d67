/* The first step of a plan: what each row reads, its kind, and the extent of its output. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "nn/layer.h"

static const ib_layer_kind *const KINDS[] = {
#define IB_LAYER(identifier) &ib_layer_##identifier,
#include "layer_kinds.inc"
#undef IB_LAYER
};
enum { KIND_COUNT = sizeof KINDS / sizeof KINDS[0] };

const ib_layer_kind *ib_layer_kind_named(const char *name) {
    for (size_t i = 0; i < KIND_COUNT; ++i)
        if (strcmp(KINDS[i]->name, name) == 0)
            return KINDS[i];
    return NULL;
}

const ib_layer_kind *ib_layer_kind_at(size_t index) {
    return index < KIND_COUNT ? KINDS[index] : NULL;
}

char *ib_layer_kind_names(void) {
    char *names = strdup("");
    for (size_t i = 0; i < KIND_COUNT && names != NULL; ++i) {
        char *longer = ib_format("%s%s%s", names, i > 0 ? ", " : "", KINDS[i]->name);
        free(names);
        names = longer;
    }
    return names;
}

/* How messages call a row. */
static const char *shown(const ib_row *row) {
    return row->name != NULL ? row->name : row->kind;
}

ib_status ib_expect_image(const ib_row *row, const ib_extent *in, ib_error *err) {
    return in->h > 0 ? IB_OK
                     : ib_fail(err, IB_ERROR_USAGE, "%s needs an image, and what it reads is flat",
                               shown(row));
}

ib_status ib_expect_features(const ib_row *row, const ib_extent *in, ib_error *err) {
    return in->h == 0 ? IB_OK
                      : ib_fail(err, IB_ERROR_USAGE,
                                "%s reads an image: put a row 'flatten' before it", shown(row));
}

int64_t ib_extent_floats(const ib_extent *extent) {
    return extent->h == 0 ? ib_pad16(extent->features)
                          : extent->h * extent->w * ib_pad16(extent->channels);
}

/* The last row before `row` of that name; -1: none. */
static int find_row(const ib_network *net, size_t row, const char *name) {
    for (size_t i = row; i-- > 0;)
        if (net->rows[i].row->name != NULL && strcmp(net->rows[i].row->name, name) == 0)
            return (int)i;
    return -1;
}

static ib_status find_input(ib_network *net, size_t row, const char *name, int *from,
                            ib_error *err) {
    *from = name == NULL ? (int)row - 1 : find_row(net, row, name);
    if (name != NULL && *from < 0)
        return ib_fail(err, IB_ERROR_USAGE, "%s reads %s, and no row before it has that name",
                       shown(net->rows[row].row), name);
    if (*from >= 0)
        ++net->rows[*from].readers;
    return IB_OK;
}

static ib_status fail_kind(const ib_row *row, ib_error *err) {
    char *names = ib_layer_kind_names();
    ib_status status = names == NULL
                           ? ib_fail_memory(err)
                           : ib_fail(err, IB_ERROR_USAGE, "no kind of layer is called '%s' (%s)",
                                     row->kind, names);
    free(names);
    return status;
}

static ib_status plan_row(ib_network *net, size_t at, int *dropouts, ib_error *err) {
    ib_row_plan *plan = &net->rows[at];
    const ib_row *row = plan->row;
    plan->kind = ib_layer_kind_named(row->kind);
    if (plan->kind == NULL)
        return fail_kind(row, err);
    plan->label = row->name != NULL ? row->name : at > 0 ? net->rows[at - 1].label : "input";
    plan->from[1] = -1;
    plan->node = IB_NO_NODE;
    IB_TRY(find_input(net, at, row->from, &plan->from[0], err));
    if (plan->kind->inputs > 1 && row->with == NULL)
        return ib_fail(err, IB_ERROR_USAGE, "%s needs a second row", shown(row));
    if (plan->kind->inputs > 1)
        IB_TRY(find_input(net, at, row->with, &plan->from[1], err));
    const ib_extent *in[2] = {&net->input, &net->input};
    for (int i = 0; i < 2; ++i)
        if (plan->from[i] >= 0)
            in[i] = &net->rows[plan->from[i]].out;
    if (at == 0 && net->input.channels == 1 && strcmp(row->kind, "conv") != 0 &&
        strcmp(row->kind, "flatten") != 0)
        return ib_fail(err, IB_ERROR_USAGE,
                       "%s reads images of one channel: only 'conv' and 'flatten' can", shown(row));
    plan->dropout_index = strcmp(row->kind, "dropout") == 0 ? (*dropouts)++ : -1;
    return plan->kind->shape(row, in, net->classes, &plan->out, err);
}

/* What is wrong with a row of a file, with its place there. */
static ib_status at_line(const ib_network *net, size_t row, ib_status status, ib_error *err) {
    if (net->lines != NULL)
        ib_fail_context(err, "%s:%zu", net->path, net->lines[row]);
    return status;
}

ib_status ib_plan_rows(ib_network *net, const ib_row *rows, ib_error *err) {
    size_t count = 0;
    int dropouts = 0;
    while (rows[count].kind != NULL)
        ++count;
    net->rows = calloc(count + 1, sizeof *net->rows);
    if (net->rows == NULL)
        return ib_fail_memory(err);
    for (; net->row_count < count; ++net->row_count) {
        net->rows[net->row_count].row = &rows[net->row_count];
        ib_status status = plan_row(net, net->row_count, &dropouts, err);
        if (status != IB_OK)
            return at_line(net, net->row_count, status, err);
    }
    if (count == 0)
        return ib_fail(err, IB_ERROR_USAGE, "a network needs rows");
    if (net->rows[count - 1].out.h > 0 || net->rows[count - 1].out.features != net->classes)
        return at_line(net, count - 1,
                       ib_fail(err, IB_ERROR_USAGE,
                               "the last row, %s, does not give one value a class",
                               shown(&rows[count - 1])),
                       err);
    for (size_t i = 0; i + 1 < count; ++i)
        if (net->rows[i].readers == 0)
            return at_line(
                net, i, ib_fail(err, IB_ERROR_USAGE, "nothing reads the row %s", shown(&rows[i])),
                err);
    return IB_OK;
}
