/* Writes a safetensors file of demo tensors, or lists any file: the C side of the peer test.
 *   safetensors_tool write FILE    prints the SHA-256 of the file
 *   safetensors_tool list FILE     one line a tensor: name dtype shape sha256-of-data */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/safetensors.h"

static int report(ib_status status, ib_error *err) {
    if (status != IB_OK)
        fprintf(stderr, "safetensors_tool: %s\n", ib_error_text(err));
    ib_error_clear(err);
    return (int)status;
}

static int write_demo(const char *path) {
    static float weights[2 * 3 * 5 * 7];
    static const double halves[3] = {0.5, -0.25, 1e300};
    static const int64_t steps = 9007199254740993;
    static const int32_t counts[4] = {-1, 0, 1, INT32_MAX};
    static uint8_t bytes[256];
    for (size_t i = 0; i < sizeof weights / sizeof weights[0]; ++i)
        weights[i] = (float)i * 0.125f - 3.0f;
    for (size_t i = 0; i < sizeof bytes; ++i)
        bytes[i] = (uint8_t)i;
    const ib_named_tensor tensors[] = {
        {"conv.weight", IB_F32, {4, {2, 3, 5, 7}}, weights},
        {"fc.weight", IB_F32, {2, {2, 3}}, weights},
        {"fc.bias", IB_F32, {1, {3}}, weights},
        {"halves", IB_F64, {1, {3}}, halves},
        {"bn.num_batches_tracked", IB_I64, {0, {0}}, &steps},
        {"counts", IB_I32, {2, {2, 2}}, counts},
        {"bytes", IB_U8, {1, {256}}, bytes},
        {"empty", IB_F32, {2, {0, 3}}, NULL},
        {"name \"quoted\" \\ \xC3\xA9", IB_U8, {0, {0}}, bytes + 65},
    };
    static const char *const metadata[][2] = {{"format", "pt"}, {"made by", "isobit"}};
    char hex[IB_SHA256_HEX_SIZE];
    ib_error err = {0};
    ib_status status = ib_safetensors_write(path, tensors, sizeof tensors / sizeof tensors[0],
                                            metadata, 2, hex, &err);
    if (status == IB_OK)
        printf("%s\n", hex);
    return report(status, &err);
}

static void list_tensor(const ib_named_tensor *tensor) {
    char hex[IB_SHA256_HEX_SIZE];
    size_t size = (size_t)ib_shape_elements(&tensor->shape) * ib_dtype_size(tensor->dtype);
    ib_sha256_bytes(tensor->data, size, hex);
    printf("%s\t%s\t[", tensor->name, ib_dtype_name(tensor->dtype));
    for (int i = 0; i < tensor->shape.rank; ++i)
        printf("%s%" PRId64, i > 0 ? "," : "", tensor->shape.extent[i]);
    printf("]\t%s\n", hex);
}

static int list(const char *path) {
    ib_safetensors file;
    ib_error err = {0};
    ib_status status = ib_safetensors_open(path, &file, &err);
    if (status != IB_OK)
        return report(status, &err);
    for (size_t i = 0; i < file.count; ++i)
        list_tensor(&file.tensors[i]);
    for (size_t i = 0; i < file.metadata_count; ++i)
        printf("metadata\t%s\t%s\n", file.metadata[i][0], file.metadata[i][1]);
    ib_safetensors_close(&file);
    return report(status, &err);
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "write") == 0)
        return write_demo(argv[2]);
    if (argc == 3 && strcmp(argv[1], "list") == 0)
        return list(argv[2]);
    fprintf(stderr, "usage: safetensors_tool write|list FILE\n");
    return IB_ERROR_USAGE;
}
