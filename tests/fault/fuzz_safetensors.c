/* libFuzzer: any bytes at all, opened as a safetensors file. What is accepted must be readable in
 * full and must survive a rewrite. Run: build/fuzz/tests/fuzz_safetensors -max_total_time=60 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "tensor/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition, const char *what) {
    if (!condition) {
        fprintf(stderr, "fuzz_safetensors: %s\n", what);
        abort();
    }
}

static void use(const ib_safetensors *file) {
    volatile uint8_t sum = 0;
    for (size_t i = 0; i < file->count; ++i) {
        const ib_named_tensor *tensor = &file->tensors[i];
        size_t bytes = (size_t)ib_shape_elements(&tensor->shape) * ib_dtype_size(tensor->dtype);
        const uint8_t *values = tensor->data;
        require(bytes == 0 ||
                    (values >= file->own.data && values + bytes <= file->own.data + file->own.size),
                "data outside the file");
        for (size_t b = 0; b < bytes; ++b)
            sum = (uint8_t)(sum + values[b]);
        require(ib_safetensors_find(file, tensor->name) == tensor, "a name found twice");
    }
    char hex[IB_SHA256_HEX_SIZE];
    require(ib_safetensors_hash(file->tensors, file->count, hex, NULL) == IB_OK,
            "what was read cannot be written");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    require(fd >= 0 && write(fd, data, size) == (ssize_t)size, "no memory file");
    char *path = ib_format("/proc/self/fd/%d", fd);
    ib_safetensors file;
    ib_error err = {0};
    ib_status status = ib_safetensors_open(path, &file, &err);
    if (status == IB_OK) {
        use(&file);
        ib_safetensors_close(&file);
    } else {
        require(err.message != NULL, "a failure without a message");
    }
    ib_error_clear(&err);
    free(path);
    close(fd);
    return 0;
}
