/* The canonical form of a network: what its experiment_sha256 covers. */
#include <stdlib.h>
#include <string.h>

#include "base/json_text.h"
#include "base/text_stream.h"
#include "catalog/networks.h"
#include "nn/layer.h"
#include "nn/network_file.h"

/* As a file says it (network_row.c), every key in the order of the alphabet. */
static void write_row(const ib_row *row, ib_json *json) {
    const ib_layer_kind *kind = ib_layer_kind_named(row->kind);
    int64_t stride = row->stride > 0 ? row->stride : 1;
    if (row->stride == 0 && (kind->keys & IB_KEY_SIZE) != 0)
        stride = row->kernel;
    ib_json_open(json, NULL, '{');
    ib_json_open(json, row->kind, '{');
    if ((kind->keys & IB_KEY_BIAS) != 0)
        ib_json_bool(json, "bias", !row->no_bias);
    if (row->from != NULL && (kind->keys & IB_KEY_ROWS) == 0)
        ib_json_string(json, "from", row->from);
    if ((kind->keys & IB_KEY_KERNEL) != 0)
        ib_json_int(json, "kernel", row->kernel);
    if (row->name != NULL)
        ib_json_string(json, "name", row->name);
    if ((kind->keys & IB_KEY_OUT) != 0 && row->out == IB_CLASSES_OUT)
        ib_json_string(json, "out", "classes");
    else if ((kind->keys & IB_KEY_OUT) != 0)
        ib_json_int(json, "out", row->out);
    if ((kind->keys & IB_KEY_P) != 0)
        ib_json_double(json, "p", row->p);
    if ((kind->keys & IB_KEY_PAD) != 0)
        ib_json_int(json, "pad", row->pad);
    if ((kind->keys & IB_KEY_ROWS) != 0) {
        ib_json_open(json, "rows", '[');
        ib_json_string(json, NULL, row->from);
        ib_json_string(json, NULL, row->with);
        ib_json_close(json, ']');
    }
    if ((kind->keys & IB_KEY_SIZE) != 0)
        ib_json_int(json, "size", row->kernel);
    if ((kind->keys & IB_KEY_STRIDE) != 0)
        ib_json_int(json, "stride", stride);
    ib_json_close(json, '}');
    ib_json_close(json, '}');
}

ib_status ib_network_canonical(const ib_network_file *file, char **text, ib_error *err) {
    ib_text_stream out;
    *text = NULL;
    IB_TRY(ib_text_open(&out, err));
    ib_json json = {.out = out.stream};
    ib_json_open(&json, NULL, '[');
    for (size_t i = 0; i < file->count; ++i)
        write_row(&file->rows[i], &json);
    ib_json_close(&json, ']');
    IB_TRY(ib_text_close(&out, err));
    *text = out.data;
    return IB_OK;
}

/* The network of the catalogue with this canonical form; NULL: none. */
static ib_status find_own(const char *canonical, const char **name, ib_error *err) {
    const ib_network_text *own;
    ib_status status = IB_OK;
    for (size_t i = 0; status == IB_OK && *name == NULL && (own = ib_network_at(i)) != NULL; ++i) {
        const ib_experiment experiment = {.model = (int)i};
        ib_network_file file = {0};
        char *text = NULL;
        status = ib_network_of(&experiment, &file, err);
        if (status == IB_OK)
            status = ib_network_canonical(&file, &text, err);
        if (status == IB_OK && strcmp(text, canonical) == 0)
            *name = own->name;
        free(text);
        ib_network_file_close(&file);
    }
    return status;
}

ib_status ib_network_identify(const ib_experiment *experiment, const char **model, char **network,
                              ib_error *err) {
    ib_network_file file = {0};
    *model = NULL;
    *network = NULL;
    if (experiment->model != IB_MODEL_FILE)
        return IB_OK;
    ib_status status = ib_network_of(experiment, &file, err);
    if (status == IB_OK)
        status = ib_network_canonical(&file, network, err);
    if (status == IB_OK)
        status = find_own(*network, model, err);
    ib_network_file_close(&file);
    if (status != IB_OK || *model != NULL) {
        free(*network);
        *network = NULL;
        return status;
    }
    *model = ib_model_kind_name(IB_MODEL_FILE);
    return IB_OK;
}
