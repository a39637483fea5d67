/* What a cell can need beyond the CPU backend, by name. */
#include "study/study.h"

static const struct {
    const char *name;
    unsigned bit;
} NEEDS[] = {{"gpu", IB_NEED_GPU},
             {"apple-gpu", IB_NEED_APPLE_GPU},
             {"mixed-precision", IB_NEED_MIXED_PRECISION},
             {"pin-memory", IB_NEED_PIN_MEMORY}};

const char *ib_need_name(size_t index, unsigned *bit) {
    if (index >= sizeof NEEDS / sizeof NEEDS[0])
        return NULL;
    *bit = NEEDS[index].bit;
    return NEEDS[index].name;
}
