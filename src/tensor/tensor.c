#include "tensor/tensor.h"

size_t ib_dtype_size(ib_dtype dtype) {
    switch (dtype) {
    case IB_F64:
    case IB_I64:
        return 8;
    case IB_F32:
    case IB_I32:
        return 4;
    case IB_U8:
        return 1;
    }
    return 0;
}

const char *ib_dtype_name(ib_dtype dtype) {
    switch (dtype) {
    case IB_F32:
        return "F32";
    case IB_F64:
        return "F64";
    case IB_I64:
        return "I64";
    case IB_I32:
        return "I32";
    case IB_U8:
        return "U8";
    }
    return "?";
}

int64_t ib_shape_elements(const ib_shape *shape) {
    int64_t elements = 1;
    for (int i = 0; i < shape->rank; ++i)
        if (shape->extent[i] < 0 || __builtin_mul_overflow(elements, shape->extent[i], &elements))
            return -1;
    return elements;
}
