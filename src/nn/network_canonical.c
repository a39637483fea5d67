/* The canonical form of a network: what its experiment_sha256 covers. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json_text.h"
#include "nn/layer.h"
#include "nn/network_file.h"

static void write_row(const ib_row *row, ib_json *json) {
    const ib_layer_kind *kind = ib_layer_kind_named(row->kind);
    ib_json_open(json, NULL, '{');
    if ((kind->keys & IB_KEY_BIAS) != 0)
        ib_json_bool(json, "bias", !row->no_bias);
    if (row->from != NULL)
        ib_json_string(json, "from", row->from);
    if ((kind->keys & (IB_KEY_KERNEL | IB_KEY_SIZE)) != 0)
        ib_json_int(json, "kernel", row->kernel);
    ib_json_string(json, "kind", row->kind);
    if (row->name != NULL)
        ib_json_string(json, "name", row->name);
    if ((kind->keys & IB_KEY_OUT) != 0 && row->out == IB_CLASSES_OUT)
        ib_json_string(json, "out", "classes");
    else if ((kind->keys & IB_KEY_OUT) != 0)
        ib_json_int(json, "out", row->out);
    if ((kind->keys & (IB_KEY_P | IB_KEY_SLOPE)) != 0)
        ib_json_double(json, "p", row->p);
    if ((kind->keys & IB_KEY_PAD) != 0)
        ib_json_int(json, "pad", row->pad);
    if ((kind->keys & IB_KEY_STRIDE) != 0)
        ib_json_int(json, "stride",
                    row->stride > 0                   ? row->stride
                    : (kind->keys & IB_KEY_SIZE) != 0 ? row->kernel
                                                      : 1);
    if (row->with != NULL)
        ib_json_string(json, "with", row->with);
    ib_json_close(json, '}');
}

ib_status ib_network_canonical(const ib_network_file *file, char **text, ib_error *err) {
    size_t size = 0;
    *text = NULL;
    FILE *out = open_memstream(text, &size);
    if (out == NULL)
        return ib_fail_memory(err);
    ib_json json = {.out = out};
    ib_json_open(&json, NULL, '[');
    for (size_t i = 0; i < file->count; ++i)
        write_row(&file->rows[i], &json);
    ib_json_close(&json, ']');
    int failed = ferror(out);
    if (fclose(out) == 0 && !failed)
        return IB_OK;
    free(*text);
    *text = NULL;
    return ib_fail_memory(err);
}
