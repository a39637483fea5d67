/* libFuzzer: two traces of somebody else's runs, compared. The first two bytes say where the second
 * trace begins; without one, the first is compared with itself. */
#include "fuzz_files.h"
#include "record/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(const ib_trace *a, const ib_trace *b) {
    ib_trace_difference d;
    ib_error err = {0};
    size_t extents[IB_MAX_RANK], element = 0, elements = 1;
    int64_t difference = 0;
    if (ib_trace_compare(a, b, &d, &err) != IB_OK) {
        require(err.message != NULL, "a refusal without a reason");
    } else if (d.name != NULL) {
        size_t rank = ib_trace_shape(a, d.tensor, extents);
        for (size_t i = 0; i < rank; ++i) {
            require(extents[i] > 0, "an extent of 0");
            elements *= extents[i];
        }
        require(elements <= (size_t)1 << 28 && d.differing > 0, "a tensor that is none");
        if (elements < 4096 && ib_tensor_hash_element(&d.a, &d.b, elements, &element, &difference))
            require(element < elements && difference != 0, "an element that is none");
    }
    ib_error_clear(&err);
}

static ib_trace *read_trace(const char *name, const uint8_t *data, size_t size) {
    ib_trace *trace = NULL;
    ib_error err = {0};
    char *folder = ib_path_join(fuzz_directory(), name);
    char *file = ib_path_join(name, "trace.bin");
    require(ib_make_directories(folder, NULL) == IB_OK, "no folder");
    free(fuzz_write(file, data, size));
    ib_status status = ib_trace_read(folder, &trace, &err);
    require(status == IB_OK || (trace == NULL && err.message != NULL),
            "a refusal without a reason");
    ib_error_clear(&err);
    free(folder);
    free(file);
    return trace;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    size_t second = (size_t)data[0] + 256u * data[1];
    data += 2;
    size -= 2;
    size_t first = second < size ? second : size;
    ib_trace *a = read_trace("a", data, first);
    ib_trace *b = first == size ? NULL : read_trace("b", data + first, size - first);
    if (a != NULL)
        look(a, b != NULL ? b : a);
    ib_trace_free(a);
    ib_trace_free(b);
    return 0;
}
